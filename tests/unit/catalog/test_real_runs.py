"""Arrivals found and estimated on a day of a city's buses, against what was observed (ODOGRAPH_RECORDINGS)."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from odograph.catalog.arrivals import BEFORE_MS, MAX_ARRIVALS, samples_of
from odograph.catalog.runs import Run, fences_of, windows
from odograph.live.arrivals import Arrivals
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Arrival, Route
from odograph.model.ids import AssetId, OrgId, RecordId
from odograph.model.place import Position
from odograph.sharing.estimating import Learned
from odograph.store.base import Record
from tests.support.buses import IS_THERE, read_buses

ORG = OrgId(1)
pytestmark = pytest.mark.skipif(not IS_THERE, reason="ODOGRAPH_RECORDINGS names no folder with buses and timetable")


def derived(fixes, trips) -> list[Route]:
    """All trips of one bus, as the service derives them."""
    found, starts_ms = [], 1 << 62
    entities = [Entity(ORG, RecordId(trip.route.number), 1, trip.route) for trip in trips]
    for one, (begins_ms, limit_ms) in reversed(windows(entities)):
        closes_ms = min(limit_ms, starts_ms)
        run = Run(one.body, fences_of(Directory(), ORG, one.body))
        run.feed(fixes[(fixes["time_ms"] >= begins_ms) & (fixes["time_ms"] < closes_ms)])
        run.close(closes_ms, 1 << 61)
        found.append(run.route())
        starts_ms = min(starts_ms, found[-1].started_ms or 1 << 62)
    return found


def test_arrivals_at_bus_stops_are_those_that_were_observed():
    observed, late_s = 0, []
    for fixes, trips in read_buses().values():
        routes = {route.name: route for route in derived(fixes, trips)}
        for trip in trips:
            times = {stop.number: stop.arrived_ms for stop in routes[trip.route.name].stops}
            observed += len(trip.observed)
            late_s += [
                (times[number] - time_ms) / 1000 for number, time_ms in trip.observed.items() if times[number]
            ]
    assert observed > 2700
    assert len(late_s) / observed > 0.98
    within = sum(abs(one) <= 60 for one in late_s) / observed  # fixes are half a minute apart
    assert within > 0.92, within


def test_estimates_hold_their_band_on_drives_that_came_later():
    """In the order in which things happened: whatever is estimated, only earlier drives are known."""
    drives: list[Any] = []
    questions: list[Any] = []
    for fixes, trips in read_buses().values():
        for route in derived(fixes, trips):
            for stop in route.stops[1:]:
                if stop.arrived_ms:
                    place = Position(stop.lat, stop.lon)
                    drives.append((stop.arrived_ms, place, fixes))
                    questions += asked(fixes, route, stop.arrived_ms, place) if stop.number % 3 == 0 else []
    drives.sort(key=lambda one: one[0])
    questions.sort(key=lambda one: one[0])
    arrivals = Arrivals()
    learned = Learned(arrivals)
    known, answered, held, errors_s, widths_s = 0, 0, 0, [], []
    for time_ms, here, place, arrived_ms in questions:
        while known < len(drives) and drives[known][0] <= time_ms:
            note(arrivals, known + 1, *drives[known])
            known += 1
        estimate = learned.estimate(ORG, AssetId(1), here, place, time_ms)
        if estimate is not None:
            answered += 1
            held += estimate.earliest_ms <= arrived_ms <= estimate.latest_ms
            errors_s.append(abs(estimate.at_ms - arrived_ms) / 1000)
            widths_s.append((estimate.latest_ms - estimate.earliest_ms) / 1000)
    assert answered > len(questions) / 2
    share = held / answered
    assert 0.65 <= share <= 0.95, share
    assert np.median(errors_s) < 110
    assert np.median(widths_s) < 450


def asked(fixes, route, arrived_ms, place):
    """Where the bus was 3, 8 and 15 minutes before it arrived, if it was on its way then."""
    for before_min in (3, 8, 15):
        row = int(np.searchsorted(fixes["time_ms"], arrived_ms - before_min * 60_000, side="right")) - 1
        if row >= 0 and int(fixes["time_ms"][row]) >= route.started_ms:
            here = Position(fixes["lat_e7"][row] / 1e7, fixes["lon_e7"][row] / 1e7)
            yield int(fixes["time_ms"][row]), here, place, arrived_ms


def note(arrivals, record_id, arrived_ms, place, fixes) -> None:
    """As the server keeps it."""
    mine = fixes[(fixes["time_ms"] >= arrived_ms - BEFORE_MS) & (fixes["time_ms"] <= arrived_ms)]
    samples = samples_of(mine, place, arrived_ms)
    if samples:
        body = Arrival(1, place.lat, place.lon, arrived_ms, samples)
        arrivals.put(Record(ORG, "arrival", RecordId(record_id), record_id, msgspec.json.encode(body)))
        for old in arrivals.list_(ORG, limit=max(arrivals.count(ORG) - MAX_ARRIVALS, 0)):
            arrivals.drop(old.id)
