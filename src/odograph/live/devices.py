"""Every device of every org in columns, found by its key or by what it calls itself."""

from __future__ import annotations

import hmac
from array import array
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from odograph.live.compact import Hints, Many
from odograph.live.entity import Entity
from odograph.model.catalog import Device
from odograph.model.ids import AssetId, OrgId, RecordId
from odograph.store.base import Record

HASH_SIZE: Final = 32
NO_KEY: Final = bytes(HASH_SIZE)
_NONE: Final = 0  # the place of None among the protocols: its key alone says nothing


class _Packed(Device, frozen=True, array_like=True):
    """A device's body without its field names and its key's hash, which has a column."""


_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(_Packed)


class Devices(Many[Device]):
    """Looked up by record id, key hash or device id; listed by record id."""

    def __init__(self) -> None:
        super().__init__(Device)
        self._hashes = bytearray()
        self._assets = array("q")
        self._speaks = bytearray()  # an index of _protocols
        self._brought = bytearray()  # 1: known by its id, and let in only by what speaks for many
        self._forwarders: set[int] = set()  # those that are enabled
        self._protocols: list[str | None] = [None, ""]
        self._keys = Hints()
        self._names = Hints()

    def _link(self, slot: int, record: Record, body: Device) -> None:
        if slot == len(self._assets):
            self._assets.append(0)
            self._speaks.append(_NONE)
            self._brought.append(0)
            self._hashes.extend(NO_KEY)
        key_hash = bytes.fromhex(body.key_hash) or NO_KEY
        self._hashes[slot * HASH_SIZE : (slot + 1) * HASH_SIZE] = key_hash
        self._assets[slot] = body.asset_id
        self._speaks[slot] = self._spoken(body)
        self._brought[slot] = not (body.key_hash or body.networks or body.trust_id)
        if body.is_forwarder and body.is_enabled:
            self._forwarders.add(slot)
        bare = msgspec.structs.replace(body, key_hash="")
        packed = _packer.encode(_Packed(*msgspec.structs.astuple(bare)))
        self._shelf.fill(slot, record.org, record.rev, packed)
        if key_hash != NO_KEY:
            self._keys.add(_key_code(key_hash), slot)
        if body.device_id:
            self._names.add(_name_code(body.device_id), slot)

    def _unlink(self, slot: int) -> None:
        body = self._body(slot)
        self._assets[slot] = 0
        self._speaks[slot] = _NONE
        self._brought[slot] = 0
        self._forwarders.discard(slot)
        if body.key_hash:
            self._keys.drop(_key_code(self._hash(slot)), slot)
        if body.device_id:
            self._names.drop(_name_code(body.device_id), slot)

    def _spoken(self, body: Device) -> int:
        if not body.is_enabled or body.is_forwarder:
            return _NONE
        if body.protocol not in self._protocols:
            self._protocols.append(body.protocol)
        return self._protocols.index(body.protocol)

    def _hash(self, slot: int) -> bytes:
        return bytes(self._hashes[slot * HASH_SIZE : (slot + 1) * HASH_SIZE])

    def _body(self, slot: int) -> Device:
        bare = Device(*msgspec.structs.astuple(_unpacker.decode(self._shelf.body(slot))))
        key_hash = self._hash(slot)
        return bare if key_hash == NO_KEY else msgspec.structs.replace(bare, key_hash=key_hash.hex())

    def find_by_key(self, key_hash: bytes) -> Entity[Device] | None:
        """By the SHA-256 (32 bytes) of its key, over all orgs, disabled ones included.

        The table is addressed by the hash, and the last step compares in constant time: how long it takes
        tells nothing about any key.
        """
        if key_hash == NO_KEY:
            return None
        for slot in self._keys.find(_key_code(key_hash)):
            if hmac.compare_digest(self._hash(slot), key_hash):
                return self._entity(slot)
        return None

    def find_plain(self, key_hash: bytes, protocol: str) -> tuple[OrgId, AssetId, RecordId] | None:
        """Whose key it is, on which asset, if a look at columns is enough to say so; None asks for a closer look.

        It is where the device is enabled, speaks this protocol or any, and speaks for itself alone.
        """
        for slot in self._keys.find(_key_code(key_hash)):
            speaks = self._protocols[self._speaks[slot]]
            if speaks in {"", protocol} and hmac.compare_digest(self._hash(slot), key_hash):
                shelf = self._shelf
                return OrgId(shelf.orgs[slot]), AssetId(self._assets[slot]), RecordId(shelf.ids[slot])
        return None

    def slot(self, device: RecordId) -> int:
        """Where it is in columns kept beside these, such as of presence; -1 where there is no such device.

        It stays there for life; who comes after a deleted one may have its place.
        """
        return self._shelf.places.find(device)

    def assets(self) -> Sequence[int]:
        """The number of the asset that the device of each slot is mounted on; 0 for none."""
        return self._assets

    def list_by_device_id(self, device_id: str) -> list[Entity[Device]]:
        """Those that call themselves so, over all orgs, by record id: none, one, or one an org."""
        found = [self._entity(slot) for slot in self._names.find(_name_code(device_id))]
        same = [entity for entity in found if entity.body.device_id == device_id]
        return sorted(same, key=lambda entity: entity.id)

    def find_by_device_id(self, org: OrgId, device_id: str) -> Entity[Device] | None:
        """The one of this org that calls itself so."""
        return next((one for one in self.list_by_device_id(device_id) if one.org == org), None)

    def has_forwarder(self, org: OrgId) -> bool:
        """Whether one of this org, enabled, brings its other devices by their ids."""
        return any(self._shelf.orgs[slot] == org for slot in self._forwarders)

    def count_brought(self, org: OrgId) -> int:
        """How many of this org have neither a key nor a network of their own, nor are trusted by their id."""
        is_mine = np.frombuffer(self._shelf.orgs, dtype=np.int32) == org
        return int(np.count_nonzero(np.frombuffer(self._brought, dtype=np.bool_) & is_mine))

    def list_of_asset(self, org: OrgId, asset_id: AssetId) -> list[Entity[Device]]:
        """Those mounted on the asset with this number. Scans a column: not for every request."""
        slots = np.flatnonzero(np.frombuffer(self._assets, dtype=np.int64) == asset_id).tolist()
        return [one for slot in slots if (one := self._entity(slot)).org == org] if asset_id else []

    def list_(self, org: OrgId, after: int = 0, limit: int | None = None) -> list[Entity[Device]]:
        """Of one org, by record id, those with id > `after`, at most `limit`."""
        slots = np.flatnonzero(np.frombuffer(self._shelf.orgs, dtype=np.int32) == org)
        ids = np.frombuffer(self._shelf.ids, dtype=np.int64)[slots]
        order = np.argsort(ids)
        start = int(np.searchsorted(ids[order], after, side="right"))
        end = None if limit is None else start + limit
        return [self._entity(slot) for slot in slots[order[start:end]].tolist()]


def _key_code(key_hash: bytes) -> int:
    return int.from_bytes(key_hash[:4])


def _name_code(device_id: str) -> int:
    return hash(device_id) & 0xFFFF_FFFF
