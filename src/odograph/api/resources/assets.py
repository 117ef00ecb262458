"""`/assets`: vehicles are made and deleted here, as everything else that can be followed will be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import (
    ATTRIBUTES,
    UPDATED_AFTER,
    assets_after,
    place_of_asset,
    started_after,
    take_page,
)
from odograph.api.params import AFTER, PARENT_TAG_IDS, TAG_IDS, read_new, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Limit, Pagination, Param
from odograph.api.resources.vehicles import (
    ExternalIds,
    TinyTag,
    Vin,
    asset_of,
    external_ids,
    shown_of,
    tiny_tags,
)
from odograph.api.traits import RegulationMode
from odograph.api.wire import Time, to_json
from odograph.catalog import assets
from odograph.catalog import fields as check
from odograph.errors import invalid
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Asset
from odograph.model.ids import AssetId

PAGE: Final = 300  # the vendor's; this list has no `limit`
KIND: Final = "assets"
UNCATEGORIZED: Final = "uncategorized"
_NOT_KEPT: Final = (
    "`attributes` and `readingsIngestionEnabled` are accepted and not kept: there are none of them here yet."
)

_TYPES: Final = (UNCATEGORIZED, "trailer", "equipment", "unpowered", "vehicle")
_TYPE: Final = Param("type", "string", "Only assets of this type.", values=_TYPES)
_IDS: Final = Param("ids", "csv", "Only these assets: ids, or external ids as `key:value`.")
_EXTERNAL_IDS: Final = Param("externalIds", "csv", "Only the assets with these external ids, as `key:value`.")
_INCLUDE: Final = {
    name: Param(f"include{name}", "bool", f"Whether each asset shows its {text}.")
    for name, text in (("ExternalIds", "external ids"), ("Tags", "tags"), ("Attributes", "attributes (none here)"))
}
_ID: Final = Param("id", "string", "The asset's id, or an external id as `key:value`.", required=True)


class AssetAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """An asset; what is not known of it is left out. The id of a vehicle is its vehicle id."""

    id: str
    type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(_TYPES)})]
    name: str
    created_at_time: Time
    updated_at_time: Time
    vin: str | UnsetType = UNSET
    license_plate: str | UnsetType = UNSET
    serial_number: str | UnsetType = UNSET
    make: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    year: int | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    regulation_mode: str | UnsetType = UNSET
    external_ids: dict[str, str] | UnsetType = UNSET
    tags: list[TinyTag] | UnsetType = UNSET


class Assets(msgspec.Struct, kw_only=True):
    """A page of assets, by id."""

    data: list[AssetAnswer]
    pagination: Pagination


class OneAsset(msgspec.Struct, kw_only=True):
    """One asset."""

    data: AssetAnswer


Text = Annotated[str, msgspec.Meta(max_length=255)]
_YEARS: Final = {"type": "integer", "minimum": check.YEARS[0], "maximum": check.YEARS[1]}
Year = Annotated[int, msgspec.Meta(extra_json_schema={"anyOf": [{"const": 0}, _YEARS]})]
FollowedType = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(assets.TYPES)})]


class AssetPatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; lists are replaced whole, external ids by key."""

    type: FollowedType | UnsetType = UNSET
    name: Text | UnsetType | None = UNSET
    vin: Vin | UnsetType | None = UNSET
    license_plate: Annotated[str, msgspec.Meta(max_length=12)] | UnsetType | None = UNSET
    serial: Text | UnsetType | None = msgspec.field(default=UNSET, name="serialNumber")
    make: Text | UnsetType | None = UNSET
    model: Text | UnsetType | None = UNSET
    year: Year | UnsetType | None = UNSET
    notes: Text | UnsetType | None = UNSET
    tag_ids: list[str] | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET
    regulation: RegulationMode | UnsetType | None = msgspec.field(default=UNSET, name="regulationMode")


class NewAsset(AssetPatch, kw_only=True):
    """A new asset. Without `type` it would be uncategorized, and only vehicles can be followed yet."""

    type: FollowedType


