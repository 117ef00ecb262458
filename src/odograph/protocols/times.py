"""Times as devices write them: seconds or milliseconds since 1970, or ISO 8601 with or without a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from odograph.protocols.base import BadFrame

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_BELOW: Final = 100_000_000_000
"""Smaller numbers are seconds (until the year 5138), larger ones milliseconds (since March 1973)."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_NUMBER: Final = re.compile(r"-?[0-9]{1,14}(\.[0-9]{1,9})?")
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?(.*)", re.ASCII | re.DOTALL)
_ZONE: Final = re.compile(r"[Zz]?|[-+ ][0-9]{2}:?[0-9]{2}")


def ms_since_epoch(moment: datetime) -> int:
    """Whole milliseconds, what is finer cut off; `moment` has its zone."""
    since = moment - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def render_time(time_ms: int) -> str:
    """As RFC 3339 in UTC with milliseconds, `2025-01-31T10:00:00.000Z`."""
    return (EPOCH + time_ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> int | None:
    """Milliseconds of an ISO 8601 date and time, UTC where it names no zone; None where it is none.

    A `+` of the zone that turned into a space on its way through a URL is read as the `+` it was.
    """
    found = _ISO.fullmatch(text)
    if found is None or _ZONE.fullmatch(found[3]) is None:
        return None
    zone = found[3].replace(" ", "+").upper()
    try:
        moment = datetime.fromisoformat(text[: found.start(3)] + zone)
    except ValueError:
        return None
    return ms_since_epoch(moment if zone else moment.replace(tzinfo=UTC))


def _of_number(value: float) -> int | None:
    if not -1e14 < value < 1e14:
        return None
    return round(value * 1000 if abs(value) < SECONDS_BELOW else value)


def _of_text(text: str) -> int | None:
    if _NUMBER.fullmatch(text):
        return _of_number(float(text) if "." in text else int(text))
    return parse_iso(text)


def read_time(value: object, name: str, received_ms: int | None) -> int:
    """Milliseconds of `value` in any form that devices use; the time of arrival where there is none.

    Raises BadFrame, naming the field, when it is no time, or missing and nobody knows when it arrived.
    """
    if value is None or value == "":
        if received_ms is None:
            raise BadFrame(f"{name} is missing: the time of the fix")
        return received_ms
    found = None
    if isinstance(value, str):
        found = _of_text(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = _of_number(value)
    if found is None:
        raise BadFrame(f"{name} must be seconds or milliseconds since 1970, or ISO 8601 text, got {value!r:.40}")
    return found
