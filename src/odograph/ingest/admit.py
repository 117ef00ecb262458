"""From a report to the row that is kept: rounded once, the impossible refused, the doubtful marked.

What is impossible is refused with its reason, so that nothing is ever altered in silence: a value that is not
finite, a place that is not on Earth, a heading above 360 degrees, a speed above 2,000 km/h, a time that can't
be right. Headings and speeds below zero are kept as unknown: that is how receivers spell "I don't know", and
the position beside them is good. A longitude of -180 stays -180: it was said so, and is as valid as 180.
A jump is for the store to mark, which alone knows the fix before.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import (
    FIX_DTYPE,
    FIX_ROW,
    MARK_SPEED_SENTINEL,
    MARK_ZERO_ISLAND,
    MAX_FUTURE_MS,
    MAX_SPEED_KMH,
    MAX_TIME_MS,
    UNKNOWN_HEADING,
    UNKNOWN_SPEED,
    Report,
    ReportTable,
)
from odograph.model.ids import AssetId

NOT_FINITE: Final = "not_finite"
LATITUDE_OUT_OF_RANGE: Final = "latitude_out_of_range"
LONGITUDE_OUT_OF_RANGE: Final = "longitude_out_of_range"
HEADING_OUT_OF_RANGE: Final = "heading_out_of_range"
SPEED_OUT_OF_RANGE: Final = "speed_out_of_range"
TIME_NOT_POSITIVE: Final = "time_not_positive"
TIME_IN_FUTURE: Final = "time_in_future"
TIME_TOO_OLD: Final = "time_too_old"
REASONS: Final = (
    NOT_FINITE,
    LATITUDE_OUT_OF_RANGE,
    LONGITUDE_OUT_OF_RANGE,
    HEADING_OUT_OF_RANGE,
    SPEED_OUT_OF_RANGE,
    TIME_NOT_POSITIVE,
    TIME_IN_FUTURE,
    TIME_TOO_OLD,
)
"""Every reason for which a report can never be stored; also labels of a counter."""

_SENTINEL_CKMH: Final = 41038  # 255 mph
_LEAST: Final = np.array([[-90.0], [-180.0], [0.0], [0.0]])
_MOST: Final = np.array([[90.0], [180.0], [360.0], [MAX_SPEED_KMH]])
_STEPS: Final = np.array([[1e7], [1e7], [100.0], [100.0]])
_SPECIAL: Final = np.array([[0.0], [0.0], [36000.0], [_SENTINEL_CKMH]])
"""Latitude, longitude, heading and speed: their ranges, how many steps a unit has, and which step needs a look."""
_MANY: Final = 64  # reports; of fewer, rows are packed faster than columns


def admit(
    out: bytearray,
    asset: AssetId,
    reports: Sequence[Report],
    *,
    now_ms: int,
    oldest_ms: int = 0,
) -> list[tuple[int, str]]:
    """Append the rows (FIX_ROW) of all reports that can be stored to `out`; the others' (index, reason).

    Reports with time <= `oldest_ms` or more than MAX_FUTURE_MS after `now_ms` are refused.
    """
    latest_ms = min(now_ms + MAX_FUTURE_MS, MAX_TIME_MS - 1)
    if len(reports) >= _MANY:
        columns = reports.columns if isinstance(reports, ReportTable) else zip(*reports, strict=True)
        if _admit_columns(out, asset, *columns, oldest_ms=oldest_ms, latest_ms=latest_ms):
            return []
    return _admit_rows(out, asset, reports, oldest_ms, latest_ms)


def _admit_rows(
    out: bytearray, asset: AssetId, reports: Sequence[Report], oldest_ms: int, latest_ms: int
) -> list[tuple[int, str]]:
    pack = FIX_ROW.pack
    refused: list[tuple[int, str]] = []
    for index, (time_ms, lat, lon, heading_deg, speed_kmh) in enumerate(reports):
        heading, speed = heading_deg, speed_kmh
        if not (
            oldest_ms < time_ms <= latest_ms
            and -90.0 <= lat <= 90.0
            and -180.0 <= lon <= 180.0
            and (heading is None or 0.0 <= heading <= 360.0)
            and (speed is None or 0.0 <= speed <= MAX_SPEED_KMH)
        ):
            reason = _impossible(reports[index], oldest_ms, latest_ms)
            if reason is not None:
                refused.append((index, reason))
                continue
            heading, speed = _known(heading), _known(speed)
        lat_e7, lon_e7 = round(lat * 1e7), round(lon * 1e7)
        speed_ckmh = UNKNOWN_SPEED if speed is None else round(speed * 100.0)
        marks = MARK_SPEED_SENTINEL if speed_ckmh == _SENTINEL_CKMH else 0
        if not lat_e7 and not lon_e7:
            marks |= MARK_ZERO_ISLAND
        heading_cdeg = UNKNOWN_HEADING if heading is None else round(heading * 100.0) % 36000
        out += pack(asset, time_ms, lat_e7, lon_e7, heading_cdeg, speed_ckmh, marks)
    return refused


def _admit_columns(
    out: bytearray,
    asset: AssetId,
    times_ms: Sequence[int],
    lat: Sequence[float],
    lon: Sequence[float],
    heading_deg: Sequence[float | None],
    speed_kmh: Sequence[float | None],
    *,
    oldest_ms: int,
    latest_ms: int,
) -> bool:
    """The same rows, column by column; False, and nothing done, where any report has to be looked at by itself."""
    if not oldest_ms < min(times_ms) <= max(times_ms) <= latest_ms:
        return False
    measures = _measures(lat, lon, heading_deg, speed_kmh)
    is_possible = (measures >= _LEAST) & (measures <= _MOST)
    is_unknown: npt.NDArray[np.bool_] | None = None
    if not is_possible.all():
        is_unknown = np.isnan(measures)
        # A NaN that somebody sent is not None, and stays what it is: impossible.
        unknown = np.count_nonzero(is_unknown)
        if unknown != heading_deg.count(None) + speed_kmh.count(None) or not (is_possible | is_unknown).all():
            return False
    steps = np.rint(measures * _STEPS)
    if is_unknown is not None:
        steps[2][is_unknown[2]], steps[3][is_unknown[3]] = UNKNOWN_HEADING, UNKNOWN_SPEED
    marks: npt.NDArray[np.int64] | int = 0
    is_special = steps == _SPECIAL
    if is_special.any():
        steps[2][is_special[2]] = 0.0
        marks = MARK_ZERO_ISLAND * (is_special[0] & is_special[1]) + MARK_SPEED_SENTINEL * is_special[3]
    rows = np.empty(len(times_ms), dtype=FIX_DTYPE)
    rows["asset"] = asset
    rows["time_ms"] = np.frombuffer(_packer("q", len(times_ms)).pack(*times_ms), dtype=np.int64)
    rows["lat_e7"], rows["lon_e7"], rows["heading_cdeg"], rows["speed_ckmh"] = steps
    rows["marks"] = marks
    out += rows.tobytes()
    return True


def _measures(*columns: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """A row a column, NaN for None."""
    numbers: list[Any] = []
    for column in columns:
        numbers += column
    try:
        # Of a list, this makes an array four times as fast as numpy does.
        packed = _packer("d", len(numbers)).pack(*numbers)
    except struct.error:
        return np.array(numbers, dtype=np.float64).reshape(len(columns), -1)
    return np.frombuffer(packed, dtype=np.float64).reshape(len(columns), -1)


@lru_cache(maxsize=64)
def _packer(kind: str, count: int) -> struct.Struct:
    return struct.Struct(f"={count}{kind}")


def _impossible(report: Report, oldest_ms: int, latest_ms: int) -> str | None:
    """Why a report can't be stored; None where it only holds an unknown heading or speed."""
    time_ms, lat, lon, heading_deg, speed_kmh = report
    numbers = (lat, lon, heading_deg or 0.0, speed_kmh or 0.0)
    checks = (
        (TIME_NOT_POSITIVE, time_ms <= 0),
        (TIME_IN_FUTURE, time_ms > latest_ms),
        (TIME_TOO_OLD, time_ms <= oldest_ms),
        (NOT_FINITE, not all(map(isfinite, numbers))),
        (LATITUDE_OUT_OF_RANGE, not -90.0 <= lat <= 90.0),
        (LONGITUDE_OUT_OF_RANGE, not -180.0 <= lon <= 180.0),
        (HEADING_OUT_OF_RANGE, heading_deg is not None and heading_deg > 360.0),
        (SPEED_OUT_OF_RANGE, speed_kmh is not None and speed_kmh > MAX_SPEED_KMH),
    )
    return next((reason for reason, is_so in checks if is_so), None)


def _known(number: float | None) -> float | None:
    return None if number is None or number < 0.0 else number