async def list_assets(call: Call) -> Answer:
    """A page of assets."""
    query = call.query
    wanted = query.text(_TYPE)
    ids = query.csv(_IDS) + _external(query.csv(_EXTERNAL_IDS))
    rest = assets_after(call, started_after(call, KIND), ids)
    some = (one for one in rest if wanted in {None, one.body.type})
    page, pagination = await take_page(call, KIND, PAGE, some, place_of_asset)
    shows = {name for name, param in _INCLUDE.items() if query.boolean(param)}
    return Answer(to_json(Assets(data=[_asset(call, one, shows) for one in page], pagination=pagination)))


async def create_asset(call: Call) -> Answer:
    """A new vehicle."""
    fields = _fields(read_new(call.body, NewAsset, otherwise={"type": UNCATEGORIZED}))
    made = await assets.create(call.context.catalog, call.principal.org, fields, call.principal.tag_ids)
    return _one(call, made)


async def change_asset(call: Call) -> Answer:
    """Change some fields."""
    fields = _fields(read_patch(call.body, AssetPatch))
    number = AssetId(_asked(call).body.number)
    changed = await assets.update(call.context.catalog, call.principal.org, number, fields, call.principal.tag_ids)
    return _one(call, changed)


async def delete_asset(call: Call) -> Answer:
    """Delete a vehicle and its devices; its fixes stay in the log and are shown no more."""
    number = AssetId(_asked(call).body.number)
    await assets.remove(call.context.catalog, call.principal.org, number, call.principal.tag_ids)
    return Answer(status=204)


def _fields(body: AssetPatch) -> assets.AssetFields:
    """The names are the same."""
    return assets.AssetFields(**{name: getattr(body, name) for name in body.__struct_fields__})


def _asked(call: Call) -> Entity[Asset]:
    return asset_of(call, call.query.text(_ID) or "")


def _external(pairs: tuple[str, ...]) -> tuple[str, ...]:
    for pair in pairs:
        if ":" not in pair:
            raise invalid("Parameter 'externalIds' must hold pairs written as key:value.")
    return pairs


def _one(call: Call, asset: Entity[Asset]) -> Answer:
    return Answer(to_json(OneAsset(data=_asset(call, asset, set(_INCLUDE)))))


def _asset(call: Call, asset: Entity[Asset], shows: set[str]) -> AssetAnswer:
    body = asset.body
    tags = tiny_tags(call, body.tag_ids) if "Tags" in shows else UNSET
    return AssetAnswer(
        type=body.type,
        serial_number=body.serial or UNSET,
        year=body.year or UNSET,
        regulation_mode=(body.traits and body.traits.regulation) or UNSET,
        external_ids=external_ids(body) if "ExternalIds" in shows else UNSET,
        tags=tags,
        **shown_of(body),
    )


class AssetsResource:
    """List, create, change, delete."""

    name = "Assets"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        path, write = "/assets", Scope.WRITE_ASSETS
        filters = (_IDS, _EXTERNAL_IDS, TAG_IDS, PARENT_TAG_IDS, UPDATED_AFTER, *ATTRIBUTES)
        return (
            Endpoint(
                "GET", path, Scope.READ_ASSETS, list_assets, "List assets",
                params=(_TYPE, AFTER, *filters, *_INCLUDE.values()), answers=Assets, limit=Limit(5, 1),
            ),
            Endpoint(
                "POST", path, write, create_asset, "Make a vehicle",
                takes=NewAsset, answers=OneAsset, limit=Limit(100, 60), note=_NOT_KEPT,
            ),
            Endpoint(
                "PATCH", path, write, change_asset, "Change an asset",
                params=(_ID,), takes=AssetPatch, answers=OneAsset, limit=Limit(100, 60), note=_NOT_KEPT,
            ),
            Endpoint(
                "DELETE", path, write, delete_asset, "Delete an asset",
                params=(_ID,), limit=Limit(100, 60),
            ),
        )  # fmt: skip


RESOURCE = AssetsResource()
