"""A city's buses as published (ODOGRAPH_RECORDINGS): trips as routes, their fixes, arrivals that were observed."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zipfile
from collections import defaultdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from odograph.model.catalog import Route, Stop
from odograph.model.fixes import FIX_DTYPE, Fixes

RECORDINGS = os.environ.get("ODOGRAPH_RECORDINGS", "")
TIMETABLE = Path(RECORDINGS, "routes", "wmata_gtfs", "wmata_gtfs_subset.zip")
OBSERVED = Path(RECORDINGS, "routes", "wmata_gtfs", "observed_arrivals_DERIVED.csv.gz")
FIXES = Path(RECORDINGS, "fixes", "wmata_bus", "fixes_wmata_bus.csv.gz")
IS_THERE = bool(RECORDINGS) and TIMETABLE.is_file() and OBSERVED.is_file() and FIXES.is_file()
RADIUS_M = 60.0  # within which the observed arrivals were looked for
_MIDNIGHT_S = datetime(2026, 2, 16, tzinfo=ZoneInfo("America/New_York")).timestamp()


class Trip(NamedTuple):
    """`observed`: epoch ms of the fix nearest to a stop, by the stop's number, for those that were passed."""

    route: Route
    observed: dict[int, int]


@cache
def read_buses() -> dict[str, tuple[Fixes, list[Trip]]]:
    """By vehicle: its fixes by time, and its trips. Numbers of assets are those of the order."""
    tracks: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for row in _rows(FIXES):
        tracks[row["vehicle_id"]].append((_time_ms(row["time_iso"]), float(row["lat"]), float(row["lon"])))
    observed: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for row in _rows(OBSERVED):
        key = (row["vehicle_id"], row["trip_id"])
        observed[key][int(row["stop_sequence"])] = _time_ms(row["nearest_fix_time_iso"])
    plans = _timetable()
    found = {}
    for asset, (vehicle, track) in enumerate(sorted(tracks.items()), 1):
        rows = [
            (asset, time_ms, round(lat * 1e7), round(lon * 1e7), 0, 0, 0) for time_ms, lat, lon in sorted(track)
        ]
        trips: list[Trip] = []
        for (bus, trip), times in observed.items():
            if bus == vehicle:
                plan = plans[trip]
                numbers = {stop.sequence: stop.number for stop in plan}
                route = Route(
                    number=len(trips) + 1, name=trip, stops=plan, created_ms=0, updated_ms=0, asset_id=asset
                )
                trips.append(Trip(route, {numbers[at]: time_ms for at, time_ms in times.items()}))
        found[vehicle] = (np.array(rows, dtype=FIX_DTYPE), trips)
    return found


def _timetable() -> dict[str, tuple[Stop, ...]]:
    with zipfile.ZipFile(TIMETABLE) as feed:
        places = {row["stop_id"]: row for row in _members(feed, "stops.txt")}
        trips = defaultdict(list)
        for row in _members(feed, "stop_times.txt"):
            trips[row["trip_id"]].append((int(row["stop_sequence"]), row["stop_id"], row["arrival_time"]))
    number = 0
    plans = {}
    for trip, rows in trips.items():
        stops = []
        for at, (sequence, stop, local) in enumerate(sorted(rows)):
            number += 1
            due_ms = _due_ms(local)
            stops.append(
                Stop(
                    number=number,
                    name=places[stop]["stop_name"],
                    lat=float(places[stop]["stop_lat"]),
                    lon=float(places[stop]["stop_lon"]),
                    radius_m=RADIUS_M,
                    sequence=sequence,
                    scheduled_arrival_ms=due_ms if at else 0,
                    scheduled_departure_ms=due_ms if at < len(rows) - 1 else 0,
                )
            )
        plans[trip] = tuple(stops)
    return plans


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _members(feed: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    with feed.open(name) as file:
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8-sig")))


def _time_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _due_ms(local: str) -> int:
    """Hours go beyond 24 on trips that end after midnight."""
    hours, minutes, seconds = map(int, local.split(":"))
    return round((_MIDNIGHT_S + hours * 3600 + minutes * 60 + seconds) * 1000)
