"""What was read of the day files lately: where chunks lie, opened chunks, opened runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from odograph.errors import Corrupt
from odograph.model.fixes import FIX_DTYPE, Fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.sqlite.chunks import Seqs
from odograph.store.sqlite.dayfile import OrgRun, Spans
from odograph.store.sqlite.readers import IsKnown, Readers
from odograph.store.sqlite.recent import Recent

RUN_CACHE_BYTES: Final = 32 << 20  # an hour of 1,000 vehicles at 5 s is 25 MB
SPAN_CACHE_BYTES: Final = 8 << 20
SPAN_ENTRY_BYTES: Final = 300  # of an array and its key, beside the numbers

PLACED_COLUMNS: Final = 7
DAY, ID, T0, T1, S0, S1, ROWS = range(PLACED_COLUMNS)
"""The columns of `PlacedSpans`."""

PlacedSpans = npt.NDArray[np.int64]
"""Spans of several days: as Spans, behind a first column with the day's place in a list of days."""


class Opened(NamedTuple):
    """A chunk in memory: three parallel arrays, by time."""

    times: npt.NDArray[np.int64]
    fixes: Fixes
    seqs: Seqs


NO_SPANS: Final = np.empty((0, PLACED_COLUMNS - 1), dtype=np.int64)
NO_CHUNK: Final = Opened(np.empty(0, dtype=np.int64), np.empty(0, dtype=FIX_DTYPE), np.empty(0, dtype=np.int64))


class OpenedDays:
    """The read side of all day files, within bounds of memory; whatever a dropped day is asked for is empty.

    Only chunks with a seq <= `through` are ever remembered, and those never change.
    """

    def __init__(self, directory: Path, vfs: str, is_known: IsKnown, chunk_cache_bytes: int) -> None:
        self._readers = Readers(directory, vfs, is_known)
        self._run_lock = threading.Lock()
        self._chunks: Recent[tuple[str, int], Opened] = Recent(chunk_cache_bytes)
        self._runs: Recent[tuple[str, OrgRun], tuple[Fixes, Seqs]] = Recent(RUN_CACHE_BYTES)
        self._spans: Recent[tuple[str, AssetId], tuple[Seq, Spans]] = Recent(SPAN_CACHE_BYTES)

    def spans(self, asset: AssetId, days: Sequence[str], start_ms: int, end_ms: int, through: Seq) -> PlacedSpans:
        """The asset's chunks that touch start..end, both included, and hold any seq <= through."""
        parts = [np.empty((0, PLACED_COLUMNS), dtype=np.int64)]
        for index, day in enumerate(days):
            spans = self._spans_of(day, asset, through)
            touching = (spans[:, T0 - 1] <= end_ms) & (spans[:, T1 - 1] >= start_ms) & (spans[:, S0 - 1] <= through)
            if touching.any():
                parts.append(np.insert(spans[touching], 0, index, axis=1))
        return np.concatenate(parts)

    def chunk(self, day: str, chunk_id: int) -> Opened:
        """One chunk."""
        opened = self._chunks.get((day, chunk_id))
        if opened is None:
            with self._readers.lent(day) as reader:
                if reader is None:
                    return NO_CHUNK
                row = reader.chunk(chunk_id)
            fixes, seqs = reader.opened(row)
            opened = Opened(np.ascontiguousarray(fixes["time_ms"]), fixes, seqs)
            self._chunks.put((day, chunk_id), opened, fixes.nbytes + 2 * seqs.nbytes)
        return opened

    def runs(self, org: OrgId, days: Sequence[str], after: Seq, through: Seq) -> Iterator[tuple[str, OrgRun]]:
        """The org's runs that hold a seq with after < seq <= through, as far as the caller goes on."""
        for day in days:
            run = self._next_run(org, day, after, through)
            while run is not None:
                yield day, run
                run = self._next_run(org, day, Seq(run.run), through)

    def run(self, day: str, run: OrgRun) -> tuple[Fixes, Seqs]:
        """All of an org's fixes in a run and their seqs, in arrival order. One is opened at a time."""
        opened = self._runs.get((day, run))
        if opened is None:
            with self._run_lock:
                opened = self._runs.get((day, run)) or self._open_run(day, run)
                self._runs.put((day, run), opened, opened[0].nbytes + opened[1].nbytes)
        return opened

    def forget(self, day: str) -> None:
        """Let go of all that is held of the day."""
        self._readers.forget(day)
        for cache in (self._chunks, self._runs, self._spans):
            cache.forget(lambda key: key[0] == day)

    def close(self) -> None:
        """Let go of every file."""
        self._readers.close()

    def _spans_of(self, day: str, asset: AssetId, through: Seq) -> Spans:
        known = self._spans.get((day, asset))
        if known is None or known[0] < through:
            with self._readers.lent(day) as reader:
                known = (through, NO_SPANS if reader is None else reader.spans(asset, through))
            if reader is not None:
                self._spans.put((day, asset), known, known[1].nbytes + SPAN_ENTRY_BYTES)
        return known[1]

    def _next_run(self, org: OrgId, day: str, after: Seq, through: Seq) -> OrgRun | None:
        with self._readers.lent(day) as reader:
            return None if reader is None else reader.next_run(org, after, through)

    def _open_run(self, day: str, run: OrgRun) -> tuple[Fixes, Seqs]:
        fixes, seqs = np.empty(run.n, dtype=FIX_DTYPE), np.empty(run.n, dtype=np.int64)
        rows, held = 0, run.chunk0 - 1
        while held < run.chunk1:
            with self._readers.lent(day) as reader:
                if reader is None:
                    return NO_CHUNK.fixes, NO_CHUNK.seqs
                chunks = reader.chunks(held + 1, run.chunk1)
            if not chunks or rows + sum(chunk.n for chunk in chunks) > run.n:
                break
            if any((chunk.org, chunk.run) != (run.org, run.run) for chunk in chunks):
                break
            for chunk in chunks:
                part = slice(rows, rows + chunk.n)
                fixes[part], seqs[part] = reader.opened(chunk)
                rows, held = part.stop, chunk.id
        if rows != run.n:
            raise Corrupt(f"{day}.db: run {run.run} of org {run.org}: its chunks do not hold {run.n} fixes")
        order = np.argsort(seqs)
        return fixes[order], seqs[order]
