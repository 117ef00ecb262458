"""The exact columnar form of one asset's fixes over one span of time: 5 to 8 bytes a fix.

A chunk is one format byte and one zstd frame with a checksum. Inside: the number of rows, how each column
is kept and its first value, then the columns. Each is differenced (not at all, once or twice: whichever
leaves the fewest bits), folded to unsigned numbers of the smallest width that holds them all, and turned
so that bytes of equal weight lie together; a column that never departs from its rule takes no bytes.

All arithmetic is of 64-bit numbers that wrap around, so any value whatever comes back as it was.
"""

from __future__ import annotations

import struct
import threading
from typing import Final

import numpy as np
import numpy.typing as npt
import zstandard

from odograph.errors import Corrupt
from odograph.model.fixes import FIX_DTYPE, Fixes
from odograph.model.ids import AssetId

FORMAT: Final = 1
LEVEL: Final = 3  # 9 saves 2 % more and takes three times as long
MAX_ROWS: Final = 0xFFFF
MAX_FRAME_BYTES: Final = MAX_ROWS * 56 + 128  # seven columns of eight bytes: no damage makes us ask for more

FIELDS: Final = ("time_ms", "lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh", "marks")
COLUMNS: Final = len(FIELDS) + 1  # and the seqs
HEAD: Final = struct.Struct("<H7BqiiHIBq")  # rows; per column order * 16 + width; per column its first value
WIDTHS: Final = frozenset((0, 1, 2, 4, 8))  # bytes a value takes
ORDERS: Final = 3

Seqs = npt.NDArray[np.int64]
"""Places in the log, parallel to some Fixes."""

Columns = npt.NDArray[np.int64]
"""COLUMNS rows of as many values as the chunk has fixes, in the order of FIELDS, seqs last."""


class _Codecs(threading.local):
    """zstd's contexts, which no two threads may share."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True).compress
        self.unpack = zstandard.ZstdDecompressor().decompress


_codecs = _Codecs()


def encode_chunk(fixes: Fixes, seqs: Seqs) -> bytes:
    """Pack 1 to MAX_ROWS fixes of one asset with their seqs; the asset's number is not kept.

    Any order is exact; by time is small.
    """
    rows = len(fixes)
    if not 0 < rows <= MAX_ROWS or len(seqs) != rows:
        raise ValueError(f"a chunk holds 1 to {MAX_ROWS} rows and as many seqs, not {rows} and {len(seqs)}")
    values = np.empty((COLUMNS, rows), dtype=np.int64)
    for column, name in enumerate(FIELDS):
        values[column] = fixes[name]
    values[-1] = seqs
    orders, folded = _cheapest(values)
    widths = [_width(int(largest)) for largest in folded.max(axis=1, initial=0)]
    codes = [order << 4 | width for order, width in zip(orders, widths, strict=True)]
    parts = [HEAD.pack(rows, *codes, *values[:, 0].tolist())]
    parts += [_turned(column, width) for column, width in zip(folded, widths, strict=True) if width]
    return bytes((FORMAT,)) + _codecs.pack(b"".join(parts))


def decode_chunk(data: bytes, asset: AssetId) -> tuple[Fixes, Seqs]:
    """The fixes, as those of `asset`, and their seqs. Corrupt: `data` is not what was encoded."""
    values = _columns(_opened(data))
    fixes = np.empty(values.shape[1], dtype=FIX_DTYPE)
    fixes["asset"] = asset
    for column, name in enumerate(FIELDS):
        fixes[name] = values[column]
    return fixes, values[-1].copy()


def _cheapest(values: Columns) -> tuple[list[int], npt.NDArray[np.uint64]]:
    """Per column the order of differences with the fewest bits, and the folded differences, first row left out."""
    candidates = np.zeros((ORDERS, *values.shape), dtype=np.int64)
    np.subtract(values, values[:, :1], out=candidates[0])
    for order in range(1, ORDERS):
        before = candidates[order - 1]
        np.subtract(before[:, 1:], before[:, :-1], out=candidates[order, :, 1:])
    steps = candidates[:, :, 1:]
    folded = ((steps << 1) ^ (steps >> 63)).view(np.uint64)
    bits = np.log2(folded.astype(np.float32) + np.float32(1)).sum(axis=2)
    orders = bits.argmin(axis=0)
    return orders.tolist(), folded[orders, np.arange(COLUMNS)]


def _width(largest: int) -> int:
    """The fewest bytes of those in WIDTHS that hold the number."""
    return next(width for width in sorted(WIDTHS) if largest < 1 << 8 * width)


def _turned(column: npt.NDArray[np.uint64], width: int) -> bytes:
    """All lowest bytes, then all second ones, and so on."""
    return column.astype(f"<u{width}").view(np.uint8).reshape(-1, width).T.tobytes()


def _opened(data: bytes) -> bytes:
    """What the frame holds, its checksum compared."""
    if data[:1] != bytes((FORMAT,)):
        raise Corrupt(f"a chunk's first byte should be its format {FORMAT}, not {data[:1]!r}")
    frame = memoryview(data)[1:]
    try:
        if not 0 < zstandard.frame_content_size(frame) <= MAX_FRAME_BYTES:
            raise Corrupt("a chunk's frame does not state its size")
        body: bytes = _codecs.unpack(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a chunk's frame: {error}") from None
    return body


def _columns(body: bytes) -> Columns:
    """The columns as they were, from what the frame holds."""
    if len(body) < HEAD.size:
        raise Corrupt("a chunk's head is cut off")
    rows, *rest = HEAD.unpack_from(body)
    orders = [code >> 4 for code in rest[:COLUMNS]]
    widths = [code & 15 for code in rest[:COLUMNS]]
    if not rows or len(body) != HEAD.size + sum(widths) * (rows - 1) or not _known(orders, widths):
        raise Corrupt("a chunk's head does not fit what follows it")
    values = _unfolded(body, rows, widths)
    for order in range(ORDERS - 1, 0, -1):
        rising = [column for column in range(COLUMNS) if orders[column] >= order]
        values[rising] = values[rising].cumsum(axis=1)
    values += np.array(rest[COLUMNS:], dtype=np.int64)[:, None]
    return values


def _known(orders: list[int], widths: list[int]) -> bool:
    return max(orders) < ORDERS and WIDTHS.issuperset(widths)


def _unfolded(body: bytes, rows: int, widths: list[int]) -> Columns:
    """The differences of each column, 0 in the first row."""
    folded = np.zeros((COLUMNS, rows), dtype=np.uint64)
    at = HEAD.size
    for column, width in enumerate(widths):
        if width:
            planes = np.frombuffer(body, dtype=np.uint8, count=width * (rows - 1), offset=at)
            whole = np.ascontiguousarray(planes.reshape(width, rows - 1).T)
            folded[column, 1:] = whole.reshape(-1).view(f"<u{width}")
            at += width * (rows - 1)
    return ((folded >> np.uint64(1)) ^ -(folded & np.uint64(1))).view(np.int64)
