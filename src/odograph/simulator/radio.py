"""A tracker's memory and its connection: every fix is numbered and kept until the server has answered for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from odograph.clock import Clock
from odograph.model.fixes import Report
from odograph.simulator.senders import NoAnswer, Sender, Unwelcome

LOG_DAYS: Final = 30  # what trackers of the kind we mean can hold at a fix each 5 s
TURNED_AWAY_WAIT_S: Final = 60.0  # until somebody accepts the device, or corrects its key

_DAY_MS: Final = 86_400_000


class Outages(NamedTuple):
    """When there is no connection: `first_s` after the start for `lasts_s`, and again every `every_s`."""

    first_s: float
    lasts_s: float
    every_s: float

    def left_s(self, since_start_s: float) -> float:
        """How much longer it lasts; 0 while there is a connection."""
        into_s = (since_start_s - self.first_s) % self.every_s
        is_out = since_start_s >= self.first_s and into_s < self.lasts_s
        return self.lasts_s - into_s if is_out else 0.0


class DeviceLog:
    """Fixes in the order noted, from number `first_number` on. What is older than 30 days gives way to the new."""

    def __init__(self) -> None:
        self.first_number = 0
        self._kept: deque[Report] = deque()
        self._grown = asyncio.Event()

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, report: Report) -> None:
        """Keep one more."""
        self._kept.append(report)
        oldest_ms = report.time_ms - LOG_DAYS * _DAY_MS
        while self._kept[0].time_ms < oldest_ms:
            self.drop(1)
        self._grown.set()

    def oldest(self, count: int) -> list[Report]:
        """What is to be sent next, `count` at most."""
        return [self._kept[index] for index in range(min(count, len(self._kept)))]

    def drop(self, count: int) -> None:
        """The oldest are taken care of."""
        for _ in range(count):
            self._kept.popleft()
        self.first_number += count

    async def wait(self) -> None:
        """Until there is something to send."""
        while not self._kept:
            self._grown.clear()
            await self._grown.wait()


class Radio:
    """Empties a log: the oldest first, whatever waits at once, nothing dropped before its answer."""

    def __init__(
        self,
        log: DeviceLog,
        sender: Sender,
        clock: Clock,
        *,
        batch_size: int,
        pause_s: float = 0.0,
        outages: Outages | None = None,
        on_trouble: Callable[[str], None],
    ) -> None:
        """`pause_s` is the rest between two sendings, for a slow connection."""
        self._log = log
        self._sender = sender
        self._clock = clock
        self._batch_size = min(batch_size, sender.max_reports)
        self._pause_s = pause_s
        self._outages = outages
        self._on_trouble = on_trouble

    async def run(self) -> None:
        """Until cancelled."""
        started_s = self._clock.steady_s()
        try:
            while True:
                await self._log.wait()
                out_s = self._outages.left_s(self._clock.steady_s() - started_s) if self._outages else 0.0
                if out_s:
                    await self._clock.sleep(out_s)
                await self._send_some()
        finally:
            await self._sender.close()

    async def _send_some(self) -> None:
        reports, first_number = self._log.oldest(self._batch_size), self._log.first_number
        try:
            tally = await self._sender.send(reports, first_number)
        except (Unwelcome, NoAnswer) as error:
            self._on_trouble(str(error))
            await self._clock.sleep(TURNED_AWAY_WAIT_S)
            return
        for reason, count in tally.refused.items():
            self._on_trouble(f"{count} refused: {reason}")
        # While it was being sent, the log may have dropped some of it to make room.
        self._log.drop(max(0, first_number + len(reports) - self._log.first_number))
        if self._pause_s:
            await self._clock.sleep(self._pause_s)
