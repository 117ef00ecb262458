"""Sealing: the log's oldest fixes become day files, a run at a time; and dropping what is kept no longer.

`python -m odograph.store.sqlite.sealer DATA_DIR`, started by the writer when something is due, at low priority.
It reads the log by itself, writes day files alone, and asks the writer to make each step official. It may die
anywhere: what is not official is thrown away by the next one before it begins.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import socket
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, takewhile
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from odograph.clock import Clock, SystemClock
from odograph.errors import Corrupt, Refusal, unavailable
from odograph.localsocket import WRITER_SOCKET, short_path
from odograph.model.fixes import fixes_from_bytes
from odograph.model.ids import OrgId, Seq
from odograph.store.base import Block, Newest
from odograph.store.sqlite import wire
from odograph.store.sqlite.database import SEALED_NAME, LogRow, log_rows
from odograph.store.sqlite.housekeeping import DAY_MS, Rule, add_rule, rule_of
from odograph.store.sqlite.lived import read_lived
from odograph.store.sqlite.log import LogReader, Snapshot
from odograph.store.sqlite.pages import NewerFormat
from odograph.store.sqlite.process import configure_process
from odograph.store.sqlite.runs import OrgPart, Span
from odograph.store.sqlite.sealed import DayFiles, SealedRun

MAX_RUN_ROWS: Final = 400_000  # half an hour of 1,000 vehicles; some 45 MB while it is compressed
MAX_RUN_BLOCKS: Final = 1_000_000
WIDEN_ASSETS: Final = 500  # a transaction of the writer's: some milliseconds
NICENESS: Final = 15
MAX_NAME_DAYS: Final = 16  # in a file's name, which may be 255 bytes long
LOCK_NAME: Final = "sealer.lock"
_log = logging.getLogger("odograph.sealer")


class Official(Protocol):
    """Who makes things official: the engine itself, or the writer behind its socket."""

    def widen(self, day: str, spans: Sequence[Span], newest: Newest) -> None:
        """Look-ups go to the day file for these too."""
        ...

    def seal(self, day: str, after: Seq, last: Seq, orgs: Sequence[OrgPart], received_ms: int) -> None:
        """The run is sealed."""
        ...

    def drop(self, day: str) -> None:
        """The day is no more."""
        ...


@dataclass(slots=True)
class _OrgRun:
    """One org's rows of a run, joined as they are read: a fleet may commit a million times an hour."""

    data: bytearray = field(default_factory=bytearray)
    firsts: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    received_ms: array[int] = field(default_factory=lambda: array("q"))

    def add(self, row: LogRow) -> None:
        self.data += row.data
        self.firsts.append(row.seq)
        self.sizes.append(row.n)
        self.received_ms.append(row.received_ms)

    def block(self, org: int) -> Block:
        sizes = np.array(self.sizes)
        ends = np.cumsum(sizes)
        seqs = np.repeat(np.array(self.firsts) - (ends - sizes), sizes)
        seqs += np.arange(ends[-1])
        return Block(OrgId(org), seqs, fixes_from_bytes(self.data), self.received_ms[-1])

    def arrivals_ms(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.array(self.received_ms), np.array(self.sizes))


@dataclass(slots=True)
class _Run:
    """What is to be sealed next: consecutive seqs of one day."""

    day: str
    after: Seq
    last: Seq
    received_ms: int = 0
    orgs: dict[int, _OrgRun] = field(default_factory=dict)


def seal_once(log: LogReader, days: DayFiles, official: Official, max_rows: int = MAX_RUN_ROWS) -> int:
    """Seal the oldest unsealed fixes of one day, at most `max_rows` or one commit's; how many, 0 for none.

    One at a time per data directory, after `days.discard_after(sealed_through)` when it may have died before.
    """
    with log.snapshot() as snapshot:
        run = _next_run(snapshot, max_rows)
    if run is None:
        return 0
    blocks = [part.block(org) for org, part in run.orgs.items()]
    sealed = days.write_run(run.day, blocks, run.after, run.last)
    _make_official(official, run, sealed, _with_arrivals(sealed.newest, run, blocks))
    return sealed.rows


def drop_old(log: LogReader, days: DayFiles, official: Official, before_ms: int) -> list[str]:
    """Drop the days whose last fix came before then, none before those that came earlier; which days.

    And files that nobody knows.
    """
    with log.snapshot() as snapshot:
        known = dict(snapshot.connection.execute("SELECT day, received_ms FROM day ORDER BY day"))
    old = list(takewhile(lambda day: known[day] < before_ms, known))
    for day in old:
        official.drop(day)
    for day in days.days():
        if day in old or day not in known:
            days.drop(day)
    return old


def keep_house(log: LogReader, days: DayFiles, official: Official, rule: Rule, clock: Clock) -> None:
    """Everything that is due, to its end."""
    with log.snapshot() as snapshot:
        days.discard_after(snapshot.sealed_through)
        lived_ms = read_lived(snapshot.connection) or 0
    drop_old(log, days, official, rule.drop_before_ms(clock.now_ms(), lived_ms))
    while _is_due(log, rule, clock) and seal_once(log, days, official, min(rule.seal_rows, MAX_RUN_ROWS)):
        pass


