"""Names the nearest place from GeoNames data in memory: no network, no key, no request."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from odograph.geocoding.base import E7, Geocoder
from odograph.geocoding.places import COLUMNS, ROWS, ROWS_PER_DEGREE, Places, load_places, unit_vectors

EARTH_RADIUS_KM: Final = 6371.0088
MAX_DISTANCE_KM: Final = 200.0  # beyond it a name would mislead: the middle of the Atlantic is not in the Azores
AT_PLACE_KM: Final = 1.5  # GeoNames marks a town's centre; nearer than this is in it, and 2 is the first km shown
CELL_E7: Final = 100_000  # 0.01 degree, at most 1.1 km: a cell has one answer, which therefore shows whole km
CELLS_KEPT: Final = 32_768  # in each of two generations: 15 MB when full; a large city has 1,000 cells

SQUARE_CELLS: Final = 20  # on a side: cells of one square, when many are asked for, are looked up together
FEW_CELLS: Final = 3  # of a square; fewer are looked up faster one by one

_CELL_COLUMNS: Final = 36_001  # 180 east is a cell of its own
_WEST: Final = 18_000  # columns of cells west of Greenwich
_CELL_DEG: Final = CELL_E7 / 1e7
_SQUARE_DEG: Final = SQUARE_CELLS * _CELL_DEG
_TIE: Final = (
    1e-13  # of a cosine, less than a centimetre; where maps have whole minutes, places are as far as others
)
_MAX_RADIUS_RAD: Final = MAX_DISTANCE_KM / EARTH_RADIUS_KM
_RADII_RAD: Final = (*(math.radians(degrees) for degrees in (0.2, 0.7)), _MAX_RADIUS_RAD)
"""Radii to search, each only where the one before found nothing: most positions have a place within 22 km."""


Degrees = npt.NDArray[np.floating]


class Nearest(NamedTuple):
    """A place and how far its centre is, along the great circle."""

    place: int
    name: str
    distance_km: float


class OfflineGeocoder(Geocoder):
    """A grid over every place of 1,000 people and more; exact everywhere, poles and antimeridian included."""

    attribution = "Places: GeoNames, CC BY 4.0"

    def __init__(self, places: Places) -> None:
        self._places = places
        self._young: dict[int, str] = {}
        self._old: dict[int, str] = {}
        self._zones: dict[int, str | None] = {}

    @classmethod
    def open(cls, cache_dir: Path) -> OfflineGeocoder:
        """Blocks: some 20 ms, or a few seconds where `cache_dir` has no places of the installed version yet."""
        return cls(load_places(cache_dir))

    def describe(self, lat_e7: int, lon_e7: int) -> str:
        """`Westwood, Kansas, US`, `12 km from Westwood, Kansas, US`, or the coordinates far from any place.

        Every position in a cell of 0.01 degree gets the same answer, measured from the cell's centre.
        """
        key = lat_e7 // CELL_E7 * _CELL_COLUMNS + lon_e7 // CELL_E7
        return self._cell_line(key, lat_e7, lon_e7) or f"{_degrees(lat_e7)}, {_degrees(lon_e7)}"

    def describe_all(self, lat_e7: E7, lon_e7: E7) -> tuple[list[str], npt.NDArray[np.intp]]:
        """As the port says: each cell is looked up once, for as long as positions stay in it."""
        keys = lat_e7 // np.int32(CELL_E7) * np.int64(_CELL_COLUMNS) + lon_e7 // np.int32(CELL_E7)
        is_start = np.ones(len(keys), dtype=np.bool_)
        is_start[1:] = keys[1:] != keys[:-1]
        which = np.cumsum(is_start) - 1
        cells = keys[is_start].tolist()
        known = list(map(self._young.get, cells))
        lines = [line for line in known if line is not None]
        if len(lines) < len(known):
            self._meet(np.unique(keys[is_start][[line is None for line in known]]))
            firsts = zip(cells, lat_e7[is_start].tolist(), lon_e7[is_start].tolist(), strict=True)
            lines = list(starmap(self._cell_line, firsts))
        if not all(lines):
            far = np.array([not line for line in lines])
            for row in np.flatnonzero(far[which]).tolist():
                which[row] = len(lines)
                lines.append(self.describe(int(lat_e7[row]), int(lon_e7[row])))
        return lines, which

    def nearest(self, lat_deg: float, lon_deg: float) -> Nearest | None:
        """The nearest place by great circle, None beyond MAX_DISTANCE_KM."""
        here = _unit_vector(lat_deg, lon_deg)
        best, cosine = -1, -2.0
        for radius in _RADII_RAD:
            for start, end in self._slices(lat_deg, lon_deg, radius):
                cosines = self._places.unit[start:end] @ here
                at = int(_best(cosines))
                if cosines[at] > cosine + _TIE:
                    best, cosine = start + at, float(cosines[at])
            if cosine >= math.cos(radius):
                return _nearest(self._places, best, cosine)
        return None

    def timezone(self, lat: float, lon: float) -> str | None:
        """The zone of the nearest place; None beyond MAX_DISTANCE_KM."""
        key = round(lat * 1e7) // CELL_E7 * _CELL_COLUMNS + round(lon * 1e7) // CELL_E7
        if key not in self._zones:
            if len(self._zones) >= CELLS_KEPT:
                self._zones = {}
            found = self.nearest(lat, lon)
            zone = None if found is None else self._places.zones[self._places.zone[found.place]]
            self._zones[key] = zone or None
        return self._zones[key]

    def _cell_line(self, key: int, lat_e7: int, lon_e7: int) -> str:
        """What the cell is called; empty where no place is near, so that each position shows itself."""
        text = self._young.get(key)
        return self._describe_cell(key, lat_e7, lon_e7) if text is None else text

    def _describe_cell(self, key: int, lat_e7: int, lon_e7: int) -> str:
        text = self._old.get(key)
        if text is None:
            lat = (lat_e7 // CELL_E7 + 0.5) * _CELL_DEG
            lon = (lon_e7 // CELL_E7 + 0.5) * _CELL_DEG
            text = _line(self.nearest(min(lat, 90.0), lon))
        self._keep(key, text)
        return text

    def _keep(self, key: int, text: str) -> None:
        if len(self._young) >= CELLS_KEPT:
            self._old, self._young = self._young, {}
        self._young[key] = text

    def _meet(self, cells: npt.NDArray[np.int64]) -> None:
        """Look up those of these distinct cells that have neighbours among them: near places are fetched once."""
        columns = (cells + _WEST) % _CELL_COLUMNS - _WEST
        rows = (cells - columns) // _CELL_COLUMNS
        _, which, counts = np.unique(
            rows // SQUARE_CELLS * _CELL_COLUMNS + columns // SQUARE_CELLS, return_inverse=True, return_counts=True
        )
        order, ends = np.argsort(which, kind="stable"), np.cumsum(counts)
        for number in np.flatnonzero(counts >= FEW_CELLS).tolist():
            own = order[ends[number] - counts[number] : ends[number]]
            lat = np.minimum((rows[own] + 0.5) * _CELL_DEG, 90.0)
            lon = (columns[own] + 0.5) * _CELL_DEG
            for key, found in zip(cells[own].tolist(), self._nearest_of_square(lat, lon), strict=True):
                if key not in self._old:
                    self._keep(key, _line(found))

    def _nearest_of_square(self, lat_deg: Degrees, lon_deg: Degrees) -> Sequence[Nearest | None]:
        """As `nearest`, of the middles of cells in one square."""
        lat, lon = ((float(deg[0]) // _SQUARE_DEG + 0.5) * _SQUARE_DEG for deg in (lat_deg, lon_deg))
        here = unit_vectors(lat_deg, lon_deg)
        found: list[Nearest | None] = [None] * len(here)
        missing = np.arange(len(here))
        for radius in _RADII_RAD:
            slices = [np.arange(*ends) for ends in self._slices(lat, lon, radius + math.radians(_SQUARE_DEG))]
            if not slices:
                continue
            places = np.concatenate(slices)
            cosines = here[missing] @ self._places.unit[places].T
            best = _best(cosines)
            cosine = cosines[np.arange(len(best)), best]
            is_near = cosine >= math.cos(radius)
            near = zip(
                missing[is_near].tolist(), places[best[is_near]].tolist(), cosine[is_near].tolist(), strict=True
            )
            for at, place, one in near:
                found[at] = _nearest(self._places, place, one)
            missing = missing[~is_near]
            if not len(missing):
                break
        return found

    def _slices(self, lat_deg: float, lon_deg: float, radius_rad: float) -> Iterator[tuple[int, int]]:
        """Ranges of places that hold every place within the radius, and some others; never an empty range."""
        radius = math.degrees(radius_rad)
        low = max(int((lat_deg - radius + 90) * ROWS_PER_DEGREE), 0)
        high = min(int((lat_deg + radius + 90) * ROWS_PER_DEGREE), ROWS - 1)
        columns = _column_spans(lon_deg, _half_width_deg(lat_deg, radius_rad))
        starts = self._places.starts
        for row in range(low, high + 1):
            for first, last in columns:
                start, end = starts.item(row * COLUMNS + first), starts.item(row * COLUMNS + last + 1)
                if start < end:
                    yield start, end


def _best(cosines: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Where the first of the nearest is, in the last axis, however the sums were rounded."""
    best: npt.NDArray[np.intp] = (cosines >= cosines.max(axis=-1, keepdims=True) - _TIE).argmax(axis=-1)
    return best


