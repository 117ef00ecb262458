"""Fixes as whole numbers, from both ends: what must be kept of a report, and what an answer says was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from odograph.model.fixes import MAX_SPEED_KMH, Report

CKMH_PER_MPH = 160.9344
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(NamedTuple):
    """One fix of one vehicle: ms, 1e-7 degree, 0.01 degree, 0.01 km/h; None is unknown."""

    vehicle: str
    time_ms: int
    lat_e7: int
    lon_e7: int
    heading_cdeg: int | None
    speed_ckmh: int | None


def kept_of(vehicle: str, report: Report, protocol: str = "batch") -> Kept:
    """What the promise of storage makes of a report, after the protocol's own rounding."""
    heading, speed = report.heading_deg, report.speed_kmh
    if protocol == "teltonika":
        heading, speed = (None if number is None else float(round(number)) for number in (heading, speed))
    return Kept(
        vehicle,
        report.time_ms,
        round(report.lat * 1e7),
        round(report.lon * 1e7),
        None if heading is None else round(heading * 100) % 36000,
        None if speed is None else round(speed * 100),
    )


def kept_of_answer(
    vehicle: str, time: str, lat: float, lon: float, heading: float | None, speed_mph: float | None
) -> Kept:
    """The same of a fix as the API says it."""
    return Kept(
        vehicle,
        (datetime.fromisoformat(time) - _EPOCH) // timedelta(milliseconds=1),
        round(lat * 1e7),
        round(lon * 1e7),
        None if heading is None else round(heading * 100),
        None if speed_mph is None else round(speed_mph * CKMH_PER_MPH),
    )


@dataclass
class Expected:
    """What must become of reports sent in this order, told without the server's help."""

    kept: set[Kept] = field(default_factory=set)
    stored: int = 0
    known: int = 0
    same_time_different: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.stored + self.known + self.same_time_different + self.refused.total()


def expect(vehicle: str, reports: Sequence[Report], protocol: str = "batch") -> Expected:
    """One vehicle's reports in the order of sending: the first one of a moment is kept."""
    expected, first = Expected(), dict[int, Kept]()
    for report in reports:
        reason = reason_against(report)
        if reason is not None:
            expected.refused[reason] += 1
            continue
        fix = kept_of(vehicle, report, protocol)
        before = first.setdefault(fix.time_ms, fix)
        if before is fix:
            expected.stored += 1
        elif before == fix:
            expected.known += 1
        else:
            expected.same_time_different += 1
    expected.kept = set(first.values())
    return expected


def reason_against(report: Report) -> str | None:
    """Why it cannot be true; of the reasons only those that recordings hold."""
    if not -90 <= report.lat <= 90:
        return "latitude_out_of_range"
    if not -180 <= report.lon <= 180:
        return "longitude_out_of_range"
    if report.speed_kmh is not None and report.speed_kmh > MAX_SPEED_KMH:
        return "speed_out_of_range"
    return None


def together(parts: Iterable[Expected]) -> Expected:
    """The sum over vehicles."""
    whole = Expected()
    for part in parts:
        whole.kept |= part.kept
        whole.stored += part.stored
        whole.known += part.known
        whole.same_time_different += part.same_time_different
        whole.refused += part.refused
    return whole
