"""What all kinds of links have in common: who is shown under which rules, and how one asset is put into words.

A view reads the catalogue as it is now and traces that hold nothing hidden, and composes page structs; nothing else
leaves the server. No position inside a private zone is composed, of whatever it is: asset, stop or destination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
from msgspec import UNSET, UnsetType

from odograph.geocoding.base import Geocoder, TimeZones
from odograph.live.directory import Directory
from odograph.live.snapshot import Snapshot
from odograph.model.catalog import Address, Asset, LiveShare, Org, Stop
from odograph.model.fixes import UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes
from odograph.model.ids import AddressId, AssetId, OrgId, RecordId
from odograph.model.place import Geofence, Position, distance_m, distances_m
from odograph.sharing import page
from odograph.sharing.arrival import Estimator
from odograph.sharing.keys import asset_key
from odograph.sharing.policy import ARRIVED_M, Hidden, Rules, Zones
from odograph.sharing.trace import Trace
from odograph.store.base import INSTALL

MOVING_KMH: Final = 3.0  # receivers on a roof report up to 2 km/h of standing vehicles
_STANDS_WITHIN_M: Final = 50.0  # a position without a speed that is no further from the one before


@dataclass(frozen=True, slots=True)
class Sources:
    """What views need besides the catalogue."""

    directory: Directory
    snapshot: Snapshot
    geocoder: Geocoder
    time_zones: TimeZones
    estimator: Estimator
    server_key: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """One link at one moment, with the private zones of its org."""

    sources: Sources
    org: OrgId
    share: LiveShare
    private: Zones
    now_ms: int

    @property
    def directory(self) -> Directory:
        """The catalogue."""
        return self.sources.directory

    def org_body(self) -> Org:
        """The org; one without a name where it was just deleted."""
        found = self.directory.orgs.find(INSTALL, RecordId(self.org))
        return Org("", 0) if found is None else found.body


class Bound(NamedTuple):
    """Where something is bound. `fence` is a circle of ARRIVED_M where the place has none of its own."""

    name: str
    address: str
    at: Position
    fence: Geofence
    has_fence: bool
    is_private: bool = False


class Subject(NamedTuple):
    """An asset that a link holds now, and under which rules. `bound` is left out where it may not be shown."""

    asset: Asset
    rules: Rules
    bound: Bound | None = None
    planned_ms: int = 0
    is_coming: bool = False


Shown = Sequence[tuple[Subject, Trace]]
"""The subjects of a link with their traces, in the view's order."""


class View(Protocol):
    """One kind of link. Stateless."""

    name: str
    """Of the share type."""
    is_listed_when_hidden: bool
    """Whether an asset that can't be shown is named all the same."""
    is_by_route: bool
    """Whether routes decide what is shown: a change of one is looked at."""

    def subjects(self, scene: Scene) -> list[Subject]:
        """Whom the link holds now; empty where what it was made of is gone."""
        ...

    def fence(self, scene: Scene) -> Geofence | None:
        """The place whose visitors become subjects by going there."""
        ...

    def frame(self, scene: Scene, shown: Shown) -> Frame:
        """Everything but the assets."""
        ...

    def asset(self, scene: Scene, subject: Subject, trace: Trace) -> page.Asset:
        """One asset, without its trail."""
        ...


class Frame(NamedTuple):
    """A state without its assets."""

    link: page.Link
    place: page.Place | UnsetType = UNSET
    route: page.Route | UnsetType = UNSET


def held_from_ms(scene: Scene, asset: Asset, tag_ids: Iterable[int]) -> int | None:
    """Since when an asset carries one of these tags; None where it carries none that still exists."""
    wanted = set(tag_ids)
    since = (
        asset.tagged_ms if len(asset.tagged_ms) == len(asset.tag_ids) else (asset.created_ms,) * len(asset.tag_ids)
    )
    held = [
        from_ms
        for tag, from_ms in zip(asset.tag_ids, since, strict=True)
        if tag in wanted and scene.directory.tags.find_by_number(scene.org, tag) is not None
    ]
    return min(held, default=None)


def limited_from_ms(scene: Scene, asset: Asset) -> int | None:
    """Since when an asset is within the tags of the token that made the link; None where it is not."""
    limit = scene.share.limit_tag_ids
    return held_from_ms(scene, asset, limit) if limit else 0


