"""Who carries a tag: it is kept with what carries it, and changed from both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UnsetType

from odograph.catalog.changes import Catalog, put
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Address, Asset, Driver, RecurringRoute, Route
from odograph.model.ids import AssetId, OrgId, TagId
from odograph.store.base import Change

MAX_MEMBERS: Final = 20_000

Carrier = Entity[Asset] | Entity[Address] | Entity[Driver]
_Find = Callable[[Directory, OrgId, str], Carrier | None]

KINDS: Final[Mapping[str, tuple[str, _Find]]] = {
    "vehicles": ("vehicle", Directory.find_asset),
    "assets": ("vehicle", Directory.find_asset),
    "addresses": ("address", lambda directory, org, text: directory.addresses.find_by_text(org, text)),
    "drivers": ("driver", lambda directory, org, text: directory.drivers.find_by_text(org, text)),
}
"""What a tag's body calls its members: one of them in words, and how it is found by an id or a name."""


def changed(
    catalog: Catalog, org: OrgId, number: TagId, asked: Mapping[str, Sequence[str] | UnsetType | None]
) -> list[Change]:
    """What must change so that those asked for, and no others, carry a tag; a kind that is UNSET keeps its own.

    `asked` has every one of KINDS. INVALID names the kind that holds an unknown one, or too many.
    """
    directory = catalog.directory
    had: dict[int, Carrier] = {}
    wanted: dict[int, Carrier] = {}
    for kind, before in _members(directory, org, number).items():
        had.update((one.id, one) for one in before)
        texts = asked[kind]
        chosen = before if isinstance(texts, UnsetType) else _found(directory, org, kind, texts or ())
        wanted.update((one.id, one) for one in chosen)
        if len(wanted) > MAX_MEMBERS:
            raise invalid(f"{kind}: {len(wanted)} members are too many; a tag holds at most {MAX_MEMBERS}.")
    now_ms = catalog.clock.now_ms()
    joining = [_joined(wanted[one], number, now_ms) for one in sorted(wanted.keys() - had.keys())]
    return joining + [_left(had[one], number, now_ms) for one in sorted(had.keys() - wanted.keys())]


def ended(catalog: Catalog, org: OrgId, number: TagId) -> list[Change]:
    """What must change so that nothing carries a tag any more."""
    directory, now_ms = catalog.directory, catalog.clock.now_ms()
    routes = directory.routes.list_(org), directory.recurring.list_(org)
    carriers: list[Carrier | Entity[Route] | Entity[RecurringRoute]] = [
        *(one for some in _members(directory, org, number).values() for one in some),
        *(one for some in routes for one in some if number in one.body.tag_ids),
    ]
    return [_left(one, number, now_ms) for one in carriers]


def _members(directory: Directory, org: OrgId, number: TagId) -> dict[str, list[Carrier]]:
    numbers = directory.assets.roll(org).tagged([number]).tolist()
    found = (directory.assets.find_by_number(org, AssetId(asset)) for asset in numbers)
    assets = [one for one in found if one is not None]
    return {
        "vehicles": [one for one in assets if one.body.type == "vehicle"],
        "assets": [one for one in assets if one.body.type != "vehicle"],
        "addresses": [*directory.addresses.carriers(org, number)],
        "drivers": [*directory.drivers.carriers(org, number)],
    }


def _found(directory: Directory, org: OrgId, kind: str, texts: Sequence[str]) -> list[Carrier]:
    word, find = KINDS[kind]
    members = []
    for text in texts:
        one = find(directory, org, text)
        if one is None:
            raise invalid(f"{kind}: there is no {word} {text[:60]!r}; list them to see their ids.")
        members.append(one)
    return members


def _joined(one: Carrier, number: int, now_ms: int) -> Change:
    return _carrying(one, tuple(sorted((*one.body.tag_ids, number))), now_ms)


def _left(one: Entity[Any], number: int, now_ms: int) -> Change:
    return _carrying(one, tuple(tag for tag in one.body.tag_ids if tag != number), now_ms)


def _carrying(one: Entity[Any], tag_ids: tuple[int, ...], now_ms: int) -> Change:
    is_asset = isinstance(one.body, Asset)
    body = one.body.carrying(tag_ids, now_ms) if is_asset else msgspec.structs.replace(one.body, tag_ids=tag_ids)
    return put(one, one.org, msgspec.structs.replace(body, updated_ms=now_ms))
