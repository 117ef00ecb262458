"""What one open stream has yet to send: bounded, whatever its viewer does."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

MOST_EVENTS: Final = 64
MOST_BYTES: Final = 48_000  # one that is further behind is told the state anew, which is shorter
STALLED_S: Final = 20.0
"""A viewer that takes nothing for so long has gone, whatever its connection says."""


class Stream:
    """Filled by the hub, emptied by the request that it belongs to; both on one event loop."""

    __slots__ = (
        "_bytes",
        "_events",
        "_put_seq",
        "_sender",
        "_since_s",
        "_wake",
        "is_behind",
        "is_over",
        "is_stalled",
        "reached",
        "slot",
    )

    def __init__(self, slot: int) -> None:
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._since_s = 0.0
        self.slot = slot
        """Which of the ticks brings its heartbeat."""
        self.reached = 0
        """The seq up to which everything was taken from it."""
        self._put_seq = 0
        self.is_behind = False
        """It was given too much for its pace, and what waited was dropped: it must begin again from `reached`."""
        self.is_over = False
        """Nothing comes any more; what waits is its last word."""
        self.is_stalled = False
        """Its viewer took nothing for too long: its request was cancelled."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self._events

    def put(self, event: bytes, seq: int) -> None:
        """Add an event that brings everything up to `seq`."""
        if self.is_over or self.is_behind:
            return
        if len(self._events) >= MOST_EVENTS or (self._events and self._bytes + len(event) > MOST_BYTES):
            self._clear()
            self.is_behind = True
        else:
            self._events.append(event)
            self._bytes += len(event)
            self._put_seq = seq
        self._rouse()

    def sending(self, sender: asyncio.Task[None] | None, steady_s: float) -> None:
        """From now on this task waits for the viewer to take something; None: it has."""
        self._sender, self._since_s = sender, steady_s

    def beat(self, steady_s: float) -> None:
        """Show proxies and the page that the line is alive, where nothing else does; let go of a stalled viewer.

        Looked at here, with every heartbeat, and not by a timer for each send: that costs a fifth of it.
        """
        if self._sender is not None:
            if steady_s - self._since_s > STALLED_S:
                self.is_stalled = True
                self._sender.cancel()
        elif self.is_idle and not self.is_over:
            self._events.append(b":\n\n")
            self._rouse()

    def end(self, last: bytes) -> None:
        """Say this and nothing more: what waits is not sent."""
        if not self.is_over:
            self._clear()
            if last:
                self._events.append(last)
            self.is_over = True
            self.is_behind = False
            self._rouse()

    def begin_again(self, reached: int) -> None:
        """Forget what waits: its request tells the state anew, with everything up to this seq."""
        self._clear()
        self.is_behind = False
        self.reached = self._put_seq = reached

    async def next(self) -> bytes:
        """All that waits, in one piece; empty where it must begin again, or is over and everything is sent."""
        if not (self._events or self.is_over or self.is_behind):
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        events = b"".join(self._events)
        if events:
            self.reached = self._put_seq
        self._clear()
        return events

    def _clear(self) -> None:
        self._events.clear()
        self._bytes = 0

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
