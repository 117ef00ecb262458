"""Which address holds a position: what the grids find is what trying every fence would find."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter

import msgspec
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from odograph.live.addresses import Addresses
from odograph.live.fences import Fences
from odograph.model.catalog import Address
from odograph.model.ids import OrgId, RecordId, TagId
from odograph.model.place import Geofence, polygon
from odograph.store.base import Record

A = OrgId(1)


def addresses(*fences: Geofence, tags: tuple[tuple[int, ...], ...] = ()) -> list[Address]:
    carried = tags or ((),) * len(fences)
    return [
        Address(number, f"Dock {number}", "Quay", fence, 1, 1, tag_ids=tag_ids)
        for number, (fence, tag_ids) in enumerate(zip(fences, carried, strict=True), 1)
    ]


def located(fences: Fences, *positions: tuple[float, float], limit: frozenset[TagId] | None = None) -> list[int]:
    """The number of the address that holds each, 0 for none."""
    lat, lon = (np.array(some, dtype=np.float64) for some in zip(*positions, strict=True))
    return [fences[place].number if place >= 0 else 0 for place in fences.locate(lat, lon, limit).tolist()]


circles = st.builds(
    Geofence,
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.one_of(st.floats(1, 5000), st.floats(5000, 20_000_000)),
)


@st.composite
def polygons(draw) -> Geofence:
    """Of any size, anywhere, also across the antimeridian."""
    size = draw(st.sampled_from([0.001, 0.1, 3.0, 60.0]))
    lat, lon = draw(st.floats(-85, 85)), draw(st.floats(-180, 180))
    corner = st.tuples(st.floats(-size, size), st.floats(-size, size))
    offsets = draw(st.lists(corner, min_size=3, max_size=8))
    return polygon(tuple((min(max(lat + a, -90), 90), (lon + b + 180) % 360 - 180) for a, b in offsets))


positions = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(
    st.lists(st.one_of(circles, polygons()), min_size=1, max_size=8),
    st.lists(positions, max_size=10),
    st.lists(st.tuples(st.integers(0, 7), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)), max_size=10),
)
@example([Geofence(0, 179.999, 500)], [(0, -179.999), (0, 179.9), (0, 180), (0, -180)], [])
@example([Geofence(90, 0, 50_000), Geofence(-89.9, 77, 60_000)], [(89.9, -120), (-90, 0), (-89.8, -103)], [])
@example([Geofence(10, 20, 20_000_000)], [(-10, -160.5), (-9.9, -159), (0, 0)], [])
def test_what_is_found_is_the_fence_that_holds_it_and_reaches_least_far(some, anywhere, nearby):
    fences = Fences(addresses(*some))
    at = [some[which % len(some)] for which, _, _ in nearby]
    near = [
        (min(max(fence.lat + a, -90), 90), (fence.lon + b + 180) % 360 - 180)
        for fence, (_, a, b) in zip(at, nearby, strict=True)
    ]
    asked = [*anywhere, *near]
    if not asked:
        return
    for position, number in zip(asked, located(fences, *asked), strict=True):
        holding = [place for place in range(len(fences)) if fences[place].fence.contains(*position)]
        assert number == (fences[holding[0]].number if holding else 0)
    reaches = [fences[place].fence.reach_m() for place in range(len(fences))]
    assert all(a <= b * (1 + 1e-9) + 1e-6 for a, b in pairwise(reaches))


def test_the_most_exact_of_several_counts():
    yard, dock = Geofence(52.1, 4.3, 500), Geofence(52.101, 4.3, 50)
    land = polygon(((50.0, 3.0), (50.0, 7.0), (54.0, 7.0), (54.0, 3.0)))
    fences = Fences(addresses(land, yard, dock))
    assert located(fences, (52.101, 4.3), (52.0985, 4.3), (51.0, 5.0), (40.0, 5.0)) == [3, 2, 1, 0]


def test_of_two_alike_the_older_one_counts():
    fences = Fences(addresses(Geofence(52.1, 4.3, 50), Geofence(52.1, 4.3, 50)))
    assert located(fences, (52.1, 4.3)) == [1]


def test_with_a_limit_only_what_carries_its_tags_counts():
    yard, dock = Geofence(52.1, 4.3, 500), Geofence(52.1, 4.3, 50)
    fences = Fences(addresses(yard, dock, tags=((7,), (8,))))
    assert located(fences, (52.1, 4.3), limit=frozenset({TagId(7)})) == [1]
    assert located(fences, (52.1, 4.3), limit=frozenset({TagId(9)})) == [0]


def test_no_fences_hold_nothing():
    assert located(Fences([]), (52.1, 4.3)) == [0]
    assert Fences(addresses(Geofence(1, 1, 1))).locate(np.empty(0), np.empty(0)).tolist() == []


def test_the_map_of_an_org_is_drawn_anew_after_a_change():
    shelf = Addresses()
    (dock,) = addresses(Geofence(52.1, 4.3, 50))

    def put(body: Address, rev: int) -> None:
        shelf.put(Record(A, "address", RecordId(1), rev, msgspec.json.encode(body)))

    assert located(shelf.fences(A), (52.1, 4.3)) == [0]
    put(dock, 1)
    assert located(shelf.fences(A), (52.1, 4.3)) == [1]
    assert shelf.fences(A) is shelf.fences(A)
    put(msgspec.structs.replace(dock, fence=Geofence(10, 10, 50)), 2)
    assert located(shelf.fences(A), (52.1, 4.3), (10, 10)) == [0, 1]
    shelf.drop(RecordId(1))
    assert located(shelf.fences(A), (10, 10)) == [0]


def test_a_page_among_many_addresses_is_found_in_a_moment():
    """By trying every fence on every fix it would be 25 million questions."""
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(47, 54, 5000), rng.uniform(6, 15, 5000)
    fences = Fences(addresses(*(Geofence(a, b, 300) for a, b in zip(lat.tolist(), lon.tolist(), strict=True))))
    took_s = []
    for _ in range(3):
        started_s = perf_counter()
        assert (fences.locate(lat, lon) >= 0).all()
        took_s.append(perf_counter() - started_s)
    assert min(took_s) < 0.1
