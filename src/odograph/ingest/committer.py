"""Group commit: while one append runs, the next batch gathers. No timer and no knob: load sizes the batch."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
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
FEW_FIXES: Final = 16  # what a live device says at a time: it goes into a commit of such, past all backlogs
ROOM_FOR_FEW: Final = 50_000  # fixes; kept free of backlogs, so that these never turn a live device away
AIM_S: Final = 0.01  # a commit of backlogs should take: a live device waits for the running one
LEAST_COMMIT_FIXES: Final = 2_000  # of smaller ones a slow disk, at 10 ms each, would take too few

_log = logging.getLogger(__name__)


class _Part:
    """One org's rows in a batch, and who waits for which of them."""

    __slots__ = ("ends", "rows", "waiters")

    def __init__(self) -> None:
        self.rows: list[bytes | bytearray] = []
        self.ends: list[int] = []
        self.waiters: list[asyncio.Future[bytes]] = []


class _Batch:
    """What goes into one append."""

    __slots__ = ("fixes", "parts")

    def __init__(self) -> None:
        self.fixes = 0
        self.parts: dict[OrgId, _Part] = {}


class Committer:
    """Takes rows from many, appends them in few commits, and tells each what became of its own.

    `run` must be running for anything to be committed. Once it has ended, everything is refused.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._few = _Batch()
        self._backlogs: deque[_Batch] = deque()
        self._waiting_fixes = 0
        self._most = MAX_COMMIT_FIXES
        self._wake = asyncio.Event()
        self._is_closed = False
        WAITING_FIXES.set_function(lambda: self._waiting_fixes)

    @property
    def waiting_fixes(self) -> int:
        """Submitted and not yet answered, the running commit's included."""
        return self._waiting_fixes

    def submit(self, org: OrgId, rows: bytes | bytearray) -> asyncio.Future[bytes]:
        """Queue rows (FIX_ROW) of one org for the next commit.

        The future holds one byte, a store.base.Outcome, per row once they are on disk; or it raises
        UNAVAILABLE, and then sending them again is safe. Raises UNAVAILABLE at once when too many wait.
        """
        count = len(rows) // FIX_SIZE
        self._check_room(count)
        batch = self._gathering(count)
        batch.fixes += count
        self._waiting_fixes += count
        part = batch.parts.get(org)
        if part is None:
            part = batch.parts[org] = _Part()
        part.rows.append(rows)
        part.ends.append(count + (part.ends[-1] if part.ends else 0))
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        part.waiters.append(waiter)
        self._wake.set()
        return waiter

    async def run(self) -> None:
        """Commit what gathers until cancelled; whatever then still waits is refused."""
        batch = None
        try:
            while True:
                await self._wake.wait()
                while self._few.fixes or self._backlogs:
                    # By turns, so that neither holds up the other for longer than a commit.
                    if self._few.fixes:
                        batch, self._few = self._few, _Batch()
                        await self._commit(batch)
                    if self._backlogs:
                        batch = self._backlogs.popleft()
                        await self._commit(batch)
                self._wake.clear()
        finally:
            self._is_closed = True
            for left in (batch, self._few, *self._backlogs):
                if left is not None:
                    self._refuse(left, _stopping())
            self._backlogs.clear()

    def _check_room(self, count: int) -> None:
        if self._is_closed:
            raise _stopping()
        waiting = self._waiting_fixes
        # What comes alone is taken whatever its size: it could never get in otherwise.
        most = MAX_WAITING_FIXES + (ROOM_FOR_FEW if count <= FEW_FIXES else 0)
        if waiting and waiting + count > most:
            raise _not_now("Too many fixes wait to be stored. Send this again later.")

    def _gathering(self, count: int) -> _Batch:
        if count <= FEW_FIXES:
            return self._few
        if not self._backlogs or self._backlogs[-1].fixes + count > self._most:
            self._backlogs.append(_Batch())
        return self._backlogs[-1]

    def _pace(self, fixes: int, took_s: float) -> None:
        """Let the next commits of backlogs be as long as what just went in AIM_S."""
        if fixes >= LEAST_COMMIT_FIXES:
            self._most = min(MAX_COMMIT_FIXES, max(LEAST_COMMIT_FIXES, int(fixes * AIM_S / max(took_s, 0.001))))

    async def _commit(self, batch: _Batch) -> None:
        parts = [OrgFixes(org, fixes_from_bytes(b"".join(part.rows))) for org, part in batch.parts.items()]
        began_s = self._clock.steady_s()
        try:
            outcomes = await self._store.append(parts)
            for part, codes in zip(batch.parts.values(), outcomes, strict=True):
                _answer(part, codes.tobytes())
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

    def _refuse(self, batch: _Batch, refusal: Refusal) -> None:
        for part in batch.parts.values():
            for waiter in part.waiters:
                if not waiter.done():
                    waiter.set_exception(_copy(refusal))
        self._forget(batch)

    def _forget(self, batch: _Batch) -> None:
        self._waiting_fixes -= batch.fixes
        batch.fixes = 0
        batch.parts = {}


def _answer(part: _Part, codes: bytes) -> None:
    start = 0
    for end, waiter in zip(part.ends, part.waiters, strict=True):
        if not waiter.done():  # whoever asked may have gone away
            waiter.set_result(codes[start:end])
        start = end


def _copy(refusal: Refusal) -> Refusal:
    """One exception for each waiter, all UNAVAILABLE: each gets a traceback of its own."""
    return Refusal(Kind.UNAVAILABLE, refusal.message, retry_after_s=refusal.retry_after_s or RETRY_AFTER_S)


def _not_now(message: str) -> Refusal:
    return unavailable(message, retry_after_s=RETRY_AFTER_S)


def _stopping() -> Refusal:
    return _not_now("The server is stopping. Send this again later.")
