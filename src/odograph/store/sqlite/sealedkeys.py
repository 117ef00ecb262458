"""Which of an asset's times are sealed, and what those fixes looked like: 8 bytes for each that was asked about.

Devices that send a month again ask for the same chunks over and over. Of each asset that is asked for, the
times of all chunks opened so far are kept as one sorted array, as long as there is room.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.errors import Corrupt, Refusal
from odograph.model.fixes import Fixes, empty_fixes
from odograph.model.ids import AssetId, Seq
from odograph.store.sqlite.dayfile import DayReader, open_reader
from odograph.store.sqlite.keys import Mask, Prints, Times, prints_of
from odograph.store.sqlite.pages import NewerFormat
from odograph.store.sqlite.readers import IsKnown, Readers
from odograph.store.sqlite.recent import Recent

NO_SPANS: Final = np.empty((0, 3), dtype=np.int64)
LIMIT_BYTES: Final = 64 << 20  # 8 million fixes: 1,000 devices' month; only a replay of as much fills it
MAX_ASSET_ROWS: Final = 1 << 18  # merging more into more than this takes milliseconds: begin anew
ENTRY_BYTES: Final = 1500  # of an asset's arrays and lists, beside what is in them
CHUNK_BYTES: Final = 60
_MOST_UINT32: Final = (1 << 32) - 1

DaySpan = tuple[str, int, int]
"""A day, and the first and last time that its file holds of an asset."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Chunks:
    """Of one day: where chunks begin and end, and which are taken in already; parallel."""

    ids: npt.NDArray[np.int64]
    t0: Times
    t1: Times
    is_taken: Mask


@dataclass(slots=True)
class _Asset:
    """What is known of one asset, up to the seq `through`."""

    through: Seq
    days: list[DaySpan]
    chunks: dict[str, _Chunks] = field(default_factory=dict)
    base_ms: int = 0
    offsets: npt.NDArray[np.uint32] | Times = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    """Times from `base_ms` on, sorted; 8 bytes each where they are more than 49 days apart."""
    prints: Prints = field(default_factory=lambda: np.empty(0, dtype=np.uint32))

    def size_bytes(self) -> int:
        chunks = sum(len(day.ids) for day in self.chunks.values())
        known = self.offsets.nbytes + self.prints.nbytes
        return ENTRY_BYTES + known + CHUNK_BYTES * chunks + 200 * len(self.days)

    def find(self, times: Times) -> tuple[Mask, Prints]:
        """Which of the times are known, and the prints of those."""
        if not len(self.offsets):
            return np.zeros(len(times), dtype=np.bool_), np.empty(0, dtype=np.uint32)
        offsets = times - self.base_ms
        is_near = (offsets >= 0) & (offsets <= np.iinfo(self.offsets.dtype).max)
        wanted = np.where(is_near, offsets, 0).astype(self.offsets.dtype)
        places = np.minimum(np.searchsorted(self.offsets, wanted), len(self.offsets) - 1)
        found = (self.offsets[places] == wanted) & is_near
        return found, self.prints[places[found]]

    def take(self, fixes: Fixes) -> None:
        """Know these as well."""
        times = np.concatenate((self.offsets.astype(np.int64) + self.base_ms, fixes["time_ms"]))
        order = np.argsort(times, kind="stable")
        prints = np.concatenate((self.prints, prints_of(fixes)))[order]
        base_ms = int(times[order[0]])
        offsets = times[order] - base_ms
        self.base_ms, self.prints = base_ms, prints
        self.offsets = offsets.astype(np.uint32) if offsets[-1] <= _MOST_UINT32 else offsets


