"""NMEA 0183 logs: RMC and GGA of one moment joined into one report, dated by RMC and ZDA and across midnight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Final

from odograph.model.fixes import Report

KMH_PER_KNOT: Final = 1.852
CENTURY_PIVOT: Final = 80  # two-digit years: GPS began in 1980
DAY_MS: Final = 86_400_000
MAX_SENTENCE: Final = 512  # the standard says 82; receivers add

_EPOCH: Final = date(1970, 1, 1)


class _Bad(Exception):
    """What is wrong with a sentence."""


@dataclass(slots=True)
class _Moment:
    """What the sentences of one time of day said together."""

    line: int
    of_day_ms: int
    lat: float
    lon: float
    is_rmc: bool = False
    day: date | None = None
    heading_deg: float | None = None
    speed_kmh: float | None = None


class _Reader:
    """Joins sentences of the same time of day, and knows the day."""

    def __init__(self, day: date | None) -> None:
        self._day = day
        self._clock_ms: int | None = None  # the last time of day heard, which tells when midnight passed
        self._moment: _Moment | None = None

    def hear(self, line: int, fields: list[str]) -> Iterator[tuple[int, Report | str]]:
        """One sentence without its checksum; what became whole before it."""
        kind = fields[0][-3:]
        if kind == "ZDA":
            self._hear_date(fields)
        elif kind in ("RMC", "GGA"):
            moment = _read_rmc(line, fields) if kind == "RMC" else _read_gga(line, fields)
            if moment is not None:
                yield from self._join(moment)

    def flush(self) -> Iterator[tuple[int, Report | str]]:
        """The moment that no further sentence can add to."""
        moment, self._moment = self._moment, None
        if moment is None:
            return
        self._pass_midnight(moment.of_day_ms)
        self._day = moment.day or self._day
        if self._day is None:
            yield moment.line, "a time without a date: no RMC or ZDA came before it"
        else:
            time_ms = (self._day - _EPOCH).days * DAY_MS + moment.of_day_ms
            yield moment.line, Report(time_ms, moment.lat, moment.lon, moment.heading_deg, moment.speed_kmh)

    def _join(self, moment: _Moment) -> Iterator[tuple[int, Report | str]]:
        pending = self._moment
        if pending is not None and pending.of_day_ms == moment.of_day_ms:
            if moment.is_rmc:  # it knows more than GGA, whichever came first
                self._moment = moment
            return
        yield from self.flush()
        self._moment = moment

    def _hear_date(self, fields: list[str]) -> None:
        if not all(fields[1:5]):
            return  # a receiver that does not know the day yet
        try:
            self._day = date(int(fields[4]), int(fields[3]), int(fields[2]))
            self._clock_ms = _of_day_ms(fields[1])
        except (ValueError, IndexError) as error:
            raise _Bad(f"no date: {error}") from error

    def _pass_midnight(self, of_day_ms: int) -> None:
        """Half a day back can only be the next day: receivers do not go back, and logs may leave out hours."""
        before, self._clock_ms = self._clock_ms, of_day_ms
        if before is not None and self._day is not None and before - of_day_ms > DAY_MS // 2:
            self._day += timedelta(days=1)


def read_nmea(lines: Iterator[str], day: date | None = None) -> Iterator[tuple[int, Report | str]]:
    """Line and report of every moment with a position, or what is wrong in that line.

    Sentences other than RMC, GGA and ZDA, comments and sentences marked void are passed over. `day` is the date
    of the first moment, for logs in which no sentence has one.
    """
    reader = _Reader(day)
    for number, raw in enumerate(lines, 1):
        try:
            fields = _fields_of(raw)
            if fields is not None:
                yield from reader.hear(number, fields)
        except _Bad as bad:
            yield number, str(bad)
    yield from reader.flush()


def _fields_of(line: str) -> list[str] | None:
    """The fields of a sentence that we read; None for every other line."""
    start = line.find("$")
    if start < 0 or line[start + 3 : start + 6] not in ("RMC", "GGA", "ZDA"):
        return None
    body, star, checksum = line[start + 1 :].strip().rpartition("*")
    if not star:
        raise _Bad("no checksum: the sentence may be cut off")
    if len(body) > MAX_SENTENCE:
        raise _Bad("too long for a sentence")
    expected = reduce(lambda total, char: total ^ ord(char), body, 0)
    if checksum.upper() != f"{expected:02X}":
        raise _Bad(f"checksum is {checksum!r:.10}, the sentence gives {expected:02X}")
    return body.split(",")


def _read_rmc(line: int, fields: list[str]) -> _Moment | None:
    if len(fields) < 10:
        raise _Bad(f"RMC has {len(fields)} fields, not 10 or more")
    mode = fields[12] if len(fields) > 12 else ""
    if fields[2] != "A" or mode == "N" or not fields[3]:
        return None
    return _Moment(
        line,
        _of_day_ms(fields[1]),
        _angle(fields[3], fields[4], "NS"),
        _angle(fields[5], fields[6], "EW"),
        True,
        _day_of(fields[9]),
        _number(fields[8]),
        _kmh(_number(fields[7])),
    )


def _read_gga(line: int, fields: list[str]) -> _Moment | None:
    if len(fields) < 7:
        raise _Bad(f"GGA has {len(fields)} fields, not 7 or more")
    if fields[6] in ("", "0") or not fields[2]:
        return None
    lat, lon = _angle(fields[2], fields[3], "NS"), _angle(fields[4], fields[5], "EW")
    return _Moment(line, _of_day_ms(fields[1]), lat, lon)


def _of_day_ms(text: str) -> int:
    """Milliseconds since midnight of `hhmmss.sss`; a leap second runs into the next minute."""
    try:
        hours, minutes, seconds = int(text[0:2]), int(text[2:4]), float(text[4:])
    except ValueError as error:
        raise _Bad(f"no time of day: {text!r:.20}") from error
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 61):
        raise _Bad(f"no time of day: {text!r:.20}")
    return (hours * 60 + minutes) * 60_000 + round(seconds * 1000)


def _day_of(text: str) -> date | None:
    if not text:
        return None
    try:
        day, month, year = int(text[0:2]), int(text[2:4]), int(text[4:6])
        return date(year + (1900 if year >= CENTURY_PIVOT else 2000), month, day)
    except ValueError as error:
        raise _Bad(f"no date: {text!r:.20}") from error


def _angle(text: str, side: str, sides: str) -> float:
    """Degrees of `dddmm.mmmm`."""
    if side not in sides or not side:
        raise _Bad(f"the side must be {' or '.join(sides)}, got {side!r:.10}")
    point = text.find(".") if "." in text else len(text)
    try:
        degrees = int(text[: point - 2] or "0") + float(text[point - 2 :]) / 60
    except ValueError as error:
        raise _Bad(f"no angle: {text!r:.20}") from error
    return round(-degrees if side == sides[1] else degrees, 9)


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        raise _Bad(f"no number: {text!r:.20}") from error


def _kmh(knots: float | None) -> float | None:
    return None if knots is None else round(knots * KMH_PER_KNOT, 6)