def _is_due(log: LogReader, rule: Rule, clock: Clock) -> bool:
    with log.snapshot() as snapshot:
        oldest_ms = snapshot.connection.execute(
            "SELECT received_ms FROM block WHERE seq > ? ORDER BY seq LIMIT 1", (snapshot.sealed_through,)
        ).get
        return rule.is_seal_due(snapshot.head() - snapshot.sealed_through, oldest_ms, clock.now_ms())


def _next_run(snapshot: Snapshot, max_rows: int) -> _Run | None:
    """The next rows that belong into one file."""
    newest_day = str(snapshot.connection.execute("SELECT max(day) FROM day").get or "")
    run: _Run | None = None
    rows = log_rows(snapshot.connection, "seq > ? ORDER BY seq", snapshot.sealed_through)
    for blocks, row in enumerate(rows):
        day = day_after(newest_day if run is None else run.day, row.received_ms)
        if run is None:
            run = _Run(day, snapshot.sealed_through, snapshot.sealed_through)
        elif day != run.day or row.last - run.after > max_rows or blocks >= MAX_RUN_BLOCKS:
            break
        run.orgs.setdefault(row.org, _OrgRun()).add(row)
        run.last, run.received_ms = Seq(row.last), row.received_ms
    return run


def day_after(newest: str, received_ms: int) -> str:
    """Which file takes what came then, when `newest` is the last one; "" is none.

    A file's seqs are all before those of the files whose names sort after its own, also when the clock was set
    back: the file of an earlier day then has the later ones before its own day, as in `2027-11-24.2026-11-25`.
    A clock that is less than a day behind makes no file, nor does one that goes back and forth all the time.
    """
    day, parts = _day_of(received_ms), newest.split(".") if newest else []
    if parts and day <= parts[-1] <= _day_of(received_ms + DAY_MS):
        return newest
    kept = [part for part in parts if part >= day]
    return newest if len(kept) == MAX_NAME_DAYS else ".".join([*kept, day])


def _day_of(received_ms: int) -> str:
    return datetime.fromtimestamp(received_ms / 1000, UTC).date().isoformat()


def _with_arrivals(newest: Newest, run: _Run, blocks: Sequence[Block]) -> Newest:
    """The same with each asset's own last arrival, which the joined blocks do not tell."""
    order = np.argsort(newest.fixes["asset"])
    assets = newest.fixes["asset"][order]
    received_ms = np.zeros(len(assets), dtype=np.int64)
    for block, part in zip(blocks, run.orgs.values(), strict=True):
        np.maximum.at(received_ms, np.searchsorted(assets, block.fixes["asset"]), part.arrivals_ms())
    return Newest(newest.fixes[order], newest.seqs[order], received_ms)


def _make_official(official: Official, run: _Run, sealed: SealedRun, newest: Newest) -> None:
    """Spans first, some assets at a time: too wide they do no harm. What decides is one short transaction."""
    spans = sorted(sealed.spans, key=lambda span: span.asset)
    for start in range(0, len(spans), WIDEN_ASSETS):
        part = slice(start, start + WIDEN_ASSETS)
        official.widen(
            run.day, spans[part], Newest(newest.fixes[part], newest.seqs[part], newest.received_ms[part])
        )
    official.seal(run.day, run.after, run.last, sealed.orgs, run.received_ms)


class OverSocket:
    """The writer, asked through its socket, one thing at a time. UNAVAILABLE: it is gone or declined."""

    def __init__(self, directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._numbers = count(1)
        self._received = bytearray()
        with short_path(directory, WRITER_SOCKET) as address:
            self._socket.connect(address)
        self._ask(wire.Hello(os.getpid(), is_store=False))

    def widen(self, day: str, spans: Sequence[Span], newest: Newest) -> None:
        """As Official says."""
        self._ask(wire.Widen(next(self._numbers), day, list(spans)), wire.newest_to_bytes(newest))

    def seal(self, day: str, after: Seq, last: Seq, orgs: Sequence[OrgPart], received_ms: int) -> None:
        """As Official says."""
        self._ask(wire.Seal(next(self._numbers), day, after, last, list(orgs), received_ms))

    def drop(self, day: str) -> None:
        """As Official says."""
        self._ask(wire.Drop(next(self._numbers), day))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _ask(self, request: wire.Request, body: bytes = b"") -> None:
        self._socket.sendall(b"".join(wire.frame(request, body)))
        while not (frames := wire.cut_frames(self._received)):
            data = self._socket.recv(1 << 16)
            if not data:
                raise unavailable("The writer went away.")
            self._received += data
        ((head, _),) = frames
        reply = wire.reply_decoder.decode(head)
        if isinstance(reply, wire.Refused):
            raise reply.refusal()


def main() -> int:
    """Do what is due, and end."""
    arguments = argparse.ArgumentParser(prog="odograph.store.sqlite.sealer")
    arguments.add_argument("directory", type=Path)
    add_rule(arguments)
    given = arguments.parse_args()
    configure_process()
    os.nice(NICENESS)
    handle = os.open(given.directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # a predecessor still ends: two at once would undo each other's work
    log = LogReader(given.directory)
    days = DayFiles(given.directory / SEALED_NAME, is_known=log.knows_day)
    official = OverSocket(given.directory)
    try:
        keep_house(log, days, official, rule_of(given), SystemClock())
    except (Refusal, Corrupt, NewerFormat) as error:
        _log.error("sealing stopped: %s", error)
        return 1
    finally:
        official.close()
        days.close()
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
