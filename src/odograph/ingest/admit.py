"""From a report to the row that is kept: rounded once, the impossible refused, the doubtful marked.

What is impossible is refused with its reason, so that nothing is ever altered in silence: a value that is not
finite, a place that is not on Earth, a heading above 360 degrees, a speed above 2,000 km/h, a time that can't
be right. Headings and speeds below zero are kept as unknown: that is how receivers spell "I don't know", and
the position beside them is good. A longitude of -180 stays -180: it was said so, and is as valid as 180.
A jump is for the store to mark, which alone knows the fix before.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

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
    if len(reports) >= _MANY and _admit_columns(out, asset, reports, oldest_ms, latest_ms):
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
    out: bytearray, asset: AssetId, reports: Sequence[Report], oldest_ms: int, latest_ms: int
) -> bool:
    """The same rows, column by column; False, and nothing done, where any report has to be looked at by itself."""
    times, *others = zip(*reports, strict=True)
    if not oldest_ms < min(times) <= max(times) <= latest_ms:
        return False
    lat, lon, heading_deg, speed_kmh = (np.array(column, dtype=np.float64) for column in others)
    headings = _hundredths(heading_deg, others[2], 360.0, UNKNOWN_HEADING)
    speeds = _hundredths(speed_kmh, others[3], MAX_SPEED_KMH, UNKNOWN_SPEED)
    if headings is None or speeds is None or not (np.abs(lat).max() <= 90.0 and np.abs(lon).max() <= 180.0):
        return False
    rows = np.empty(len(times), dtype=FIX_DTYPE)
    rows["asset"], rows["time_ms"] = asset, times
    rows["lat_e7"], rows["lon_e7"] = np.rint(lat * 1e7), np.rint(lon * 1e7)
    headings[headings == 36000.0] = 0.0
    rows["heading_cdeg"], rows["speed_ckmh"] = headings, speeds
    is_nowhere = (rows["lat_e7"] == 0) & (rows["lon_e7"] == 0)
    rows["marks"] = MARK_SPEED_SENTINEL * (speeds == _SENTINEL_CKMH) + MARK_ZERO_ISLAND * is_nowhere
    out += rows.tobytes()
    return True


def _hundredths(
    values: npt.NDArray[np.float64], said: Sequence[float | None], most: float, unknown: int
) -> npt.NDArray[np.float64] | None:
    """Values, NaN for None, in whole hundredths; None where any is neither unknown nor from 0 to `most`."""
    is_unknown = np.isnan(values)
    if is_unknown.any():
        if np.count_nonzero(is_unknown) != said.count(None):
            return None
        values = np.where(is_unknown, 0.0, values)
    if not (values.min() >= 0.0 and values.max() <= most):
        return None
    steps = np.rint(values * 100.0)
    steps[is_unknown] = unknown
    return steps


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
