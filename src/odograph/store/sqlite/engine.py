"""The one writer: decides what is new, gives seqs, and makes each commit durable.

One thread; neither process nor socket.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
import numpy as np
import numpy.typing as npt

from odograph.clock import Clock
from odograph.errors import Corrupt, Refusal, invalid, unavailable
from odograph.model.fixes import Fixes, empty_fixes, fixes_from_bytes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Block, Change, Committed, LedgerEntry, Newest, OrgFixes, Outcome, Record
from odograph.store.sqlite.database import (
    FILE_NAME,
    LOG_COLUMNS,
    SEALED_NAME,
    LogRow,
    forget_day,
    is_day_known,
    log_rows,
    open_for_writing,
    read_state,
    write_state,
)
from odograph.store.sqlite.dedupe import Dedupe
from odograph.store.sqlite.keys import Mask, Prints, Times, are_possible
from odograph.store.sqlite.ledger import forget_before, put_entries
from odograph.store.sqlite.lived import SAVE_EVERY_MS, LivedTime, read_lived, write_lived
from odograph.store.sqlite.pages import NewerFormat, naming
from odograph.store.sqlite.readers import missing
from odograph.store.sqlite.records import apply_changes, last_rev
from odograph.store.sqlite.runs import OrgPart, Span
from odograph.store.sqlite.sealedkeys import DaySpan, SealedKeys

LOAD_ROWS: Final = 1 << 17  # unsealed fixes taken in at a time when starting: 3.5 MB
TRIM_BLOCKS: Final = 2000  # leftovers deleted at a time: some milliseconds
TELL_UNJUDGED_EVERY_S: Final = 60.0  # devices go on trying
INSERT_BLOCK: Final = f"INSERT INTO block ({LOG_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own words

Outcomes = npt.NDArray[np.uint8]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What one commit did: an answer to each request, in their order, and what followers shall see."""

    appended: list[list[Outcomes] | Refusal]
    written: list[list[Record] | Refusal]
    committed: Committed


@dataclass(slots=True)
class _Requests:
    """The appends of one commit, joined: parts lie one after the other, row by row."""

    answers: list[list[Outcomes] | Refusal] = field(default_factory=list)
    places: list[tuple[int, OrgId, int]] = field(default_factory=list)  # request, org, rows of each part
    fixes: Fixes = field(default_factory=empty_fixes)

    @classmethod
    def joined(cls, appends: Sequence[Sequence[OrgFixes]]) -> _Requests:
        requests = cls()
        parts: list[Fixes] = []
        for place, append in enumerate(appends):
            if all(are_possible(part.fixes) for part in append):
                requests.answers.append([])
                requests.places += [(place, part.org, len(part.fixes)) for part in append]
                parts += [part.fixes for part in append]
            else:
                requests.answers.append(invalid("A fix has an asset or a time that no fix can have."))
        requests.fixes = np.concatenate(parts) if parts else empty_fixes()
        return requests

    def by_org(self, outcomes: Outcomes, stored: Fixes) -> Iterator[tuple[OrgId, Fixes]]:
        """Each org's fixes of the `stored` ones, which are those with that outcome, in arrival order."""
        if not len(stored):
            return
        owners, rows = [org for _, org, _ in self.places], [rows for _, _, rows in self.places]
        if len(set(owners)) == 1:  # as on most servers: nothing to sort
            yield owners[0], stored
            return
        orgs = np.repeat(np.array(owners, dtype=np.int64), rows)[outcomes == Outcome.STORED]
        order = np.argsort(orgs, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(orgs[order])) + 1):
            yield OrgId(int(orgs[places[0]])), stored[places]

    def answer(self, outcomes: Outcomes) -> list[list[Outcomes] | Refusal]:
        """Give each part its own."""
        at = 0
        for request, _, rows in self.places:
            answer = self.answers[request]
            if isinstance(answer, list):
                answer.append(outcomes[at : at + rows])
            at += rows
        return self.answers


