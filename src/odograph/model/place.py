"""Places on the globe: distance, and geofences that know what lies inside them.

Degrees at this edge; metres along the great circle. A polygon's sides are straight in longitude and latitude, as
maps draw them, and go the short way round: a polygon may cross the antimeridian, and none holds a pole.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

EARTH_RADIUS_M: Final = 6_371_008.8  # IUGG mean radius
MIN_VERTICES: Final = 3
MAX_VERTICES: Final = 40  # contract.md 6.2

Degrees = npt.NDArray[np.float64]


class Position(NamedTuple):
    """Latitude and longitude in degrees."""

    lat: float
    lon: float


class Box(NamedTuple):
    """Latitudes from `south` to `north`, longitudes within `half_width` degrees of `middle`."""

    south: float
    north: float
    middle: float
    half_width: float


class Geofence(msgspec.Struct, frozen=True, omit_defaults=True):
    """A circle (`radius_m` > 0) around `lat`, `lon`, or a polygon of `vertices`, each (lat, lon) in degrees.

    For a polygon `lat`, `lon` is the point that stands for it on a map: inside its box, not always inside itself.
    """

    lat: float
    lon: float
    radius_m: float = 0
    vertices: tuple[tuple[float, float], ...] = ()

    @property
    def center(self) -> Position:
        """What stands for it on a map."""
        return Position(self.lat, self.lon)

    def contains(self, lat: float, lon: float) -> bool:
        """Whether a position is inside; the edge of a circle is."""
        return bool(self.contain(np.array([lat]), np.array([lon]))[0])

    def contain(self, lat: Degrees, lon: Degrees) -> npt.NDArray[np.bool_]:
        """Which of these positions are inside."""
        if not self.vertices:
            return distances_m(self.lat, self.lon, lat, lon) <= self.radius_m
        ring_lat, ring_lon = self.ring()
        x = _around(lon, (min(ring_lon) + max(ring_lon)) / 2)
        is_inside = np.zeros(len(lat), dtype=bool)
        for at in range(len(ring_lat)):
            lat_a, lat_b = ring_lat[at - 1], ring_lat[at]
            lon_a, lon_b = ring_lon[at - 1], ring_lon[at]
            is_between = (lat_a > lat) != (lat_b > lat)
            # Multiplied out, for a division by the rise of a side that is all but level overflows.
            is_inside ^= is_between & ((x - lon_a) * abs(lat_b - lat_a) < (lon_b - lon_a) * np.abs(lat - lat_a))
        return is_inside

    def distance_m(self, lat: float, lon: float) -> float:
        """Metres to the nearest point of it; 0 inside."""
        if self.contains(lat, lon):
            return 0.0
        if not self.vertices:
            return distance_m(self.center, Position(lat, lon)) - self.radius_m
        return min(_to_side_m(lat, lon, a, b) for a, b in zip(self.vertices, _turned(self.vertices), strict=True))

    def reach_m(self) -> float:
        """Metres from `center` to its furthest point."""
        if not self.vertices:
            return self.radius_m
        return max(distance_m(self.center, Position(*vertex)) for vertex in self.vertices)

    def bounds(self) -> Box:
        """What it lies in; around a pole every longitude."""
        if self.vertices:
            lats, lons = self.ring()
            return Box(min(lats), max(lats), (min(lons) + max(lons)) / 2, (max(lons) - min(lons)) / 2)
        reach = self.radius_m / EARTH_RADIUS_M
        lat = math.radians(self.lat)
        is_polar = abs(lat) + reach >= math.pi / 2
        width = 180.0 if is_polar else math.degrees(math.asin(math.sin(reach) / math.cos(lat)))
        degrees = math.degrees(reach)
        return Box(self.lat - degrees, self.lat + degrees, self.lon, width)

    def goes_round_a_pole(self) -> bool:
        """Whether a polygon's sides lead round the globe: what is inside of it cannot be said."""
        _, lons = self.ring()
        return abs(lons[0] - lons[-1]) > 180 or max(lons) - min(lons) >= 360

    def ring(self) -> tuple[list[float], list[float]]:
        """The vertices without a jump at the antimeridian: longitudes near the first one's, whatever they were."""
        lats = [lat for lat, _ in self.vertices]
        lons = [self.vertices[0][1]]
        for _, lon in self.vertices[1:]:
            lons.append(lons[-1] + math.remainder(lon - lons[-1], 360.0))
        return lats, lons


def polygon(vertices: tuple[tuple[float, float], ...]) -> Geofence:
    """The polygon of these vertices, with the middle of its box to stand for it."""
    box = Geofence(0, 0, 0, vertices).bounds()
    return Geofence((box.south + box.north) / 2, math.remainder(box.middle, 360.0), 0, vertices)


def distance_m(a: Position, b: Position) -> float:
    """Metres along the great circle."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(half, 1.0)))


def distances_m(lat: float, lon: float, lats: Degrees, lons: Degrees) -> Degrees:
    """Metres from one position to each of many."""
    here, there = math.radians(lat), np.radians(lats)
    half = np.sin((there - here) / 2) ** 2
    half += math.cos(here) * np.cos(there) * np.sin(np.radians(lons - lon) / 2) ** 2
    metres: Degrees = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return metres


def _around(lon: Degrees, middle: float) -> Degrees:
    """The same meridians, written within 180 degrees of `middle`."""
    return middle + (lon - middle + 180.0) % 360.0 - 180.0


def _turned(vertices: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    return (*vertices[1:], vertices[0])


def _to_side_m(lat: float, lon: float, a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres to the nearest point of a side, on a plane laid at the position: for sides of some 100 km at most."""
    scale = math.cos(math.radians(lat))
    ax, ay = math.remainder(a[1] - lon, 360.0) * scale, a[0] - lat
    bx, by = math.remainder(b[1] - lon, 360.0) * scale, b[0] - lat
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    share = 0.0 if length == 0 else min(max(-(ax * dx + ay * dy) / length, 0.0), 1.0)
    return math.radians(math.hypot(ax + share * dx, ay + share * dy)) * EARTH_RADIUS_M
