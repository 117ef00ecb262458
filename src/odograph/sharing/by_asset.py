"""`assetsLocation`: one asset, or all that carry a tag, and where they are bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.errors import invalid
from odograph.model.catalog import Destination, LiveShare
from odograph.model.ids import AssetId, TagId, render_asset_id
from odograph.sharing.base import Sight

MAX_TAGS: Final = 100  # of one link: more are better said by a tag of their own
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ShareLocation(msgspec.Struct, rename="camel", kw_only=True):
    """Where the shared vehicle is bound; all four are needed."""

    name: _Text
    formatted_address: _Text
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class NewAssetShareConfig(msgspec.Struct, rename="camel", kw_only=True):
    """What to share: `assetId`, or else `tagIds`. `addressId` in place of `location` is our extension."""

    asset_id: str | UnsetType = UNSET
    tag_ids: Annotated[list[str], msgspec.Meta(max_length=MAX_TAGS)] | UnsetType = UNSET
    location: ShareLocation | UnsetType = UNSET
    address_id: str | UnsetType = UNSET


class ShareTag(msgspec.Struct, rename="camel", kw_only=True):
    """A tag of a link."""

    id: str
    name: str
    parent_tag_id: str | UnsetType = UNSET


class AssetShareConfig(msgspec.Struct, rename="camel", kw_only=True):
    """What is shared. `tags` only of a link that was made by tags, those of them that are there still."""

    asset_id: str | UnsetType = UNSET
    tags: list[ShareTag] | UnsetType = UNSET
    location: ShareLocation | UnsetType = UNSET
    address_id: str | UnsetType = UNSET


class ByAsset:
    """By Asset, as the vendor calls it."""

    name = "assetsLocation"
    field = "assets_location_link_config"
    config_key = "assetsLocationLinkConfig"
    has_description = True

    def parse(self, config: NewAssetShareConfig, sight: Sight) -> Mapping[str, object]:
        """As the port says; `assetId` wins over `tagIds` (contract.md D-5)."""
        return {**self._subjects(config, sight), **self._destination(config, sight)}

    def render(self, share: LiveShare, sight: Sight) -> AssetShareConfig:
        """As the port says."""
        place = share.destination
        location: ShareLocation | UnsetType = UNSET
        if place is not None:
            location = ShareLocation(
                name=place.name,
                formatted_address=place.formatted_address,
                latitude=place.lat,
                longitude=place.lon,
            )
        return AssetShareConfig(
            asset_id=render_asset_id(AssetId(share.asset_id)) if share.asset_id else UNSET,
            tags=UNSET if share.asset_id else _tags(share, sight),
            location=location,
            address_id=str(share.address_id) if share.address_id else UNSET,
        )

    def _subjects(self, config: NewAssetShareConfig, sight: Sight) -> Mapping[str, object]:
        if config.asset_id:
            return {"asset_id": sight.asset(f"{self.config_key}.assetId", config.asset_id)}
        if not config.tag_ids:
            raise invalid(f"Field '{self.config_key}': give assetId, or tagIds with at least one tag.")
        field = f"{self.config_key}.tagIds"
        return {"tag_ids": tuple(sorted({sight.tag(field, text) for text in config.tag_ids}))}

    def _destination(self, config: NewAssetShareConfig, sight: Sight) -> Mapping[str, object]:
        place = config.location
        if isinstance(place, UnsetType):
            if not config.address_id:
                return {}
            return {"address_id": sight.address(f"{self.config_key}.addressId", config.address_id)}
        if config.address_id:
            raise invalid(f"Field '{self.config_key}': give either location or addressId, not both.")
        for key, text in (("name", place.name), ("formattedAddress", place.formatted_address)):
            if not text.strip():
                raise invalid(f"Field '{self.config_key}.location.{key}': holds only blanks; 1 to 255 are allowed.")
        return {
            "destination": Destination(
                place.name.strip(), place.formatted_address.strip(), place.latitude, place.longitude
            )
        }


def _tags(share: LiveShare, sight: Sight) -> list[ShareTag]:
    found = (sight.directory.tags.find_by_number(sight.org, TagId(number)) for number in share.tag_ids)
    return [
        ShareTag(
            id=str(tag.body.number),
            name=tag.body.name,
            parent_tag_id=str(parent) if (parent := tag.body.parent_id) and sight.sees((parent,)) else UNSET,
        )
        for tag in found
        if tag is not None
    ]


TYPE = ByAsset()
