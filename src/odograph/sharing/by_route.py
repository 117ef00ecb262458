"""`assetsOnRoute`: the run of a route, and who drives it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from odograph.model.catalog import LiveShare
from odograph.sharing.base import Sight


class RouteShareConfig(msgspec.Struct, rename="camel", kw_only=True):
    """The recurring route, or a single route; in a request also by an external id `key:value`."""

    recurring_route_id: str


class ByRoute:
    """By Recurring Route, as the vendor calls it."""

    name = "assetsOnRoute"
    field = "assets_on_route_link_config"
    config_key = "assetsOnRouteLinkConfig"
    has_description = False

    def parse(self, config: RouteShareConfig, sight: Sight) -> Mapping[str, object]:
        """As the port says; one counter numbers recurring and single routes (contract.md D-21)."""
        return {"route_id": sight.route(f"{self.config_key}.recurringRouteId", config.recurring_route_id)}

    def render(self, share: LiveShare, sight: Sight) -> RouteShareConfig:
        """As the port says."""
        del sight
        return RouteShareConfig(recurring_route_id=str(share.route_id))


TYPE = ByRoute()