def _nearest(places: Places, place: int, cosine: float) -> Nearest:
    return Nearest(place, places.name(place), EARTH_RADIUS_KM * math.acos(min(cosine, 1.0)))


def _line(found: Nearest | None) -> str:
    if found is None:
        return ""
    if found.distance_km < AT_PLACE_KM:
        return found.name
    return f"{found.distance_km:.0f} km from {found.name}"


def _half_width_deg(lat_deg: float, radius_rad: float) -> float:
    """How far east and west a circle reaches: everywhere once it holds a pole."""
    lat = math.radians(abs(lat_deg))
    if lat + radius_rad >= math.pi / 2:
        return 180.0
    return math.degrees(math.asin(math.sin(radius_rad) / math.cos(lat)))


def _column_spans(lon_deg: float, half_width_deg: float) -> list[tuple[int, int]]:
    """First and last column of one span, or of two where it crosses the antimeridian."""
    low = math.floor((lon_deg - half_width_deg + 180) * ROWS_PER_DEGREE)
    high = math.floor((lon_deg + half_width_deg + 180) * ROWS_PER_DEGREE)
    if high - low + 1 >= COLUMNS:
        return [(0, COLUMNS - 1)]
    low, high = low % COLUMNS, high % COLUMNS
    return [(low, high)] if low <= high else [(low, COLUMNS - 1), (0, high)]


def _unit_vector(lat_deg: float, lon_deg: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    cos_lat = math.cos(lat)
    return np.array((cos_lat * math.cos(lon), cos_lat * math.sin(lon), math.sin(lat)))


def _degrees(value_e7: int) -> str:
    """Four decimals, 11 m: what a person can use of a position far from everything. Never `-0.0000`."""
    return f"{round(value_e7 / 1e7, 4) + 0.0:.4f}"
