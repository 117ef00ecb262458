"""What a fix is known by: its key says which one it is, its print what it said."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import MAX_TIME_MS, Fixes
from odograph.model.ids import MAX_ASSETS

TIME_BITS: Final = MAX_TIME_MS.bit_length() - 1
_FIRST_FACTOR: Final = 0x9E37_79B9_7F4A_7C15
_SECOND_FACTOR: Final = 0xBF58_476D_1CE4_E5B9
_BITS_32: Final = (1 << 32) - 1
_BITS_64: Final = (1 << 64) - 1

Keys = npt.NDArray[np.int64]
Times = npt.NDArray[np.int64]
Prints = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


def are_possible(fixes: Fixes) -> bool:
    """Whether assets and times lie within what a key can hold."""
    assets, times = fixes["asset"], fixes["time_ms"]
    is_possible = (assets > 0) & (assets < MAX_ASSETS) & (times >= 0) & (times < MAX_TIME_MS)
    return bool(is_possible.all())


def keys_of(fixes: Fixes) -> Keys:
    """Asset and time in one number; sorts by asset, then time."""
    keys: Keys = (fixes["asset"].astype(np.int64) << TIME_BITS) | fixes["time_ms"]
    return keys


def prints_of(fixes: Fixes) -> Prints:
    """32 bits of everything a device said, to tell a repetition from a second fix of the same moment.

    Only the answer depends on it, never what is stored: in one of four billion cases a different fix of the
    same moment is called known.
    """
    values = fixes["lat_e7"].astype(np.uint32).astype(np.uint64)
    values |= fixes["lon_e7"].astype(np.uint32).astype(np.uint64) << np.uint64(32)
    values *= np.uint64(_FIRST_FACTOR)
    values ^= values >> np.uint64(29)
    values += fixes["heading_cdeg"].astype(np.uint64) << np.uint64(32) | fixes["speed_ckmh"].astype(np.uint64)
    values *= np.uint64(_SECOND_FACTOR)
    return (values >> np.uint64(32)).astype(np.uint32)


def print_of(lat_e7: int, lon_e7: int, heading_cdeg: int, speed_ckmh: int) -> int:
    """As `prints_of`, of one fix."""
    value = (lat_e7 & _BITS_32 | (lon_e7 & _BITS_32) << 32) * _FIRST_FACTOR & _BITS_64
    value ^= value >> 29
    value = (value + (heading_cdeg << 32 | speed_ckmh)) * _SECOND_FACTOR & _BITS_64
    return value >> 32
