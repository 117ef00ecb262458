"""Drives in a straight line past stops: what routes are tested with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from odograph.model.catalog import Route, Stop
from odograph.model.fixes import FIX_DTYPE, Fixes
from tests.support.api import NOON_MS

DEGREE_M = 111_195.08
"""One degree of latitude, or of longitude on the equator."""
MINUTE_MS = 60_000


def at_m(metres: float) -> float:
    """The longitude so many metres east of (1, 0); all drives are along the line of latitude 0."""
    return 1.0 + metres / DEGREE_M


def make_fixes(asset: int, track: Iterable[tuple[float, float]]) -> Fixes:
    """Fixes of (minutes after NOON_MS, metres along the line)."""
    rows = [
        (asset, NOON_MS + round(minutes * MINUTE_MS), 0, round(at_m(metres) * 1e7), 9000, 3000, 0)
        for minutes, metres in track
    ]
    return np.array(rows, dtype=FIX_DTYPE)


def make_route(number: int, places_m: Sequence[float], start_min: float = 0.0, **fields: object) -> Route:
    """A route past these places, ten minutes from each to the next; its stops are circles of 100 m."""
    last = len(places_m) - 1
    stops = []
    for place, metres in enumerate(places_m):
        due_ms = NOON_MS + round((start_min + 10 * place) * MINUTE_MS)
        stops.append(
            Stop(
                number=number * 100 + place,
                name=f"stop {place}",
                lat=0.0,
                lon=at_m(metres),
                scheduled_arrival_ms=due_ms if place else 0,
                scheduled_departure_ms=due_ms if place < last else 0,
            )
        )
    route = Route(number=number, name=f"route {number}", stops=tuple(stops), created_ms=NOON_MS, updated_ms=NOON_MS)
    return msgspec.structs.replace(route, **fields)


def minutes(time_ms: int) -> float | None:
    """Minutes after NOON_MS; None for what has not happened."""
    return (time_ms - NOON_MS) / MINUTE_MS if time_ms else None
