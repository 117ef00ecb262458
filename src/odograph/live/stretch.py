"""The newest stretch of the log in memory, a stream for each org, so that pollers cost no query.

An org's poll looks at that org's stream alone. All streams share one budget in bytes; the oldest fixes go first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import FIX_DTYPE, FIX_SIZE, Fixes, empty_fixes
from odograph.model.ids import OrgId, Seq
from odograph.store.base import Block

_FIRST_ROWS: Final = 64  # an org with three vehicles must not pay for a big one's segment
_MOST_ROWS: Final = 8192  # a copy of this many rows at most when a segment grows: well under a millisecond
_ROW_BYTES: Final = FIX_SIZE + 8


class Segment:
    """Some consecutive fixes of one org's stream; grows until it is full."""

    __slots__ = (
        "_fixes",
        "_seqs",
        "count",
        "first_seq",
        "org",
        "time_max",
        "time_min",
    )

    def __init__(self, org: OrgId, capacity: int) -> None:
        self.org = org
        self._seqs = np.empty(capacity, dtype=np.int64)
        self._fixes = np.empty(capacity, dtype=FIX_DTYPE)
        self.count = 0
        self.first_seq = 0
        self.time_min = 1 << 62
        self.time_max = -1

    @property
    def capacity(self) -> int:
        """Rows it has room for now."""
        return len(self._seqs)

    @property
    def seqs(self) -> npt.NDArray[np.int64]:
        """The seqs it holds, ascending."""
        return self._seqs[: self.count]

    @property
    def fixes(self) -> Fixes:
        """The fixes it holds, parallel to `seqs`."""
        return self._fixes[: self.count]

    def grow(self) -> None:
        """Double the room. Readers never hold on to its arrays across a commit."""
        more = min(self.capacity, _MOST_ROWS - self.capacity)
        self._seqs = np.concatenate((self._seqs, np.empty(more, dtype=np.int64)))
        self._fixes = np.concatenate((self._fixes, np.empty(more, dtype=FIX_DTYPE)))

    def take(self, seqs: npt.NDArray[np.int64], fixes: Fixes) -> int:
        """Take in as many rows as fit; says how many."""
        taken = min(self.capacity - self.count, len(seqs))
        if taken:
            if not self.count:
                self.first_seq = int(seqs[0])
            stop = self.count + taken
            self._seqs[self.count : stop] = seqs[:taken]
            self._fixes[self.count : stop] = fixes[:taken]
            times = fixes["time_ms"][:taken]
            self.time_min = min(self.time_min, int(times.min()))
            self.time_max = max(self.time_max, int(times.max()))
            self.count = stop
        return taken


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows `start` to `stop` of a segment."""

    segment: Segment
    start: int
    stop: int

    @property
    def fixes(self) -> Fixes:
        """Its fixes, in arrival order."""
        return self.segment.fixes[self.start : self.stop]

    @property
    def seqs(self) -> npt.NDArray[np.int64]:
        """Their seqs."""
        return self.segment.seqs[self.start : self.stop]


@dataclass(slots=True)
class _Stream:
    """One org's segments. `floor`: every later seq of that org is here."""

    floor: int
    segments: list[Segment] = field(default_factory=list)
    first_seqs: list[int] = field(default_factory=list)


