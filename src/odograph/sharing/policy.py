"""What a link may show of one asset: pure functions of the rules, the fixes and the moment.

Each fix is judged as of now and as of its own time. Whatever is in doubt is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from odograph.model.catalog import LiveShare
from odograph.model.fixes import Fixes
from odograph.model.place import Degrees, Geofence, distances_m

MINUTE_MS: Final = 60_000
ARRIVED_M: Final = 150.0  # of a destination that has no geofence
_NEVER: Final = 1 << 62

Hidden = Literal["nothing", "notYetNear", "private"]
Status = Literal["open", "later", "expired", "arrived"]
Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]
Expect = Callable[[float, float, int], int | None]
"""When what is at a latitude and longitude at a time (ms) is expected where it is bound (ms), if that is known."""


def status(share: LiveShare, now_ms: int) -> Status:
    """Whether a link that exists opens now."""
    if 0 < share.expires_ms <= now_ms:
        return "arrived" if share.has_arrived else "expired"
    return "later" if share.starts_ms > now_ms else "open"


class Zones:
    """Geofences in whose insides nothing is shown; thousands of them cost little.

    `past` are those that have ended, each with its end: they hide what was measured before.
    """

    def __init__(self, fences: Sequence[Geofence], past: Sequence[tuple[Geofence, int]] = ()) -> None:
        self._ends_ms = [*[_NEVER] * len(fences), *(ended_ms for _, ended_ms in past)]
        self._fences = fences = [*fences, *(fence for fence, _ in past)]
        boxes = np.array([fence.bounds() for fence in fences], dtype=np.float64).reshape(-1, 4)
        self._south, self._north, self._middle, self._half = boxes.T[:, :, None]

    def contain(self, lat: Degrees, lon: Degrees, times: Times) -> Mask:
        """Which of these positions lay in any of them at their times."""
        is_inside = np.zeros(len(lat), dtype=bool)
        if not self._fences or not len(lat):
            return is_inside
        for zone, rows in self.near(lat, lon):
            is_there = self._fences[zone].contain(lat[rows], lon[rows])
            is_inside[rows] |= is_there & (times[rows] < self._ends_ms[zone])
        return is_inside

    def near(self, lat: Degrees, lon: Degrees) -> list[tuple[int, npt.NDArray[np.intp]]]:
        """For each fence in whose box any of the positions lie: its place in the list, and which they are."""
        apart = np.abs((lon[None, :] - self._middle + 180.0) % 360.0 - 180.0)
        slack = 1e-9  # the box of a circle is rounded: its edge is inside
        in_box = (lat >= self._south - slack) & (lat <= self._north + slack) & (apart <= self._half + slack)
        return [(int(zone), np.flatnonzero(in_box[zone])) for zone in np.flatnonzero(in_box.any(axis=1))]

    def holds(self, lat: float, lon: float, time_ms: int = _NEVER - 1) -> bool:
        """Whether one position lies in any of them; with a time, whether it did then."""
        return bool(self.contain(np.array([lat]), np.array([lon]), np.array([time_ms]))[0])


NO_ZONES: Final = Zones(())


@dataclass(frozen=True, slots=True)
class Rules:
    """What one link may show of one asset, as of one state of the catalogue. Times in epoch ms."""

    floor_ms: int
    """Nothing measured before: when the link was last widened, or came to hold this asset."""
    until_ms: int = 0
    """Nothing measured after; 0: no end."""
    since_ms: int = 0
    """When the link began, or began anew: where its longest trail begins, and what progress is measured from."""
    private: Zones = NO_ZONES
    within: Geofence | None = None
    """Only what is inside."""
    bound: Geofence | None = None
    """What the disclosure limits are measured to."""
    disclose_m: int = 0
    disclose_min: int = 0
    planned_ms: int = 0
    expect: Expect | None = field(default=None, compare=False)
    trail_min: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts parallel to some fixes. What is neither shown nor hidden is passed over, as if never measured."""

    is_shown: Mask
    is_hidden: Mask
    is_private: Mask
    is_far: Mask
    """Hidden by a disclosure limit."""
    is_outside: Mask
    """Hidden for no other reason than being outside of the place."""

    def reason(self, row: int) -> Hidden:
        """Why a row is hidden. A limit comes before a zone: who may not know where it is may not know that."""
        if self.is_far[row]:
            return "notYetNear"
        return "private" if self.is_private[row] else "nothing"


def judge(rules: Rules, fixes: Fixes, now_ms: int) -> Judged:
    """Each fix by itself.

    A doubtful one (`marks`) is passed over: it says nothing, unless it lies in a private zone, where it hides.
    """
    lat, lon, times = fixes["lat_e7"] / 1e7, fixes["lon_e7"] / 1e7, fixes["time_ms"]
    is_private = rules.private.contain(lat, lon, times)
    is_early = (times < rules.floor_ms) | ((times > rules.until_ms) if rules.until_ms else False)
    is_far = ~_is_disclosed(rules, lat, lon, times, now_ms)
    is_hidden = is_private | is_early | is_far
    is_outside = np.zeros(len(fixes), dtype=bool)
    if rules.within is not None:
        is_outside = ~rules.within.contain(lat, lon) & ~is_hidden
    is_hidden |= is_outside
    is_doubtful = fixes["marks"] != 0
    return Judged(
        is_shown=~is_hidden & ~is_doubtful,
        is_hidden=(is_hidden & ~is_doubtful) | (is_private & is_doubtful),
        is_private=is_private & ~is_early,
        is_far=is_far & ~is_early,
        is_outside=is_outside,
    )


def trail_from_ms(rules: Rules, now_ms: int) -> int | None:
    """The time from which points older than the newest are shown; None: none of them."""
    if not rules.trail_min:
        return None
    longest_ms = 0 if rules.trail_min < 0 else now_ms - rules.trail_min * MINUTE_MS
    return max(rules.floor_ms, rules.since_ms, longest_ms)


def _is_disclosed(rules: Rules, lat: Degrees, lon: Degrees, times: Times, now_ms: int) -> Mask:
    """By nearness in metres, or in minutes; a limit that can't be measured discloses nothing."""
    if not (rules.disclose_m or rules.disclose_min):
        return np.ones(len(lat), dtype=bool)
    is_near = np.zeros(len(lat), dtype=bool)
    if rules.disclose_m and rules.bound is not None:
        is_near |= _distances_m(rules.bound, lat, lon) <= rules.disclose_m
    if rules.disclose_min:
        ahead_ms = rules.disclose_min * MINUTE_MS
        if rules.planned_ms:
            begins_ms = rules.planned_ms - ahead_ms
            is_near |= (times >= begins_ms) & (now_ms >= begins_ms)
        elif rules.expect is not None:
            is_near |= _is_expected(rules.expect, ahead_ms, lat, lon, times)
    return is_near


def _is_expected(expect: Expect, ahead_ms: int, lat: Degrees, lon: Degrees, times: Times) -> Mask:
    rows = zip(lat.tolist(), lon.tolist(), times.tolist(), strict=True)
    expected = [(expect(*row), row[2]) for row in rows]
    return np.array([at is not None and at - time <= ahead_ms for at, time in expected], dtype=bool)


def _distances_m(bound: Geofence, lat: Degrees, lon: Degrees) -> Degrees:
    if bound.vertices:
        rows = zip(lat.tolist(), lon.tolist(), strict=True)
        return np.array([bound.distance_m(*row) for row in rows], dtype=np.float64)
    return np.maximum(distances_m(bound.lat, bound.lon, lat, lon) - bound.radius_m, 0.0)
