"""Times, degrees and miles per hour on the way out."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from odograph.api.params import parse_time
from odograph.api.wire import degrees, degrees_text, heading_degrees, mph, render_time
from odograph.model.fixes import MAX_TIME_MS


def test_milliseconds_are_written_only_where_there_are_any():
    assert render_time(1_714_557_600_000) == "2024-05-01T10:00:00Z"
    assert render_time(1_714_557_600_001) == "2024-05-01T10:00:00.001Z"
    assert render_time(1_714_557_600_450) == "2024-05-01T10:00:00.450Z"
    assert render_time(0) == "1970-01-01T00:00:00Z"


@given(st.integers(0, MAX_TIME_MS - 1))
def test_a_written_time_reads_back_as_the_same_millisecond(time_ms):
    text = render_time(time_ms)
    assert parse_time(text) == time_ms
    seconds, milliseconds = divmod(time_ms, 1000)
    python = datetime.fromisoformat(text)
    assert (python.tzinfo, int(python.timestamp())) == (UTC, seconds)
    assert python.microsecond == milliseconds * 1000


def test_speeds_keep_their_full_precision():
    assert mph(0) == 0.0
    assert mph(16093) == 16093 / 160.9344
    assert abs(mph(1130) - 7.0214944) < 1e-6


@given(st.integers(-1_800_000_000, 1_800_000_000))
def test_degrees_are_written_as_the_device_said_them(e7):
    assert round(degrees(e7) * 1e7) == e7
    assert len(repr(degrees(e7)).partition("e")[0].lstrip("-").replace(".", "").strip("0")) <= 10


@given(st.integers(-1_800_000_000, 1_800_000_000) | st.integers(-1000, 1000))
def test_degrees_in_text_are_a_plain_json_number(e7):
    text = degrees_text(e7)
    assert json.loads(text) == degrees(e7)
    assert "e" not in text


def test_headings_have_two_decimals():
    assert heading_degrees(35999) == 359.99
