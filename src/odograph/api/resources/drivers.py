"""`/fleet/drivers`: who drives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import ATTRIBUTES, CREATED_AFTER, UPDATED_AFTER, carriers_after, started_after, take_page
from odograph.api.params import (
    AFTER,
    LIMIT,
    MAX_PAGE,
    PARENT_TAG_IDS,
    TAG_IDS,
    read_new,
    read_patch,
    read_time,
)
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination, Param
from odograph.api.resources.vehicles import ExternalIds, Named, TinyTag, tiny_tags
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import drivers
from odograph.catalog import fields as check
from odograph.errors import not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Driver
from odograph.model.ids import AssetId, render_asset_id

KIND: Final = "drivers"
_STATUS: Final = Param(
    "driverActivationStatus",
    "string",
    "Only drivers of this status; active where not given.",
    values=drivers.STATUSES,
)
Text = Annotated[str, msgspec.Meta(max_length=255)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Username = Annotated[str, msgspec.Meta(min_length=1, max_length=189)]


class DriverAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A driver; what is not known of him is left out."""

    id: str
    name: str
    username: str
    driver_activation_status: str
    is_deactivated: bool
    created_at_time: Time
    updated_at_time: Time
    phone: str | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    license_number: str | UnsetType = UNSET
    license_state: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    static_assigned_vehicle: Named | UnsetType = UNSET
    external_ids: dict[str, str]
    tags: list[TinyTag]


class Drivers(msgspec.Struct, kw_only=True):
    """A page of drivers, by id."""

    data: list[DriverAnswer]
    pagination: Pagination


class OneDriver(msgspec.Struct, kw_only=True):
    """One driver."""

    data: DriverAnswer


class DriverPatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; lists are replaced whole, external ids by key.

    A password is taken and kept nowhere: drivers do not log in here.
    """

    name: Name | UnsetType = UNSET
    username: Username | UnsetType = UNSET
    password: str | UnsetType | None = UNSET
    phone: Text | UnsetType | None = UNSET
    notes: Annotated[str, msgspec.Meta(max_length=4096)] | UnsetType | None = UNSET
    license_number: Text | UnsetType | None = UNSET
    license_state: Text | UnsetType | None = UNSET
    locale: Text | UnsetType | None = UNSET
    timezone: Text | UnsetType | None = UNSET
    status: str | UnsetType | None = msgspec.field(default=UNSET, name="driverActivationStatus")
    deactivated_at_time: str | UnsetType | None = UNSET
    vehicle: str | UnsetType | None = msgspec.field(default=UNSET, name="staticAssignedVehicleId")
    tag_ids: list[str] | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET


class NewDriver(DriverPatch, rename="camel", kw_only=True):
    """A new driver."""

    name: Name
    username: Username
    password: str


async def list_drivers(call: Call) -> Answer:
    """A page of drivers."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    page, pagination = await take_page(call, KIND, size, _listed(call), lambda one: one.body.number)
    return Answer(to_json(Drivers(data=[_driver(call, one) for one in page], pagination=pagination)))


async def get_driver(call: Call) -> Answer:
    """One driver by his id or an external id."""
    return _one(call, _asked(call))


async def create_driver(call: Call) -> Answer:
    """A new driver."""
    fields = _fields(read_new(call.body, NewDriver))
    made = await drivers.create(call.context.catalog, call.principal.org, fields, call.principal.tag_ids)
    return _one(call, made)


async def change_driver(call: Call) -> Answer:
    """Change some fields."""
    number, fields = _asked(call).body.number, _fields(read_patch(call.body, DriverPatch))
    changed = await drivers.update(call.context.catalog, call.principal.org, number, fields, call.principal.tag_ids)
    return _one(call, changed)


def _listed(call: Call) -> Iterator[Entity[Driver]]:
    status = call.query.text(_STATUS) or drivers.STATUSES[0]
    updated_ms = call.query.time_ms(UPDATED_AFTER) or 0
    if any(call.query.csv(param) for param in ATTRIBUTES):
        return iter(())
    rest = carriers_after(call, call.context.live.directory.drivers, started_after(call, KIND))
    return (one for one in rest if drivers.status_of(one.body) == status and updated_ms <= one.body.updated_ms)


def _asked(call: Call) -> Entity[Driver]:
    principal, directory, text = call.principal, call.context.live.directory, call.path["id"]
    driver = check.visible(directory.drivers.find_by_text(principal.org, text), principal.tag_ids)
    if driver is None:
        raise not_found(f"There is no driver {text[:80]!r}.")
    return driver


def _fields(body: DriverPatch) -> drivers.DriverFields:
    at = body.deactivated_at_time
    return drivers.DriverFields(
        name=body.name,
        username=body.username,
        phone=body.phone,
        notes=body.notes,
        license_number=body.license_number,
        license_state=body.license_state,
        locale=body.locale,
        timezone=body.timezone,
        status=body.status,
        deactivated_ms=read_time("deactivatedAtTime", at) if isinstance(at, str) else at,
        vehicle=body.vehicle,
        tag_ids=body.tag_ids,
        external_ids=body.external_ids,
    )


def _one(call: Call, driver: Entity[Driver]) -> Answer:
    return Answer(to_json(OneDriver(data=_driver(call, driver))))


def _driver(call: Call, driver: Entity[Driver]) -> DriverAnswer:
    body = driver.body
    known: dict[str, Any] = {
        field: value
        for field in ("phone", "notes", "license_number", "license_state", "locale", "timezone")
        if (value := getattr(body, field))
    }
    return DriverAnswer(
        id=str(body.number),
        name=body.name,
        username=body.username,
        driver_activation_status=drivers.status_of(body),
        is_deactivated=bool(body.deactivated_ms),
        created_at_time=render_time(body.created_ms),
        updated_at_time=render_time(body.updated_ms),
        static_assigned_vehicle=_vehicle(call, driver),
        external_ids=body.external_ids,
        tags=tiny_tags(call, body.tag_ids),
        **known,
    )


def _vehicle(call: Call, driver: Entity[Driver]) -> Named | UnsetType:
    """The vehicle that he is assigned to, as far as this principal sees it."""
    assets = call.context.live.directory.assets
    for asset in assets.list_of_driver(driver.org, driver.body.number):
        if check.visible(asset, call.principal.tag_ids):
            return Named(render_asset_id(AssetId(asset.body.number)), asset.body.name)
    return UNSET


class DriversResource:
    """List, get, create, change."""

    name = "Drivers"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        path, read, write = "/fleet/drivers", Scope.READ_DRIVERS, Scope.WRITE_DRIVERS
        one = f"{path}/{{id}}"
        filters = (TAG_IDS, PARENT_TAG_IDS, *ATTRIBUTES, UPDATED_AFTER, CREATED_AFTER)
        return (
            Endpoint(
                "GET", path, read, list_drivers, "List drivers",
                params=(_STATUS, LIMIT, AFTER, *filters), answers=Drivers,
            ),
            Endpoint("POST", path, write, create_driver, "Make a driver", takes=NewDriver, answers=OneDriver),
            Endpoint("GET", one, read, get_driver, "One driver", answers=OneDriver),
            Endpoint("PATCH", one, write, change_driver, "Change a driver", takes=DriverPatch, answers=OneDriver),
        )  # fmt: skip


RESOURCE = DriversResource()
