"""Places on the globe: distances, circles and polygons, also where the longitudes jump."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from odograph.model.place import EARTH_RADIUS_M, Geofence, Position, distance_m, distances_m, polygon

RECORDINGS = os.environ.get("ODOGRAPH_RECORDINGS", "")
VECTORS = Path(RECORDINGS) / "vectors" / "geofence_traccar.jsonl"
HALF_ROUND_M = np.pi * EARTH_RADIUS_M

SQUARE = ((52.0, 4.0), (52.0, 5.0), (53.0, 5.0), (53.0, 4.0))
HORSESHOE = ((0.0, 0.0), (0.0, 3.0), (3.0, 3.0), (3.0, 2.0), (1.0, 2.0), (1.0, 1.0), (3.0, 1.0), (3.0, 0.0))
BOW_TIE = ((0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0))
OVER_THE_DATE_LINE = ((-18.0, 179.0), (-18.0, -179.0), (-16.0, -179.0), (-16.0, 179.0))

lats = st.floats(-80, 80)
lons = st.floats(-180, 180)
positions = st.builds(Position, lats, lons)
rings = st.lists(st.tuples(st.floats(-40, 40), st.floats(-40, 40)), min_size=3, max_size=12).map(tuple)


@pytest.mark.parametrize(
    ("a", "b", "metres"),
    [
        (Position(0, 0), Position(0, 90), HALF_ROUND_M / 2),
        (Position(90, 0), Position(-90, 77), HALF_ROUND_M),
        (Position(0, 179.5), Position(0, -179.5), HALF_ROUND_M / 180),
        (Position(60, 10), Position(61, 10), HALF_ROUND_M / 180),
        (Position(12.5, -7), Position(12.5, -7), 0),
    ],
)
def test_distances_are_along_the_great_circle(a, b, metres):
    assert distance_m(a, b) == pytest.approx(metres, rel=1e-12, abs=1e-6)


@given(positions, positions)
def test_a_distance_is_the_same_both_ways_and_for_one_as_for_many(a, b):
    assert distance_m(a, b) == pytest.approx(distance_m(b, a), abs=1e-6)
    (many,) = distances_m(a.lat, a.lon, np.array([b.lat]), np.array([b.lon]))
    assert many == pytest.approx(distance_m(a, b), rel=1e-9, abs=1e-6)


@given(positions, st.floats(1, 2_000_000), positions)
def test_a_circle_holds_what_is_no_further_than_its_radius(center, radius_m, position):
    circle = Geofence(center.lat, center.lon, radius_m)
    away_m = distance_m(center, position)
    assume(abs(away_m - radius_m) > 1e-3)
    assert circle.contains(*position) == (away_m < radius_m)
    assert circle.distance_m(*position) == pytest.approx(max(away_m - radius_m, 0), abs=1e-3)
    assert circle.reach_m() == radius_m


@pytest.mark.parametrize(
    ("vertices", "position", "is_inside"),
    [
        (SQUARE, (52.5, 4.5), True),
        (SQUARE, (52.5, 3.99), False),
        (SQUARE, (53.01, 4.5), False),
        (HORSESHOE, (0.5, 1.5), True),
        (HORSESHOE, (2.0, 1.5), False),
        (HORSESHOE, (2.0, 2.5), True),
        (BOW_TIE, (1.0, 0.2), False),
        (BOW_TIE, (1.0, 1.8), False),
        (BOW_TIE, (1.5, 1.0), True),
        (OVER_THE_DATE_LINE, (-17.0, 180.0), True),
        (OVER_THE_DATE_LINE, (-17.0, -180.0), True),
        (OVER_THE_DATE_LINE, (-17.0, -179.5), True),
        (OVER_THE_DATE_LINE, (-17.0, 179.5), True),
        (OVER_THE_DATE_LINE, (-17.0, 0.0), False),
        (OVER_THE_DATE_LINE, (-17.0, -178.5), False),
    ],
)
def test_a_polygon_holds_what_its_sides_go_round(vertices, position, is_inside):
    for turned in (vertices, vertices[::-1], (*vertices[2:], *vertices[:2]), (*vertices, vertices[0])):
        assert polygon(turned).contains(*position) == is_inside
    if not is_inside:
        assert polygon(vertices).distance_m(*position) > 0


def test_a_wide_polygon_holds_also_what_is_far_from_its_first_corner():
    wide = polygon(((0, -120), (0, -20), (0, 80), (0, 120), (30, 120), (30, 80), (30, -20), (30, -120)))
    assert wide.center == (15, 0)
    assert all(wide.contains(10, lon) for lon in (-119, -1, 60, 90, 119))
    assert not wide.contains(10, 121)
    assert not wide.contains(10, 180)


@given(rings, lats, lons, st.integers(-359, 359))
@example(SQUARE, 52.5, 4.5, 176)
@example(OVER_THE_DATE_LINE, -17.0, 180.0, 1)
def test_a_polygon_moved_along_the_parallels_holds_the_moved_points(vertices, lat, lon, shift_deg):
    """Also across the antimeridian; points so near a side that rounding decides are left out."""
    fence, moved = polygon(vertices), polygon(tuple((a, wrapped(b + shift_deg)) for a, b in vertices))
    assume(side_deg(fence, lat, lon) > 1e-6)
    assert moved.contains(lat, wrapped(lon + shift_deg)) == fence.contains(lat, lon)
    assert moved.reach_m() == pytest.approx(fence.reach_m(), rel=1e-6, abs=0.01)


@given(rings, st.lists(positions, max_size=20))
@example(((0.0, 0.0), (5e-324, 3.0), (1.0, 1.0)), [Position(80, 1), Position(0.5, 1.0), Position(0.0, 1.0)])
def test_one_question_about_many_is_many_questions_about_one(vertices, some):
    fence = polygon(vertices)
    many = fence.contain(np.array([one.lat for one in some]), np.array([one.lon for one in some]))
    assert many.tolist() == [fence.contains(*one) for one in some]


def test_the_distance_to_a_polygon_is_that_to_its_nearest_side():
    square = polygon(SQUARE)
    assert square.distance_m(52.5, 4.5) == 0
    assert square.distance_m(54.0, 4.5) == pytest.approx(HALF_ROUND_M / 180, rel=1e-3)
    assert square.distance_m(54.0, 6.0) == pytest.approx(distance_m(Position(54, 6), Position(53, 5)), rel=1e-2)
    over = polygon(OVER_THE_DATE_LINE)
    assert over.distance_m(-15.0, 180.0) == pytest.approx(HALF_ROUND_M / 180, rel=1e-3)


def test_what_goes_round_a_pole_is_told_from_what_is_only_wide():
    assert polygon(((80, 0), (80, 120), (80, -120))).goes_round_a_pole()
    assert polygon(((80, -170), (80, -60), (80, 50), (80, 160), (70, 160), (70, -170))).goes_round_a_pole()
    assert not polygon(((80, 0), (80, 120), (85, 170), (80, 120))).goes_round_a_pole()
    assert not polygon(OVER_THE_DATE_LINE).goes_round_a_pole()


@pytest.mark.skipif(not VECTORS.is_file(), reason="ODOGRAPH_RECORDINGS names no folder with published vectors")
def test_published_geofences_hold_what_their_publisher_says():
    told = 0
    for vector in vectors():
        if "expected_m" in vector and "a" in vector:
            expected = pytest.approx(vector["expected_m"], abs=vector["tolerance_m"])
            assert distance_m(Position(*vector["a"]), Position(*vector["b"])) == expected
        if "point" not in vector or "geometry" not in vector:
            continue
        geometry, (lat, lon) = vector["geometry"], vector["point"]
        if geometry["type"] == "circle":
            center = geometry["center"]
            fence = Geofence(center[0], center[1], geometry["radius_m"])
        elif geometry["type"] == "polygon":
            fence = polygon(tuple((a, b) for a, b in geometry["ring"]))
        else:
            continue
        assert vector["coord_order"] == "lat lon"
        assert fence.contains(lat, lon) == vector["expected_inside"], vector["id"]
        told += 1
    assert told > 5


def vectors() -> Iterator[dict[str, Any]]:
    for line in VECTORS.read_text().splitlines():
        yield json.loads(line)


def wrapped(lon: float) -> float:
    return (lon + 180.0) % 360.0 - 180.0


def side_deg(fence: Geofence, lat: float, lon: float) -> float:
    """Degrees on the map from a position to the nearest side."""
    lats, lons = fence.ring()
    corners = [complex(x, y) for x, y in zip(lons, lats, strict=True)]
    here = min((complex(lon + turn, lat) for turn in (-360, 0, 360)), key=lambda one: abs(one - corners[0]))
    away = []
    for a, b in pairwise([*corners, corners[0]]):
        along = ((here - a) * (b - a).conjugate()).real / abs(b - a) ** 2 if abs(b - a) > 1e-9 else 0
        away.append(abs(here - a - min(max(along, 0), 1) * (b - a)))
    return min(away)


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(1, 4_000_000), st.floats(-90, 90), st.floats(-180, 180))
def test_a_circle_lies_in_its_bounds(lat, lon, radius_m, other_lat, other_lon):
    circle = Geofence(lat, lon, radius_m)
    box = circle.bounds()
    if circle.contains(other_lat, other_lon):
        assert box.south - 1e-6 <= other_lat <= box.north + 1e-6
        assert abs((other_lon - box.middle + 180) % 360 - 180) <= box.half_width + 1e-6
