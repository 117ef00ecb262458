"""What is kept of a report: compared with exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.ingest import admit as reasons
from odograph.ingest.admit import _admit_columns, _admit_rows, admit
from odograph.model.fixes import (
    FIX_SIZE,
    MARK_SPEED_SENTINEL,
    MARK_ZERO_ISLAND,
    MAX_FUTURE_MS,
    MAX_TIME_MS,
    UNKNOWN_HEADING,
    UNKNOWN_SPEED,
    Fixes,
    Report,
    fixes_from_bytes,
)
from odograph.model.ids import AssetId

NOW = 1_700_000_000_000
ASSET = AssetId(7)

sound = st.builds(
    Report,
    st.integers(1, NOW),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.none() | st.floats(0, 360),
    st.none() | st.floats(0, 2000),
)


def rows_of(*reports: Report, oldest_ms: int = 0) -> tuple[Fixes, list[tuple[int, str]]]:
    out = bytearray()
    refused = admit(out, ASSET, reports, now_ms=NOW, oldest_ms=oldest_ms)
    assert len(out) % FIX_SIZE == 0
    return fixes_from_bytes(out), refused


def is_nearest(kept: int, said: float, steps: int) -> bool:
    """Whether `kept` is a whole number of steps nearest to `said`, give or take the noise of one multiplication."""
    noise = Fraction(math.ulp(said * steps))
    return abs(Fraction(said) * steps - kept) <= Fraction(1, 2) + noise


@settings(max_examples=300)
@given(st.lists(sound, max_size=5))
def test_every_sound_report_is_kept_at_the_nearest_step(reports):
    rows, refused = rows_of(*reports)
    assert not refused
    assert len(rows) == len(reports)
    for row, report in zip(rows, reports, strict=True):
        assert row["asset"] == ASSET
        assert row["time_ms"] == report.time_ms
        assert is_nearest(int(row["lat_e7"]), report.lat, 10**7)
        assert is_nearest(int(row["lon_e7"]), report.lon, 10**7)
        if report.heading_deg is None:
            assert row["heading_cdeg"] == UNKNOWN_HEADING
        else:
            kept = int(row["heading_cdeg"])
            assert 0 <= kept < 36000
            assert is_nearest(kept, report.heading_deg, 100) or is_nearest(kept + 36000, report.heading_deg, 100)
        if report.speed_kmh is None:
            assert row["speed_ckmh"] == UNKNOWN_SPEED
        else:
            assert is_nearest(int(row["speed_ckmh"]), report.speed_kmh, 100)


@settings(max_examples=200)
@given(st.integers(-90 * 10**7, 90 * 10**7), st.integers(-180 * 10**7, 180 * 10**7), st.integers(0, 200_000))
def test_what_has_no_more_decimals_than_are_kept_is_kept_exactly(lat_e7, lon_e7, speed_ckmh):
    rows, refused = rows_of(Report(NOW, lat_e7 / 10**7, lon_e7 / 10**7, None, speed_ckmh / 100))
    assert not refused
    assert (rows["lat_e7"][0], rows["lon_e7"][0], rows["speed_ckmh"][0]) == (lat_e7, lon_e7, speed_ckmh)


@pytest.mark.parametrize(
    ("said", "kept"),
    [(0.0, 0), (359.99, 35999), (359.994, 35999), (359.999, 0), (360.0, 0), (0.004, 0), (90.0, 9000)],
)
def test_a_heading_is_kept_in_hundredths_and_full_circle_is_north(said, kept):
    rows, _ = rows_of(Report(NOW, 1.0, 2.0, said, 3.0))
    assert rows["heading_cdeg"][0] == kept


odd = st.builds(
    Report,
    st.integers(-1, NOW + 2),
    st.sampled_from((0.0, 1e-9, -90.0, 90.0000001, math.nan, 52)),
    st.sampled_from((0.0, -1e-9, 180.0, -180.1, math.inf, -1)),
    st.sampled_from((None, 0.0, 359.996, 360.0, 360.1, -1.0, math.nan)),
    st.sampled_from((None, 0.0, 410.38, 410.3849, 2000.0, 2000.1, -1.0)),
)


@settings(max_examples=300)
@given(st.lists(sound, min_size=1, max_size=5) | st.lists(sound | odd, min_size=1, max_size=5))
def test_columns_become_the_very_rows_that_reports_one_by_one_become_or_nothing_at_all(reports):
    rows, columns = bytearray(), bytearray()
    refused = _admit_rows(rows, ASSET, reports, 0, NOW)
    if _admit_columns(columns, ASSET, *zip(*reports, strict=True), oldest_ms=0, latest_ms=NOW):
        assert not refused
        assert columns == rows
    else:
        assert not columns
        assert refused or any(number is not None and number < 0 for report in reports for number in report[3:])


@pytest.mark.parametrize("count", [63, 64, 200])
def test_long_deliveries_are_admitted_like_short_ones(count):
    reports = [Report(NOW - at, 0.0, at / 1e7, None if at % 3 else at % 360, 410.38) for at in range(count)]
    rows, refused = rows_of(*reports)
    assert not refused
    assert rows.tolist() == [rows_of(report)[0].tolist()[0] for report in reports]
    rows, refused = rows_of(*reports, Report(NOW, 91.0, 0.0))
    assert refused == [(count, reasons.LATITUDE_OUT_OF_RANGE)]
    assert len(rows) == count


def test_zero_is_known_and_not_the_same_as_unknown():
    rows, _ = rows_of(Report(NOW, 1.0, 2.0, 0.0, 0.0), Report(NOW + 1, 1.0, 2.0))
    assert rows["heading_cdeg"].tolist() == [0, UNKNOWN_HEADING]
    assert rows["speed_ckmh"].tolist() == [0, UNKNOWN_SPEED]


def test_both_edges_of_the_map_are_kept_as_they_were_said():
    rows, refused = rows_of(Report(NOW, 90.0, 180.0), Report(NOW + 1, -90.0, -180.0))
    assert not refused
    assert rows["lon_e7"].tolist() == [1_800_000_000, -1_800_000_000]
    assert rows["lat_e7"].tolist() == [900_000_000, -900_000_000]


@pytest.mark.parametrize("less_than_nothing", [-1.0, -3.6, -0.01])
def test_a_heading_or_speed_below_zero_is_unknown_and_the_position_is_kept(less_than_nothing):
    rows, refused = rows_of(Report(NOW, 1.0, 2.0, less_than_nothing, less_than_nothing))
    assert not refused
    assert rows["heading_cdeg"][0] == UNKNOWN_HEADING
    assert rows["speed_ckmh"][0] == UNKNOWN_SPEED
    rows, refused = rows_of(Report(NOW, 1.0, 2.0, less_than_nothing, 50.0), Report(NOW + 1, 1.0, 2.0, 7.0, -1.0))
    assert not refused
    assert rows["speed_ckmh"].tolist() == [5000, UNKNOWN_SPEED]
    assert rows["heading_cdeg"].tolist() == [UNKNOWN_HEADING, 700]


IMPOSSIBLE = [
    (Report(NOW, 400.0, 2.0), reasons.LATITUDE_OUT_OF_RANGE),
    (Report(NOW, 90.00000001, 2.0), reasons.LATITUDE_OUT_OF_RANGE),
    (Report(NOW, 1.0, -180.1), reasons.LONGITUDE_OUT_OF_RANGE),
    (Report(NOW, math.nan, 2.0), reasons.NOT_FINITE),
    (Report(NOW, 1.0, math.inf), reasons.NOT_FINITE),
    (Report(NOW, 1.0, 2.0, math.nan), reasons.NOT_FINITE),
    (Report(NOW, 1.0, 2.0, 5.0, -math.inf), reasons.NOT_FINITE),
    (Report(NOW, 1.0, 2.0, 360.01), reasons.HEADING_OUT_OF_RANGE),
    (Report(NOW, 1.0, 2.0, 5.0, 2000.01), reasons.SPEED_OUT_OF_RANGE),
    (Report(0, 1.0, 2.0), reasons.TIME_NOT_POSITIVE),
    (Report(-5, 1.0, 2.0), reasons.TIME_NOT_POSITIVE),
    (Report(NOW + MAX_FUTURE_MS + 1, 1.0, 2.0), reasons.TIME_IN_FUTURE),
    (Report(2**62, 1.0, 2.0), reasons.TIME_IN_FUTURE),
]


@pytest.mark.parametrize(("report", "reason"), IMPOSSIBLE)
def test_what_is_impossible_is_refused_with_its_reason_and_its_neighbours_are_kept(report, reason):
    fine = Report(NOW, 1.0, 2.0)
    rows, refused = rows_of(fine, report, fine)
    assert refused == [(1, reason)]
    assert len(rows) == 2


def test_every_reason_is_seen():
    seen = {reason for _, reason in IMPOSSIBLE} | {reasons.TIME_TOO_OLD}
    assert seen == set(reasons.REASONS)


def test_ten_minutes_ahead_is_kept_and_no_clock_reaches_beyond_the_key():
    rows, refused = rows_of(Report(NOW + MAX_FUTURE_MS, 1.0, 2.0))
    assert len(rows) == 1
    assert not refused
    out = bytearray()
    late = [Report(MAX_TIME_MS - 1, 1.0, 2.0), Report(MAX_TIME_MS, 1.0, 2.0)]
    assert admit(out, ASSET, late, now_ms=MAX_TIME_MS * 2) == [(1, reasons.TIME_IN_FUTURE)]


def test_what_is_older_than_the_limit_is_refused_only_where_there_is_one():
    old = Report(NOW - 86_400_000, 1.0, 2.0)
    assert rows_of(old)[1] == []
    assert rows_of(old, oldest_ms=NOW - 86_400_000)[1] == [(0, reasons.TIME_TOO_OLD)]
    assert rows_of(old, oldest_ms=NOW - 86_400_001)[1] == []


def test_a_receiver_without_a_position_and_an_unfilled_speed_are_kept_and_marked():
    rows, refused = rows_of(
        Report(NOW, 0.0, 0.0, None, 410.38),
        Report(NOW + 1000, 0.00000004, -0.00000004),
        Report(NOW + 2000, 0.0, 0.0000001, None, 255 * 1.609344),
        Report(NOW + 3000, 0.0, 0.0000001, None, 410.0),
    )
    assert not refused
    assert rows["marks"].tolist() == [
        MARK_ZERO_ISLAND | MARK_SPEED_SENTINEL,
        MARK_ZERO_ISLAND,
        MARK_SPEED_SENTINEL,
        0,
    ]
    assert rows["speed_ckmh"].tolist() == [41038, UNKNOWN_SPEED, 41038, 41000]
