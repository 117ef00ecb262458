"""`/fleet/vehicles`: what is known of each vehicle, apart from where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import (
    ATTRIBUTES,
    CREATED_AFTER,
    UPDATED_AFTER,
    assets_after,
    place_of_asset,
    started_after,
    take_page,
)
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, PARENT_TAG_IDS, TAG_IDS, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Limit, Pagination
from odograph.api.traits import GivenTraits, ShownTraits, given_traits, shown_traits
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import assets
from odograph.catalog import fields as check
from odograph.errors import not_found
from odograph.live.entity import Entity
from odograph.model.access import Principal, Scope
from odograph.model.catalog import Asset
from odograph.model.ids import AssetId, TagId, render_asset_id

ExternalIds = dict[str, str | int | float | bool | None]
"""In a request: numbers and truths become strings, null and "" remove the pair."""


_SHORTEST, _LONGEST = check.VIN_LENGTH
_VIN: Final = f"^([A-Za-z0-9]{{{_SHORTEST},{_LONGEST}}})?$"
Vin = Annotated[str, msgspec.Meta(max_length=_LONGEST, extra_json_schema={"pattern": _VIN})]
"""Empty for none. The catalogue refuses what is no VIN, in plainer words than a pattern's."""


class TinyTag(msgspec.Struct, rename="camel", kw_only=True):
    """A tag as other objects show it."""

    id: str
    name: str
    parent_tag_id: str | UnsetType = UNSET


class Named(msgspec.Struct):
    """Something by its id and its name, as other objects show it."""

    id: str
    name: str


class Vehicle(ShownTraits, rename="camel", kw_only=True):
    """A vehicle; what is not known of it is left out."""

    id: str
    name: str
    created_at_time: Time
    updated_at_time: Time
    vin: str | UnsetType = UNSET
    serial: str | UnsetType = UNSET
    license_plate: str | UnsetType = UNSET
    make: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    year: str | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    static_assigned_driver: Named | UnsetType = UNSET
    external_ids: dict[str, str]
    tags: list[TinyTag]


class Vehicles(msgspec.Struct, kw_only=True):
    """A page of vehicles, by id."""

    data: list[Vehicle]
    pagination: Pagination


class OneVehicle(msgspec.Struct, kw_only=True):
    """One vehicle."""

    data: Vehicle


