"""What options and cells of lists say, in the form in which the API takes it."""

from __future__ import annotations

import math

from odograph.errors import invalid


def pair(field: str, text: str) -> tuple[str, str]:
    """KEY:VALUE of an external id. INVALID naming the field."""
    key, colon, value = text.partition(":")
    if not (key and colon and value):
        raise invalid(f"{field} must be KEY:VALUE, not {text[:60]!r}.")
    return key, value


def number(field: str, text: str) -> float:
    """A number written with a point. INVALID naming the field."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise invalid(f"{field} must be a number such as 52.1, not {text[:60]!r}.")
    return value


def position(field: str, text: str) -> tuple[float, float]:
    """LAT,LON in degrees. INVALID naming the field."""
    lat, comma, lon = text.partition(",")
    if not comma:
        raise invalid(f"{field} must be LAT,LON such as 52.1,4.3, not {text[:60]!r}.")
    return number(field, lat), number(field, lon)
