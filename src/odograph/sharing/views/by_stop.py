"""The own link of one stop of a run: the vehicle on its way there, until the stop was left or skipped.

It has no record of its own; what it may show follows from the route, and `as_share` puts that into a share's words.
"""

from __future__ import annotations

from typing import Final

from odograph.model.catalog import LiveShare, Route, Stop
from odograph.model.ids import RouteId
from odograph.model.place import Geofence
from odograph.sharing import page
from odograph.sharing.runs import find_stop
from odograph.sharing.trace import Trace
from odograph.sharing.views.base import (
    Bound,
    Frame,
    Scene,
    Shown,
    Subject,
    View,
    asset_of,
    bound_of_stop,
    find_asset,
    hidden_of,
    if_shown,
    link_of,
    place_of,
    rules_of,
)

NAME: Final = "routeStop"
_NOT_YET_MS: Final = 1 << 62


def as_share(route: Route, stop: Stop, key_hash: bytes) -> LiveShare:
    """The link of a stop: begins with the run, ends when the stop was left or skipped or the run is over."""
    ended_ms = stop.departed_ms or stop.skipped_ms or route.ended_ms
    return LiveShare(
        share_id=f"stop-{stop.number}",
        name=stop.name or route.name,
        type=NAME,
        created_ms=route.created_ms,
        updated_ms=route.updated_ms,
        key_hash=key_hash.hex(),
        starts_ms=0 if ended_ms else route.started_ms or _NOT_YET_MS,
        expires_ms=ended_ms,
        has_arrived=stop.arrived_ms > 0,
        route_id=route.number,
        asset_id=route.vehicle_id,
        address_id=stop.number,
        planned_arrival_ms=stop.scheduled_arrival_ms or stop.scheduled_departure_ms,
    )


class ByStop:
    """The vehicle of the run, bound for the stop. `address_id` of such a share is the stop's number."""

    name = NAME
    is_listed_when_hidden = True
    is_by_route = True

    def subjects(self, scene: Scene) -> list[Subject]:
        """The vehicle of the run."""
        route, bound = self._route(scene)
        asset = None if route is None else find_asset(scene, route.vehicle_id)
        if route is None or asset is None:
            return []
        planned_ms = scene.share.planned_arrival_ms
        rules = rules_of(scene, asset, max(route.started_ms, route.assigned_ms), bound, planned_ms=planned_ms)
        return [] if rules is None else [Subject(asset, rules, if_shown(scene, bound), planned_ms)]

    def _route(self, scene: Scene) -> tuple[Route | None, Bound | None]:
        found = scene.directory.routes.find_by_number(scene.org, RouteId(scene.share.route_id))
        stop = None if found is None else find_stop(found.body, scene.share.address_id)
        if found is None or stop is None:
            return None, None
        return found.body, bound_of_stop(scene, stop)

    def fence(self, scene: Scene) -> Geofence | None:
        """None: nobody becomes a subject by moving."""
        del scene
        return None

    def frame(self, scene: Scene, shown: Shown) -> Frame:
        """The link and its stop."""
        route, place = self._route(scene)
        bound = if_shown(scene, place)
        link = link_of(scene, "asset", bound, shown, hidden_of(shown))
        if bound is None and route is not None:
            link.name = route.name  # a share of its own name would tell that of the private place
        return Frame(link, place_of(bound))

    def asset(self, scene: Scene, subject: Subject, trace: Trace) -> page.Asset:
        """The vehicle, without its trail."""
        return asset_of(scene, subject, trace)


VIEW: View = ByStop()
