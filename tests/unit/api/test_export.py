"""The rows of an exported table, whatever the fixes and the vehicle's name hold."""

from __future__ import annotations

import csv
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from odograph.api.params import parse_time
from odograph.api.resources.export import _Csv, _Track
from odograph.model.fixes import FIX_DTYPE, MAX_TIME_MS, UNKNOWN_HEADING, UNKNOWN_SPEED

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