class SealedKeys:
    """Looks up times in day files. `find_days` lists an asset's days; only the last day ever grows."""

    def __init__(
        self, directory: Path, vfs: str, find_days: Callable[[AssetId], list[DaySpan]], is_known: IsKnown
    ) -> None:
        self._readers = Readers(directory, vfs, is_known)
        self._find_days = find_days
        self._assets: Recent[AssetId, _Asset] = Recent(LIMIT_BYTES)
        self._directory = directory
        self._vfs = vfs
        self._newest: DayReader | None = None

    def keep_open(self, day: str) -> None:
        """The newest day's file, so that what SQLite keeps beside it stays there: a full disk has no room for it.

        Whoever reads that day needs it; the sealer comes and goes. What is wrong with the file, its readers say.
        """
        if self._newest is not None and self._newest.path.stem == day:
            return
        self._let_go()
        with suppress(Refusal, Corrupt, NewerFormat):
            self._newest = open_reader(self._directory / f"{day}.db", self._vfs)

    def find(self, asset: AssetId, times: Times, through: Seq) -> tuple[Mask, Prints]:
        """Which of the times (sorted, each once) the asset has a fix of with seq <= through, and its prints.

        `through` ends a run, and never goes back. A damaged chunk is logged and passed over: nobody can read
        what was in it, so that sending it again mends it. Where chunks can't be found, or not be read just now, it
        raises: others may read them, or later on, and would then meet twice what is taken again.
        """
        known = self._known(asset, through)
        for day, t0, t1 in known.days:
            if np.searchsorted(times, t0) < np.searchsorted(times, t1, side="right"):
                self._take(asset, known, day, times)
        return known.find(times)

    def forget(self, day: str) -> None:
        """The day's file is about to go."""
        self._readers.forget(day)
        self._assets.forget(lambda _: True)
        if self._newest is not None and self._newest.path.stem == day:
            self._let_go()

    def close(self) -> None:
        """Let go of every file."""
        self._readers.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._newest is not None:
            self._newest.close()
            self._newest = None

    def _known(self, asset: AssetId, through: Seq) -> _Asset:
        known = self._assets.get(asset)
        if known is None or len(known.offsets) > MAX_ASSET_ROWS:
            known = _Asset(through, self._find_days(asset))
            self._assets.put(asset, known, known.size_bytes())
        elif known.through < through:
            days = self._find_days(asset)
            for day, *_ in known.days[-1:]:
                if day in known.chunks:
                    known.chunks[day] = self._list(asset, day, through, known.chunks[day])
            known.through, known.days = through, days
        return known

    def _take(self, asset: AssetId, known: _Asset, day: str, times: Times) -> None:
        """Open the day's chunks that touch any of the times, unless they were opened before."""
        chunks = known.chunks.get(day)
        if chunks is None:
            chunks = known.chunks[day] = self._list(asset, day, known.through)
        touched = np.searchsorted(times, chunks.t0) < np.searchsorted(times, chunks.t1, side="right")
        new = np.flatnonzero(touched & ~chunks.is_taken)
        if not len(new):
            return
        fixes = np.concatenate([self._open(day, chunk) for chunk in chunks.ids[new].tolist()])
        if len(fixes):
            known.take(fixes)
        chunks.is_taken[new] = True  # last: what counts as taken must be there
        self._assets.put(asset, known, known.size_bytes())

    def _list(self, asset: AssetId, day: str, through: Seq, before: _Chunks | None = None) -> _Chunks:
        with self._readers.lent(day) as reader:
            spans = NO_SPANS if reader is None else reader.spans(asset, through)
        ids, t0, t1 = (column.copy() for column in spans.T[:3])
        is_taken = np.zeros(len(ids), dtype=np.bool_)
        if before is not None:
            is_taken |= np.isin(ids, before.ids[before.is_taken])
        return _Chunks(ids, t0, t1, is_taken)

    def _open(self, day: str, chunk_id: int) -> Fixes:
        with self._readers.lent(day) as reader:
            if reader is None:
                return empty_fixes()
            try:
                return reader.opened(reader.chunk(chunk_id))[0]
            except Corrupt:
                _log.exception("looked for a repetition in damaged data")
                return empty_fixes()
