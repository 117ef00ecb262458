"""The only home of the wall clock: passed in wherever time matters, so that tests can move it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, steady time and sleep."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC. May jump when the machine's clock is set."""
        ...

    def steady_s(self) -> float:
        """Seconds that never run backwards, of no meaning but their differences."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for at least that long."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def steady_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)
