"""What the protocols over HTTP share: reading numbers, forms and JSON that other people's devices wrote."""

from __future__ import annotations

import math
from typing import Final, TypeVar
from urllib.parse import quote, unquote_plus

import msgspec

from odograph.protocols.base import BadFrame, Claim, HttpRequest

KMH_PER_KNOT: Final = 1.852
KMH_PER_MPS: Final = 3.6
MAX_FIELDS: Final = 100  # of a query or form; phones send about ten

MAX_MESSAGES: Final = 10_000  # of an array; as many as fixes in our own batch

Scalar = str | int | float | bool | None
"""A field whose sender decides on its type: never a list or an object, of which a short body may hold a million."""

_DIGITS: Final = 9
"""Decimals kept after a unit is changed: undoes the binary noise, a million times finer than what is stored."""

T = TypeVar("T")


def read_json(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """The body as the decoder's type. Raises BadFrame for all else, however broken or deeply nested."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame(f"the body is not the JSON that was expected: {error}") from error
    except RecursionError as error:
        raise BadFrame("the body is JSON nested too deeply") from error


def read_form(request: HttpRequest) -> dict[str, str]:
    """Fields of the query and of a form in the body; the first of each name counts, the query before the body."""
    fields = _split_form(request.query)
    if request.body:
        try:
            body = request.body.decode()
        except UnicodeDecodeError as error:
            raise BadFrame("the body is not a form in UTF-8") from error
        fields = _split_form(body.strip()) | fields
    return fields


def _split_form(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    pairs = text.split("&", MAX_FIELDS)
    if len(pairs) > MAX_FIELDS:
        raise BadFrame(f"more than {MAX_FIELDS} fields")
    is_quoted = "%" in text or "+" in text  # which what most devices send is not
    for pair in pairs:
        name, _, value = pair.partition("=")
        if is_quoted:
            name, value = unquote_plus(name), unquote_plus(value)
        fields.setdefault(name, value)
    return fields


def read_number(value: object, name: str) -> float:
    """A number, or a number as text. Raises BadFrame that names the field."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise BadFrame(f"{name} must be a number, got {value!r:.40}")


def read_measure(value: object, name: str, factor: float = 1.0) -> float | None:
    """A speed or heading, times `factor`; None for the ways in which devices say that they don't know it.

    Those are: nothing, `null`, NaN and every number below zero (iOS says -1).
    """
    if value is None or value in ("", "null"):
        return None
    measure = read_number(value, name)
    if math.isnan(measure) or measure < 0:
        return None
    return measure if factor == 1.0 else round(measure * factor, _DIGITS)


def read_position(lat: object, lon: object) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, or None where neither was given. Raises BadFrame for half a position."""
    has_lat, has_lon = lat not in (None, ""), lon not in (None, "")
    if not has_lat and not has_lon:
        return None
    if not (has_lat and has_lon):
        raise BadFrame(f"{'lon' if has_lat else 'lat'} is missing: a position is both")
    return read_number(lat, "lat"), read_number(lon, "lon")


def is_false(value: object) -> bool:
    """Whether a sender marked its own position as invalid."""
    return value is False or (isinstance(value, str) and value.lower() in ("false", "0"))


def read_device(*candidates: object) -> str | None:
    """The first candidate that names a device, as text."""
    for candidate in candidates:
        if isinstance(candidate, str) and candidate:
            return candidate
        if isinstance(candidate, int) and not isinstance(candidate, bool):
            return str(candidate)
    return None


def ingest_path(name: str, claim: Claim) -> str:
    """Where a device with this claim sends to: the key, where it has one, at the end."""
    return f"/ingest/{name}" if claim.key is None else f"/ingest/{name}/{quote(claim.key, safe='')}"
