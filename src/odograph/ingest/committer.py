"""Group commit: while one append runs, the next batch gathers. No timer and no knob: load sizes the batch.

There are two lanes, one of what live devices say and one of backlogs, each with one append at a time: a live fix
does not wait for an answer to a backlog, only for whatever the store is doing when it comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from odograph.clock import Clock
from odograph.errors import Kind, Refusal, unavailable
from odograph.model.fixes import FIX_SIZE, fixes_from_bytes
from odograph.model.ids import OrgId
from odograph.store.base import OrgFixes, Store
from odograph.telemetry import COMMIT_FIXES, COMMIT_SECONDS, WAITING_FIXES

MAX_COMMIT_FIXES: Final = 100_000  # 2.7 MB: more would make the next in line wait without any gain
MAX_WAITING_FIXES: Final = 200_000  # two commits' worth; beyond it the devices are the better place to wait
RETRY_AFTER_S: Final = 5
FEW_FIXES: Final = 16  # what a live device says at a time: it takes the lane of such
ROOM_FOR_FEW: Final = 50_000  # fixes; kept free of backlogs, so that these never turn a live device away
AIM_S: Final = 0.01  # a commit of backlogs should take: a live device waits for the running one
LEAST_COMMIT_FIXES: Final = 2_000  # of smaller ones a slow disk, at 10 ms each, would take too few

Tell = Callable[[bytes | Refusal], None]
"""Hears what became of rows: a byte, a store.base.Outcome, for each; or UNAVAILABLE, and they may be sent again."""

_log = logging.getLogger(__name__)


class _Part:
    """One org's rows in a batch, and who is to hear of which of them."""

    __slots__ = ("ends", "rows", "tells")

    def __init__(self) -> None:
        self.rows: list[bytes | bytearray] = []
        self.ends: list[int] = []
        self.tells: list[Tell] = []


class _Batch:
    """What goes into one append."""

    __slots__ = ("fixes", "parts")

    def __init__(self) -> None:
        self.fixes = 0
        self.parts: dict[OrgId, _Part] = {}


class _Lane:
    """Batches that wait for their append; the last one gathers, for a little even when no other append runs."""

    __slots__ = ("_least", "batches", "wake")

    def __init__(self, least: int) -> None:
        self._least = least
        self.batches: deque[_Batch] = deque()
        self.wake = asyncio.Event()

    def gather(self, count: int, most: int) -> _Batch:
        """The batch in which there is room for `count` fixes more, a new one if need be, however many these are."""
        if not self.batches or self.batches[-1].fixes + count > most:
            self.batches.append(_Batch())
        self.wake.set()
        return self.batches[-1]

    async def next(self) -> _Batch:
        """The first batch, once it has as many fixes as the lane wants, or a turn of the event loop brings none."""
        batch, before = self.batches[0], 0
        while before < batch.fixes < self._least:
            before = batch.fixes
            await asyncio.sleep(0)
        return self.batches.popleft()


