"""The nearest place is really the nearest, everywhere on the globe."""

from __future__ import annotations

import csv
import gzip
import math
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.geocoding import offline
from odograph.geocoding.base import Geocoder
from odograph.geocoding.offline import EARTH_RADIUS_KM, MAX_DISTANCE_KM, OfflineGeocoder
from odograph.geocoding.places import unit_vectors

RECORDINGS = os.environ.get("ODOGRAPH_RECORDINGS")


def nearest_of_all(places, lat, lon):
    """Distance in km by looking at every place; the last step by another formula than the one under test."""
    here = unit_vectors(lat, lon)
    cosines = places.unit @ here
    contenders = places.unit[cosines >= cosines.max() - 1e-12]
    chord = np.linalg.norm(contenders - here, axis=1)
    return 2 * EARTH_RADIUS_KM * math.asin(chord.min() / 2)


def disagreements(places, points):
    geocoder = OfflineGeocoder(places)
    wrong = []
    for lat, lon in points:
        truth = nearest_of_all(places, lat, lon)
        found = geocoder.nearest(lat, lon)
        if (found is None) != (truth > MAX_DISTANCE_KM) or (found and abs(found.distance_km - truth) > 1e-3):
            wrong.append((lat, lon, truth, found))
    return wrong


def places_in_degrees(places):
    return (
        np.degrees(np.arcsin(places.unit[:, 2])),
        np.degrees(np.arctan2(places.unit[:, 1], places.unit[:, 0])),
    )


def test_a_thousand_points_all_over_the_globe_agree_with_brute_force(places):
    pick = random.Random(1)
    points = [(math.degrees(math.asin(pick.uniform(-1, 1))), pick.uniform(-180, 180)) for _ in range(1000)]
    assert disagreements(places, points) == []


def test_points_near_places_agree_with_brute_force(places):
    pick = random.Random(2)
    lats, lons = places_in_degrees(places)
    points = [
        (lats[i] + pick.gauss(0, 0.3), (lons[i] + pick.gauss(0, 0.5) + 180) % 360 - 180)
        for i in pick.sample(range(len(lats)), 800)
    ]
    assert disagreements(places, points) == []


def test_points_about_the_antimeridian_and_in_the_far_north_agree_with_brute_force(places):
    pick = random.Random(3)
    points = [(pick.uniform(-50, 72), pick.choice((-180, 180, 179.9, -179.9))) for _ in range(300)]
    points += [(pick.uniform(66, 90), pick.uniform(-180, 180)) for _ in range(300)]
    points += [(-16.8, 179.99), (-16.8, -179.99), (-16.8, 180.0), (-16.8, -180.0), (64.7, 177.5), (90, 0), (-90, 5)]
    assert disagreements(places, points) == []


def test_points_where_the_distance_limit_runs_agree_with_brute_force(places):
    """From the coasts outwards, where the nearest place is about 200 km away."""
    pick = random.Random(4)
    lats, lons = places_in_degrees(places)
    points: list[tuple[float, float]] = []
    while len(points) < 200:
        i = pick.randrange(len(lats))
        lat, lon = lats[i] + pick.choice((-1.8, 1.8)), (lons[i] + pick.uniform(-4, 4) + 180) % 360 - 180
        if abs(lat) < 90 and 150 < nearest_of_all(places, lat, lon) < 250:
            points.append((lat, lon))
    assert disagreements(places, points) == []


@pytest.mark.parametrize(
    ("lat", "lon", "text"),
    [
        (39.04056, -94.6169, "Westwood, Kansas, US"),
        (69.6496, 18.956, "Tromsø, NO"),
        (51.50853, -0.12574, "London, GB"),
        (31.745, -106.485, "2 km from El Paso, Texas, US"),
        (38.9072, -77.0369, "Golden Triangle, District of Columbia, US"),
        (39.0606, -94.6169, "3 km from Westwood, Kansas, US"),
    ],
)
def test_known_towns_are_named(geocoder, lat, lon, text):
    assert geocoder.describe(round(lat * 1e7), round(lon * 1e7)) == text


@pytest.mark.parametrize(
    ("lat_e7", "lon_e7", "text"),
    [
        (0, -300_000_000, "0.0000, -30.0000"),
        (123_456_000, -405_678_049, "12.3456, -40.5678"),
        (-10, -10, "0.0000, 0.0000"),
        (900_000_000, 1_800_000_000, "90.0000, 180.0000"),
        (-900_000_000, -1_800_000_000, "-90.0000, -180.0000"),
    ],
)
def test_far_from_every_place_the_coordinates_are_the_answer(geocoder, lat_e7, lon_e7, text):
    assert geocoder.describe(lat_e7, lon_e7) == text


