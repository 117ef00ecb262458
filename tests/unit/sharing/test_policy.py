"""What may be shown of an asset, fix by fix, and what that makes of its trail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.model.catalog import LiveShare
from odograph.model.fixes import FIX_DTYPE, MARK_JUMP, UNKNOWN_HEADING
from odograph.model.place import Geofence, polygon
from odograph.sharing.policy import Rules, Zones, judge, status
from odograph.sharing.trace import Trace
from tests.support.viewing import MINUTE_MS, NOON_MS

NOW = NOON_MS + 100 * MINUTE_MS
HOME = Geofence(52.05, 4.0, 500)


def fixes(*rows):
    """Minute after noon, latitude, marks of each."""
    packed = [
        (1, NOON_MS + minute * MINUTE_MS, round(lat * 1e7), 40_000_000, UNKNOWN_HEADING, 3000, marks)
        for minute, lat, marks in rows
    ]
    return np.array(packed, dtype=FIX_DTYPE)


def minutes(run):
    return ((run["time_ms"] - NOON_MS) // MINUTE_MS).tolist()


@st.composite
def drives(draw):
    """Fixes at distinct minutes in some order of arrival, some in a private zone, some doubtful."""
    order = draw(st.permutations(range(draw(st.integers(1, 14)))))
    return [
        (minute, draw(st.sampled_from((52.0, 52.05, 52.1))), draw(st.sampled_from((0, 0, 0, MARK_JUMP))))
        for minute in order
    ]


@given(drives(), st.data())
def test_a_trace_taken_bit_by_bit_equals_one_loaded_at_once(rows, data):
    rules = Rules(NOON_MS + 2 * MINUTE_MS, private=Zones([HOME]), trail_min=-1)
    whole = Trace(rules)
    whole.load(fixes(*rows), NOW)
    bits = Trace(rules)
    rest = fixes(*rows)
    while len(rest):
        size = data.draw(st.integers(1, len(rest)))
        bits.take(rest[:size], NOW)
        rest = rest[size:]
    assert minutes(bits.run) == minutes(whole.run)
    assert bits.hidden == whole.hidden


@given(drives())
def test_no_trace_holds_what_is_hidden_or_what_lies_before_it(rows):
    rules = Rules(NOON_MS + 2 * MINUTE_MS, private=Zones([HOME]), trail_min=-1)
    trace = Trace(rules)
    trace.load(fixes(*rows), NOW)
    by_time = sorted(rows)
    hidden = [minute for minute, lat, marks in by_time if (lat == 52.05) or (minute < 2 and not marks)]
    shown = [minute for minute, lat, marks in by_time if minute >= 2 and lat != 52.05 and not marks]
    assert minutes(trace.run) == [minute for minute in shown if minute > max(hidden, default=-1)]


def test_narrower_rules_drop_what_they_hide_and_all_before_it():
    trace = Trace(Rules(NOON_MS, trail_min=-1))
    trace.load(fixes((1, 52.0, 0), (2, 52.05, 0), (3, 52.1, 0)), NOW)
    assert trace.rule(Rules(NOON_MS, private=Zones([HOME]), trail_min=-1), NOW)
    assert minutes(trace.run) == [3]


def test_wider_rules_bring_nothing_back():
    trace = Trace(Rules(NOON_MS, private=Zones([HOME]), trail_min=-1))
    trace.load(fixes((1, 52.0, 0), (2, 52.05, 0)), NOW)
    assert trace.hidden == "private"
    trace.rule(Rules(NOON_MS + 3 * MINUTE_MS, trail_min=-1), NOW)
    assert trace.fix is None
    trace.take(fixes((4, 52.1, 0)), NOW)
    assert minutes(trace.run) == [4]


def test_a_limit_is_given_as_the_reason_before_a_zone():
    far = Rules(NOON_MS, private=Zones([HOME]), bound=Geofence(53, 4, 100), disclose_m=1000)
    assert judge(far, fixes((1, 52.05, 0)), NOW).reason(0) == "notYetNear"
    assert judge(Rules(NOON_MS, private=Zones([HOME])), fixes((1, 52.05, 0)), NOW).reason(0) == "private"
    assert judge(Rules(NOW), fixes((1, 52.05, 0)), NOW).reason(0) == "nothing"


@given(
    st.lists(st.tuples(st.floats(-89, 89), st.floats(-180, 180), st.floats(1, 3_000_000)), min_size=1, max_size=6),
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=20),
)
def test_zones_contain_what_any_of_their_fences_contains(circles, positions):
    fences = [Geofence(*circle) for circle in circles]
    lat, lon = np.array(positions).T
    expected = np.logical_or.reduce([fence.contain(lat, lon) for fence in fences])
    assert Zones(fences).contain(lat, lon, np.zeros(len(lat), np.int64)).tolist() == expected.tolist()


def test_zones_know_polygons_across_the_antimeridian():
    zones = Zones([polygon(((10, 179), (10, -179), (-10, -179), (-10, 179)))])
    lat, lon = np.array([0.0, 0.0, 0.0, 11.0]), np.array([179.5, -179.5, 178.0, 180.0])
    assert zones.contain(lat, lon, np.zeros(4, np.int64)).tolist() == [True, True, False, False]


def test_no_zones_contain_nothing():
    assert not Zones([]).holds(0, 0)


def test_a_zone_that_ended_holds_what_was_in_it_before():
    zones = Zones([Geofence(10, 10, 100)], [(Geofence(20, 20, 100), NOON_MS)])
    assert zones.holds(10, 10)
    assert not zones.holds(20, 20)
    assert [zones.holds(20, 20, time_ms) for time_ms in (NOON_MS - 1, NOON_MS)] == [True, False]


@pytest.mark.parametrize(
    ("starts", "expires", "expected"),
    [(0, 0, "open"), (NOW + 1, 0, "later"), (NOW, NOW + 1, "open"), (0, NOW, "expired"), (NOW + 5, NOW, "expired")],
)
def test_a_link_is_open_from_its_start_until_right_before_its_expiry(starts, expires, expected):
    share = LiveShare("a", "A", "assetsLocation", 0, 0, "", starts_ms=starts, expires_ms=expires)
    assert status(share, NOW) == expected


def test_a_long_trail_keeps_its_ends_within_its_room():
    trace = Trace(Rules(NOON_MS, trail_min=-1))
    rows = [(minute, 52.0, 0) for minute in range(5000)]
    for start in range(0, 5000, 50):
        trace.take(fixes(*rows[start : start + 50]), NOON_MS + 5000 * MINUTE_MS)
    assert len(trace.run) <= 1000
    assert (minutes(trace.run)[0], minutes(trace.run)[-1]) == (0, 4999)