class VehiclePatch(GivenTraits, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; lists are replaced whole, external ids by key."""

    name: Annotated[str, msgspec.Meta(max_length=255)] | UnsetType | None = UNSET
    vin: Vin | UnsetType | None = UNSET
    license_plate: Annotated[str, msgspec.Meta(max_length=12)] | UnsetType | None = UNSET
    notes: Annotated[str, msgspec.Meta(max_length=255)] | UnsetType | None = UNSET
    tag_ids: list[str] | UnsetType | None = UNSET
    driver: str | UnsetType | None = msgspec.field(default=UNSET, name="staticAssignedDriverId")
    external_ids: ExternalIds | UnsetType | None = UNSET


KIND: Final = "vehicles"
_NOT_KEPT: Final = (
    "`odometerMeters`, `engineHours`, `gatewaySerial` and `attributes` are accepted and not kept: there are no"
    " odometers, engine hours and attributes here yet, and devices are mounted under /odograph/devices."
)


async def list_vehicles(call: Call) -> Answer:
    """A page of vehicles."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    rest = assets_after(call, started_after(call, KIND))
    page, pagination = await take_page(call, KIND, size, rest, place_of_asset)
    return Answer(to_json(Vehicles(data=[_vehicle(call, one) for one in page], pagination=pagination)))


async def get_vehicle(call: Call) -> Answer:
    """One vehicle by its id or an external id."""
    return Answer(to_json(OneVehicle(data=_vehicle(call, asset_of(call, call.path["id"])))))


async def change_vehicle(call: Call) -> Answer:
    """Change some fields."""
    asset = asset_of(call, call.path["id"])
    changed = await assets.update(
        call.context.catalog,
        call.principal.org,
        AssetId(asset.body.number),
        _fields(read_patch(call.body, VehiclePatch)),
        call.principal.tag_ids,
    )
    return Answer(to_json(OneVehicle(data=_vehicle(call, changed))))


def asset_of(call: Call, text: str) -> Entity[Asset]:
    """The vehicle of a public or external id, as far as this principal may see. NOT_FOUND otherwise."""
    principal = call.principal
    asset = call.context.live.directory.find_asset(principal.org, text, principal.tag_ids)
    if asset is None:
        raise not_found(f"There is no vehicle {text[:80]!r}.")
    return asset


def _fields(body: VehiclePatch) -> assets.AssetFields:
    return assets.AssetFields(
        name=body.name,
        vin=body.vin,
        license_plate=body.license_plate,
        notes=body.notes,
        tag_ids=body.tag_ids,
        driver=body.driver,
        external_ids=body.external_ids,
        **given_traits(body),
    )


def external_ids(body: Asset) -> dict[str, str]:
    """Those that were given, and the two that come by themselves."""
    return {**body.external_ids, **body.automatic_ids()}


def tiny_tags(call: Call, numbers: Sequence[int]) -> list[TinyTag]:
    """The tags with these numbers that still exist, as far as this principal sees them and what is above them."""
    principal, tags = call.principal, call.context.live.directory.tags
    seen = seen_tags(principal, numbers)
    found = (tags.find_by_number(principal.org, TagId(number)) for number in seen)
    return [
        TinyTag(
            id=str(tag.body.number),
            name=tag.body.name,
            parent_tag_id=str(parent)
            if (parent := tag.body.parent_id) and seen_tags(principal, (parent,))
            else UNSET,
        )
        for tag in found
        if tag is not None
    ]


def seen_tags(principal: Principal, numbers: Sequence[int]) -> Sequence[int]:
    """Those of these tags that a principal sees."""
    mine = principal.tag_ids
    return numbers if mine is None else [number for number in numbers if number in mine]


def shown_of(body: Asset) -> dict[str, Any]:
    """The fields that an asset shows alike wherever it is shown; what is not known of it is left out."""
    return {
        "id": render_asset_id(AssetId(body.number)),
        "name": body.name,
        "created_at_time": render_time(body.created_ms),
        "updated_at_time": render_time(body.updated_ms),
        **{
            field: value
            for field in ("vin", "license_plate", "make", "model", "notes")
            if (value := getattr(body, field))
        },
    }


def _vehicle(call: Call, asset: Entity[Asset]) -> Vehicle:
    body = asset.body
    return Vehicle(
        serial=body.serial or UNSET,
        year=str(body.year) if body.year else UNSET,
        static_assigned_driver=_driver(call, asset),
        external_ids=external_ids(body),
        tags=tiny_tags(call, body.tag_ids),
        **shown_traits(body.traits),
        **shown_of(body),
    )


def _driver(call: Call, asset: Entity[Asset]) -> Named | UnsetType:
    """Who is assigned to it, as far as this principal sees him."""
    drivers, number = call.context.live.directory.drivers, asset.body.driver_id
    driver = check.visible(drivers.find_by_number(asset.org, number), call.principal.tag_ids) if number else None
    return UNSET if driver is None else Named(str(driver.body.number), driver.body.name)


class VehiclesResource:
    """List, get, change."""

    name = "Vehicles"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        filters = (TAG_IDS, PARENT_TAG_IDS, *ATTRIBUTES, UPDATED_AFTER, CREATED_AFTER)
        one = "/fleet/vehicles/{id}"
        return (
            Endpoint(
                "GET", "/fleet/vehicles", Scope.READ_VEHICLES, list_vehicles, "List vehicles",
                params=(LIMIT, AFTER, *filters), answers=Vehicles, limit=Limit(25, 1),
            ),
            Endpoint("GET", one, Scope.READ_VEHICLES, get_vehicle, "One vehicle", answers=OneVehicle),
            Endpoint(
                "PATCH", one, Scope.WRITE_VEHICLES, change_vehicle, "Change a vehicle",
                takes=VehiclePatch, answers=OneVehicle, note=_NOT_KEPT,
            ),
        )  # fmt: skip


RESOURCE = VehiclesResource()