def rules_of(
    scene: Scene,
    asset: Asset,
    from_ms: int,
    bound: Bound | None,
    *,
    planned_ms: int = 0,
    until_ms: int = 0,
    within: Geofence | None = None,
) -> Rules | None:
    """The link's rules for one asset that it holds since `from_ms`; None where the link may never show it."""
    limited_ms = limited_from_ms(scene, asset)
    if limited_ms is None:
        return None
    share, org = scene.share, scene.org_body()
    number, estimator, org_id = AssetId(asset.number), scene.sources.estimator, scene.org

    def expect(lat: float, lon: float, time_ms: int) -> int | None:
        assert bound is not None
        found = estimator.estimate(org_id, number, Position(lat, lon), bound.at, time_ms)
        return None if found is None else found.at_ms

    return Rules(
        floor_ms=max(share.shown_from_ms, org.shown_from_ms, from_ms, limited_ms),
        until_ms=until_ms,
        since_ms=max(share.created_ms, share.starts_ms, share.past_from_ms),
        private=scene.private,
        within=within,
        bound=None if bound is None else bound.fence,
        disclose_m=share.disclose_m,
        disclose_min=share.disclose_min,
        planned_ms=planned_ms,
        expect=None if bound is None else expect,
        trail_min=share.trail_min,
    )


def find_asset(scene: Scene, number: int) -> Asset | None:
    """A living asset of the link's org."""
    found = scene.directory.assets.find_by_number(scene.org, AssetId(number))
    return None if found is None else found.body


def find_address(scene: Scene, number: int) -> Address | None:
    """A living address of the link's org."""
    found = scene.directory.addresses.find_by_number(scene.org, AddressId(number))
    return None if found is None else found.body


def bound_for(address: Address) -> Bound:
    """An address as a destination."""
    at = Position(address.lat, address.lon) if (address.lat or address.lon) else address.fence.center
    return Bound(
        address.name, address.formatted_address, at, address.fence, has_fence=True, is_private=address.is_private
    )


def destination(scene: Scene) -> Bound | None:
    """Where the link says that its assets are bound."""
    share = scene.share
    if share.address_id:
        address = find_address(scene, share.address_id)
        return None if address is None else bound_for(address)
    if share.destination is None:
        return None
    to = share.destination
    return point_bound(to.name, to.formatted_address, Position(to.lat, to.lon), ARRIVED_M)


def point_bound(name: str, address: str, at: Position, radius_m: float) -> Bound:
    """A destination that is a point."""
    return Bound(name, address, at, Geofence(at.lat, at.lon, radius_m), has_fence=False)


def bound_of_stop(scene: Scene, stop: Stop) -> Bound | None:
    """Where a stop is; None where its address is gone."""
    if stop.address_id:
        address = find_address(scene, stop.address_id)
        if address is None:
            return None
        return bound_for(address)._replace(name=stop.name or address.name)
    bound = point_bound(stop.name, stop.place_text, Position(stop.lat, stop.lon), stop.radius_m or ARRIVED_M)
    return bound._replace(is_private=stop.is_private)


def if_shown(scene: Scene, bound: Bound | None) -> Bound | None:
    """The destination, unless it is a private zone or lies in one."""
    return None if bound is None or bound.is_private or scene.private.holds(*bound.at) else bound


def place_of(bound: Bound | None) -> page.Place | UnsetType:
    """A destination or place as pages have it."""
    if bound is None:
        return UNSET
    place = page.Place(name=bound.name, lat=bound.at.lat, lon=bound.at.lon)
    if bound.address:
        place.address = bound.address
    if bound.has_fence and bound.fence.vertices:
        place.fence = page.Fence(vertices=list(bound.fence.vertices))
    elif bound.has_fence:
        place.fence = page.Fence(radius_m=bound.fence.radius_m)
    return place


def link_of(
    scene: Scene,
    type_: Literal["asset", "place", "route"],
    bound: Bound | None,
    shown: Shown,
    hidden: Hidden | None,
) -> page.Link:
    """What the link is, in the terms of its own policy."""
    share = scene.share
    link = page.Link(
        type=type_,
        name=share.name,
        org=scene.org_body().name,
        time_zone=time_zone(scene, bound, shown),
        ends_on_arrival=share.ends_on_arrival,
    )
    if share.description:
        link.description = share.description
    if share.expires_ms:
        link.ends = share.expires_ms
    if hidden is not None:
        link.hidden = hidden
    return link


def hidden_of(shown: Shown) -> Hidden | None:
    """Why a link shows nothing; None where it shows something. Where assets differ in it: `nothing`."""
    reasons = set()
    for _, trace in shown:
        if trace.hidden is None:
            return None
        reasons.add(trace.hidden)
    return reasons.pop() if len(reasons) == 1 else "nothing"


