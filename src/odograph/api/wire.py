"""How numbers and times look outside: RFC 3339, degrees, miles per hour. The only converters on the way out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec

from odograph.model.fixes import MARK_NAMES

CKMH_PER_MPH: Final = 160.9344
"""Hundredths of a km/h in one mile per hour."""

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC, as `render_time` writes it."""
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90, description="Degrees, north is positive.")]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180, description="Degrees, east is positive.")]
Heading = Annotated[float, msgspec.Meta(ge=0, lt=360, description="Degrees clockwise from true north.")]
SpeedMph = Annotated[float, msgspec.Meta(ge=0, description="Miles per hour over ground.")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Doubt = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(MARK_NAMES.values())})]
"""Why a reader may want to leave a fix out."""

ENDINGS: Final = ("Z", *(f".{millisecond:03d}Z" for millisecond in range(1, 1000)))
_encoder = msgspec.json.Encoder()


@lru_cache(maxsize=1 << 16)  # a day of seconds at most: about 9 MB, and a page rarely spans more
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def render_time(time_ms: int) -> str:
    """`2024-05-01T10:00:00Z`, with milliseconds only where they are not zero."""
    second, millisecond = divmod(time_ms, 1000)
    return _second(second) + ENDINGS[millisecond]


def mph(speed_ckmh: int) -> float:
    """Miles per hour of a known speed, in full precision."""
    return speed_ckmh / CKMH_PER_MPH


def degrees(e7: int) -> float:
    """Degrees of a latitude or longitude in 1e-7 degree."""
    return e7 / 1e7


def degrees_text(e7: int) -> str:
    """The same as a JSON number of at most seven decimals, never in powers of ten."""
    text = number_text(e7 / 1e7)
    return text if "e" not in text else f"{e7 / 1e7:.7f}".rstrip("0")


def number_text(number: float) -> str:
    """As JSON: what Python writes, in a third of the time."""
    return str(_encoder.encode(number), "ascii")


def number_texts(numbers: Iterable[float]) -> list[bytes]:
    """The same of many, of which there is at least one."""
    return _encoder.encode(list(numbers))[1:-1].split(b",")


def heading_degrees(heading_cdeg: int) -> float:
    """Degrees of a known heading in 0.01 degree."""
    return heading_cdeg / 100


def to_json(value: Any) -> bytes:
    """JSON of a struct or of plain lists and dicts; fields that are UNSET are left out."""
    return _encoder.encode(value)
