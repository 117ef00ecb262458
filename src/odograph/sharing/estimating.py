"""Arrival times from the org's own drives, with the error that such estimates had.

What is learned is one number, seconds per metre in a straight line, for each distance of the samples: from drives
to the same place where there are enough, else to places within NEAR_M, else from all of the org. The estimate is
the median. The band comes from leaving one drive out, predicting it from the others, and seeing how wrong that was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from odograph.live.arrivals import Arrivals
from odograph.live.entity import Entity
from odograph.model.catalog import Arrival
from odograph.model.ids import AssetId, OrgId
from odograph.model.place import Position, distance_m, distances_m
from odograph.sharing.arrival import Estimate

MIN_DRIVES: Final = 8
"""With fewer the band would say nothing."""
HERE_M: Final = 300.0
NEAR_M: Final = 25_000.0
SHARE: Final = 0.8  # of estimates that should come within their band
LEARN_AGAIN_AFTER: Final = 10  # changes: one drive more or less moves a median by little
MOST_PLACES: Final = 2000  # kept in memory; a rating is some hundred bytes
FURTHEST: Final = 1.3  # times the longest distance that is known: nothing is said of longer ways

Numbers = npt.NDArray[np.float64]


class Rate(NamedTuple):
    """Seconds per metre: the middle, and the band that eight in ten drives came within."""

    middle: float
    low: float
    high: float


class Drives(NamedTuple):
    """The drives of an org in columns: where each ended, and by distance the rates and whose they are."""

    version: int
    lats: Numbers
    lons: Numbers
    by_step: dict[int, tuple[Numbers, npt.NDArray[np.int64]]]


class Learned:
    """An estimator that reads what `live.arrivals` holds. Answers from memory; learns a place when first asked."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._drives: dict[OrgId, Drives] = {}
        self._known: dict[tuple[OrgId, float, float], tuple[int, dict[int, Rate]]] = {}

    def estimate(
        self, org: OrgId, asset: AssetId, here: Position, destination: Position, time_ms: int
    ) -> Estimate | None:
        """When what was `here` at `time_ms` will be there; None where fewer than MIN_DRIVES tell."""
        del asset
        rates = self._rates(org, destination)
        if not rates:
            return None
        away_m = distance_m(here, destination)
        steps = sorted(rates)
        if not steps[0] / FURTHEST <= away_m <= steps[-1] * FURTHEST:
            return None
        nearest = min(steps, key=lambda step: abs(math.log(step / away_m)))
        rate = rates[nearest]
        at_ms, earliest_ms, latest_ms = (time_ms + round(away_m * one * 1000) for one in rate)
        return Estimate(at_ms, earliest_ms, latest_ms)

    def _rates(self, org: OrgId, destination: Position) -> dict[int, Rate]:
        """By distance in metres. A place is learned again when the org's drives were."""
        drives = self._drives_of(org)
        if drives is None:
            return {}
        key = (org, round(destination.lat, 3), round(destination.lon, 3))
        known = self._known.get(key)
        if known is None or known[0] != drives.version:
            if len(self._known) >= MOST_PLACES:
                self._known.clear()
            known = self._known[key] = (drives.version, learn(drives, destination))
        return known[1]

    def _drives_of(self, org: OrgId) -> Drives | None:
        """None where there are too few; else not older than some changes."""
        version = self._arrivals.version(org)
        if not version or self._arrivals.count(org) < MIN_DRIVES:
            return None
        known = self._drives.get(org)
        if known is None or version - known.version >= min(LEARN_AGAIN_AFTER, len(known.lats) // 10 + 1):
            known = self._drives[org] = columns(self._arrivals.list_(org), version)
        return known


def columns(drives: Sequence[Entity[Arrival]], version: int) -> Drives:
    """The same drives, ready for `learn`."""
    by_step: dict[int, tuple[list[float], list[int]]] = {}
    for at, one in enumerate(drives):
        for step_m, seconds in one.body.samples:
            rates, whose = by_step.setdefault(step_m, ([], []))
            rates.append(max(seconds, 1) / step_m)
            whose.append(at)
    return Drives(
        version,
        np.array([one.body.lat for one in drives]),
        np.array([one.body.lon for one in drives]),
        {step_m: (np.array(rates), np.array(whose)) for step_m, (rates, whose) in by_step.items()},
    )


def learn(drives: Drives, destination: Position) -> dict[int, Rate]:
    """The rates at which a place is reached, by distance in metres; only those that MIN_DRIVES tell."""
    away_m = distances_m(destination.lat, destination.lon, drives.lats, drives.lons)
    found = {}
    for step_m, (rates, whose) in drives.by_step.items():
        rate = _rate(rates, away_m[whose])
        if rate is not None:
            found[step_m] = rate
    return found


def _rate(rates: Numbers, distances_m: Numbers) -> Rate | None:
    for within_m in (HERE_M, NEAR_M, math.inf):
        some = rates[distances_m <= within_m]
        if len(some) >= MIN_DRIVES:
            return _with_band(np.sort(some))
    return None


def _with_band(rates: Numbers) -> Rate:
    """`rates` ascending. The ranks are those of a band that holds SHARE of what comes next, not of what was."""
    count = len(rates)
    errors = np.sort(rates / _medians_without_each(rates))
    rank = math.ceil((count + 1) * (1 + SHARE) / 2)
    low, high = errors[max(count - rank, 0)], errors[min(rank, count) - 1]
    middle = float(np.median(rates))
    return Rate(middle, middle * min(float(low), 1.0), middle * max(float(high), 1.0))


def _medians_without_each(rates: Numbers) -> Numbers:
    """For each of these ascending numbers the median of the others."""
    count = len(rates)
    low, high = (count - 2) // 2, (count - 1) // 2  # of the others
    at = np.arange(count)
    medians: Numbers = (rates[low + (at <= low)] + rates[high + (at <= high)]) / 2
    return medians
