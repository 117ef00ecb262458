"""How far a run of a route came, found from fixes alone: a pure function of the route, its places and the fixes.

A vehicle arrives at the next stop with its first fix inside the stop's geofence. It departs with the first fix that
is more than FLAP_M outside, or with the first of two in a row that are outside at all. A stop further on is taken
for reached, and those between for skipped, only when the vehicle stays in its geofence for DWELL_MS or reaches one
further still: driving past the last stop on the way out ends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Route, Stop
from odograph.model.fixes import Fixes
from odograph.model.ids import AddressId, OrgId
from odograph.model.place import EARTH_RADIUS_M, Geofence, Position, distance_m
from odograph.model.schedule import scheduled_end_ms, scheduled_start_ms

DEFAULT_RADIUS_M: Final = 100.0
FLAP_M: Final = 50.0  # nearer than this, one fix outside may be the receiver's error
DWELL_MS: Final = 60_000
EARLY_MS: Final = (15 * 60_000, 60 * 60_000)  # a run counts from so long before its scheduled start
OVERDUE_MS: Final = 12 * 3_600_000  # and is over so long after its scheduled end, whatever happened

Fences = Sequence[Geofence | None]
"""One for each stop of a route; None for a stop whose place is gone, which is never reached."""


class Window(NamedTuple):
    """When fixes count for a run: begins <= time < limit, in epoch milliseconds."""

    begins_ms: int
    limit_ms: int


def windows(routes: Sequence[Entity[Route]]) -> list[tuple[Entity[Route], Window]]:
    """The runs of one vehicle in the order of their schedules, each with the time that is its own.

    A run counts from half of its length before its scheduled start, within EARLY_MS: what looks like a round of
    20 minutes begun an hour early is another round. Nor does it count before the middle of the pause after the
    run before it (the middle between both starts where they overlap): so the departure of a shuttle is that of
    the run whose time it is, and of one run alone.
    """
    ordered = sorted(routes, key=lambda one: (scheduled_start_ms(one.body), one.body.number))
    found = []
    for at, one in enumerate(ordered):
        start_ms, end_ms = scheduled_start_ms(one.body), scheduled_end_ms(one.body)
        begins_ms = start_ms - min(max((end_ms - start_ms) // 2, EARLY_MS[0]), EARLY_MS[1])
        if at:
            before = ordered[at - 1].body
            before_ms = scheduled_end_ms(before)
            if before_ms > start_ms:
                before_ms = scheduled_start_ms(before)
            begins_ms = max(begins_ms, (before_ms + start_ms) // 2)
        found.append((one, Window(begins_ms, max(start_ms, end_ms) + OVERDUE_MS)))
    return found


def fences_of(directory: Directory, org: OrgId, route: Route) -> Fences:
    """Where each of its stops is now."""
    return [fence_of(directory, org, stop) for stop in route.stops]


def fence_of(directory: Directory, org: OrgId, stop: Stop) -> Geofence | None:
    """The geofence of the stop's address, else the circle around its own place; None where both are gone."""
    if stop.address_id:
        address = directory.addresses.find_by_number(org, AddressId(stop.address_id))
        if address is not None:
            return address.body.fence
    if not (stop.lat or stop.lon):
        return None
    return Geofence(stop.lat, stop.lon, stop.radius_m or DEFAULT_RADIUS_M)


def cleared(route: Route) -> Route:
    """The plan alone: nothing of it has happened."""
    stops = tuple(
        msgspec.structs.replace(stop, en_route_ms=0, arrived_ms=0, departed_ms=0, skipped_ms=0)
        for stop in route.stops
    )
    return msgspec.structs.replace(route, stops=stops, started_ms=0, ended_ms=0)


def advance(route: Route, fences: Fences, fixes: Fixes, window: Window, now_ms: int) -> Route:
    """The route as its vehicle's `fixes` (in any order) show it at `now_ms`, whatever was known of it before."""
    run = Run(route, fences)
    fixes = fixes[np.argsort(fixes["time_ms"], kind="stable")]
    run.feed(fixes[(fixes["time_ms"] >= window.begins_ms) & (fixes["time_ms"] < window.limit_ms)])
    run.close(window.limit_ms, now_ms)
    return run.route()


