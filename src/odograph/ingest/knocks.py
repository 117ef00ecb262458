"""Senders that were turned away, gathered in memory and written now and then: an answer never waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from odograph.catalog.changes import added, knock_key
from odograph.clock import Clock
from odograph.errors import Refusal
from odograph.model.catalog import Knock
from odograph.model.ids import OrgId
from odograph.telemetry import KNOCKS

MAX_PENDING: Final = 1000  # different senders between two writes; further ones are counted only
MAX_WRITE: Final = 100  # in one commit, so that a flood of knocks costs the store no more than that every pause
PAUSE_S: Final = 2.0

_log = logging.getLogger(__name__)


class Noted(NamedTuple):
    """A sender's refusals since the last write, with the org in whose list they belong (INSTALL: nobody's)."""

    org: OrgId
    knock: Knock


Write = Callable[[Sequence[Noted]], Awaitable[None]]
"""Adds refusals to what the catalogue knows of these senders."""


class Knocks:
    """Bounded, merged as the catalogue merges them."""

    def __init__(self, write: Write, clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._pending: dict[tuple[OrgId, str], Knock] = {}
        self._wake = asyncio.Event()

    def note(self, org: OrgId, knock: Knock) -> None:
        """Remember one refusal."""
        key = (org, knock_key(knock))
        known = self._pending.get(key)
        KNOCKS.labels(knock.reason).inc()
        if known is None and len(self._pending) >= MAX_PENDING:
            return
        self._pending[key] = knock if known is None else added(known, knock)
        self._wake.set()

    def pending(self) -> list[Noted]:
        """What is not written yet."""
        return [Noted(org, knock) for (org, _), knock in self._pending.items()]

    async def run(self) -> None:
        """Write what was noted, at most MAX_WRITE senders every PAUSE_S, until cancelled."""
        while True:
            await self._wake.wait()
            await self._flush()
            if not self._pending:
                self._wake.clear()
            await self._clock.sleep(PAUSE_S)

    async def _flush(self) -> None:
        keys = list(self._pending)[:MAX_WRITE]
        taken = [(key, self._pending.pop(key)) for key in keys]
        try:
            await self._write([Noted(org, knock) for (org, _), knock in taken])
        except Refusal as refusal:
            _log.warning("knocks could not be written", extra={"reason": refusal.message})
            for key, knock in taken:
                self._put_back(key, knock)

    def _put_back(self, key: tuple[OrgId, str], knock: Knock) -> None:
        newer = self._pending.get(key)
        self._pending[key] = knock if newer is None else added(knock, newer)
