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
_SLACK: Final = 1.1  # sides straight on a map bulge: of polygons up to _WIDE_DEG by 4 % of their reach at most
_WIDE_DEG: Final = 5.0

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


class Fences:
    """The geofences of one org. Where several hold a position, the one that reaches least far counts."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        reaches = {address.number: address.fence.reach_m() for address in addresses}
        self._addresses = sorted(addresses, key=lambda address: (reaches[address.number], address.number))
        fences = [address.fence for address in self._addresses]
        self._lat = np.radians([fence.lat for fence in fences])
        self._lon = np.radians([fence.lon for fence in fences])
        self._reach_m = np.array([reaches[address.number] for address in self._addresses])
        self._is_polygon = np.array([bool(fence.vertices) for fence in fences], dtype=bool)
        self._boxes = self._boxed() if fences else np.empty((0, 4))
        self._grids = self._laid_out()

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
        """Whether each position lies inside the fence beside it: circles all at once, polygons one by one."""
        here, there = np.radians(lat), self._lat[place]
        half = np.sin((there - here) / 2) ** 2
        half += np.cos(here) * np.cos(there) * np.sin((self._lon[place] - np.radians(lon)) / 2) ** 2
        metres = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
        is_inside: Flags = metres <= self._reach_m[place]
        boxes = self._boxes[place]
        is_wide = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]) > _WIDE_DEG
        unsure = np.flatnonzero(self._is_polygon[place] & (is_wide | (metres <= self._reach_m[place] * _SLACK)))
        is_inside[self._is_polygon[place]] = False
        for one in np.unique(place[unsure]).tolist():
            rows = unsure[place[unsure] == one]
            is_inside[rows] = self._addresses[one].fence.contain(lat[rows], lon[rows])
        return is_inside

    def _laid_out(self) -> list[_Grid]:
        size = self._boxes[:, 1::2] - self._boxes[:, ::2]
        left = np.arange(len(size))
        grids = []
        for side_deg in _CELLS_DEG:
            cells = np.prod(np.ceil(size[left] / side_deg) + 1, axis=1)
            is_fine = (cells <= _MOST_CELLS) | (side_deg == _CELLS_DEG[-1])
            if is_fine.any():
                grids.append(_Grid(side_deg, self._boxes[left[is_fine]], left[is_fine]))
            left = left[~is_fine]
        return grids

    def _boxed(self) -> Degrees:
        """South, north, west and east of each circle, of a polygon its own."""
        angle = np.minimum(self._reach_m / EARTH_RADIUS_M, math.pi)
        south, north = self._lat - angle, self._lat + angle
        is_at_pole = (south <= -math.pi / 2) | (north >= math.pi / 2)
        ratio = np.sin(np.minimum(angle, math.pi / 2)) / np.maximum(np.cos(self._lat), 1e-12)
        half = np.where(is_at_pole, math.pi, np.arcsin(np.minimum(ratio, 1.0)))
        boxes: Degrees = np.degrees(np.stack((south, north, self._lon - half, self._lon + half), axis=1))
        for place in np.flatnonzero(self._is_polygon).tolist():
            boxes[place] = self._addresses[place].fence.box()
        boxes += (-_SLACK_DEG, _SLACK_DEG, -_SLACK_DEG, _SLACK_DEG)
        boxes[:, :2] = np.clip(boxes[:, :2], -90, 90)
        return boxes


def _counted(counts: Numbers) -> tuple[Numbers, Numbers]:
    """For counts such as 2, 0, 3: whose each one is (0, 0, 2, 2, 2), and which of its own (0, 1, 0, 1, 2)."""
    of = np.repeat(np.arange(len(counts)), counts)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