class Engine:
    """All state of a data directory that writing needs. Raises Corrupt, NewerFormat, Refusal(UNAVAILABLE).

    Whatever fails leaves everything as it was: memory changes only after the disk has. `vfs` names the
    SQLite VFS to go through, for tests.
    """

    def __init__(self, directory: Path, clock: Clock, vfs: str = "") -> None:
        self._path = directory / FILE_NAME
        self._clock = clock
        self._connection = open_for_writing(directory, vfs)
        self._days_path = directory / SEALED_NAME
        self._sealed = SealedKeys(self._days_path, vfs, self._find_days, self._is_day_known)
        self._tell_unjudged_at_s = 0.0
        self._dedupe = Dedupe(self._find_sealed)
        self._trimmed = False
        self.head = self.sealed_through = Seq(0)
        self.rev = 0
        self.epoch = ""
        self.oldest_unsealed_ms: int | None = None
        self._lived = LivedTime(clock.now_ms(), clock)
        self.lived_ms = 0
        """Lived time as it was saved last, which is what the sealer reads."""
        try:
            with naming(self._path):
                self._load()
        except BaseException:
            self.close()
            raise

    @property
    def unsealed_rows(self) -> int:
        """Fixes in the log that are not sealed."""
        return self.head - self.sealed_through

    def commit(self, appends: Sequence[Sequence[OrgFixes]], writes: Sequence[Sequence[Change]] = ()) -> Done:
        """Everything in one durable transaction. UNAVAILABLE: nothing of it was stored.

        An impossible fix refuses its own append alone with INVALID, a conflict its own write alone.
        """
        requests = _Requests.joined(appends)
        verdict = self._dedupe.judge(requests.fixes)
        received_ms = self._clock.now_ms()
        with self._transaction():
            blocks = self._insert(requests.by_org(verdict.outcomes, verdict.fixes), received_ms)
            written = self._write(writes)
        self.head = Seq(self.head + len(verdict.fixes))
        self._dedupe.take(verdict, self.head)
        if self.oldest_unsealed_ms is None and blocks:
            self.oldest_unsealed_ms = received_ms
        records = [record for answer in written if not isinstance(answer, Refusal) for record in answer]
        self.rev += len(records)
        return Done(requests.answer(verdict.outcomes), written, Committed(blocks, records))

    def note(self, entries: Sequence[LedgerEntry]) -> None:
        """Put entries into the ledger; UNAVAILABLE: none of them is there."""
        with self._transaction():
            put_entries(self._connection, entries)

    def trim_ledger(self) -> bool:
        """Delete some of the ledger's entries that are too old; whether any may be left."""
        with self._transaction():
            return forget_before(self._connection, min(self._clock.now_ms(), self._lived_until_now()))

    def pass_time(self) -> None:
        """Look at the clock, and save lived time once it has gone far enough. Often, or it falls behind."""
        if not self.head:  # there is nothing to lose yet
            self._lived = LivedTime(self._clock.now_ms(), self._clock)
        if self._lived_until_now() - self.lived_ms >= SAVE_EVERY_MS:
            with self._transaction():
                write_lived(self._connection, self._lived.at_ms)
            self.lived_ms = self._lived.at_ms

    def widen(self, day: str, spans: Sequence[Span], newest: Newest) -> None:
        """Some assets have these times in a day file, soon if not yet: look-ups go there as well from now on."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO span VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET t0 = min(t0, excluded.t0), t1 = max(t1, excluded.t1)",
                [(span.asset, day, span.org, span.t0_ms, span.t1_ms) for span in spans],
            )
            self._connection.executemany(
                "INSERT INTO last VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " received_ms = max(received_ms, excluded.received_ms), time_ms = max(time_ms, excluded.time_ms),"
                " seq = iif(excluded.time_ms > time_ms, excluded.seq, seq),"
                " row = iif(excluded.time_ms > time_ms, excluded.row, row)",
                _last_rows(newest),
            )
        self._dedupe.spans_grew(newest.fixes)

    def seal(self, day: str, after: Seq, last: Seq, orgs: Sequence[OrgPart], received_ms: int) -> None:
        """Make a run official: its file is on disk and its spans are known. CONFLICT of two sealers is a bug.

        Each day keeps when its last fix came, for retention. Where the clock was set back since the one before, it
        came in lived time at the earliest, and what is said to have come later before it came by then.
        """
        if after != self.sealed_through or last > self.head:
            raise invalid(f"A run from {after} to {last} does not follow what is sealed, {self.sealed_through}.")
        lived_ms = self._lived_until_now()
        with self._transaction():
            arrivals = self._arrivals()
            before_ms = arrivals[max(arrivals)] if arrivals else 0
            received_ms = received_ms if received_ms >= before_ms else max(received_ms, lived_ms)
            ahead = [known for known, known_ms in arrivals.items() if known_ms > received_ms and known != day]
            self._connection.executemany(
                "INSERT INTO day VALUES (?, ?) ON CONFLICT DO UPDATE SET received_ms = excluded.received_ms",
                [(known, received_ms) for known in (*ahead, day)],
            )
            write_lived(self._connection, lived_ms)
            self._connection.executemany(
                "INSERT INTO org_day VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET s0 = min(s0, excluded.s0), s1 = max(s1, excluded.s1)",
                [(part.org, day, part.first, part.last) for part in orgs],
            )
            write_state(self._connection, last, self.epoch)
        self.sealed_through, self.lived_ms = last, lived_ms
        self.oldest_unsealed_ms = self._find_oldest()
        self._dedupe.sealed(last)
        self._sealed.keep_open(day)
        self._trimmed = False

    def trim(self) -> bool:
        """Delete some of the log rows that are sealed; whether any may be left."""
        if self._trimmed:
            return False
        with self._transaction():
            self._connection.execute(
                "DELETE FROM block WHERE seq IN (SELECT seq FROM block WHERE seq <= ? ORDER BY seq LIMIT ?)",
                (self.sealed_through, TRIM_BLOCKS),
            )
            deleted = self._connection.changes()
        self._trimmed = deleted < TRIM_BLOCKS
        return not self._trimmed

    def drop(self, day: str) -> None:
        """Forget what a day file holds; the file itself may go once this returns."""
        with self._transaction():
            forget_day(self._connection, day)
        self._sealed.forget(day)

    def oldest_day_ms(self) -> int | None:
        """When the last fix of the oldest day file came in."""
        with naming(self._path):
            found = self._connection.execute("SELECT received_ms FROM day ORDER BY day LIMIT 1").get
        return None if found is None else int(found)

    def checkpoint(self) -> None:
        """Bring everything to its place in the database, before a quiet time."""
        with naming(self._path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Let go of every file."""
        self._sealed.close()
        self._connection.close()

    # -- starting

    def _load(self) -> None:
        self.sealed_through, self.epoch = read_state(self._connection)
        self.rev = last_rev(self._connection)
        self.head = self.sealed_through
        rows = b"".join(row for (row,) in self._connection.execute("SELECT row FROM last"))
        self._dedupe.load_sealed(fixes_from_bytes(rows))
        waiting: list[bytes] = []
        size = 0
        for row in log_rows(self._connection, "seq > ? ORDER BY seq", self.sealed_through):
            if row.seq != self.head + 1:
                raise Corrupt(f"{self._path}: the log has no fixes between {self.head} and {row.seq}")
            waiting.append(row.data)
            size += row.n
            self.head = Seq(row.last)
            if size >= LOAD_ROWS:
                self._dedupe.load(fixes_from_bytes(b"".join(waiting)), self.head)
                waiting, size = [], 0
        if waiting:
            self._dedupe.load(fixes_from_bytes(b"".join(waiting)), self.head)
        self.oldest_unsealed_ms = self._find_oldest()
        for (day,) in self._connection.execute("SELECT day FROM day ORDER BY day"):
            path = self._days_path / f"{day}.db"
            if not path.exists():
                _log.error("%s", missing(path))
        self._load_lived()
        self._sealed.keep_open(max(self._arrivals(), default=""))

    def _load_lived(self) -> None:
        """Of a directory that never saved it: what came in last is what it has lived to see."""
        saved_ms, arrivals = read_lived(self._connection), self._arrivals()
        if saved_ms is not None:
            self._lived.at_ms = self.lived_ms = saved_ms
        elif arrivals:
            self._lived.at_ms = min(self._lived.at_ms, max(arrivals.values()))

    def _lived_until_now(self) -> int:
        self._lived.look()
        return self._lived.at_ms

    def _arrivals(self) -> dict[str, int]:
        """When the last fix of each day came in, by day."""
        return dict(self._connection.execute("SELECT day, received_ms FROM day"))

    def _find_oldest(self) -> int | None:
        found = self._connection.execute(
            "SELECT received_ms FROM block WHERE seq > ? ORDER BY seq LIMIT 1", (self.sealed_through,)
        ).get
        return None if found is None else int(found)

    # -- committing

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Durable once it is left without an exception; undone otherwise."""
        with naming(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except (apsw.ReadOnlyError, apsw.NoMemError) as error:
                raise unavailable(f"{self._path.name} can't be written now: {error}") from error
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _insert(self, parts: Iterable[tuple[OrgId, Fixes]], received_ms: int) -> list[Block]:
        """One block an org."""
        blocks: list[Block] = []
        first = self.head + 1
        for org, fixes in parts:
            self._connection.execute(INSERT_BLOCK, LogRow.of(first, org, received_ms, fixes.tobytes()))
            seqs = np.arange(first, first + len(fixes), dtype=np.int64)
            blocks.append(Block(org, seqs, fixes, received_ms))
            first += len(fixes)
        return blocks

    def _write(self, writes: Sequence[Sequence[Change]]) -> list[list[Record] | Refusal]:
        answers: list[list[Record] | Refusal] = []
        rev = self.rev
        for changes in writes:
            try:
                with self._connection:  # a savepoint: whoever refuses undoes its own changes only
                    records = apply_changes(self._connection, changes, rev)
            except Refusal as refusal:
                answers.append(refusal)
            else:
                answers.append(records)
                rev += len(records)
        return answers

    # -- looking up what is sealed

    def _find_sealed(self, asset: AssetId, times: Times) -> tuple[Mask, Prints] | None:
        """None where it can't be read: the fixes concerned wait with their devices, all others are judged."""
        try:
            return self._sealed.find(asset, times, self.sealed_through)
        except (Corrupt, NewerFormat, Refusal) as error:
            if self._clock.steady_s() >= self._tell_unjudged_at_s:
                self._tell_unjudged_at_s = self._clock.steady_s() + TELL_UNJUDGED_EVERY_S
                _log.error("late fixes can't be compared with what is sealed, as of asset %d: %s", asset, error)
            return None

    def _is_day_known(self, day: str) -> bool:
        with naming(self._path):
            return is_day_known(self._connection, day)

    def _find_days(self, asset: AssetId) -> list[DaySpan]:
        with naming(self._path):
            return list(
                self._connection.execute("SELECT day, t0, t1 FROM span WHERE asset = ? ORDER BY day", (asset,))
            )


def _last_rows(newest: Newest) -> Iterator[tuple[int, int, int, int, bytes]]:
    columns = (newest.fixes["asset"], newest.fixes["time_ms"], newest.seqs, newest.received_ms)
    for place, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        asset, time_ms, seq, received_ms = values
        yield asset, time_ms, seq, received_ms, newest.fixes[place].tobytes()
