"""The rows of an exported table, whatever the fixes and the vehicle's name hold."""

from __future__ import annotations

import csv
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from odograph.api.params import parse_time
from odograph.api.resources.export import _FORMATS, _Csv, _Track
from odograph.model.fixes import FIX_DTYPE, MAX_TIME_MS, UNKNOWN_HEADING, UNKNOWN_SPEED, Report
from odograph.simulator.gpx import read_gpx

rows = st.lists(
    st.tuples(
        st.just(1),
        st.integers(0, MAX_TIME_MS - 1),
        st.integers(-900_000_000, 900_000_000),
        st.integers(-1_800_000_000, 1_800_000_000),
        st.integers(0, 35999) | st.just(UNKNOWN_HEADING),
        st.integers(0, 200_000) | st.just(UNKNOWN_SPEED),
        st.just(0),
    ),
    min_size=1,
    max_size=20,
)


@given(rows, st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_each_fix_is_a_row_that_a_spreadsheet_reads_back(made, name):
    fixes = np.array(made, dtype=FIX_DTYPE)
    text = _Csv().rows(_Track("281", name, is_first=True), fixes, True).decode()
    for row, fix in zip(csv.reader(io.StringIO(text)), fixes, strict=True):
        vehicle, time, lat, lon, heading, speed, vehicle_name = row
        assert (vehicle, vehicle_name) == ("281", name)
        assert parse_time(time) == fix["time_ms"]
        assert (float(lat), float(lon)) == (fix["lat_e7"] / 1e7, fix["lon_e7"] / 1e7)
        assert heading == ("" if fix["heading_cdeg"] == UNKNOWN_HEADING else repr(float(fix["heading_cdeg"] / 100)))
        assert speed == ("" if fix["speed_ckmh"] == UNKNOWN_SPEED else repr(float(fix["speed_ckmh"] / 160.9344)))


@given(rows)
def test_each_fix_is_a_track_point_that_a_replay_reads_back_with_speed_and_heading(made):
    fixes = np.array(made, dtype=FIX_DTYPE)
    form, track = _FORMATS["gpx"], _Track("281", "Van <1>", is_first=True)
    rows_of = form.rows()(track, fixes, True)
    file = form.begin.encode() + form.begin_track(track).encode() + rows_of + (form.end_track + form.end).encode()
    for (_, report), fix in zip(read_gpx(io.BytesIO(file)), fixes, strict=True):
        assert isinstance(report, Report), report
        assert (report.time_ms, report.lat, report.lon) == (
            fix["time_ms"],
            fix["lat_e7"] / 1e7,
            fix["lon_e7"] / 1e7,
        )
        heading = UNKNOWN_HEADING if report.heading_deg is None else round(report.heading_deg * 100)
        speed = UNKNOWN_SPEED if report.speed_kmh is None else round(report.speed_kmh * 100)
        assert (heading, speed) == (fix["heading_cdeg"], fix["speed_ckmh"])
