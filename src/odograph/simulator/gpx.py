"""GPX tracks, or waypoints where there is no track, read as a stream; no entity is ever expanded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Final
from xml.parsers import expat

from odograph.model.fixes import Report

KMH_PER_MPS: Final = 3.6
CHUNK: Final = 65_536
MAX_TEXT: Final = 1_000  # characters of a time or a number; the longest that is true has 35

_POINTS: Final = {"trkpt", "wpt"}
_FIELDS: Final = {"time", "speed", "course"}
_EXTENSION: Final = ["extensions", "TrackPointExtension"]
"""Garmin's place for speed and course in GPX 1.1; in other extensions the same names mean what they like."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _DocumentType(Exception):
    """A DTD: the only place where entities, and with them bombs, are declared. No GPX needs one."""


class _Reader:
    """Handlers for expat; what became whole waits in `found` as (line, report or what is wrong)."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Report | str]] = []
        self.waypoints: list[tuple[int, Report | str]] = []
        self.has_track = False
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self._point: dict[str, str] | None = None
        self._line = 0
        self._inside: list[str] = []  # elements open below the point
        self._chars = ""

    def _refuse(self, *_: object) -> None:
        raise _DocumentType

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if self._point is not None:
            self._inside.append(name)
            self._chars = ""
        elif name in _POINTS:
            self._point = dict(attributes)
            self._line = self.parser.CurrentLineNumber
            self.has_track |= name == "trkpt"

    def _text(self, text: str) -> None:
        if self._inside and len(self._chars) < MAX_TEXT:
            self._chars += text[:MAX_TEXT]

    def _end(self, tag: str) -> None:
        if self._point is None:
            return
        if not self._inside:
            self._end_point(self._point, tag.rpartition(":")[2])
            self._point = None
            return
        name = self._inside.pop()
        if name in _FIELDS and self._inside in ([], _EXTENSION):
            self._point.setdefault(name, self._chars.strip())

    def _end_point(self, point: dict[str, str], name: str) -> None:
        if name == "trkpt":
            self.found.append((self._line, _report_of(point)))
        elif "time" in point and not self.has_track:
            self.waypoints.append((self._line, _report_of(point)))


def read_gpx(file: IO[bytes]) -> Iterator[tuple[int, Report | str]]:
    """Line and report of every track point, or what is wrong there. Speeds are metres a second in GPX.

    Waypoints count in files without a track: beside one they are places that somebody marked. Routes are plans,
    not what happened. A file that is not XML to its end, or that declares a document type, is read no further.
    """
    reader = _Reader()
    while True:
        chunk = file.read(CHUNK)
        fault = _feed(reader, chunk)
        yield from reader.found
        reader.found.clear()
        if fault or not chunk:
            break
    if not reader.has_track:
        yield from reader.waypoints
    if fault:
        yield reader.parser.CurrentLineNumber, fault


def _feed(reader: _Reader, chunk: bytes) -> str:
    try:
        reader.parser.Parse(chunk, not chunk)
    except expat.ExpatError as error:
        return f"no XML from here on: {error}"
    except _DocumentType:
        return "a document type is not read: it could hold entities that expand without end"
    return ""


def _report_of(point: dict[str, str]) -> Report | str:
    if "time" not in point:
        return "a track point without a time"
    try:
        lat, lon = float(point["lat"]), float(point["lon"])
        heading, speed = (float(point[name]) if point.get(name) else None for name in ("course", "speed"))
        moment = datetime.fromisoformat(point["time"])
    except KeyError as error:
        return f"a point without {error.args[0]}"
    except ValueError as error:
        return str(error)
    if not all(math.isfinite(number) for number in (lat, lon, heading or 0, speed or 0)):
        return "a number is not finite"
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH  # GPX times are UTC, said or not
    time_ms = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    return Report(time_ms, lat, lon, heading, None if speed is None else round(speed * KMH_PER_MPS, 6))