@dataclass(slots=True)
class _Progress:
    """What happened at a stop, in epoch ms; 0 for not yet."""

    en_route_ms: int = 0
    arrived_ms: int = 0
    departed_ms: int = 0
    skipped_ms: int = 0


@dataclass(slots=True)
class _Ahead:
    """A stop beyond the next one, in whose geofence the vehicle was: reached, or only passed."""

    stop: int
    since_ms: int
    left_ms: int = 0  # its first fix outside afterwards


@dataclass(slots=True)
class Run:
    """A run that is followed: fixes go in by time, what they show of the route comes out.

    Fed in pieces it comes to the same as fed at once; nothing that was measured earlier may be fed later.
    """

    plan: Route
    fences: Fences
    started_ms: int = 0
    ended_ms: int = 0
    last_ms: int = -1
    """Time of the newest fix that was fed."""
    changes: int = 0
    """Grows whenever `route` would say something new."""
    _stops: list[_Progress] = field(init=False)
    _reached: int = -1
    _is_there: bool = False
    _outside_ms: int = 0
    _ahead: _Ahead | None = None

    def __post_init__(self) -> None:
        self._stops = [_Progress() for _ in self.plan.stops]

    def feed(self, fixes: Fixes) -> None:
        """Take in fixes, ascending in time and all later than those before. Doubtful ones show nothing."""
        if not len(fixes):
            return
        self.last_ms = int(fixes["time_ms"][-1])
        fixes = fixes[fixes["marks"] == 0]
        if self.ended_ms or not len(fixes):
            return
        lat, lon = fixes["lat_e7"] / 1e7, fixes["lon_e7"] / 1e7
        is_inside = _inside(self.fences, lat, lon)
        is_anywhere: list[bool] = is_inside.any(axis=1).tolist()  # type: ignore[assignment]  # one a row
        for row, (time_ms, is_near) in enumerate(zip(fixes["time_ms"].tolist(), is_anywhere, strict=True)):
            if is_near or self._is_there or self._ahead is not None:
                hits = np.flatnonzero(is_inside[row]).tolist()
                self._step(time_ms, Position(float(lat[row]), float(lon[row])), hits)
                if self.ended_ms:
                    return

    def close(self, closes_ms: int, now_ms: int) -> None:
        """End it where it may last no longer than `closes_ms`: what it didn't reach then is skipped."""
        if self.ended_ms or closes_ms > now_ms:
            return
        self.ended_ms = closes_ms
        self.changes += 1
        if self.started_ms:
            for stop in self._stops[self._reached + 1 :]:
                stop.skipped_ms = closes_ms

    def route(self) -> Route:
        """The route with the times found so far."""
        stops = tuple(
            msgspec.structs.replace(
                stop,
                en_route_ms=done.en_route_ms,
                arrived_ms=done.arrived_ms,
                departed_ms=done.departed_ms,
                skipped_ms=done.skipped_ms,
            )
            for stop, done in zip(self.plan.stops, self._stops, strict=True)
        )
        return msgspec.structs.replace(self.plan, stops=stops, started_ms=self.started_ms, ended_ms=self.ended_ms)

    def _step(self, time_ms: int, here: Position, hits: list[int]) -> None:
        if self._is_there:
            self._look_around(time_ms, here, hits)
        elif self._has_turned_back(time_ms, hits):
            self._return()
            return
        later = next((stop for stop in hits if stop > self._reached), None)
        if self._reached < 0 and later and time_ms < scheduled_start_ms(self.plan):
            return  # the end of another round
        if later is None:
            self._pass_by(time_ms)
        elif self._is_there:
            self._maybe_move_on(time_ms, here, later)
        elif later == self._reached + 1:
            self._arrive(later, time_ms)
        elif self._reached not in hits or time_ms >= self.plan.stops[later].scheduled_arrival_ms:
            self._look_ahead(later, time_ms)

    def _look_around(self, time_ms: int, here: Position, hits: list[int]) -> None:
        """Whether it is still at its stop."""
        if self._reached in hits:
            self._outside_ms = 0
        elif self._outside_ms:
            self._depart(self._outside_ms)
        elif self._distance_m(here) > FLAP_M:
            self._depart(time_ms)
        else:
            self._outside_ms = time_ms

    def _has_turned_back(self, time_ms: int, hits: list[int]) -> bool:
        """At the first stop again before the run should have begun: it only moved about there."""
        return self._reached == 0 and 0 in hits and time_ms < scheduled_start_ms(self.plan)

    def _return(self) -> None:
        self.changes += 1
        self._is_there, self._outside_ms, self._ahead = True, 0, None
        self._stops[0].departed_ms = 0
        self._stops[1].en_route_ms = 0
        if self.plan.starting != "arriveFirstStop":
            self.started_ms = 0

    def _maybe_move_on(self, time_ms: int, here: Position, later: int) -> None:
        """Where geofences overlap it is at the stop whose middle is nearer."""
        fence, other = self.fences[self._reached], self.fences[later]
        if later != self._reached + 1 or fence is None or other is None:
            return
        if distance_m(other.center, here) < distance_m(fence.center, here):
            self._depart(time_ms)
            if not self.ended_ms:
                self._arrive(later, time_ms)

    def _look_ahead(self, stop: int, time_ms: int) -> None:
        ahead = self._ahead
        if ahead is not None and stop > ahead.stop:
            self._take_as_reached(ahead)
            self._depart(ahead.left_ms or time_ms)
            if stop == ahead.stop + 1:
                self._arrive(stop, time_ms)
                return
            ahead = None
        if ahead is None or stop != ahead.stop or ahead.left_ms:
            self._ahead = _Ahead(stop, time_ms)
        elif time_ms - ahead.since_ms >= DWELL_MS:
            self._take_as_reached(ahead)

    def _take_as_reached(self, ahead: _Ahead) -> None:
        self._arrive(ahead.stop, ahead.since_ms)

    def _pass_by(self, time_ms: int) -> None:
        if self._ahead is not None and not self._ahead.left_ms:
            self._ahead.left_ms = time_ms

    def _arrive(self, stop: int, time_ms: int) -> None:
        self.changes += 1
        for between in self._stops[self._reached + 1 : stop]:
            between.skipped_ms = time_ms
        if not self.started_ms and (stop > 0 or self.plan.starting == "arriveFirstStop"):
            self.started_ms = time_ms
        self._stops[stop].arrived_ms = time_ms
        self._reached, self._is_there, self._outside_ms, self._ahead = stop, True, 0, None
        if stop == len(self._stops) - 1 and self.plan.completion != "departLastStop":
            self.ended_ms = time_ms

    def _depart(self, time_ms: int) -> None:
        self.changes += 1
        self._stops[self._reached].departed_ms = time_ms
        self._is_there, self._outside_ms = False, 0
        self.started_ms = self.started_ms or time_ms
        if self._reached == len(self._stops) - 1:
            self.ended_ms = time_ms
        else:
            self._stops[self._reached + 1].en_route_ms = time_ms

    def _distance_m(self, here: Position) -> float:
        fence = self.fences[self._reached]
        return float("inf") if fence is None else fence.distance_m(here.lat, here.lon)


def _inside(fences: Fences, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of these positions (rows) are inside which of these geofences (columns)."""
    known = [Geofence(0, 0) if fence is None else fence for fence in fences]
    reach_m = np.array([-1.0 if fence is None else fence.reach_m() for fence in fences])
    there_lat = np.radians([fence.lat for fence in known])
    there_lon = np.radians([fence.lon for fence in known])
    here_lat, here_lon = np.radians(lat)[:, None], np.radians(lon)[:, None]
    half = np.sin((there_lat - here_lat) / 2) ** 2
    half += np.cos(here_lat) * np.cos(there_lat) * np.sin((there_lon - here_lon) / 2) ** 2
    is_inside: npt.NDArray[np.bool_] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0))) <= reach_m
    for column, fence in enumerate(fences):
        if fence is not None and fence.vertices and is_inside[:, column].any():
            rows = np.flatnonzero(is_inside[:, column])
            is_inside[rows, column] = fence.contain(lat[rows], lon[rows])
    return is_inside
