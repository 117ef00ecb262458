"""The port of reverse geocoders: a line of text for a position."""

from __future__ import annotations

from typing import Protocol


class Geocoder(Protocol):
    """Names places. Must answer from memory: it is asked for every fix that is shown."""

    attribution: str
    """Who must be named where its answers are shown."""

    def describe(self, lat_e7: int, lon_e7: int) -> str:
        """One line, never empty: the nearest place with its rounded distance, or the coordinates."""
        ...


class TimeZones(Protocol):
    """Knows which clock people go by at a position."""

    def timezone(self, lat: float, lon: float) -> str | None:
        """An IANA name, that of the nearest place; None far from any."""
        ...
