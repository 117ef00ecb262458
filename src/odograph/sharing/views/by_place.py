"""Links to a place: what is there, and what is on its way there by route (`assetsNearLocation`)."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import UNSET

from odograph.model.catalog import Address, Asset, Route
from odograph.model.ids import AssetId
from odograph.model.place import Geofence
from odograph.sharing import page
from odograph.sharing.policy import Hidden
from odograph.sharing.runs import next_stop
from odograph.sharing.trace import Trace
from odograph.sharing.views.base import (
    Bound,
    Frame,
    Scene,
    Shown,
    Subject,
    View,
    asset_of,
    bound_for,
    find_address,
    find_asset,
    if_shown,
    link_of,
    place_of,
    rules_of,
)

MOST_SUBJECTS: Final = 1000


class ByPlace:
    """Whatever is inside the geofence now, and vehicles under way whose next stop is this address.

    Only what is shown is listed: that something is near is as private as where it is.
    """

    name = "assetsNearLocation"
    is_listed_when_hidden = False
    is_by_route = True

    def subjects(self, scene: Scene) -> list[Subject]:
        """Those on their way, then whoever is inside and not on its way."""
        address = find_address(scene, scene.share.address_id)
        if address is None or if_shown(scene, bound_for(address)) is None:
            return []
        coming = self._coming(scene, address)
        inside = [
            subject
            for number in self._inside(scene, address.fence)
            if number not in coming and (subject := self._visitor(scene, address, number)) is not None
        ]
        return [*coming.values(), *inside][:MOST_SUBJECTS]

    def _visitor(self, scene: Scene, address: Address, number: int) -> Subject | None:
        asset = find_asset(scene, number)
        if asset is None:
            return None
        bound = bound_for(address)
        rules = rules_of(scene, asset, 0, bound, within=address.fence)
        return None if rules is None else Subject(asset, rules, bound)

    def _coming(self, scene: Scene, address: Address) -> dict[int, Subject]:
        found: dict[int, Subject] = {}
        bound = bound_for(address)
        for route, asset in self._runs_to(scene, address.number):
            stop, from_ms = next_stop(route)
            assert stop is not None
            planned_ms = stop.scheduled_arrival_ms or stop.scheduled_departure_ms
            rules = rules_of(scene, asset, from_ms, bound, planned_ms=planned_ms, until_ms=route.ended_ms)
            if rules is not None:
                found[asset.number] = Subject(asset, rules, bound, planned_ms, is_coming=True)
        return found

    def _runs_to(self, scene: Scene, address: int) -> list[tuple[Route, Asset]]:
        routes, found = scene.directory.routes, []
        for number in sorted(routes.open_assets()):
            for route in routes.open_of_asset(scene.org, AssetId(number)):
                stop, _ = next_stop(route.body)
                asset = find_asset(scene, number)
                if route.body.started_ms and stop is not None and stop.address_id == address and asset is not None:
                    found.append((route.body, asset))
        return found

    def _inside(self, scene: Scene, fence: Geofence) -> list[int]:
        """By the newest fix of every asset of the org."""
        fixes = scene.sources.snapshot.newest(scene.directory.assets.roll(scene.org).numbers)
        box = fence.bounds()
        lat, lon = fixes["lat_e7"] / 1e7, fixes["lon_e7"] / 1e7
        apart = np.abs((lon - box.middle + 180.0) % 360.0 - 180.0)
        near = fixes[(lat >= box.south) & (lat <= box.north) & (apart <= box.half_width)]
        is_inside = fence.contain(near["lat_e7"] / 1e7, near["lon_e7"] / 1e7)
        inside: list[int] = near["asset"][is_inside].tolist()
        return inside

    def fence(self, scene: Scene) -> Geofence | None:
        """The address's."""
        address = find_address(scene, scene.share.address_id)
        return None if address is None else address.fence

    def _bound(self, scene: Scene) -> Bound | None:
        address = find_address(scene, scene.share.address_id)
        return None if address is None else if_shown(scene, bound_for(address))

    def frame(self, scene: Scene, shown: Shown) -> Frame:
        """The link and its place."""
        bound = self._bound(scene)
        is_empty = all(trace.hidden is not None for _, trace in shown)
        hidden: Hidden | None = "private" if bound is None else "nothing" if is_empty else None
        return Frame(link_of(scene, "place", bound, shown, hidden), place_of(bound))

    def asset(self, scene: Scene, subject: Subject, trace: Trace) -> page.Asset:
        """One asset, without its trail; `since` says since when it is inside, where its coming was seen."""
        asset = asset_of(scene, subject, trace)
        if subject.bound is not None and not isinstance(asset.arrived, int):
            asset.where = "coming"
        else:
            asset.where = "inside"
            is_seen = subject.is_coming or trace.is_entry_seen
            asset.since, asset.arrived = asset.arrived if is_seen else UNSET, UNSET
            asset.progress = UNSET
        return asset


VIEW: View = ByPlace()
