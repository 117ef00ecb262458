"""Recordings as streams of reports: CSV, GPX and NMEA, plain or gzipped; what is wrong in them is told by line."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from odograph.errors import invalid
from odograph.model.fixes import Report
from odograph.simulator.gpx import read_gpx
from odograph.simulator.nmea import read_nmea

COLUMNS: Final = ("vehicle_id", "time_iso", "lat", "lon", "heading_deg", "speed_mph")
NAME: Final = "vehicle_name"  # a further column, of exports: there, ids are the server's
KMH_PER_MPH: Final = 1.609344
MAX_LINE: Final = 65_536  # characters; a file without line ends must not fill the memory
SNIFFED: Final = 16_384  # bytes from which the kind of file is told; NMEA logs may start with a long comment

_GZIP_MAGIC: Final = b"\x1f\x8b"
_NMEA: Final = re.compile(rb"\$[A-Z]{2}(RMC|GGA),")


class Heard(NamedTuple):
    """One report of one vehicle, in the order of the file."""

    vehicle: str
    report: Report


class BadLine(NamedTuple):
    """What was passed over, and why."""

    path: Path
    line: int
    reason: str


OnBad = Callable[[BadLine], None]


class Recording:
    """One file. `position_bytes` of `size_bytes` are read, for a progress bar; gzip counts as it lies on disk.

    `vehicle` names the vehicle of GPX and NMEA files, else it is the file's name; `day` is the date of an NMEA
    file that has times but no date. `names` has what vehicles are called by their ids, as far as the file tells and
    is read. Raises Refusal where the file is missing or is no recording.
    """

    def __init__(self, path: Path, *, vehicle: str | None = None, day: date | None = None) -> None:
        self.path = path
        self.position_bytes = 0
        self.names: dict[str, str] = {}
        self._vehicle = vehicle or path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        self._day = day
        try:
            self.size_bytes = path.stat().st_size
            with self._open() as file:
                self.kind = _kind_of(file.read(SNIFFED))
        except (OSError, EOFError) as error:
            raise invalid(f"Cannot read the recording {path}: {error}.") from error
        if not self.kind:
            raise invalid(f"{path} is no recording: neither CSV with {', '.join(COLUMNS[:4])}, nor GPX, nor NMEA.")

    def read(self, on_bad: OnBad) -> Iterator[Heard]:
        """Every report in the order of the file; what is wrong goes to `on_bad` and the rest is read on."""
        line = 0
        with self.path.open("rb") as raw:
            try:
                for line, found in self._entries(_maybe_gunzip(raw)):
                    if isinstance(found, str):
                        on_bad(BadLine(self.path, line, found))
                    else:
                        yield found
                    if not line % 256:
                        self.position_bytes = raw.tell()
            except (OSError, EOFError) as error:
                on_bad(BadLine(self.path, line + 1, f"the file can't be read on: {error}"))
        self.position_bytes = self.size_bytes

    def _entries(self, file: IO[bytes]) -> Iterator[tuple[int, Heard | str]]:
        if self.kind == "csv":
            yield from _read_csv(_lines(file), self.names)
            return
        points = read_gpx(file) if self.kind == "gpx" else read_nmea(_lines(file), self._day)
        for line, found in points:
            yield line, found if isinstance(found, str) else Heard(self._vehicle, found)

    def _open(self) -> IO[bytes]:
        return _maybe_gunzip(self.path.open("rb"))


def _maybe_gunzip(raw: IO[bytes]) -> IO[bytes]:
    magic = raw.read(2)
    raw.seek(0)
    return cast(IO[bytes], gzip.open(raw)) if magic == _GZIP_MAGIC else raw


def _kind_of(head: bytes) -> str:
    """`csv`, `gpx`, `nmea`, or nothing; told by what is in the file, for names of files say little."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first_line = start.partition(b"\n")[0]
    if b"vehicle_id" in first_line and b"time_iso" in first_line:
        return "csv"
    if start.startswith(b"<") and b"<gpx" in start:
        return "gpx"
    return "nmea" if _NMEA.search(start) else ""


def _lines(file: IO[bytes]) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    return iter(lambda: text.readline(MAX_LINE), "")


def _read_csv(lines: Iterator[str], names: dict[str, str]) -> Iterator[tuple[int, Heard | str]]:
    rows = csv.reader(lines)
    header = [name.strip() for name in next(rows, [])]
    missing = [name for name in COLUMNS[:4] if name not in header]
    if missing:
        yield 1, f"the columns {', '.join(missing)} are missing"
        return
    places = [header.index(name) if name in header else None for name in COLUMNS]
    at_id, at_name = header.index(COLUMNS[0]), header.index(NAME) if NAME in header else None
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield rows.line_num, f"no row of CSV: {error}"
            continue
        if row is None:
            return
        if row:
            if at_name is not None and at_name < len(row) and at_id < len(row) and row[at_name]:
                names.setdefault(row[at_id], row[at_name])
            yield rows.line_num, _heard_of([row[at] if at is not None and at < len(row) else "" for at in places])


def _heard_of(fields: list[str]) -> Heard | str:
    vehicle, time_iso, lat, lon, heading, speed = fields
    if not vehicle:
        return "vehicle_id is empty"
    time_ms = _time_ms(time_iso)
    if time_ms is None:
        return f"time_iso must be ISO 8601 with its zone, got {time_iso!r:.40}"
    try:
        numbers = [float(text) if text else None for text in (lat, lon, heading, speed)]
    except ValueError as error:
        return str(error)
    lat_deg, lon_deg, heading_deg, speed_mph = numbers
    if lat_deg is None or lon_deg is None:
        return "lat or lon is empty"
    if not all(math.isfinite(number) for number in numbers if number is not None):
        return "a number is not finite"
    speed_kmh = None if speed_mph is None else round(speed_mph * KMH_PER_MPH, 6)
    return Heard(vehicle, Report(time_ms, lat_deg, lon_deg, heading_deg, speed_kmh))


def _time_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
