"""What one follower has been handed, and what waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from odograph.model.ids import Seq
from odograph.store.base import Committed
from odograph.store.sqlite.wire import Push, blocks_of

MAX_WAITING_BYTES: Final = 32 << 20  # more is cheaper to read from disk again


class Gap(Exception):
    """Something between what was handed on and what comes next is missing: it is on disk."""


class Follower:
    """A queue of commits, and the place in the log and the catalogue that was handed on last."""

    def __init__(self, after: Seq | None) -> None:
        self.after = after
        self.rev = 0
        self._waiting: deque[tuple[Push, bytes]] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._is_lost = True

    def listen(self) -> None:
        """From now on everything pushed waits here."""
        self._clear(is_lost=False)

    def lose(self) -> None:
        """What waits is not all there is any more."""
        self._clear(is_lost=True)
        self._wake.set()

    def push(self, push: Push, body: bytes) -> None:
        """Let a commit wait for its turn."""
        if self._is_lost:
            return
        self._waiting.append((push, body))
        self._waiting_bytes += len(body)
        self._wake.set()
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.lose()

    async def next(self) -> Committed:
        """The next commit, without what was handed on already. Gap: read from disk, and listen anew."""
        while not self._waiting:
            if self._is_lost:
                raise Gap
            self._wake.clear()
            await self._wake.wait()
        push, body = self._waiting.popleft()
        self._waiting_bytes -= len(body)
        after = Seq(self.after or 0)
        blocks = [block for block in blocks_of(push, body) if block.seqs[0] > after]
        records = [record for record in push.records if record.rev > self.rev]
        if (blocks and blocks[0].seqs[0] != after + 1) or (records and records[0].rev != self.rev + 1):
            raise Gap
        if blocks:
            self.after = Seq(int(blocks[-1].seqs[-1]))
        if records:
            self.rev = records[-1].rev
        return Committed(blocks, records)

    def _clear(self, *, is_lost: bool) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._is_lost = is_lost
