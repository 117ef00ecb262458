"""The port of reverse geocoders: a line of text for a position."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

E7 = npt.NDArray[np.int32]
"""Latitudes or longitudes in 1e-7 degree."""


class Geocoder(Protocol):
    """Names places. Must answer from memory: it is asked for every fix that is shown."""

    attribution: str
    """Who must be named where its answers are shown."""

    def describe(self, lat_e7: int, lon_e7: int) -> str:
        """One line, never empty: the nearest place with its rounded distance, or the coordinates."""
        ...

    def describe_all(self, lat_e7: E7, lon_e7: E7) -> tuple[list[str], npt.NDArray[np.intp]]:
        """Some lines, and which of them each position has: what `describe` says of it.

        Whoever has one line for many positions near each other should look for it once.
        """
        lines = [self.describe(lat, lon) for lat, lon in zip(lat_e7.tolist(), lon_e7.tolist(), strict=True)]
        return lines, np.arange(len(lines))


class TimeZones(Protocol):
    """Knows which clock people go by at a position."""

    def timezone(self, lat: float, lon: float) -> str | None:
        """An IANA name, that of the nearest place; None far from any."""
        ...
