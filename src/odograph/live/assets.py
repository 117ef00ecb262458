"""Every asset of every org in columns, and which of them carry which tag."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from odograph.live.compact import Hints, Interned, Many, Places
from odograph.live.entity import Entity
from odograph.model.access import carries
from odograph.model.catalog import Asset
from odograph.model.ids import AssetId, OrgId, TagId, render_asset_id
from odograph.store.base import Record

AssetIds = npt.NDArray[np.uint32]
"""Numbers of assets, ascending, each once."""

NONE: Final[AssetIds] = np.empty(0, dtype=np.uint32)
NONE.setflags(write=False)


class _Packed(Asset, frozen=True, array_like=True):
    """An asset's body without its field names and its name, which is in the head: a third of its JSON.

    It ends with the last field that says anything: what few vehicles have costs the others nothing.
    """


class _Head(msgspec.Struct):
    name: str


_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(_Packed)
_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Roll:
    """The assets of one org, all and by tag (directly carried), as of its last change."""

    numbers: AssetIds
    by_tag: dict[int, AssetIds]

    def tagged(self, tag_ids: Iterable[int]) -> AssetIds:
        """Those that carry one of these tags."""
        parts = [self.by_tag[tag] for tag in tag_ids if tag in self.by_tag]
        if len(parts) == 1:
            return parts[0]
        return np.unique(np.concatenate(parts)) if parts else NONE


def names_of(body: Asset) -> Iterator[str]:
    """What an asset can be called besides its id: external ids as `key:value`, and the two automatic ones."""
    for key, value in (*body.external_ids.items(), *body.automatic_ids().items()):
        yield f"{key}:{value}"


class Assets(Many[Asset]):
    """Looked up by record id, number or name; listed by number."""

    def __init__(self) -> None:
        super().__init__(Asset)
        self._numbers = array("I")
        self._heads = array("H")  # how much of the slot's bytes is the head; the packed body follows
        self._tag_sets = array("i")
        self._places = Places()
        self._names = Hints()
        self._sets: Interned[tuple[int, ...]] = Interned()
        self._rolls: dict[OrgId, Roll] = {}
        self._driven: dict[int, set[int]] = {}  # number of a driver -> numbers of the assets assigned to him
        self.changes = 0
        """How many there were: whatever was derived from assets holds while it stays."""

    def _link(self, slot: int, record: Record, body: Asset) -> None:
        if slot == len(self._numbers):
            self._numbers.append(0)
            self._heads.append(0)
            self._tag_sets.append(0)
        name = msgspec.json.encode(body.name)
        head = b'{"id":"%b","name":%b' % (render_asset_id(AssetId(body.number)).encode(), name)
        self._shelf.fill(slot, record.org, record.rev, head + _packer.encode(_told(body)))
        self._numbers[slot], self._heads[slot] = body.number, len(head)
        self._tag_sets[slot] = self._sets.hold(body.tag_ids)
        self._places.put(body.number, slot)
        if body.driver_id:
            self._driven.setdefault(body.driver_id, set()).add(body.number)
        for text in names_of(body):
            self._names.add(_code(record.org, text), slot)
        self._rolls.pop(record.org, None)
        self.changes += 1

    def _unlink(self, slot: int) -> None:
        org, body = OrgId(self._shelf.orgs[slot]), self._body(slot)
        for text in names_of(body):
            self._names.drop(_code(org, text), slot)
        self._places.drop(body.number)
        if body.driver_id:
            self._driven[body.driver_id].discard(body.number)
        self._sets.release(self._tag_sets[slot])
        self._rolls.pop(org, None)
        self.changes += 1

    def _body(self, slot: int) -> Asset:
        head = self._shelf.body(slot, 0, self._heads[slot])
        packed = _unpacker.decode(self._shelf.body(slot, self._heads[slot]))
        number, _, *rest = msgspec.structs.astuple(packed)
        return Asset(number, _head.decode(head + b"}").name, *rest)

    def find_by_number(self, org: OrgId, number: AssetId) -> Entity[Asset] | None:
        """By the number that the log knows it by, within its org."""
        slot = self._places.find(number)
        return self._entity(slot) if slot >= 0 and self._shelf.orgs[slot] == org else None

    def find_by_name(self, org: OrgId, text: str, limit: frozenset[TagId] | None = None) -> Entity[Asset] | None:
        """By an external id `key:value`, `samsara.vin:…` or `samsara.serial:…`.

        Vehicles can share a VIN by mistake: then the one with the lowest number is meant, for a token limited to
        tags of those that it sees.
        """
        found = [
            entity
            for slot in self._names.find(_code(org, text))
            if (entity := self._entity(slot)).org == org
            and text in names_of(entity.body)
            and carries(entity.body.tag_ids, limit)
        ]
        return min(found, key=lambda entity: entity.body.number, default=None)

    def org_of(self, number: AssetId) -> OrgId | None:
        """Whose asset this is; None for a number that no living asset has."""
        slot = self._places.find(number)
        return OrgId(self._shelf.orgs[slot]) if slot >= 0 else None

    def list_of_driver(self, org: OrgId, driver_id: int) -> list[Entity[Asset]]:
        """Those that a driver is assigned to, by number: none, or one."""
        found = (self.find_by_number(org, AssetId(number)) for number in sorted(self._driven.get(driver_id, ())))
        return [one for one in found if one is not None]

    def heads(self, numbers: Iterable[int]) -> list[bytearray | None]:
        """`{"id":"…","name":"…"` of each, encoded once, for answers to go on from; None once it is deleted."""
        find, starts, heads, bodies = self._places.find, self._shelf.starts, self._heads, self._shelf.bodies
        slots = map(find, numbers)
        return [bodies[(at := starts[slot]) : at + heads[slot]] if slot >= 0 else None for slot in slots]

    def heads_with_external_ids(self, numbers: Iterable[int]) -> list[bytes | None]:
        """The same with `"externalIds"`, the automatic ones too, of those that have any."""
        slots = map(self._places.find, numbers)
        return [self._head_with_external_ids(slot) if slot >= 0 else None for slot in slots]

    def _head_with_external_ids(self, slot: int) -> bytes:
        body, length = bytes(self._shelf.body(slot)), self._heads[slot]
        packed = _unpacker.decode(memoryview(body)[length:])
        pairs = {**packed.external_ids, **packed.automatic_ids()}
        return b'%b,"externalIds":%b' % (body[:length], msgspec.json.encode(pairs)) if pairs else body[:length]

    def list_(self, org: OrgId, after: int = 0, limit: int | None = None) -> list[Entity[Asset]]:
        """Of one org, by number, those with number > `after`, at most `limit`."""
        numbers = self.roll(org).numbers
        start = int(np.searchsorted(numbers, after, side="right"))
        end = None if limit is None else start + limit
        return [self._entity(self._places.find(number)) for number in numbers[start:end].tolist()]

    def roll(self, org: OrgId) -> Roll:
        """All assets of an org and who carries which tag; made when first asked for after a change."""
        roll = self._rolls.get(org)
        if roll is None:
            roll = self._rolls[org] = self._call_roll(org)
        return roll

    def _call_roll(self, org: OrgId) -> Roll:
        slots = np.flatnonzero(np.frombuffer(self._shelf.orgs, dtype=np.int32) == org)
        numbers = np.frombuffer(self._numbers, dtype=np.uint32)[slots]
        sets = np.frombuffer(self._tag_sets, dtype=np.int32)[slots]
        parts: dict[int, list[AssetIds]] = {}
        for code, part in _groups(sets, numbers):
            for tag in set(self._sets[code]):
                parts.setdefault(tag, []).append(part)
        by_tag = {tag: _sorted(np.concatenate(some)) for tag, some in parts.items()}
        return Roll(_sorted(numbers), by_tag)


_SILENT: Final = msgspec.structs.astuple(Asset(0, "", 0, 0))


def _told(body: Asset) -> list[object]:
    number, _, *rest = msgspec.structs.astuple(body)
    values = [number, "", *rest]
    while values[-1] == _SILENT[len(values) - 1]:
        values.pop()
    return values


def _code(org: OrgId, text: str) -> int:
    return hash((org, text)) & 0xFFFF_FFFF


def _sorted(numbers: AssetIds) -> AssetIds:
    numbers = np.sort(numbers)
    numbers.setflags(write=False)
    return numbers


def _groups(codes: npt.NDArray[np.int32], numbers: AssetIds) -> Iterator[tuple[int, AssetIds]]:
    """`numbers` split by equal `codes`, which is parallel to them."""
    order = np.argsort(codes, kind="stable")
    distinct, starts = np.unique(codes[order], return_index=True)
    return zip(distinct.tolist(), np.split(numbers[order], starts[1:]), strict=False)
