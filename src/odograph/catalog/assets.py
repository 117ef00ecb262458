"""Vehicles: made, changed and deleted, with what their fields may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog.changes import Catalog, Plan, delete, found, put, take_numbers, written
from odograph.catalog.routes import reassigned
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Asset, Traits, Weight
from odograph.model.ids import MAX_ASSETS, AssetId, OrgId, TagId
from odograph.store.base import Change

TYPES: Final = ("vehicle",)
"""What can be followed so far."""


class AssetFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is (as it begins, for a new vehicle), None empties it.

    `driver` is an id or a name `key:value`; "0" assigns nobody, as None does. `aux_inputs` has
    them by number.
    """

    name: str | UnsetType | None = UNSET
    type: str | UnsetType = UNSET
    vin: str | UnsetType | None = UNSET
    license_plate: str | UnsetType | None = UNSET
    serial: str | UnsetType | None = UNSET
    make: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    year: int | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET
    tag_ids: Sequence[str] | UnsetType | None = UNSET
    driver: str | UnsetType | None = UNSET
    external_ids: Mapping[str, object] | UnsetType | None = UNSET
    regulation: str | UnsetType | None = UNSET
    harsh_acceleration: str | UnsetType | None = UNSET
    vehicle_type: str | UnsetType | None = UNSET
    gross_weight: Weight | UnsetType | None = UNSET
    aux_inputs: Mapping[str, str | UnsetType | None] = {}


