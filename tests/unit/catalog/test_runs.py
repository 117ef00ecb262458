"""What fixes show of a run: stops reached, left and skipped, starts and ends."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.catalog.runs import Run, Window, advance, fences_of, windows
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Route, Stop
from odograph.model.ids import OrgId, RecordId
from odograph.model.place import Geofence, polygon
from tests.support.api import NOON_MS
from tests.support.driving import MINUTE_MS, at_m, make_fixes, make_route, minutes

ORG = OrgId(1)
ALWAYS = Window(0, 1 << 60)
NOW_MS = NOON_MS + 600 * MINUTE_MS


def drive(route: Route, track, window: Window = ALWAYS, now_ms: int = NOW_MS, marks=()) -> Route:
    fixes = make_fixes(1, track)
    for row, mark in marks:
        fixes["marks"][row] = mark
    return advance(route, fences_of(Directory(), ORG, route), fixes, window, now_ms)


def times(stop: Stop) -> tuple[float | None, ...]:
    """En route, arrived, departed, skipped, in minutes."""
    return tuple(map(minutes, (stop.en_route_ms, stop.arrived_ms, stop.departed_ms, stop.skipped_ms)))


def test_a_vehicle_departs_from_the_first_stop_and_arrives_at_each():
    route = drive(
        make_route(1, [0, 5000, 9000]),
        [(-5, 0), (-1, 10), (1, 300), (8, 4950), (9, 5010), (11, 5300), (20, 8910), (21, 9000), (30, 12_000)],
    )
    assert [times(stop) for stop in route.stops] == [
        (None, -5, 1, None),
        (1, 8, 11, None),
        (11, 20, None, None),
    ]
    assert (minutes(route.started_ms), minutes(route.ended_ms)) == (1, 20)


def test_settings_say_when_it_starts_and_when_it_is_complete():
    plan = make_route(1, [0, 5000], starting="arriveFirstStop", completion="departLastStop")
    route = drive(plan, [(-5, 0), (1, 300), (9, 5000)])
    assert (minutes(route.started_ms), route.ended_ms) == (-5, 0)
    route = drive(plan, [(-5, 0), (1, 300), (9, 5000), (12, 5400)])
    assert (minutes(route.ended_ms), minutes(route.stops[1].departed_ms)) == (12, 12)


def test_one_fix_just_outside_is_no_departure_and_two_are():
    near = 130.0  # the circle has 100 m
    plan = make_route(1, [0, 5000])
    assert not drive(plan, [(0, 0), (1, near), (2, 0), (3, near)]).started_ms
    assert minutes(drive(plan, [(0, 0), (1, near), (2, 0), (3, near), (4, near)]).started_ms) == 3
    assert minutes(drive(plan, [(0, 0), (1, 160)]).started_ms) == 1


def test_what_was_passed_over_is_skipped_once_a_later_stop_is_certain():
    plan = make_route(1, [0, 5000, 9000, 13_000])
    passing = [(0, 0), (1, 400), (9, 9000)]
    assert not drive(plan, passing).stops[2].arrived_ms
    stayed = drive(plan, [*passing, (10.5, 9000)])
    assert [times(stop) for stop in stayed.stops[1:]] == [
        (1, None, None, 9),
        (None, 9, None, None),
        (None, None, None, None),
    ]
    went_on = drive(plan, [*passing, (10, 9400), (13, 13_000)])
    assert [times(stop) for stop in went_on.stops[1:]] == [
        (1, None, None, 9),
        (None, 9, 10, None),
        (10, 13, None, None),
    ]
    assert minutes(went_on.ended_ms) == 13


def test_driving_past_the_last_stop_on_the_way_out_ends_nothing():
    plan = make_route(1, [0, 9000, 5000])
    route = drive(plan, [(0, 0), (1, 400), (5, 5000), (5.5, 5300), (9, 9000), (12, 8000), (15, 5000)])
    assert [minutes(stop.arrived_ms) for stop in route.stops] == [0, 9, 15]
    assert not any(stop.skipped_ms for stop in route.stops)
    assert minutes(route.ended_ms) == 15


def test_moving_about_the_yard_before_the_time_is_no_start():
    plan = make_route(1, [0, 5000], start_min=30)
    route = drive(plan, [(0, 0), (5, 900), (10, 0), (31, 900), (38, 5000)])
    assert (minutes(route.started_ms), minutes(route.stops[0].arrived_ms)) == (31, 0)
    assert minutes(route.stops[1].en_route_ms) == 31


def test_a_round_trip_is_not_complete_before_its_time_has_come():
    plan = make_route(1, [0, 5000, 0])
    back_at_once = [(0, 0), (2, 900), (4, 0), (6, 0)]
    assert not drive(plan, back_at_once).ended_ms
    route = drive(plan, [*back_at_once, (8, 900), (21, 0), (23, 0)])
    assert (minutes(route.stops[1].skipped_ms), minutes(route.ended_ms)) == (21, 21)
    route = drive(plan, [*back_at_once, (8, 900), (10, 5000), (12, 3000), (21, 0)])
    assert (minutes(route.stops[1].arrived_ms), minutes(route.ended_ms)) == (10, 21)


def test_where_geofences_overlap_it_is_at_the_nearer_stop():
    route = drive(make_route(1, [0, 120, 240]), [(0, 0), (1, 50), (2, 70), (3, 110), (4, 190), (5, 240)])
    assert [minutes(stop.arrived_ms) for stop in route.stops] == [0, 2, 4]
    assert [minutes(stop.departed_ms) for stop in route.stops] == [2, 4, None]


def test_a_run_that_never_ends_ends_at_its_limit_and_skips_the_rest():
    window = Window(0, NOON_MS + 60 * MINUTE_MS)
    route = drive(make_route(1, [0, 5000]), [(0, 0), (1, 400), (70, 5000)], window)
    assert (minutes(route.ended_ms), minutes(route.stops[1].skipped_ms)) == (60, 60)
    assert not drive(make_route(1, [0, 5000]), [(0, 0)], window, NOON_MS).ended_ms
    never = drive(make_route(1, [0, 5000]), [], window)
    assert (never.started_ms, minutes(never.ended_ms), never.stops[1].skipped_ms) == (0, 60, 0)


def test_doubtful_fixes_show_nothing():
    route = drive(make_route(1, [0, 5000]), [(0, 0), (1, 400), (5, 5000)], marks=[(2, 4)])
    assert not route.stops[1].arrived_ms


def test_an_address_may_be_a_polygon_and_a_stop_without_a_place_is_never_reached():
    plan = make_route(1, [0, 5000, 9000])
    corners = ((-0.001, at_m(4900)), (-0.001, at_m(5100)), (0.001, at_m(5100)), (0.001, at_m(4900)))
    fences = [Geofence(0.0, at_m(0), 100), polygon(corners), None]
    fixes = make_fixes(1, [(0, 0), (1, 400), (5, 4850), (6, 4950), (7, 9000), (9, 9000)])
    route = advance(plan, fences, fixes, ALWAYS, NOW_MS)
    assert [minutes(stop.arrived_ms) for stop in route.stops] == [0, 6, None]


def entities(*routes: Route) -> list[Entity[Route]]:
    return [Entity(ORG, RecordId(route.number), 1, route) for route in routes]


def test_the_end_of_the_round_before_does_not_begin_the_next_one():
    plan = make_route(1, [0, 5000, 9000], start_min=20)
    before = [(6, 5000), (9, 5000), (12, 9000), (13, 4000), (15, 0)]
    route = drive(plan, [*before, (19, 0), (21, 400), (25, 5000), (27, 7000), (30, 9000)])
    assert [minutes(stop.arrived_ms) for stop in route.stops] == [15, 25, 30]
    assert (minutes(route.started_ms), minutes(route.ended_ms)) == (21, 30)


def test_each_run_has_its_own_time_beside_the_vehicles_others():
    shuttle = [make_route(number, [0, 100], start_min=30 * number) for number in (0, 1, 2)]
    found = [window for _, window in windows(entities(*reversed(shuttle)))]
    assert [minutes(window.begins_ms) for window in found] == [-15, 20, 50]
    assert minutes(found[0].limit_ms) == 10 + 12 * 60
    overlapping = windows(entities(make_route(1, [0] * 7), make_route(2, [0, 1], start_min=40)))
    assert [minutes(window.begins_ms) for _, window in overlapping] == [-30, 25]


TRACK = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([0, 60, 120, 900, 5000, 5060, 5130, 7000, 9000, 9170, 13_000])),
    min_size=1,
    max_size=40,
    unique_by=lambda point: point[0],
)


@settings(max_examples=300)
@given(TRACK, st.data(), st.sampled_from([[0, 5000, 9000], [0, 120, 5000, 0], [0, 9000, 5000, 13_000]]))
def test_any_cutting_and_any_order_of_the_fixes_shows_the_same_run(track, data, places):
    plan = make_route(1, places, start_min=5)
    fences = fences_of(Directory(), ORG, plan)
    fixes = make_fixes(1, sorted(track))
    whole = advance(plan, fences, fixes, ALWAYS, NOW_MS)
    shuffled = fixes[data.draw(st.permutations(range(len(fixes))))]
    assert advance(whole, fences, shuffled, ALWAYS, NOW_MS) == whole
    cuts = sorted(data.draw(st.sets(st.integers(1, len(fixes)), max_size=6)))
    run = Run(plan, fences)
    for part in np.split(fixes, cuts):
        run.feed(part)
    run.close(ALWAYS.limit_ms, NOW_MS)
    assert run.route() == whole
    check_order(whole)


def check_order(route: Route) -> None:
    """Times run forward along the stops, and no stop is both reached and skipped."""
    seen = 0
    for stop in route.stops:
        assert not (stop.arrived_ms and stop.skipped_ms)
        for time_ms in (stop.arrived_ms, stop.departed_ms):
            assert not time_ms or time_ms >= seen
            seen = max(seen, time_ms)
    assert not route.ended_ms or route.ended_ms >= max(stop.arrived_ms for stop in route.stops)


def test_what_was_known_before_does_not_count():
    plan = make_route(1, [0, 5000])
    stops = tuple(msgspec.structs.replace(stop, arrived_ms=5, skipped_ms=6) for stop in plan.stops)
    wrong = msgspec.structs.replace(plan, stops=stops, started_ms=4, ended_ms=7)
    track = [(0, 0), (1, 400)]
    assert drive(wrong, track) == drive(plan, track)


@pytest.mark.parametrize("reading", ["lat", "lon"])
def test_the_edge_of_a_circle_is_inside(reading):
    plan = make_route(1, [0, 5000])
    fence = Geofence(0.0, at_m(0), 100.001)
    fixes = make_fixes(1, [(0, 100)]) if reading == "lon" else make_fixes(1, [(0, 0)])
    if reading == "lat":
        fixes["lat_e7"] = round((at_m(100) - 1) * 1e7)
    assert advance(plan, [fence, None], fixes, ALWAYS, NOW_MS).stops[0].arrived_ms
