"""Which of an org's geofences many positions lie in, without trying each fence on each position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.catalog import Address
from odograph.model.ids import TagId
from odograph.model.place import EARTH_RADIUS_M, Degrees

_CELLS_DEG: Final = (0.05, 0.5, 5.0, 45.0)
"""Sides of the grids' cells. A fence lies in the finest grid in which it meets few cells. All divide 360."""
_MOST_CELLS: Final = 36  # of one fence in a grid; the coarsest takes every fence, with 40 cells at most
_SLACK_DEG: Final = 1e-6  # 0.1 m: boxes are rounded outwards, the fences themselves decide

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class _Grid:
    """Cells of one size and the fences that may reach into each, by their place in the list."""

    def __init__(self, side_deg: float, boxes: Degrees, places: Numbers) -> None:
        """`boxes`: south, north, west, east of each fence; east may lie beyond 180, west beyond -180."""
        self._side_deg = side_deg
        self._columns = round(360 / side_deg)
        rows = np.floor((boxes[:, :2] + 90) / side_deg).astype(np.int64)
        columns = np.floor((boxes[:, 2:] + 180) / side_deg).astype(np.int64)
        columns[:, 1] = np.minimum(columns[:, 1], columns[:, 0] + self._columns - 1)
        heights, widths = rows[:, 1] - rows[:, 0] + 1, columns[:, 1] - columns[:, 0] + 1
        of, step = _counted(heights * widths)
        codes = (rows[of, 0] + step // widths[of]) * self._columns
        codes += (columns[of, 0] + step % widths[of]) % self._columns
        order = np.argsort(codes, kind="stable")
        self._codes, first = np.unique(codes[order], return_index=True)
        self._ends = np.append(first, len(codes))
        self._fences = places[of][order]

    def candidates(self, lat: Degrees, lon: Degrees) -> tuple[Numbers, Numbers]:
        """Pairs of a position (its index) and the place of a fence that may hold it."""
        codes = np.floor((lat + 90) / self._side_deg).astype(np.int64) * self._columns
        codes += np.floor((lon + 180) / self._side_deg).astype(np.int64) % self._columns
        cell = np.searchsorted(self._codes, codes)
        cell[cell == len(self._codes)] = 0
        starts, counts = self._ends[cell], self._ends[cell + 1] - self._ends[cell]
        of, step = _counted(np.where(self._codes[cell] == codes, counts, 0))
        return of, self._fences[starts[of] + step]


class _Rings:
    """The sides of all polygons one after another, to hold many positions against many polygons at once."""

    def __init__(self, rings: Sequence[tuple[list[float], list[float]]]) -> None:
        """`rings`: latitudes and longitudes of each one's vertices, without a jump at the antimeridian."""
        self._counts = np.array([len(lats) for lats, _ in rings], dtype=np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self.lat = np.array([lat for lats, _ in rings for lat in lats], dtype=np.float64)
        self.lon = np.array([lon for _, lons in rings for lon in lons], dtype=np.float64)
        before = np.arange(len(self.lat)) - 1
        before[self._starts] += self._counts
        self._lat_before, self._lon_before = self.lat[before], self.lon[before]
        self.boxes = np.stack(
            [one.reduceat(side, self._starts) for side in (self.lat, self.lon) for one in (np.minimum, np.maximum)],
            axis=1,
        )
        """South, north, west and east of each."""

    def reach_m(self, lat: Degrees, lon: Degrees) -> Degrees:
        """Metres from each one's centre, in radians, to its furthest vertex."""
        of = np.repeat(np.arange(len(self._counts)), self._counts)
        metres = _metres(lat[of], lon[of], np.radians(self.lat), np.radians(self.lon))
        return np.maximum.reduceat(metres, self._starts)

    def hold(self, lat: Degrees, lon: Degrees, ring: Numbers) -> Flags:
        """Whether each position lies in the ring beside it, as `Geofence.contain` says it."""
        middle = (self.boxes[ring, 2] + self.boxes[ring, 3]) / 2
        x = middle + (lon - middle + 180.0) % 360.0 - 180.0
        of, step = _counted(self._counts[ring])
        side = self._starts[ring][of] + step
        lat_a, lat_b, y = self._lat_before[side], self.lat[side], lat[of]
        lon_a, lon_b = self._lon_before[side], self.lon[side]
        is_left = (x[of] - lon_a) * np.abs(lat_b - lat_a) < (lon_b - lon_a) * np.abs(y - lat_a)
        crosses = ((lat_a > y) != (lat_b > y)) & is_left
        is_odd: Flags = np.bincount(of, weights=crosses, minlength=len(ring)) % 2 == 1
        return is_odd


class Fences:
    """The geofences of one org. Where several hold a position, the one that reaches least far counts."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        fences = [address.fence for address in addresses]
        lat = np.radians(np.array([fence.lat for fence in fences], dtype=np.float64))
        lon = np.radians(np.array([fence.lon for fence in fences], dtype=np.float64))
        reach_m = np.array([fence.radius_m for fence in fences], dtype=np.float64)
        polygons = np.flatnonzero([bool(fence.vertices) for fence in fences])
        self._rings = _Rings([fence.ring() for fence in fences if fence.vertices]) if len(polygons) else None
        if self._rings is not None:
            reach_m[polygons] = self._rings.reach_m(lat[polygons], lon[polygons])
        order = np.lexsort((np.array([address.number for address in addresses]), reach_m))
        self._addresses: list[Address] = [addresses[place] for place in order.tolist()]
        self._lat, self._lon, self._reach_m = lat[order], lon[order], reach_m[order]
        ring_of = np.full(len(fences), -1)
        ring_of[polygons] = np.arange(len(polygons))
        self._ring_of = ring_of[order]
        """The ring of each place, -1 for a circle."""
        self._grids = _laid_out(self._boxed())

    def __len__(self) -> int:
        return len(self._addresses)

    def __getitem__(self, place: int) -> Address:
        """The address at a place that `locate` gave."""
        return self._addresses[place]

    def locate(self, lat: Degrees, lon: Degrees, limit: frozenset[TagId] | None = None) -> Numbers:
        """For each position the place in this list of the address that holds it, -1 for none.

        With a `limit`, only addresses that carry one of these tags count.
        """
        found = np.full(len(lat), len(self._addresses), dtype=np.int64)
        is_seen = self._seen(limit)
        for grid in self._grids:
            of, place = grid.candidates(lat, lon)
            if is_seen is not None:
                of, place = of[is_seen[place]], place[is_seen[place]]
            is_inside = self._hold(lat[of], lon[of], place)
            np.minimum.at(found, of[is_inside], place[is_inside])
        found[found == len(self._addresses)] = -1
        return found

    def _seen(self, limit: frozenset[TagId] | None) -> Flags | None:
        if limit is None:
            return None
        return np.array([not limit.isdisjoint(map(TagId, one.tag_ids)) for one in self._addresses], dtype=bool)

    def _hold(self, lat: Degrees, lon: Degrees, place: Numbers) -> Flags:
        """Whether each position lies inside the fence beside it."""
        here = np.radians(lat), np.radians(lon)
        is_inside = _metres(self._lat[place], self._lon[place], *here) <= self._reach_m[place]
        rows = np.flatnonzero(self._ring_of[place] >= 0)
        if self._rings is not None and len(rows):
            is_inside[rows] = self._rings.hold(lat[rows], lon[rows], self._ring_of[place[rows]])
        return is_inside

    def _boxed(self) -> Degrees:
        """South, north, west and east of each fence, rounded outwards."""
        angle = np.minimum(self._reach_m / EARTH_RADIUS_M, math.pi)
        south, north = self._lat - angle, self._lat + angle
        is_at_pole = (south <= -math.pi / 2) | (north >= math.pi / 2)
        ratio = np.sin(np.minimum(angle, math.pi / 2)) / np.maximum(np.cos(self._lat), 1e-12)
        half = np.where(is_at_pole, math.pi, np.arcsin(np.minimum(ratio, 1.0)))
        boxes: Degrees = np.degrees(np.stack((south, north, self._lon - half, self._lon + half), axis=1))
        if self._rings is not None:
            is_polygon = self._ring_of >= 0
            boxes[is_polygon] = self._rings.boxes[self._ring_of[is_polygon]]
        boxes += (-_SLACK_DEG, _SLACK_DEG, -_SLACK_DEG, _SLACK_DEG)
        boxes[:, :2] = np.clip(boxes[:, :2], -90, 90)
        return boxes


def _laid_out(boxes: Degrees) -> list[_Grid]:
    size = boxes[:, 1::2] - boxes[:, ::2]
    left = np.arange(len(size))
    grids = []
    for side_deg in _CELLS_DEG:
        cells = np.prod(np.ceil(size[left] / side_deg) + 1, axis=1)
        is_fine = (cells <= _MOST_CELLS) | (side_deg == _CELLS_DEG[-1])
        if is_fine.any():
            grids.append(_Grid(side_deg, boxes[left[is_fine]], left[is_fine]))
        left = left[~is_fine]
    return grids


def _metres(lat_a: Degrees, lon_a: Degrees, lat_b: Degrees, lon_b: Degrees) -> Degrees:
    """Along the great circle between the positions of each pair, in radians."""
    half = np.sin((lat_b - lat_a) / 2) ** 2
    half += np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    metres: Degrees = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return metres


def _counted(counts: Numbers) -> tuple[Numbers, Numbers]:
    """For counts such as 2, 0, 3: whose each one is (0, 0, 2, 2, 2), and which of its own (0, 1, 0, 1, 2)."""
    of = np.repeat(np.arange(len(counts)), counts)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