async def create(
    catalog: Catalog, org: OrgId, fields: AssetFields, tag_limit: frozenset[TagId] | None = None
) -> Entity[Asset]:
    """A new vehicle. `tag_limit` is the principal's `tag_ids`: it must carry one of them.

    INVALID names the field that can't be kept; CONFLICT when the install has no numbers left.
    """

    def plan() -> Plan[Entity[Asset]]:
        numbers, counting = number_assets(catalog.directory, 1)
        body = new_body(catalog, org, numbers[0], fields, tag_limit)
        check.check_within_tags(tag_limit, body.tag_ids)
        changes = [put(None, org, body), counting, *assigned(catalog, org, body, None)]
        return Plan(changes, lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(
    catalog: Catalog, org: OrgId, number: AssetId, fields: AssetFields, tag_limit: frozenset[TagId] | None = None
) -> Entity[Asset]:
    """Put the given fields in. External ids are merged by key; tags are replaced whole.

    A driver is assigned to one vehicle: being assigned to this one ends the other, in the same commit.
    NOT_FOUND, also for a vehicle that `tag_limit` hides; INVALID names the field that can't be kept.
    """

    def plan() -> Plan[Entity[Asset]]:
        old = get(catalog.directory, org, number, tag_limit)
        body = changed_body(catalog, org, old, fields, tag_limit)
        if body == old.body:
            return Plan([], lambda _: old)
        check.check_within_tags(tag_limit, body.tag_ids)
        changes = [put(old, org, body), *assigned(catalog, org, body, old.body)]
        return Plan(changes, lambda records: written(records[0], body))

    return await catalog.change(plan)


async def remove(catalog: Catalog, org: OrgId, number: AssetId, tag_limit: frozenset[TagId] | None = None) -> None:
    """Delete a vehicle and the devices mounted on it, whose keys end with it. Its fixes stay in the log.

    NOT_FOUND, also for a vehicle that `tag_limit` hides.
    """

    def plan() -> Plan[None]:
        old = get(catalog.directory, org, number, tag_limit)
        mounted = catalog.directory.devices.list_of_asset(org, number)
        left = reassigned(catalog, org, {old.body.driver_id: 0})
        return Plan([delete(old), *map(delete, mounted), *left], lambda _: None)

    await catalog.change(plan)


def get(
    directory: Directory, org: OrgId, number: AssetId, tag_limit: frozenset[TagId] | None = None
) -> Entity[Asset]:
    """A vehicle by its number; NOT_FOUND, also for one that `tag_limit` hides."""
    return found(check.visible(directory.assets.find_by_number(org, number), tag_limit), "vehicle")


def number_assets(directory: Directory, count: int) -> tuple[range, Change]:
    """Numbers for `count` new vehicles, and the change that takes them for good."""
    return take_numbers(directory, "assets", count, MAX_ASSETS)


def new_body(
    catalog: Catalog, org: OrgId, number: int, fields: AssetFields, tag_limit: frozenset[TagId] | None = None
) -> Asset:
    """The body of a vehicle that doesn't exist yet."""
    now_ms = catalog.clock.now_ms()
    blank = Asset(number=number, name="", created_ms=now_ms, updated_ms=now_ms)
    checked = _checked(catalog.directory, org, None, blank, fields, tag_limit)
    return _related(catalog, org, checked, fields, tag_limit)


def changed_body(
    catalog: Catalog,
    org: OrgId,
    old: Entity[Asset],
    fields: AssetFields,
    tag_limit: frozenset[TagId] | None = None,
) -> Asset:
    """The next body of a vehicle; equal to the last one when nothing changes."""
    checked = _checked(catalog.directory, org, old.id, old.body, fields, tag_limit)
    body = _related(catalog, org, checked, fields, tag_limit)
    if body == old.body:
        return body
    return msgspec.structs.replace(body, updated_ms=catalog.clock.now_ms())


def assigned(catalog: Catalog, org: OrgId, body: Asset, old: Asset | None) -> list[Change]:
    """What else must change where a vehicle has the driver of `body`, after that of `old`.

    Its driver's other vehicle has none now, and open routes follow their drivers.
    """
    if old is not None and body.driver_id == old.driver_id:
        return []
    vehicles = {0 if old is None else old.driver_id: 0, body.driver_id: body.number}
    return [*unassigned(catalog, org, body.driver_id, body.number), *reassigned(catalog, org, vehicles)]


def unassigned(catalog: Catalog, org: OrgId, driver_id: int, keeper: int) -> list[Change]:
    """What must change so that a driver (0: nobody) has no vehicle but the one numbered `keeper`."""
    now_ms = catalog.clock.now_ms()
    return [
        put(one, org, msgspec.structs.replace(one.body, driver_id=0, updated_ms=now_ms))
        for one in catalog.directory.assets.list_of_driver(org, driver_id)
        if one.body.number != keeper
    ]


def _related(
    catalog: Catalog, org: OrgId, body: Asset, fields: AssetFields, tag_limit: frozenset[TagId] | None
) -> Asset:
    """With the tags and the driver that are asked for."""
    if not isinstance(fields.tag_ids, UnsetType):
        tag_ids = check.tag_ids(catalog.directory, org, fields.tag_ids, body.tag_ids, tag_limit)
        body = body.carrying(tag_ids, catalog.clock.now_ms())
    if not isinstance(fields.driver, UnsetType):
        body = msgspec.structs.replace(body, driver_id=_driver(catalog.directory, org, fields.driver, tag_limit))
    return body


def _driver(directory: Directory, org: OrgId, asked: str | None, tag_limit: frozenset[TagId] | None) -> int:
    if not asked or asked == "0":
        return 0
    driver = check.visible(directory.drivers.find_by_text(org, asked), tag_limit)
    if driver is None:
        raise invalid(f"staticAssignedDriverId: there is no driver {asked[:60]!r}; list the drivers, or give 0.")
    return driver.body.number


def _checked(
    directory: Directory,
    org: OrgId,
    record_id: int | None,
    old: Asset,
    fields: AssetFields,
    tag_limit: frozenset[TagId] | None,
) -> Asset:
    texts = {
        field: check.text(spoken, value, most, may_break=field == "notes")
        for field, spoken, most in _TEXTS
        if not isinstance(value := getattr(fields, field), UnsetType)
    }
    body = msgspec.structs.replace(old, **texts)
    if not isinstance(fields.type, UnsetType):
        body = msgspec.structs.replace(body, type=_type(fields.type))
    if not isinstance(fields.vin, UnsetType):
        body = msgspec.structs.replace(body, vin=check.vin(fields.vin))
    if not isinstance(fields.year, UnsetType):
        body = msgspec.structs.replace(body, year=check.year(fields.year))
    if not isinstance(fields.external_ids, UnsetType):
        automatic = (old.automatic_ids(), body.automatic_ids())
        pairs = check.external_ids(old.external_ids, fields.external_ids, automatic)
        check.check_external_ids_free(directory, org, record_id, pairs, tag_limit)
        body = msgspec.structs.replace(body, external_ids=pairs)
    return msgspec.structs.replace(body, name=_name(fields.name, body), traits=_traits(old.traits, fields))


def _traits(old: Traits | None, fields: AssetFields) -> Traits | None:
    """With what is asked for put in; None where nothing is left."""
    traits = old or Traits()
    aux_inputs = dict(traits.aux_inputs)
    for number, value in fields.aux_inputs.items():
        if not isinstance(value, UnsetType):
            aux_inputs[number] = check.text(f"auxInputType{number}", value, check.MAX_NAME)
    traits = msgspec.structs.replace(traits, aux_inputs={key: text for key, text in aux_inputs.items() if text})
    for field in ("regulation", "harsh_acceleration", "vehicle_type"):
        if not isinstance(value := getattr(fields, field), UnsetType):
            traits = msgspec.structs.replace(traits, **{field: value or ""})
    if not isinstance(fields.gross_weight, UnsetType):
        traits = msgspec.structs.replace(traits, gross_weight=fields.gross_weight)
    return None if traits == Traits() else traits


_TEXTS: Final = (
    ("license_plate", "licensePlate", check.MAX_PLATE),
    ("serial", "serialNumber", check.MAX_NAME),
    ("make", "make", check.MAX_NAME),
    ("model", "model", check.MAX_NAME),
    ("notes", "notes", check.MAX_NOTES),
)
"""Fields of plain text: ours, as the outside calls them, and how long they may be."""


def _name(asked: str | UnsetType | None, body: Asset) -> str:
    """A vehicle always has a name: the serial where none was given, else whatever else tells it from others."""
    wanted = body.name if isinstance(asked, UnsetType) else asked or ""
    wanted = wanted.strip() or body.serial or body.license_plate or body.vin or f"Vehicle {body.number}"
    return check.name("name", wanted)


def _type(asked: str) -> str:
    if asked in TYPES:
        return asked
    raise invalid(f"type: {asked[:40]!r} can't be followed yet; allowed: {', '.join(TYPES)}.")
