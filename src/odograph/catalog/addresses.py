"""Addresses: named places with a geofence, some of them private."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import contacts
from odograph.catalog import fields as check
from odograph.catalog.changes import Catalog, Plan, delete, found, put, take_numbers, written
from odograph.catalog.fencing import FenceFields, Ground, grounded
from odograph.catalog.orgs import get as get_org
from odograph.errors import forbidden, invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Address, LiveShare, PastZone, PlannedStop, Route, Stop
from odograph.model.ids import OrgId, TagId
from odograph.model.place import Geofence
from odograph.store.base import INSTALL, Change

MAX_ADDRESSES: Final = 1 << 31
"""Of one install, deleted ones included."""
MAX_FORMATTED: Final = 1024
MAX_NOTES: Final = 280
MAX_PAST_ZONES: Final = 100  # of an org: every fix that a link shows is held against each
TYPES: Final = (
    "yard", "shortHaul", "workforceSite", "riskZone", "industrialSite", "alertsOnly", "agricultureSource",
    "avoidanceZone", "knownGPSJammingZone", "authorizedZone", "unauthorizedZone", "vendor", "inventory",
    "customerSite",
)  # fmt: skip
_NOWHERE: Final = Geofence(0, 0)  # of an address that does not exist yet


class AddressFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is (as it begins, for a new address), None empties it.

    `lat` and `lon` are where the address itself is; without them it is where its geofence has its centre.
    `contacts` holds ids, `tag_ids` ids or names `key:value`.
    """

    name: str | UnsetType | None = UNSET
    formatted_address: str | UnsetType | None = UNSET
    fence: FenceFields | UnsetType | None = UNSET
    lat: float | UnsetType | None = UNSET
    lon: float | UnsetType | None = UNSET
    show_addresses: bool | UnsetType | None = UNSET
    types: Sequence[str] | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET
    contacts: Sequence[str] | UnsetType | None = UNSET
    tag_ids: Sequence[str] | UnsetType | None = UNSET
    external_ids: Mapping[str, object] | UnsetType | None = UNSET
    is_private: bool | UnsetType | None = UNSET


