"""`/addresses`: named places and their geofences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import CREATED_AFTER, carriers_after, started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, PARENT_TAG_IDS, TAG_IDS, read_new, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination
from odograph.api.resources.vehicles import ExternalIds, TinyTag, tiny_tags
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import addresses
from odograph.catalog import fields as check
from odograph.catalog.fencing import CircleFields, FenceFields
from odograph.errors import not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Address

KIND: Final = "addresses"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Formatted = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Notes = Annotated[str, msgspec.Meta(max_length=280)]


class Circle(msgspec.Struct, rename="camel", kw_only=True):
    """Everything within so many metres of a point."""

    latitude: float
    longitude: float
    radius_meters: int


class Vertex(msgspec.Struct, kw_only=True):
    """A corner of a polygon, in degrees."""

    latitude: float
    longitude: float


class Polygon(msgspec.Struct, kw_only=True):
    """3 to 40 corners in order; the sides go the short way round the globe."""

    vertices: list[Vertex]


class GeofenceSettings(msgspec.Struct, rename="camel", kw_only=True):
    """How reports of the vendor name what is inside; kept, and without effect here."""

    show_addresses: bool


class Geofence(msgspec.Struct, kw_only=True):
    """A circle or a polygon."""

    circle: Circle | UnsetType = UNSET
    polygon: Polygon | UnsetType = UNSET
    settings: GeofenceSettings | UnsetType = UNSET


class ContactRef(msgspec.Struct, rename="camel", kw_only=True):
    """A contact as an address shows it."""

    id: str
    first_name: str
    last_name: str


class AddressExtension(msgspec.Struct, rename="camel", kw_only=True):
    """What the vendor does not have. Nothing inside a private zone is ever shown by a public link."""

    is_private_zone: bool


class AddressAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """An address; what is not known of it is left out."""

    id: str
    name: str
    formatted_address: str
    geofence: Geofence
    latitude: float
    longitude: float
    created_at_time: Time
    address_types: list[str] | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    contacts: list[ContactRef] | UnsetType = UNSET
    tags: list[TinyTag]
    external_ids: dict[str, str]
    odograph: AddressExtension | UnsetType = UNSET


class Addresses(msgspec.Struct, kw_only=True):
    """A page of addresses, by id."""

    data: list[AddressAnswer]
    pagination: Pagination


class OneAddress(msgspec.Struct, kw_only=True):
    """One address."""

    data: AddressAnswer


class CirclePatch(msgspec.Struct, rename="camel", kw_only=True):
    """A circle. Without a centre it lies around the address."""

    radius_meters: int | float | UnsetType | None = UNSET
    latitude: float | UnsetType | None = UNSET
    longitude: float | UnsetType | None = UNSET


class SettingsPatch(msgspec.Struct, rename="camel", kw_only=True):
    """Kept, and without effect here."""

    show_addresses: bool | UnsetType | None = UNSET


class GeofencePatch(msgspec.Struct, kw_only=True):
    """Exactly one of circle and polygon; one takes the other's place."""

    circle: CirclePatch | UnsetType | None = UNSET
    polygon: Polygon | UnsetType | None = UNSET
    settings: SettingsPatch | UnsetType | None = UNSET


class ExtensionPatch(msgspec.Struct, rename="camel", kw_only=True):
    """Whether links show nothing inside."""

    is_private_zone: bool | UnsetType | None = UNSET


class AddressPatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; lists are replaced whole, external ids by key."""

    name: Name | UnsetType = UNSET
    formatted_address: Formatted | UnsetType = UNSET
    geofence: GeofencePatch | UnsetType | None = UNSET
    latitude: float | UnsetType | None = UNSET
    longitude: float | UnsetType | None = UNSET
    address_types: list[str] | UnsetType | None = UNSET
    notes: Notes | UnsetType | None = UNSET
    contact_ids: list[str] | UnsetType | None = UNSET
    tag_ids: list[str] | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET
    odograph: ExtensionPatch | UnsetType | None = UNSET


class NewAddress(AddressPatch, rename="camel", kw_only=True):
    """A new address. Its text is not looked up: the circle or the address itself must say where it is."""

    name: Name
    formatted_address: Formatted
    geofence: GeofencePatch


async def list_addresses(call: Call) -> Answer:
    """A page of addresses."""
    rest = carriers_after(call, call.context.live.directory.addresses, started_after(call, KIND))
    size = call.query.integer(LIMIT, MAX_PAGE)
    page, pagination = await take_page(call, KIND, size, rest, lambda one: one.body.number)
    return Answer(to_json(Addresses(data=[_address(call, one) for one in page], pagination=pagination)))


async def get_address(call: Call) -> Answer:
    """One address by its id or an external id."""
    return _one(call, _asked(call))


async def create_address(call: Call) -> Answer:
    """A new address."""
    fields = _fields(read_new(call.body, NewAddress))
    made = await addresses.create(call.context.catalog, call.principal.org, fields, call.principal.tag_ids)
    return _one(call, made)


async def change_address(call: Call) -> Answer:
    """Change some fields."""
    number, fields = _asked(call).body.number, _fields(read_patch(call.body, AddressPatch))
    principal = call.principal
    changed = await addresses.update(call.context.catalog, principal.org, number, fields, principal.tag_ids)
    return _one(call, changed)


async def delete_address(call: Call) -> Answer:
    """Delete an address; stops at it stay where they are."""
    number = _asked(call).body.number
    await addresses.remove(call.context.catalog, call.principal.org, number, call.principal.tag_ids)
    return Answer(status=204)


def _asked(call: Call) -> Entity[Address]:
    principal, directory, text = call.principal, call.context.live.directory, call.path["id"]
    address = check.visible(directory.addresses.find_by_text(principal.org, text), principal.tag_ids)
    if address is None:
        raise not_found(f"There is no address {text[:80]!r}.")
    return address


def _fields(body: AddressPatch) -> addresses.AddressFields:
    fence, extension = body.geofence, body.odograph
    settings = fence.settings if isinstance(fence, GeofencePatch) else UNSET
    return addresses.AddressFields(
        name=body.name,
        formatted_address=body.formatted_address,
        fence=_fence(fence) if isinstance(fence, GeofencePatch) else fence,
        lat=body.latitude,
        lon=body.longitude,
        show_addresses=settings.show_addresses if isinstance(settings, SettingsPatch) else settings,
        types=body.address_types,
        notes=body.notes,
        contacts=body.contact_ids,
        tag_ids=body.tag_ids,
        external_ids=body.external_ids,
        is_private=extension.is_private_zone if isinstance(extension, ExtensionPatch) else extension,
    )


def _fence(body: GeofencePatch) -> FenceFields:
    circle, polygon = body.circle, body.polygon
    return FenceFields(
        circle=CircleFields(radius_m=circle.radius_meters, lat=circle.latitude, lon=circle.longitude)
        if isinstance(circle, CirclePatch)
        else circle,
        vertices=[(one.latitude, one.longitude) for one in polygon.vertices]
        if isinstance(polygon, Polygon)
        else polygon,
    )


def _one(call: Call, address: Entity[Address]) -> Answer:
    return Answer(to_json(OneAddress(data=_address(call, address))))


def _address(call: Call, address: Entity[Address]) -> AddressAnswer:
    directory, body = call.context.live.directory, address.body
    found = (directory.contacts.find_by_number(address.org, number) for number in body.contact_ids)
    contacts = [
        ContactRef(id=str(one.body.number), first_name=one.body.first_name, last_name=one.body.last_name)
        for one in found
        if one is not None
    ]
    return AddressAnswer(
        id=str(body.number),
        name=body.name,
        formatted_address=body.formatted_address,
        geofence=_geofence(body),
        latitude=body.lat,
        longitude=body.lon,
        created_at_time=render_time(body.created_ms),
        address_types=list(body.types) or UNSET,
        notes=body.notes or UNSET,
        contacts=contacts or UNSET,
        tags=tiny_tags(call, body.tag_ids),
        external_ids=body.external_ids,
        odograph=AddressExtension(is_private_zone=True) if body.is_private else UNSET,
    )


def _geofence(body: Address) -> Geofence:
    fence, shows = body.fence, body.show_addresses
    settings = UNSET if shows is None else GeofenceSettings(show_addresses=shows)
    if fence.vertices:
        corners = [Vertex(latitude=lat, longitude=lon) for lat, lon in fence.vertices]
        return Geofence(polygon=Polygon(vertices=corners), settings=settings)
    circle = Circle(latitude=fence.lat, longitude=fence.lon, radius_meters=int(fence.radius_m))
    return Geofence(circle=circle, settings=settings)


class AddressesResource:
    """List, get, create, change, delete."""

    name = "Addresses"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_ADDRESSES, Scope.WRITE_ADDRESSES, "/addresses"
        one, filters = f"{path}/{{id}}", (TAG_IDS, PARENT_TAG_IDS, CREATED_AFTER)
        return (
            Endpoint(
                "GET", path, read, list_addresses, "List addresses",
                params=(LIMIT, AFTER, *filters), answers=Addresses,
            ),
            Endpoint(
                "POST", path, write, create_address, "Make an address", takes=NewAddress, answers=OneAddress
            ),
            Endpoint("GET", one, read, get_address, "One address", answers=OneAddress),
            Endpoint(
                "PATCH", one, write, change_address, "Change an address", takes=AddressPatch, answers=OneAddress
            ),
            Endpoint("DELETE", one, write, delete_address, "Delete an address"),
        )  # fmt: skip


RESOURCE = AddressesResource()
