"""Moments as people say them: a date, a time, or how far away it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from odograph.errors import invalid

FORMS: Final = "a date, an RFC 3339 time, 'now', or a span such as 90m, 24h, 7d"

_SPAN: Final = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def span_s(text: str) -> int | None:
    """The seconds of `30s`, `90m`, `24h`, `7d` or `2w`; None where it is none of them."""
    match = _SPAN.fullmatch(text.strip().lower())
    return int(match[1]) * _SECONDS[match[2]] if match else None


def required_span_s(name: str, text: str) -> int:
    """As `span_s`. INVALID naming the option."""
    seconds = span_s(text)
    if seconds is None:
        raise invalid(f"{name} must be a span such as 30s, 90m, 24h or 7d, not {text!r}.")
    return seconds


def rfc3339(name: str, text: str, zone: str, now: datetime, *, is_future: bool = False) -> str:
    """An RFC 3339 time for the API. INVALID naming the option.

    Spans count back from now, or ahead with `is_future`; dates and times without a zone are those of `zone`.
    """
    if text == "now":
        return _render(now)
    seconds = span_s(text)
    if seconds is not None:
        return _render(now + timedelta(seconds=seconds if is_future else -seconds))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} must be {FORMS}, not {text!r}.") from None
    return _render(moment if moment.tzinfo else moment.replace(tzinfo=_zone(zone)))


def age(time: str, now: datetime) -> str:
    """How long ago an RFC 3339 time was, roughly: `12 s ago`."""
    seconds = (now - datetime.fromisoformat(time)).total_seconds()
    for size, name in ((172_800, "d"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // (_SECONDS[name[0]]):.0f} {name} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _render(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