def test_two_positions_in_one_empty_cell_each_show_their_own_coordinates(geocoder):
    assert geocoder.describe(1_000, 1_000 - 300_000_000) == "0.0001, -29.9999"
    assert geocoder.describe(9_000, 9_000 - 300_000_000) == "0.0009, -29.9991"


@settings(max_examples=100)
@given(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000))
def test_every_position_has_one_line(places, lat_e7, lon_e7):
    text = OfflineGeocoder(places).describe(lat_e7, lon_e7)
    assert text
    assert "\n" not in text


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000))))
def test_many_positions_are_called_what_each_is_called(places, positions):
    positions += [(lat // 1000 * 1000, lon) for lat, lon in positions]  # some in one cell
    geocoder = OfflineGeocoder(places)
    lat_e7, lon_e7 = (
        np.array(column, dtype=np.int32) for column in (list(zip(*positions, strict=True)) or ((), ()))
    )
    lines, which = geocoder.describe_all(lat_e7, lon_e7)
    assert [lines[at] for at in which.tolist()] == [geocoder.describe(*position) for position in positions]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1_000_000), st.integers(-4, 4), st.integers(-4, 4))
def test_cells_that_are_looked_up_together_are_called_what_each_is_called_alone(places, pick, rows, columns):
    lats, lons = places_in_degrees(places)
    near = pick % len(lats)
    start = round(lats[near] * 100) + 20 * rows, round(lons[near] * 100) + 20 * columns
    cells = [
        (start[0] + row, (start[1] + column + 18_000) % 36_000 - 18_000) for row in range(9) for column in range(9)
    ]
    lat_e7 = np.array([min(row * 100_000 + 5_000, 900_000_000) for row, _ in cells], dtype=np.int32)
    lon_e7 = np.array([column * 100_000 + 5_000 for _, column in cells], dtype=np.int32)
    lines, which = OfflineGeocoder(places).describe_all(lat_e7, lon_e7)
    alone = OfflineGeocoder(places)
    assert [lines[at] for at in which.tolist()] == list(map(alone.describe, lat_e7.tolist(), lon_e7.tolist()))


def test_the_answer_does_not_depend_on_who_asked_first(places):
    cell = [(390_300_000 + i, -946_300_000 + j) for i in (0, 50_000, 99_999) for j in (0, 99_999)]
    forwards, backwards = OfflineGeocoder(places), OfflineGeocoder(places)
    first = [forwards.describe(*position) for position in cell]
    assert first == [backwards.describe(*position) for position in reversed(cell)]
    assert len(set(first)) == 1


def test_the_cache_stays_bounded_and_keeps_what_is_asked_for_often(places, monkeypatch):
    monkeypatch.setattr(offline, "CELLS_KEPT", 10)
    geocoder = OfflineGeocoder(places)
    searches = []
    nearest = geocoder.nearest

    def search(lat_deg, lon_deg):
        searches.append((lat_deg, lon_deg))
        return nearest(lat_deg, lon_deg)

    monkeypatch.setattr(geocoder, "nearest", search)
    for step in range(100):
        geocoder.describe(390_405_600, -946_169_000)
        geocoder.describe(400_000_000 + step * 100_000, -946_169_000)
    assert len(searches) == 101
    assert len(geocoder._young) + len(geocoder._old) <= 20


def test_it_fills_the_port_and_names_its_source(geocoder):
    port: Geocoder = geocoder
    assert port.attribution == "Places: GeoNames, CC BY 4.0"


@pytest.mark.skipif(not RECORDINGS, reason="ODOGRAPH_RECORDINGS is not set")
def test_recorded_trucks_are_placed_in_or_by_the_city_of_their_recorded_address(geocoder):
    path = Path(str(RECORDINGS)) / "fixes/jersey_city_trucks/fixes_jersey_city_trucks.csv.gz"
    pairs: dict[tuple[str, str], str] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            pairs.setdefault((row["lat"], row["lon"]), row["address"])
    states = {"NJ": "New Jersey, US", "NY": "New York, US"}
    told = right = 0
    for (lat, lon), address in pairs.items():
        state = re.search(r"\b(NJ|NY)$", address)
        if state:
            told += 1
            right += geocoder.describe(round(float(lat) * 1e7), round(float(lon) * 1e7)).endswith(states[state[1]])
    assert told > 5000
    assert right / told > 0.98  # the state line runs through the water by which some of them drive


@pytest.mark.parametrize(
    ("lat", "lon", "zone"),
    [
        (52.52, 13.40, "Europe/Berlin"),
        (39.04, -94.61, "America/Chicago"),
        (-17.8, 177.4, "Pacific/Fiji"),
        (0, -30, None),
    ],
)
def test_the_time_zone_is_that_of_the_nearest_place_and_none_far_from_all(geocoder, lat, lon, zone):
    assert geocoder.timezone(lat, lon) == zone
