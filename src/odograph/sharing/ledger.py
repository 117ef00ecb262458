"""The ledger: what each live share disclosed, minute by minute, as its owner may read it.

Streams are counted, not persons: nothing is kept of who looked on.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from odograph.clock import Clock
from odograph.errors import Refusal
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare
from odograph.model.ids import OrgId, RecordId
from odograph.store.base import LedgerEntry, Store

FLUSH_S: Final = 5.0  # what a kill may cost the ledger
MINUTE_MS: Final = 60_000
_log: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Disclosed(msgspec.Struct, rename="camel", omit_defaults=True):
    """The body of a ledger entry. `assets` are their numbers, ascending; seqs are 0 where no fix was disclosed."""

    assets: list[int] = []
    first_seq: int = 0
    last_seq: int = 0
    page_loads: int = 0
    polls: int = 0
    streams_highest: int = 0


@dataclass(slots=True)
class _Minute:
    """What one link disclosed within one minute, so far."""

    org: OrgId
    share: RecordId
    minute: int
    streams_highest: int
    assets: set[int] = field(default_factory=set)
    first_seq: int = 0
    last_seq: int = 0
    page_loads: int = 0
    polls: int = 0
    is_noted: bool = True

    def entry(self, writer: int) -> LedgerEntry:
        """As the store keeps it."""
        body = Disclosed(
            sorted(self.assets), self.first_seq, self.last_seq, self.page_loads, self.polls, self.streams_highest
        )
        return LedgerEntry(self.org, self.share, self.minute, writer, _encoder.encode(body))


class LedgerBook:
    """Gathers in memory what is disclosed, and puts it into the store every few seconds.

    One a process; its methods cost a look-up, and belong to the event loop that `run` is on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._writer = secrets.randbits(62)
        self._current: dict[RecordId, _Minute] = {}
        self._past: list[_Minute] = []
        """Minutes that are over and not in the store yet."""
        self._open: dict[RecordId, tuple[OrgId, int]] = {}
        """Links with open streams, and how many."""

    def loaded(self, share: Entity[LiveShare]) -> None:
        """The link's page was asked for, and shown."""
        minute = self._minute(share.org, share.id)
        minute.page_loads += 1
        minute.is_noted = False

    def polled(self, share: Entity[LiveShare]) -> None:
        """The link's state was asked for without a stream, and given."""
        minute = self._minute(share.org, share.id)
        minute.polls += 1
        minute.is_noted = False

    def streams(self, share: Entity[LiveShare], open_now: int) -> None:
        """So many streams of the link are open from now on."""
        minute = self._minute(share.org, share.id)
        if open_now:
            self._open[share.id] = (share.org, open_now)
        else:
            self._open.pop(share.id, None)
        if open_now > minute.streams_highest:
            minute.streams_highest = open_now
            minute.is_noted = False

    def disclosed(self, share: Entity[LiveShare], assets: Iterable[int], first_seq: int, last_seq: int) -> None:
        """Fixes of these assets, with seqs from first to last, went out to whoever looks on. Seqs 0: not known."""
        minute = self._minute(share.org, share.id)
        minute.assets.update(assets)
        if first_seq:
            minute.first_seq = min(minute.first_seq or first_seq, first_seq)
            minute.last_seq = max(minute.last_seq, last_seq)
        minute.is_noted = False

    async def run(self, store: Store) -> None:
        """Note what was gathered until cancelled, and what is left then."""
        try:
            while True:
                to_minute_s = (MINUTE_MS - self._clock.now_ms() % MINUTE_MS) / 1000
                await self._clock.sleep(min(FLUSH_S, to_minute_s))
                self._turn()
                await self._flush(store)
        finally:
            await self._flush(store)

    def _minute(self, org: OrgId, share: RecordId) -> _Minute:
        now = self._clock.now_ms() // MINUTE_MS
        found = self._current.get(share)
        if found is not None and found.minute == now:
            return found
        if found is not None and not found.is_noted:
            self._past.append(found)
        _, already_open = self._open.get(share, (org, 0))
        made = self._current[share] = _Minute(org, share, now, already_open, is_noted=not already_open)
        return made

    def _turn(self) -> None:
        """Begin the minute for streams that only stay open, and let go of links that nobody looks at."""
        now = self._clock.now_ms() // MINUTE_MS
        for share, minute in list(self._current.items()):
            if minute.minute != now and share not in self._open:
                if not minute.is_noted:
                    self._past.append(minute)
                del self._current[share]
        for share, (org, _) in list(self._open.items()):
            self._minute(org, share)

    async def _flush(self, store: Store) -> None:
        waiting = [*self._past, *(one for one in self._current.values() if not one.is_noted)]
        if not waiting:
            return
        entries = [one.entry(self._writer) for one in waiting]
        for one in waiting:
            one.is_noted = True  # what happens while they are on their way counts again
        is_stored = False
        try:
            await store.note(entries)
            is_stored = True
        except Refusal as refusal:
            _log.warning("the ledger waits: %s", refusal.message)
        finally:
            if not is_stored:
                for one in waiting:
                    one.is_noted = False
                self._past += [one for one in waiting if self._current.get(one.share) is not one]
            self._past = [one for one in {id(one): one for one in self._past}.values() if not one.is_noted]
