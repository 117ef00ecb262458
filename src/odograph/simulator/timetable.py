"""A recording in memory, in the order in which its reports fall due: for replays that keep a pace."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from odograph.model.fixes import Report
from odograph.simulator.recordings import Heard, OnBad, Recording


class Span(NamedTuple):
    """The earliest and the latest time in a recording."""

    first_ms: int
    last_ms: int


class Timetable:
    """44 bytes a report. Vehicles run side by side even if the files hold them one after the other."""

    def __init__(self) -> None:
        self._vehicles: dict[str, int] = {}
        self._vehicle = array("I")
        self._time_ms = array("q")
        self._numbers = array("d")  # lat, lon, heading and speed of each; NaN is unknown

    def __len__(self) -> int:
        return len(self._time_ms)

    @property
    def span(self) -> Span:
        """Of no meaning where there are no reports."""
        return Span(min(self._time_ms, default=0), max(self._time_ms, default=0))

    def add(self, heard: Heard) -> None:
        """In the order of the recording."""
        time_ms, lat, lon, heading, speed = heard.report
        self._vehicle.append(self._vehicles.setdefault(heard.vehicle, len(self._vehicles)))
        self._time_ms.append(time_ms)
        self._numbers.extend(
            (lat, lon, math.nan if heading is None else heading, math.nan if speed is None else speed)
        )

    def in_order(self) -> Iterator[tuple[int, Heard]]:
        """When each report falls due, and the report. A vehicle's own order stays: an older time is due at once."""
        names = list(self._vehicles)
        due_ms = self._due_ms()
        for at in np.argsort(due_ms, kind="stable").tolist():
            lat, lon, heading, speed = self._numbers[at * 4 : at * 4 + 4]
            report = Report(self._time_ms[at], lat, lon, _known(heading), _known(speed))
            yield int(due_ms[at]), Heard(names[self._vehicle[at]], report)

    def _due_ms(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The newest time that the vehicle had come to by then."""
        due_ms = np.array(self._time_ms, dtype=np.int64)
        vehicle = np.array(self._vehicle, dtype=np.uint32)
        by_vehicle = np.argsort(vehicle, kind="stable")
        starts = np.flatnonzero(np.diff(vehicle[by_vehicle])) + 1
        for group in np.split(by_vehicle, starts):
            due_ms[group] = np.maximum.accumulate(due_ms[group])
        return due_ms


def read_timetable(recordings: Sequence[Recording], on_bad: OnBad) -> Timetable:
    """All reports of all recordings. Blocks: some 5 s for a million."""
    timetable = Timetable()
    for recording in recordings:
        for heard in recording.read(on_bad):
            timetable.add(heard)
    return timetable


def read_span(recordings: Sequence[Recording]) -> Span:
    """The span alone, holding nothing. Blocks as long as `read_timetable`."""
    first_ms, last_ms = None, 0
    for recording in recordings:
        for heard in recording.read(lambda bad: None):  # noqa: ARG005 - told when it is read to be sent
            time_ms = heard.report.time_ms
            first_ms = time_ms if first_ms is None else min(first_ms, time_ms)
            last_ms = max(last_ms, time_ms)
    return Span(first_ms or 0, last_ms)


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
