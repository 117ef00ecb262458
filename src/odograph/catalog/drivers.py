"""Drivers: who they are, and which vehicle is theirs for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog.assets import assigned, unassigned
from odograph.catalog.changes import Catalog, Plan, found, put, take_numbers, written
from odograph.catalog.routes import reassigned
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Driver
from odograph.model.ids import OrgId, TagId
from odograph.store.base import Change

MAX_DRIVERS: Final = 1 << 31
"""Of one install."""
MAX_USERNAME: Final = 189
MAX_NOTES: Final = 4096
MOST_BACK: Final = timedelta(days=184)
"""How long ago a driver may have been deactivated: six months, of which none is longer."""
STATUSES: Final = ("active", "deactivated")


class DriverFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is (as it begins, for a new driver), None empties it.

    `vehicle` is an id or a name `key:value`; "0" is none. `deactivated_ms` is epoch ms.
    """

    name: str | UnsetType | None = UNSET
    username: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET
    license_number: str | UnsetType | None = UNSET
    license_state: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    deactivated_ms: int | UnsetType | None = UNSET
    vehicle: str | UnsetType | None = UNSET
    tag_ids: Sequence[str] | UnsetType | None = UNSET
    external_ids: Mapping[str, object] | UnsetType | None = UNSET


async def create(
    catalog: Catalog, org: OrgId, fields: DriverFields, tag_limit: frozenset[TagId] | None = None
) -> Entity[Driver]:
    """A new driver. `tag_limit` is the principal's `tag_ids`: he must carry one of them.

    INVALID names the field that can't be kept.
    """

    def plan() -> Plan[Entity[Driver]]:
        now_ms = catalog.clock.now_ms()
        numbers, counting = take_numbers(catalog.directory, "drivers", 1, MAX_DRIVERS)
        body = _checked(catalog, org, None, Driver(numbers[0], "", "", now_ms, now_ms), fields, tag_limit)
        check.check_within_tags(tag_limit, body.tag_ids)
        changes = [put(None, org, body), counting, *_assignment(catalog, org, body.number, fields, tag_limit)]
        return Plan(changes, lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(
    catalog: Catalog, org: OrgId, number: int, fields: DriverFields, tag_limit: frozenset[TagId] | None = None
) -> Entity[Driver]:
    """Put the given fields in. External ids are merged by key; tags are replaced whole.

    NOT_FOUND, also for a driver that `tag_limit` hides; INVALID names the field that can't be kept.
    """

    def plan() -> Plan[Entity[Driver]]:
        old = get(catalog.directory, org, number, tag_limit)
        body = _checked(catalog, org, old.id, old.body, fields, tag_limit)
        changes = _assignment(catalog, org, number, fields, tag_limit)
        if body == old.body:
            return Plan(changes, lambda _: old)
        check.check_within_tags(tag_limit, body.tag_ids)
        body = msgspec.structs.replace(body, updated_ms=catalog.clock.now_ms())
        return Plan([put(old, org, body), *changes], lambda records: written(records[0], body))

    return await catalog.change(plan)


def get(directory: Directory, org: OrgId, number: int, tag_limit: frozenset[TagId] | None = None) -> Entity[Driver]:
    """A driver by his number; NOT_FOUND, also for one that `tag_limit` hides."""
    return found(check.visible(directory.drivers.find_by_number(org, number), tag_limit), "driver")


def _assignment(
    catalog: Catalog, org: OrgId, number: int, fields: DriverFields, tag_limit: frozenset[TagId] | None
) -> list[Change]:
    """What must change with the vehicles so that the driver has the one that is asked for, and no other."""
    if isinstance(fields.vehicle, UnsetType):
        return []
    if not fields.vehicle or fields.vehicle == "0":
        return [*unassigned(catalog, org, number, 0), *reassigned(catalog, org, {number: 0})]
    asset = catalog.directory.find_asset(org, fields.vehicle, tag_limit)
    if asset is None:
        raise invalid(f"staticAssignedVehicleId: there is no vehicle {fields.vehicle[:60]!r}; list the vehicles.")
    if asset.body.driver_id == number:
        return []
    body = msgspec.structs.replace(asset.body, driver_id=number, updated_ms=catalog.clock.now_ms())
    return [put(asset, org, body), *assigned(catalog, org, body, asset.body)]


_TEXTS: Final = (
    ("phone", "phone", check.MAX_NAME),
    ("notes", "notes", MAX_NOTES),
    ("license_number", "licenseNumber", check.MAX_NAME),
    ("license_state", "licenseState", check.MAX_NAME),
    ("locale", "locale", check.MAX_NAME),
)
"""Fields of plain text: ours, as the outside calls them, and how long they may be."""


def _checked(
    catalog: Catalog,
    org: OrgId,
    record_id: int | None,
    old: Driver,
    fields: DriverFields,
    tag_limit: frozenset[TagId] | None,
) -> Driver:
    texts = {
        field: check.text(spoken, value, most, may_break=field == "notes")
        for field, spoken, most in _TEXTS
        if not isinstance(value := getattr(fields, field), UnsetType)
    }
    name = old.name if isinstance(fields.name, UnsetType) else fields.name
    body = msgspec.structs.replace(old, name=check.name("name", name), **texts)
    username = old.username if isinstance(fields.username, UnsetType) else fields.username
    body = msgspec.structs.replace(body, username=_username(catalog.directory, org, record_id, username))
    if not isinstance(fields.timezone, UnsetType):
        body = msgspec.structs.replace(body, timezone=check.timezone(fields.timezone) if fields.timezone else "")
    if not isinstance(fields.tag_ids, UnsetType):
        tag_ids = check.tag_ids(catalog.directory, org, fields.tag_ids, old.tag_ids, tag_limit)
        body = msgspec.structs.replace(body, tag_ids=tag_ids)
    if not isinstance(fields.external_ids, UnsetType):
        pairs = check.external_ids(old.external_ids, fields.external_ids)
        check.check_external_ids_free(catalog.directory, org, record_id, pairs, tag_limit)
        body = msgspec.structs.replace(body, external_ids=pairs)
    return msgspec.structs.replace(body, deactivated_ms=_deactivated_ms(catalog.clock.now_ms(), old, fields))


def _username(directory: Directory, org: OrgId, record_id: int | None, asked: str | None) -> str:
    username = check.name("username", asked, MAX_USERNAME)
    if "@" in username or any(char.isspace() for char in username):
        raise invalid(f"username: {username[:60]!r} holds a blank or an @; neither is allowed.")
    for other in directory.drivers.list_(org):
        if other.id != record_id and other.body.username.casefold() == username.casefold():
            raise invalid(f"username: {username[:60]!r} is taken already; it must be unique.")
    return username


def _deactivated_ms(now_ms: int, old: Driver, fields: DriverFields) -> int:
    """Since when he is deactivated, 0 while he is active."""
    status = status_of(old) if isinstance(fields.status, UnsetType) else fields.status or STATUSES[0]
    if status not in STATUSES:
        raise invalid(f"driverActivationStatus: {status[:40]!r} is none; allowed: {', '.join(STATUSES)}.")
    at_ms = None if isinstance(fields.deactivated_ms, UnsetType) else fields.deactivated_ms
    if at_ms is None:
        return 0 if status == STATUSES[0] else old.deactivated_ms or now_ms
    if fields.status == STATUSES[0]:
        raise invalid("deactivatedAtTime: can't be given together with driverActivationStatus active.")
    back_ms = int(MOST_BACK.total_seconds() * 1000)
    if not now_ms - back_ms <= at_ms <= now_ms:
        earliest = datetime.fromtimestamp((now_ms - back_ms) / 1000, UTC)
        raise invalid(f"deactivatedAtTime: must lie between {earliest:%Y-%m-%d} and now.")
    return at_ms


def status_of(driver: Driver) -> str:
    """`active` or `deactivated`."""
    return STATUSES[1] if driver.deactivated_ms else STATUSES[0]