async def create(
    catalog: Catalog, org: OrgId, fields: AddressFields, tag_limit: frozenset[TagId] | None = None
) -> Entity[Address]:
    """A new address. `tag_limit` is the principal's `tag_ids`: it must carry one of them.

    INVALID names the field that can't be kept; FORBIDDEN for a private zone, with a limit.
    """

    def plan() -> Plan[Entity[Address]]:
        now_ms = catalog.clock.now_ms()
        numbers, counting = take_numbers(catalog.directory, "addresses", 1, MAX_ADDRESSES)
        blank = Address(numbers[0], "", "", _NOWHERE, now_ms, now_ms)
        body = _checked(catalog.directory, org, None, blank, fields, tag_limit)
        check.check_within_tags(tag_limit, body.tag_ids)
        _check_zones_stay(tag_limit, None, body)
        return Plan([put(None, org, body), counting], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(
    catalog: Catalog, org: OrgId, number: int, fields: AddressFields, tag_limit: frozenset[TagId] | None = None
) -> Entity[Address]:
    """Put the given fields in. External ids are merged by key; tags and other lists are replaced whole.

    NOT_FOUND, also for an address that `tag_limit` hides; INVALID names the field that can't be kept; FORBIDDEN
    where a private zone would begin, move or end, with a limit.
    """

    def plan() -> Plan[Entity[Address]]:
        old = get(catalog.directory, org, number, tag_limit)
        body = _checked(catalog.directory, org, old, old.body, fields, tag_limit)
        if body == old.body:
            return Plan([], lambda _: old)
        check.check_within_tags(tag_limit, body.tag_ids)
        _check_zones_stay(tag_limit, old.body, body)
        body = msgspec.structs.replace(body, updated_ms=catalog.clock.now_ms())
        changes = [put(old, org, body), *_past_zone(catalog, old, body), *_floors_of_links(catalog, old, body)]
        if body.name != old.body.name:
            changes += _renamed_stops(catalog, org, old.body, body.name)
        return Plan(changes, lambda records: written(records[0], body))

    return await catalog.change(plan)


async def remove(catalog: Catalog, org: OrgId, number: int, tag_limit: frozenset[TagId] | None = None) -> None:
    """Delete an address. Stops at it stay where they are, as places of their own; links to it show nothing more.

    NOT_FOUND, also for an address that `tag_limit` hides; FORBIDDEN for a private zone, with a limit.
    """

    def plan() -> Plan[None]:
        old = get(catalog.directory, org, number, tag_limit)
        _check_zones_stay(tag_limit, old.body, None)
        changes = [delete(old), *_past_zone(catalog, old, None), *_stops_of_their_own(catalog, org, old.body)]
        return Plan(changes, lambda _: None)

    await catalog.change(plan)


def get(
    directory: Directory, org: OrgId, number: int, tag_limit: frozenset[TagId] | None = None
) -> Entity[Address]:
    """An address by its number; NOT_FOUND, also for one that `tag_limit` hides."""
    return found(check.visible(directory.addresses.find_by_number(org, number), tag_limit), "address")


def _check_zones_stay(tag_limit: frozenset[TagId] | None, old: Address | None, new: Address | None) -> None:
    """Private zones count for every link of the org, so that who is limited to tags leaves them as they are.

    Whoever could draw one could darken links of vehicles that he doesn't see, and who ends one hides their past.
    """
    if tag_limit is not None and _zone(old) != _zone(new):
        raise forbidden(
            "odograph.isPrivateZone: a private zone counts for the whole organisation; this API token is limited "
            "to tags, so it can't make, move, change or delete one."
        )


def _zone(address: Address | None) -> tuple[Geofence, float, float] | None:
    return (address.fence, address.lat, address.lon) if address is not None and address.is_private else None


def _past_zone(catalog: Catalog, old: Entity[Address], new: Address | None) -> list[Change]:
    """Where a private zone ends or is drawn anew: what was measured in it until now stays hidden for good.

    Of the oldest ones only the end is kept, before which then nothing at all is shown.
    """
    if not old.body.is_private or (new is not None and new.is_private and new.fence == old.body.fence):
        return []
    org = get_org(catalog.directory, old.org)
    ended_ms = catalog.clock.now_ms() + 1  # what is measured in this millisecond is hidden too
    zones = (*org.body.past_zones, PastZone(old.body.fence, ended_ms))
    floor_ms = max([org.body.shown_from_ms, *(zone.ended_ms for zone in zones[:-MAX_PAST_ZONES])])
    body = msgspec.structs.replace(org.body, past_zones=zones[-MAX_PAST_ZONES:], shown_from_ms=floor_ms)
    return [put(org, INSTALL, body)]


def _floors_of_links(catalog: Catalog, old: Entity[Address], new: Address) -> list[Change]:
    """Where an address lies elsewhere now, the links that show by it show only what is measured from now on.

    Its new surroundings may be where something was while the link did not show it. A destination that limits
    nothing hides nothing.
    """
    if (new.fence, new.lat, new.lon) == (old.body.fence, old.body.lat, old.body.lon):
        return []
    now_ms = catalog.clock.now_ms()
    return [
        put(share, share.org, msgspec.structs.replace(share.body, shown_from_ms=now_ms))
        for share in catalog.directory.shares.list_(old.org)
        if _shows_by(share.body, new.number)
    ]


def _shows_by(share: LiveShare, number: int) -> bool:
    """Whether it depends on where this address lies what a link shows."""
    if share.route_id:
        return share.disclose_m > 0  # one of its stops may be there
    is_destination = bool(share.asset_id or share.tag_ids)
    return share.address_id == number and (not is_destination or share.disclose_m + share.disclose_min > 0)


def _stops_of_their_own(catalog: Catalog, org: OrgId, address: Address) -> list[Change]:
    """The routes that stop at an address, with its place copied into their stops."""
    now_ms = catalog.clock.now_ms()
    changes = []
    for trip in _trips_to(catalog.directory, org, address):
        stops = tuple(_of_its_own(stop, address) for stop in trip.body.stops)
        changes.append(put(trip, org, msgspec.structs.replace(trip.body, stops=stops, updated_ms=now_ms)))
    return changes


def _renamed_stops(catalog: Catalog, org: OrgId, address: Address, name: str) -> list[Change]:
    """The routes with stops that are named after an address, with its new name; those that ended keep the old one.

    A plan is no newer for it: runs that were changed by themselves stay so.
    """
    changes = []
    for trip in _trips_to(catalog.directory, org, address):
        stops = tuple(
            msgspec.structs.replace(stop, name=name)
            if (stop.address_id, stop.name) == (address.number, address.name)
            else stop
            for stop in trip.body.stops
        )
        if stops != trip.body.stops and not (isinstance(trip.body, Route) and trip.body.ended_ms):
            changes.append(put(trip, org, msgspec.structs.replace(trip.body, stops=stops)))
    return changes


def _trips_to(directory: Directory, org: OrgId, address: Address) -> list[Entity[Any]]:
    """Routes and recurring routes that stop at an address."""
    trips: list[Entity[Any]] = [*directory.routes.list_(org), *directory.recurring.list_(org)]
    return [one for one in trips if any(stop.address_id == address.number for stop in one.body.stops)]


def _of_its_own(stop: Stop | PlannedStop, address: Address) -> Stop | PlannedStop:
    if stop.address_id != address.number:
        return stop
    lat, lon = address.fence.center
    return msgspec.structs.replace(
        stop,
        address_id=0,
        name=stop.name or address.name,
        lat=lat,
        lon=lon,
        place_text=address.formatted_address,
        radius_m=address.fence.reach_m(),
        is_private=address.is_private,
    )


def _checked(
    directory: Directory,
    org: OrgId,
    old: Entity[Address] | None,
    body: Address,
    fields: AddressFields,
    tag_limit: frozenset[TagId] | None,
) -> Address:
    name = body.name if isinstance(fields.name, UnsetType) else fields.name
    text = body.formatted_address if isinstance(fields.formatted_address, UnsetType) else fields.formatted_address
    body = msgspec.structs.replace(
        body,
        name=check.name("name", name),
        formatted_address=check.text("formattedAddress", text, MAX_FORMATTED, 1, may_break=True),
    )
    ground = None if old is None else Ground(old.body.fence, old.body.lat, old.body.lon)
    ground = grounded(ground, fields.fence, fields.lat, fields.lon)
    body = msgspec.structs.replace(body, fence=ground.fence, lat=ground.lat, lon=ground.lon)
    body = _described(body, fields)
    if not isinstance(fields.contacts, UnsetType):
        body = msgspec.structs.replace(body, contact_ids=_contacts(directory, org, body, fields, tag_limit))
    if not isinstance(fields.tag_ids, UnsetType):
        tag_ids = check.tag_ids(directory, org, fields.tag_ids, body.tag_ids, tag_limit)
        body = msgspec.structs.replace(body, tag_ids=tag_ids)
    if not isinstance(fields.external_ids, UnsetType):
        pairs = check.external_ids(body.external_ids, fields.external_ids)
        check.check_external_ids_free(directory, org, None if old is None else old.id, pairs, tag_limit)
        body = msgspec.structs.replace(body, external_ids=pairs)
    return body


def _described(body: Address, fields: AddressFields) -> Address:
    """With those fields that can be looked at alone."""
    if not isinstance(fields.notes, UnsetType):
        body = msgspec.structs.replace(body, notes=check.text("notes", fields.notes, MAX_NOTES, may_break=True))
    if not isinstance(fields.types, UnsetType):
        body = msgspec.structs.replace(body, types=_types(fields.types or ()))
    if not isinstance(fields.show_addresses, UnsetType):
        body = msgspec.structs.replace(body, show_addresses=fields.show_addresses)
    if not isinstance(fields.is_private, UnsetType):
        body = msgspec.structs.replace(body, is_private=bool(fields.is_private))
    return body


def _types(asked: Sequence[str]) -> tuple[str, ...]:
    for one in asked:
        if one not in TYPES:
            raise invalid(f"addressTypes: {one[:40]!r} is no type; allowed: {', '.join(TYPES)}.")
    return tuple(dict.fromkeys(asked))


def _contacts(
    directory: Directory, org: OrgId, body: Address, fields: AddressFields, tag_limit: frozenset[TagId] | None
) -> tuple[int, ...]:
    """Who names a contact sees it: a token limited to tags can name only those that it sees already."""
    assert not isinstance(fields.contacts, UnsetType)
    seen = contacts.visible(directory, org, tag_limit)
    numbers = []
    for text in fields.contacts or ():
        contact = directory.contacts.find_by_text(org, text)
        if contact is None or not (seen is None or contact.body.number in {*seen, *body.contact_ids}):
            raise invalid(f"contactIds: there is no contact {text[:60]!r}; list the contacts to see their ids.")
        numbers.append(contact.body.number)
    return tuple(dict.fromkeys(numbers))
