"""Sealed fixes: a file per day of arrival, written a run at a time, read by time and by arrival.

Every read takes `through`, and sees nothing of a later seq. It must not lie beyond what the log database
says is sealed: behind that may stand what a crash left half done. Threads: any may read at any time; a
day file has one connection, and whoever is at it holds its lock, only while fetching, never while
decompressing. Runs are written one at a time. A day that was dropped reads as empty; a day that is known and
has no file is Corrupt.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from odograph.errors import Corrupt
from odograph.model.fixes import FIX_DTYPE, Fixes, empty_fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Block, Newest
from odograph.store.sqlite.chunks import Seqs
from odograph.store.sqlite.dayfile import DayReader, DayWriter, is_settled, open_reader, open_writer
from odograph.store.sqlite.opened import DAY, ID, T0, T1, Opened, OpenedDays
from odograph.store.sqlite.readers import IsKnown, missing
from odograph.store.sqlite.runs import AddedOrg, OrgPart, Span, add_org, joined

Times = npt.NDArray[np.int64]
BEFORE_ALL_MS = -(1 << 63)
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)
CHUNK_CACHE_BYTES = 16 << 20  # 500 vehicle-hours at 5 s


@dataclass(frozen=True, slots=True)
class SealedRun:
    """What `write_run` made durable: the fixes with after < seq <= last.

    `spans` has one entry per asset and `orgs` one per org, both of this run alone; `newest` is each asset's
    newest fix by time within the run, with its last arrival.
    """

    day: str
    after: Seq
    last: Seq
    rows: int
    spans: Sequence[Span]
    orgs: Sequence[OrgPart]
    newest: Newest


def sync_directory(directory: Path) -> None:
    """Make the names in the directory durable: files made and files unlinked."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_path(directory: Path) -> None:
    """Make durable the names in the directory and all that lead to it, whoever made them and how many.

    Directories further up that can't be opened or synced are not ours, and were there before.
    """
    sync_directory(directory)
    sync_directory(directory.parent)
    for above in directory.resolve().parents[1:]:
        try:
            sync_directory(above)
        except OSError as error:
            if error.errno not in NOT_OURS:
                raise


