"""A fix in its two forms: the report a device sent, and the row that the log keeps.

Rounding happens once, in `admit` on the way in; every comparison afterwards is of whole numbers.
Speed is kept in km/h, not m/s: the devices' own unit, so that no conversion comes before the rounding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, overload

import numpy as np
import numpy.typing as npt

UNKNOWN_HEADING: Final = 0xFFFF
UNKNOWN_SPEED: Final = 0xFFFF_FFFF
MAX_SPEED_KMH: Final = 2000.0  # faster than any vehicle that could carry one of our devices
MAX_FUTURE_MS: Final = 10 * 60_000  # a fix further ahead of the clock would pin the snapshot
MAX_TIME_MS: Final = 1 << 42  # year 2109: the time's share of the 63-bit dedupe key

MARK_ZERO_ISLAND: Final = 1  # exactly (0, 0): a receiver without a position
MARK_SPEED_SENTINEL: Final = 2  # 255 mph = 0xFF: a one-byte field that was never filled
MARK_JUMP: Final = 4  # further from the asset's last fix than MAX_SPEED_KMH could bring it

MARK_NAMES: Final = {
    MARK_ZERO_ISLAND: "zeroIsland",
    MARK_SPEED_SENTINEL: "speedSentinel",
    MARK_JUMP: "jump",
}

FIX_DTYPE: Final = np.dtype(
    [
        ("asset", "<u4"),
        ("time_ms", "<i8"),
        ("lat_e7", "<i4"),
        ("lon_e7", "<i4"),
        ("heading_cdeg", "<u2"),  # 0.01 degree, 0..35999, or UNKNOWN_HEADING
        ("speed_ckmh", "<u4"),  # 0.01 km/h, or UNKNOWN_SPEED
        ("marks", "u1"),
    ]
)
"""One packed fix, 27 bytes, little-endian. `FIX_ROW` packs the same bytes one at a time."""

FIX_ROW: Final = struct.Struct("<IqiiHIB")
FIX_SIZE: Final = FIX_ROW.size

Fixes = npt.NDArray[np.void]
"""An array of FIX_DTYPE."""


class Report(NamedTuple):
    """What a device said about one moment, as its decoder read it; nothing is checked yet.

    `lat`, `lon` in degrees, `heading_deg` clockwise from north, `speed_kmh` over ground.
    None is unknown, which is not 0.
    """

    time_ms: int
    lat: float
    lon: float
    heading_deg: float | None = None
    speed_kmh: float | None = None


class ReportTable(Sequence[Report]):
    """Many reports by column, which is how a long message is read and admitted; one by one for whoever asks."""

    __slots__ = ("columns",)

    def __init__(
        self,
        time_ms: list[int],
        lat: list[float],
        lon: list[float],
        heading_deg: list[float | None],
        speed_kmh: list[float | None],
    ) -> None:
        """All of one length."""
        self.columns = (time_ms, lat, lon, heading_deg, speed_kmh)

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, place: int) -> Report: ...
    @overload
    def __getitem__(self, place: slice) -> list[Report]: ...
    def __getitem__(self, place: int | slice) -> Report | list[Report]:
        if isinstance(place, slice):
            return list(self)[place]
        time_ms, lat, lon, heading_deg, speed_kmh = self.columns
        return Report(time_ms[place], lat[place], lon[place], heading_deg[place], speed_kmh[place])

    def __iter__(self) -> Iterator[Report]:
        return map(Report, *self.columns)


def fixes_from_bytes(data: bytes | bytearray | memoryview) -> Fixes:
    """The rows packed in `data`, without a copy."""
    return np.frombuffer(data, dtype=FIX_DTYPE)


def empty_fixes() -> Fixes:
    """No rows."""
    return np.empty(0, dtype=FIX_DTYPE)