def time_zone(scene: Scene, bound: Bound | None, shown: Shown) -> str:
    """Of the destination, else of the first asset that is shown, else of the org."""
    at = bound.at if bound is not None else None
    if at is None:
        fix = next((trace.fix for _, trace in shown if trace.fix is not None), None)
        at = None if fix is None else position_of(fix)
    found = None if at is None else scene.sources.time_zones.timezone(*at)
    return found or scene.org_body().timezone


def position_of(fix: np.void) -> Position:
    """In degrees."""
    return Position(int(fix["lat_e7"]) / 1e7, int(fix["lon_e7"]) / 1e7)


def fix_of(scene: Scene, fix: np.void) -> page.Fix:
    """A fix as pages have it."""
    lat_e7, lon_e7 = int(fix["lat_e7"]), int(fix["lon_e7"])
    near = scene.sources.geocoder.describe(lat_e7, lon_e7)
    shown = page.Fix(time=int(fix["time_ms"]), lat=lat_e7 / 1e7, lon=lon_e7 / 1e7, near=near)
    if fix["heading_cdeg"] != UNKNOWN_HEADING:
        shown.heading = int(fix["heading_cdeg"]) / 100
    if fix["speed_ckmh"] != UNKNOWN_SPEED:
        shown.speed_kmh = int(fix["speed_ckmh"]) / 100
    return shown


def asset_of(scene: Scene, subject: Subject, trace: Trace) -> page.Asset:
    """One asset: its name always, the rest where its newest fix may be shown."""
    share, body = scene.share, subject.asset
    key = asset_key(scene.sources.server_key, share.share_id, body.number)
    asset = page.Asset(key=key, name=share.shown_name or body.name)
    if body.license_plate and not share.shown_name:
        asset.plate = body.license_plate
    if subject.planned_ms:
        asset.planned = subject.planned_ms
    if trace.fix is None:
        return asset
    asset.fix = fix_of(scene, trace.fix)
    _move(asset, trace.run)
    if subject.bound is not None:
        _approach(scene, subject, subject.bound, trace, asset)
    return asset


def eta_of(scene: Scene, asset: int, fix: np.void, to: Position) -> page.Eta | UnsetType:
    """When it will be there, where the error of such estimates is known."""
    found = scene.sources.estimator.estimate(scene.org, AssetId(asset), position_of(fix), to, int(fix["time_ms"]))
    if found is None:
        return UNSET
    return page.Eta(at=found.at_ms, earliest=found.earliest_ms, latest=found.latest_ms)


def _approach(scene: Scene, subject: Subject, bound: Bound, trace: Trace, asset: page.Asset) -> None:
    fix = trace.fix
    assert fix is not None
    here = position_of(fix)
    asset.distance_m = round(bound.fence.distance_m(*here) if bound.has_fence else distance_m(here, bound.at), 1)
    if trace.origin is not None:
        whole_m = distance_m(trace.origin, bound.at)
        share = 1.0 - distance_m(here, bound.at) / whole_m if whole_m > ARRIVED_M else 0.0
        asset.progress = round(min(max(share, 0.0), 1.0), 4)
    if bound.fence.contains(*here):
        asset.arrived = _first_of_last(trace.run, bound.fence.contain)
    else:
        asset.eta = eta_of(scene, subject.asset.number, fix, bound.at)


def _move(asset: page.Asset, run: Fixes) -> None:
    """Moving or stopped, and since when it stands where that was seen."""
    is_still = _is_still(run)
    if not is_still[-1]:
        asset.motion = "moving"
        return
    asset.motion = "stopped"
    moving = np.flatnonzero(~is_still)
    if len(moving):
        asset.since = int(run["time_ms"][moving[-1] + 1])


def _is_still(run: Fixes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    speeds = run["speed_ckmh"]
    is_still = speeds <= MOVING_KMH * 100
    for row in np.flatnonzero(speeds == UNKNOWN_SPEED).tolist():
        before = run[row - 1] if row else run[row]
        moved_m = distances_m(
            *position_of(before), run["lat_e7"][row : row + 1] / 1e7, run["lon_e7"][row : row + 1] / 1e7
        )
        is_still[row] = moved_m[0] <= _STANDS_WITHIN_M
    return np.asarray(is_still)


def _first_of_last(run: Fixes, contain: Callable[..., np.ndarray[tuple[int], np.dtype[np.bool_]]]) -> int:
    """The time at which the newest stay inside began, as far as it was shown."""
    outside = np.flatnonzero(~contain(run["lat_e7"] / 1e7, run["lon_e7"] / 1e7))
    return int(run["time_ms"][outside[-1] + 1 if len(outside) else 0])