class DayFiles:
    """All day files of a directory. Raises Corrupt naming the file, NewerFormat, Refusal(UNAVAILABLE).

    `is_known` tells a day that is missing from one that was dropped, or not begun; without it none is missing.
    `chunk_cache_bytes` bounds the opened chunks that are remembered: who looks up old times at random, as the
    dedupe of a shuffled replay does, is as fast as these hold what it asks for. `are_at_rest`: nobody writes to
    any of them, so `damage` and `copy_to` leave no trace even of the newest.
    """

    def __init__(
        self,
        directory: Path,
        vfs: str = "",
        *,
        is_known: IsKnown = lambda _: False,
        chunk_cache_bytes: int = CHUNK_CACHE_BYTES,
        are_at_rest: bool = False,
    ) -> None:
        self._directory = directory
        self._are_at_rest = are_at_rest
        self._vfs = vfs
        self._is_known = is_known
        self._opened = OpenedDays(directory, vfs, is_known, chunk_cache_bytes)
        self._writer: tuple[str, DayWriter] | None = None
        self._writer_lock = threading.Lock()

    def write_run(self, day: str, run: Sequence[Block], after: Seq, last: Seq) -> SealedRun:
        """Add all fixes with after < seq <= last to the day's file; on disk when it returns.

        `run` holds every such block, whole. Writing the run again, or another that begins at the same place,
        replaces what an attempt that never became official left in this file; `discard_after` is for the
        other files. UNAVAILABLE: nothing was written.
        """
        orgs: dict[OrgId, list[Block]] = {}
        for block in run:
            if len(block.seqs):
                orgs.setdefault(block.org, []).append(block)
        added: list[AddedOrg] = []
        if orgs:
            with self._writer_lock, self._writing(day) as writer, writer.run(after):
                added = [add_org(writer, last, orgs[org]) for org in sorted(orgs)]
        return SealedRun(
            day,
            after,
            last,
            sum(one.part.rows for one in added),
            [span for one in added for span in one.spans],
            [one.part for one in added],
            joined([one.newest for one in added]),
        )

    def discard_after(self, after: Seq) -> None:
        """Take out what a crashed attempt left behind `after`, in whichever of the newest files it lies."""
        with self._writer_lock:
            for day in reversed(self.days()):
                with self._alone(day) as reader:
                    last_run = 0 if reader is None else reader.last_run()
                if last_run > after:
                    with self._writing(day) as writer, writer.run(after):
                        self.forget(day)
                elif last_run:
                    return

    def drop(self, day: str) -> None:
        """Unlink the day's file for good. Dropping what is not there, or half of it, is fine."""
        with self._writer_lock:
            if self._writer is not None and self._writer[0] == day:
                self._close_writer()
            self.forget(day)
            path = self._path(day)
            for suffix in ("", "-wal", "-shm", "-journal"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            if self._directory.is_dir():
                sync_directory(self._directory)

    def find(
        self, asset: AssetId, days: Sequence[str], times: Times, through: Seq
    ) -> tuple[npt.NDArray[np.bool_], Fixes]:
        """Which of `times` (sorted) the asset has a fix of, and those fixes, in the order of `times`."""
        found = np.zeros(len(times), dtype=np.bool_)
        fixes = np.empty(len(times), dtype=FIX_DTYPE)
        if not len(times):
            return found, fixes
        spans = self._opened.spans(asset, days, int(times[0]), int(times[-1]), through)
        lows = np.searchsorted(times, spans[:, T0])
        highs = np.searchsorted(times, spans[:, T1], side="right")
        for at in np.flatnonzero(highs > lows).tolist():
            part = slice(int(lows[at]), int(highs[at]))
            if not found[part].all():
                chunk = self._opened.chunk(days[int(spans[at, DAY])], int(spans[at, ID]))
                hits, rows = _look_up(chunk, times[part], through)
                fixes[part][hits] = rows
                found[part] |= hits
        return found, fixes[found]

    def read_range(
        self, asset: AssetId, days: Sequence[str], start_ms: int, end_ms: int, through: Seq, limit: int
    ) -> Fixes:
        """The asset's first `limit` fixes by time with start <= time < end.

        Opens chunks by their first time, until no chunk left can hold an earlier fix than those it has.
        """
        spans = self._opened.spans(asset, days, start_ms, end_ms - 1, through)
        held: list[Fixes] = []
        rows, latest_ms = 0, end_ms
        for day, chunk_id, t0 in spans[np.argsort(spans[:, T0])][:, (DAY, ID, T0)].tolist():
            if t0 > latest_ms:
                break
            chunk = self._opened.chunk(days[day], chunk_id)
            part = slice(*np.searchsorted(chunk.times, (start_ms, end_ms)).tolist())
            held.append(chunk.fixes[part][chunk.seqs[part] <= through])
            rows += len(held[-1])
            if rows >= limit:
                held = [_by_time(held)[:limit]]
                rows, latest_ms = limit, int(held[0]["time_ms"][-1])
        return _by_time(held)

    def read_at(self, asset: AssetId, days: Sequence[str], time_ms: int, through: Seq) -> Fixes | None:
        """The asset's newest fix with time <= time_ms, as one row; None when there is none.

        Opens chunks in the order of the latest time that each may answer with, until none left can have a
        later one than the best. `days` should be few: those whose span of the asset holds `time_ms`, and the
        one whose span ends last before it.
        """
        spans = self._opened.spans(asset, days, BEFORE_ALL_MS, time_ms, through)
        hopes = np.minimum(spans[:, T1], time_ms)
        best: Fixes | None = None
        for at in np.argsort(-hopes).tolist():
            if best is not None and hopes[at] <= best["time_ms"][0]:
                break
            chunk = self._opened.chunk(days[int(spans[at, DAY])], int(spans[at, ID]))
            end = int(np.searchsorted(chunk.times, time_ms, side="right"))
            visible = np.flatnonzero(chunk.seqs[:end] <= through)
            if len(visible):
                row = chunk.fixes[visible[-1:]]
                best = row if best is None or row["time_ms"][0] > best["time_ms"][0] else best
        return best

    def read_after(
        self,
        org: OrgId,
        days: Sequence[str],
        after: Seq,
        through: Seq,
        limit: int,
        assets: npt.NDArray[np.uint32] | None = None,
    ) -> tuple[Block, Seq]:
        """The org's fixes with after < seq <= through in arrival order, at most `limit` (>= 1) looked at.

        `days` in order; those that end before `after` need not be there. With `assets` (sorted) only theirs.
        The second value is the last seq looked at, `through` when the end was reached. `received_ms` is kept
        once per run, when the last of the org's fixes in it came in: that of the page's last run, else 0.
        """
        parts: list[tuple[Fixes, Seqs]] = []
        room, at, received_ms = limit, after, 0
        for day, run in self._opened.runs(org, days, after, through):
            fixes, seqs = self._opened.run(day, run)
            low, end = np.searchsorted(seqs, (at, through), side="right").tolist()
            part = slice(low, min(low + room, end))
            if part.stop > low:
                parts.append((fixes[part], seqs[part]))
                room, at, received_ms = room - (part.stop - low), Seq(int(seqs[part.stop - 1])), run.received_ms
            if not room:
                break
        else:
            at = through
        return _page(org, parts, received_ms, assets), at

    def days(self) -> list[str]:
        """The days that have a file, oldest first."""
        return sorted(path.stem for path in self._directory.glob("*.db"))

    def damage(self, day: str) -> Iterator[str]:
        """Read the day's whole file; whatever is wrong with it, with the file and, where it is one, the chunk."""
        try:
            with self._alone(day) as reader:
                if reader is not None:
                    yield from reader.damage()
        except Corrupt as error:
            yield str(error)

    def copy_to(self, day: str, target: Path) -> int:
        """Copy the day's file as it is now to the new file `target`, durably; its bytes, 0 where it was dropped.

        Never copy it by opening the file itself: closing that again would drop this process's locks on it.
        """
        with self._alone(day) as reader:
            if reader is None:
                return 0
            reader.copy_to(target)
        return target.stat().st_size

    def bytes_on_disk(self) -> int:
        """Of all day files, with what SQLite keeps beside them."""
        total = 0
        for path in self._directory.glob("*.db*"):
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def forget(self, day: str) -> None:
        """Let go of the day's connection, and of all that is remembered of it, in this process."""
        self._opened.forget(day)

    def close(self) -> None:
        """Let go of every file."""
        self._opened.close()
        with self._writer_lock:
            self._close_writer()  # last, for then SQLite clears away what it kept beside the file

    def _path(self, day: str) -> Path:
        return self._directory / f"{day}.db"

    @contextmanager
    def _alone(self, day: str) -> Iterator[DayReader | None]:
        """A connection of one's own, for what takes long."""
        reader = open_reader(self._path(day), self._vfs, is_at_rest=self._are_at_rest)
        if reader is None and self._is_known(day):
            raise missing(self._path(day))
        try:
            yield reader
        finally:
            if reader is not None:
                reader.close()

    @contextmanager
    def _writing(self, day: str) -> Iterator[DayWriter]:
        """The connection that adds to the day's file; let go of when anything fails."""
        if self._writer is None or self._writer[0] != day:
            self._close_writer()
            with self._alone(day):
                pass  # a known day that is missing is not to be begun anew
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._path(day).exists():
                self._settle_all()
            self._writer = (day, open_writer(self._path(day), self._vfs))
            # Even when the file is not new: whoever made it may have died before this line.
            sync_directory(self._directory)
            sync_directory(self._directory.parent)
        try:
            yield self._writer[1]
        except BaseException:
            self._close_writer()
            raise

    def _settle_all(self) -> None:
        """Before a file is made: those that are there are at rest from then on, and need nothing beside them.

        Whoever has one open since it was the newest goes on with what is unlinked, and never meets a writer again.
        """
        for day in self.days():
            path = self._path(day)
            if not is_settled(path):
                writer = open_writer(path, self._vfs)
                try:
                    writer.settle()
                finally:
                    writer.close()
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer[1].close()
            self._writer = None


def _look_up(chunk: Opened, times: Times, through: Seq) -> tuple[npt.NDArray[np.bool_], Fixes]:
    """Which of `times` the chunk has, and their fixes."""
    if not len(chunk.times):
        return np.zeros(len(times), dtype=np.bool_), chunk.fixes
    places = np.minimum(np.searchsorted(chunk.times, times), len(chunk.times) - 1)
    hits = (chunk.times[places] == times) & (chunk.seqs[places] <= through)
    return hits, chunk.fixes[places[hits]]


def _by_time(parts: Sequence[Fixes]) -> Fixes:
    """All rows, by time."""
    fixes = np.concatenate([empty_fixes(), *parts])
    return fixes[np.argsort(fixes["time_ms"], kind="stable")]


def _page(
    org: OrgId, parts: Sequence[tuple[Fixes, Seqs]], received_ms: int, assets: npt.NDArray[np.uint32] | None
) -> Block:
    """The parts as one block, with `assets` only theirs."""
    fixes = np.concatenate([empty_fixes(), *(fixes for fixes, _ in parts)])
    seqs = np.concatenate([np.empty(0, dtype=np.int64), *(seqs for _, seqs in parts)])
    if assets is not None:
        wanted = np.isin(fixes["asset"], assets)
        fixes, seqs = fixes[wanted], seqs[wanted]
    return Block(org, seqs, fixes, received_ms)