class Committer:
    """Takes rows from many, appends them in few commits, and tells each what became of its own.

    `run` must be running for anything to be committed. Once it has ended, everything is refused.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._few = _Lane(least=0)
        self._backlogs = _Lane(least=LEAST_COMMIT_FIXES)
        self._waiting_fixes = 0
        self._most = MAX_COMMIT_FIXES
        self._is_closed = False
        WAITING_FIXES.set_function(lambda: self._waiting_fixes)

    @property
    def waiting_fixes(self) -> int:
        """Submitted and not yet answered, the running commit's included."""
        return self._waiting_fixes

    def submit(self, org: OrgId, rows: bytes | bytearray, tell: Tell) -> None:
        """Queue rows (FIX_ROW) of one org for the next commit; `tell` is called once they are on disk, or can't be.

        Raises UNAVAILABLE at once when too many wait. `tell` is called once, on the event loop, in the same step as
        the others of its commit: it must not wait.
        """
        count = len(rows) // FIX_SIZE
        self._check_room(count)
        is_few = count <= FEW_FIXES
        batch = self._few.gather(count, MAX_COMMIT_FIXES) if is_few else self._backlogs.gather(count, self._most)
        batch.fixes += count
        self._waiting_fixes += count
        part = batch.parts.get(org)
        if part is None:
            part = batch.parts[org] = _Part()
        part.rows.append(rows)
        part.ends.append(count + (part.ends[-1] if part.ends else 0))
        part.tells.append(tell)

    async def run(self) -> None:
        """Commit what gathers until cancelled; whatever then still waits is refused."""
        lanes = (self._few, self._backlogs)
        try:
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(self._serve(lane))
        finally:
            self._is_closed = True
            for lane in lanes:
                for batch in lane.batches:
                    self._refuse(batch, _stopping())
                lane.batches.clear()

    async def _serve(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            while lane.batches:
                await self._commit(await lane.next())

    def _check_room(self, count: int) -> None:
        if self._is_closed:
            raise _stopping()
        waiting = self._waiting_fixes
        # What comes alone is taken whatever its size: it could never get in otherwise.
        most = MAX_WAITING_FIXES + (ROOM_FOR_FEW if count <= FEW_FIXES else 0)
        if waiting and waiting + count > most:
            raise _not_now("Too many fixes wait to be stored. Send this again later.")

    def _pace(self, fixes: int, took_s: float) -> None:
        """Let the next commits of backlogs be as long as what just went in AIM_S."""
        if fixes >= LEAST_COMMIT_FIXES:
            self._most = min(MAX_COMMIT_FIXES, max(LEAST_COMMIT_FIXES, int(fixes * AIM_S / max(took_s, 0.001))))

    async def _commit(self, batch: _Batch) -> None:
        parts = [OrgFixes(org, fixes_from_bytes(b"".join(part.rows))) for org, part in batch.parts.items()]
        began_s = self._clock.steady_s()
        try:
            outcomes = await self._store.append(parts)
            told = [(part, codes.tobytes()) for part, codes in zip(batch.parts.values(), outcomes, strict=True)]
        except asyncio.CancelledError:
            self._refuse(batch, _stopping())
            raise
        except Refusal as refusal:
            self._refuse(batch, refusal)
        except Exception:
            _log.exception("append failed", extra={"fixes": batch.fixes})
            self._refuse(batch, _not_now("The fixes could not be stored."))
        else:
            took_s = self._clock.steady_s() - began_s
            COMMIT_FIXES.observe(batch.fixes)
            COMMIT_SECONDS.observe(took_s)
            self._pace(batch.fixes, took_s)
            self._forget(batch)
            for part, codes in told:
                _answer(part, codes)

    def _refuse(self, batch: _Batch, refusal: Refusal) -> None:
        parts = batch.parts
        self._forget(batch)
        for part in parts.values():
            for tell in part.tells:
                _say(tell, _copy(refusal))

    def _forget(self, batch: _Batch) -> None:
        self._waiting_fixes -= batch.fixes
        batch.fixes = 0
        batch.parts = {}


def _answer(part: _Part, codes: bytes) -> None:
    start = 0
    for end, tell in zip(part.ends, part.tells, strict=True):
        _say(tell, codes[start:end])
        start = end


def _say(tell: Tell, said: bytes | Refusal) -> None:
    """Whatever goes wrong with one answer is no matter of the others'."""
    try:
        tell(said)
    except Exception:
        _log.exception("an answer could not be given")


def _copy(refusal: Refusal) -> Refusal:
    """One exception for each, all UNAVAILABLE: each gets a traceback of its own."""
    return Refusal(Kind.UNAVAILABLE, refusal.message, retry_after_s=refusal.retry_after_s or RETRY_AFTER_S)


def _not_now(message: str) -> Refusal:
    return unavailable(message, retry_after_s=RETRY_AFTER_S)


def _stopping() -> Refusal:
    return _not_now("The server is stopping. Send this again later.")