class Stretch:
    """The newest fixes of every org, in arrival order."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._streams: dict[OrgId, _Stream] = {}
        self._oldest: deque[Segment] = deque()
        self._base = 0
        self._is_empty = True
        self.head = Seq(0)

    @property
    def held_bytes(self) -> int:
        """What fixes take now."""
        return self._bytes

    def start(self, head: Seq) -> None:
        """Nothing is held yet, and the log reaches to `head`."""
        self._base = head
        self.head = head

    def floor(self, org: OrgId) -> Seq:
        """Every fix of this org with a later seq, up to `head`, is in memory; what came before is not."""
        stream = self._streams.get(org)
        return Seq(max(self._base, stream.floor) if stream else self._base)

    def append(self, block: Block) -> None:
        """Take in the next block of the log."""
        first = int(block.seqs[0])
        if self._is_empty:
            self._base, self._is_empty = first - 1, False
        stream = self._streams.get(block.org)
        if stream is None:
            stream = self._streams[block.org] = _Stream(floor=self._base)
        done = 0
        while done < len(block.seqs):
            segment = self._room(block.org, stream)
            taken = segment.take(block.seqs[done:], block.fixes[done:])
            if segment.count == taken:
                stream.first_seqs[-1] = segment.first_seq
            done += taken
        self._bytes += done * _ROW_BYTES
        self.head = Seq(max(self.head, int(block.seqs[-1])))
        if self._bytes > self._max_bytes:
            self._shed()

    def read_after(self, org: OrgId, after: Seq, limit: int) -> tuple[list[Slice], Seq]:
        """Up to `limit` rows with seq > `after`, which is not below `floor`.

        The second value is the last seq looked at, of whatever org: `head` when the end was reached.
        """
        stream = self._streams.get(org)
        slices: list[Slice] = []
        if stream is None or not stream.segments:
            return slices, self.head
        index = max(bisect_right(stream.first_seqs, after) - 1, 0)
        for segment in stream.segments[index:]:
            start = int(np.searchsorted(segment.seqs, after, side="right"))
            stop = min(segment.count, start + limit)
            if stop > start:
                slices.append(Slice(segment, start, stop))
                limit -= stop - start
                if not limit:
                    return slices, self._reached(stream, segment, stop)
        return slices, self.head

    def in_range(self, org: OrgId, assets: npt.NDArray[np.uint32], start_ms: int, end_ms: int) -> Fixes:
        """All held fixes of these assets (sorted) with start <= time < end, by asset and time."""
        found = [
            _of(segment.fixes, assets, start_ms, end_ms)
            for segment in self._segments(org)
            if segment.time_min < end_ms and segment.time_max >= start_ms
        ]
        return by_asset_and_time(found)

    def at(self, org: OrgId, assets: npt.NDArray[np.uint32], time_ms: int) -> Fixes:
        """The newest held fix with time <= `time_ms` of each of these assets (sorted) that has one."""
        found = [
            newest_of_each(by_asset_and_time([_of(segment.fixes, assets, -1, time_ms + 1)]))
            for segment in self._segments(org)
            if segment.time_min <= time_ms
        ]
        return newest_of_each(by_asset_and_time(found))

    def _segments(self, org: OrgId) -> Sequence[Segment]:
        stream = self._streams.get(org)
        return stream.segments if stream else ()

    def _reached(self, stream: _Stream, segment: Segment, stop: int) -> Seq:
        if stop == segment.count and segment is stream.segments[-1]:
            return self.head
        return Seq(int(segment.seqs[stop - 1]))

    def _room(self, org: OrgId, stream: _Stream) -> Segment:
        last = stream.segments[-1] if stream.segments else None
        if last is not None and last.count == last.capacity and last.capacity < _MOST_ROWS:
            last.grow()
        if last is None or last.count == last.capacity:
            last = Segment(org, _FIRST_ROWS if last is None else _MOST_ROWS)
            stream.segments.append(last)
            stream.first_seqs.append(0)
            self._oldest.append(last)
        return last

    def _shed(self) -> None:
        while self._bytes > self._max_bytes and len(self._oldest) > 1:
            segment = self._oldest.popleft()
            stream = self._streams[segment.org]
            stream.segments.pop(0)
            stream.first_seqs.pop(0)
            stream.floor = int(segment.seqs[-1])
            self._bytes -= segment.count * _ROW_BYTES


def by_asset_and_time(parts: Sequence[Fixes]) -> Fixes:
    """The parts as one array, sorted by asset, then time."""
    fixes = np.concatenate(parts) if parts else empty_fixes()
    return fixes[np.lexsort((fixes["time_ms"], fixes["asset"]))]


def newest_of_each(fixes: Fixes) -> Fixes:
    """The last row of each asset, of rows sorted by asset and time."""
    assets = fixes["asset"]
    is_last = np.ones(len(fixes), dtype=bool)
    is_last[:-1] = assets[1:] != assets[:-1]
    return fixes[is_last]


def _of(fixes: Fixes, assets: npt.NDArray[np.uint32], start_ms: int, end_ms: int) -> Fixes:
    times = fixes["time_ms"]
    in_time = np.flatnonzero((times >= start_ms) & (times < end_ms))
    rows = fixes[in_time]
    return rows[np.isin(rows["asset"], assets)]
