"""Links to one asset, or to all that carry a tag (`assetsLocation`)."""

from __future__ import annotations

from typing import Final

from odograph.model.ids import AssetId
from odograph.model.place import Geofence
from odograph.sharing import page
from odograph.sharing.trace import Trace
from odograph.sharing.views.base import (
    Frame,
    Scene,
    Shown,
    Subject,
    View,
    asset_of,
    destination,
    find_asset,
    held_from_ms,
    hidden_of,
    if_shown,
    link_of,
    place_of,
    rules_of,
)

MOST_SUBJECTS: Final = 1000  # by number; a page with more points than that is read by nobody


class ByAsset:
    """The asset of the link, or those with its tags now; bound for its destination."""

    name = "assetsLocation"
    is_listed_when_hidden = True
    is_by_route = False

    def subjects(self, scene: Scene) -> list[Subject]:
        """By name."""
        bound = destination(scene)
        shown_bound, planned_ms = if_shown(scene, bound), scene.share.planned_arrival_ms
        found = []
        for number, from_ms in self._held(scene):
            asset = find_asset(scene, number)
            if asset is None:
                continue
            rules = rules_of(scene, asset, from_ms, bound, planned_ms=planned_ms)
            if rules is not None:
                found.append(Subject(asset, rules, shown_bound, planned_ms))
        return sorted(found, key=lambda subject: (subject.asset.name, subject.asset.number))

    def _held(self, scene: Scene) -> list[tuple[AssetId, int]]:
        share = scene.share
        if share.asset_id:
            return [(AssetId(share.asset_id), 0)]
        held = []
        for number in scene.directory.assets.roll(scene.org).tagged(share.tag_ids)[:MOST_SUBJECTS].tolist():
            asset = find_asset(scene, number)
            from_ms = None if asset is None else held_from_ms(scene, asset, share.tag_ids)
            if from_ms is not None:
                held.append((AssetId(number), from_ms))
        return held

    def fence(self, scene: Scene) -> Geofence | None:
        """None: nobody becomes a subject by moving."""
        del scene
        return None

    def frame(self, scene: Scene, shown: Shown) -> Frame:
        """The link and its destination."""
        bound = if_shown(scene, destination(scene))
        return Frame(link_of(scene, "asset", bound, shown, hidden_of(shown)), place_of(bound))

    def asset(self, scene: Scene, subject: Subject, trace: Trace) -> page.Asset:
        """One asset, without its trail."""
        return asset_of(scene, subject, trace)


VIEW: View = ByAsset()
