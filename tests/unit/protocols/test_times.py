"""Times in every form that devices use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.protocols.base import BadFrame
from odograph.protocols.times import parse_iso, read_time, render_time

MOMENT_MS = 1_743_299_999_250  # 2025-03-30T01:59:59.250Z


@pytest.mark.parametrize(
    "written",
    [
        "2025-03-30T01:59:59.250Z",
        "2025-03-30t01:59:59.25z",
        "2025-03-30 01:59:59.250",
        "2025-03-30T01:59:59,250",
        "2025-03-30T01:59:59.250999999Z",
        "2025-03-30T03:59:59.250+02:00",
        "2025-03-30T03:59:59.250+0200",
        "2025-03-30T03:59:59.250 02:00",
        "2025-03-29T20:29:59.250-05:30",
        " 1743299999.25 ",
        "1743299999250",
        1743299999.25,
        1743299999250,
        1743299999250.4,
    ],
)
def test_one_moment_in_every_form_is_the_same_millisecond(written):
    assert read_time(written, "time", None) == MOMENT_MS


@pytest.mark.parametrize(
    ("written", "expected_ms"),
    [
        ("1743299999", 1_743_299_999_000),
        ("2025-03-30 01:59", 1_743_299_940_000),
        ("99999999999", 99_999_999_999_000),
        ("100000000000", 100_000_000_000),
        ("-1", -1000),
        ("0", 0),
        (0, 0),
        ("2038-01-19T03:14:08Z", 1 << 31 | 0),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_seconds_become_milliseconds_and_nothing_is_judged(written, expected_ms):
    expected = expected_ms * 1000 if expected_ms == 1 << 31 else expected_ms
    assert read_time(written, "time", None) == expected


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2025-02-29T00:00:00Z",
        "2025-03-30",
        "2025-03-30T25:00:00Z",
        "2025-W10-1T10:00",
        "20250330T015959Z",
        "2025-03-30T01:59:59Z and more",
        "2025-03-30T01:59:59+99:99",
        "١٢٣٤٥٦٧٨٩٠",
        "1e9",
        "nan",
        "123456789012345",
        float("nan"),
        float("inf"),
        10**400,
        True,
        [],
        {},
    ],
)
def test_what_is_no_time_is_refused_by_its_name(written):
    with pytest.raises(BadFrame, match="tst must be seconds or milliseconds since 1970, or ISO 8601 text, got"):
        read_time(written, "tst", 5)


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_time_the_arrival_counts_and_without_that_it_is_refused(nothing):
    assert read_time(nothing, "timestamp", 5) == 5
    with pytest.raises(BadFrame, match="timestamp is missing"):
        read_time(nothing, "timestamp", None)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_every_rendered_time_is_read_back(time_ms):
    assert parse_iso(render_time(time_ms)) == time_ms
