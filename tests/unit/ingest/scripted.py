"""A port-level double of the store's append, held back and failed at will; it keeps nothing anyone reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from odograph.store.base import OrgFixes


class ScriptedStore:
    """Each append waits for its turn: `release()` lets one through, `fail(error)` raises from it."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.appends: list[list[tuple[int, bytes]]] = []
        self.entered = asyncio.Event()
        self.codes = 0  # the outcome of every fix
        self._turns: asyncio.Queue[Exception | None] = asyncio.Queue()
        self._is_open = is_open

    async def append(self, batch: Sequence[OrgFixes]):
        self.appends.append([(part.org, part.fixes.tobytes()) for part in batch])
        self.entered.set()
        if not self._is_open:
            error = await self._turns.get()
            if error is not None:
                raise error
        return [np.full(len(part.fixes), self.codes, dtype=np.uint8) for part in batch]

    async def begun(self) -> None:
        """Until the next append has been entered."""
        await self.entered.wait()
        self.entered.clear()

    def release(self, count: int = 1) -> None:
        for _ in range(count):
            self._turns.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self._turns.put_nowait(error)


class StillClock:
    """A clock that moves only when told to; `sleep` waits until then."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self.slept = asyncio.Event()
        self._moved = asyncio.Condition()

    def now_ms(self) -> int:
        return self._now_ms

    def steady_s(self) -> float:
        return self._now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        until = self._now_ms + round(seconds * 1000)
        self.slept.set()
        async with self._moved:
            await self._moved.wait_for(lambda: self._now_ms >= until)

    async def move(self, seconds: float) -> None:
        self.slept.clear()
        async with self._moved:
            self._now_ms += round(seconds * 1000)
            self._moved.notify_all()
