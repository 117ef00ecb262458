"""`assetsNearLocation`: whatever is at an address, or on its way there by route."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from odograph.model.catalog import LiveShare
from odograph.sharing.base import Sight


class LocationShareConfig(msgspec.Struct, rename="camel", kw_only=True):
    """The address, in a request also by an external id `key:value`."""

    address_id: str


class ByLocation:
    """By Location, as the vendor calls it."""

    name = "assetsNearLocation"
    field = "assets_near_location_link_config"
    config_key = "assetsNearLocationLinkConfig"
    has_description = True

    def parse(self, config: LocationShareConfig, sight: Sight) -> Mapping[str, object]:
        """As the port says; an external id is resolved now (contract.md D-7)."""
        return {"address_id": sight.address(f"{self.config_key}.addressId", config.address_id)}

    def render(self, share: LiveShare, sight: Sight) -> LocationShareConfig:
        """As the port says."""
        del sight
        return LocationShareConfig(address_id=str(share.address_id))


TYPE = ByLocation()
