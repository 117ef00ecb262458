"""Keeps how drives to a place went: what arrival times are estimated from."""

from __future__ import annotations

from typing import Final

import numpy as np

from odograph.catalog.changes import Catalog, Plan, delete, put
from odograph.live.view import Live
from odograph.model.catalog import Arrival
from odograph.model.fixes import Fixes
from odograph.model.ids import AssetId, OrgId
from odograph.model.place import Position, distances_m

MAX_ARRIVALS: Final = 500  # of an org; the oldest goes first
BEFORE_MS: Final = 3 * 3_600_000
MAX_FIXES: Final = 20_000  # three hours at a fix a second, and more
MAX_GAP_MS: Final = 300_000  # between two fixes further apart nobody knows when the line was crossed
STEPS_M: Final = (50_000, 30_000, 20_000, 15_000, 10_000, 7_000, 5_000, 3_000, 2_000, 1_000, 500)
"""Distances in a straight line for which it is kept how long the rest of the way took."""


class Arrivals:
    """Notes drives that ended at a place, for estimates of those to come."""

    def __init__(self, live: Live, catalog: Catalog) -> None:
        self._live = live
        self._catalog = catalog

    async def note(self, org: OrgId, asset: AssetId, place: Position, arrived_ms: int) -> None:
        """Something came to `place` at `arrived_ms`: keep how it got there. Nothing where its fixes don't say."""
        assets = np.array([asset], dtype=np.uint32)
        begin_ms, end_ms = arrived_ms - BEFORE_MS, arrived_ms + 1
        (fixes,) = await self._live.seam.read_range(org, assets, [begin_ms], end_ms, MAX_FIXES)
        samples = samples_of(fixes, place, arrived_ms)
        if not samples:
            return
        body = Arrival(asset_id=asset, lat=place.lat, lon=place.lon, arrived_ms=arrived_ms, samples=samples)

        def plan() -> Plan[None]:
            arrivals = self._live.directory.arrivals
            surplus = max(arrivals.count(org) + 1 - MAX_ARRIVALS, 0)
            oldest = arrivals.list_(org, limit=surplus) if surplus else []
            return Plan([put(None, org, body), *map(delete, oldest)], lambda _: None)

        await self._catalog.change(plan)


def samples_of(fixes: Fixes, place: Position, arrived_ms: int) -> tuple[tuple[int, int], ...]:
    """For each distance of STEPS_M that it came from beyond: how many seconds before its arrival it last did so.

    `fixes` are those of the vehicle, by time. Descending in distance.
    """
    fixes = fixes[(fixes["marks"] == 0) & (fixes["time_ms"] <= arrived_ms)]
    away_m = distances_m(place.lat, place.lon, fixes["lat_e7"] / 1e7, fixes["lon_e7"] / 1e7)
    found = []
    for step_m in STEPS_M:
        beyond = np.flatnonzero(away_m > step_m)
        if not len(beyond) or beyond[-1] + 1 == len(fixes):
            continue
        last = int(beyond[-1])
        share = (away_m[last] - step_m) / (away_m[last] - away_m[last + 1])
        before_ms, after_ms = int(fixes["time_ms"][last]), int(fixes["time_ms"][last + 1])
        crossed_ms = before_ms + share * (after_ms - before_ms)
        if after_ms - before_ms <= MAX_GAP_MS:
            found.append((step_m, round((arrived_ms - crossed_ms) / 1000)))
    return tuple(found)
