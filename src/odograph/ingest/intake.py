"""One message on its way in, whatever brought it: who sent it, what of it is sound, and what the commit said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple

from prometheus_client import Counter

from odograph.clock import Clock
from odograph.errors import Refusal, unavailable
from odograph.ingest.admit import admit
from odograph.ingest.committer import Committer
from odograph.ingest.door import OTHER_ORG, Door, Passage, Sender, Unwelcome
from odograph.live.presence import Presence
from odograph.model.fixes import FIX_SIZE, MARK_NAMES
from odograph.model.ids import OrgId, RecordId
from odograph.protocols.base import Claim, Delivery, Taken
from odograph.store.base import Outcome
from odograph.telemetry import FIXES, FIXES_MARKED, FIXES_REJECTED, GAPS

SAME_TIME_DIFFERENT: Final = "same_time_different"
NOT_UNDERSTOOD: Final = "not_understood"

Tell = Callable[[Sequence[Taken] | Refusal], None]
"""Hears one Taken per delivery, in order, once all of them are on disk; or UNAVAILABLE: send all of them again."""

_KNOWN: Final = bytes([Outcome.KNOWN])
_DIFFERENT: Final = bytes([Outcome.SAME_TIME_DIFFERENT])
_UNJUDGED: Final = bytes([Outcome.UNJUDGED])
RETRY_UNJUDGED_S: Final = 60  # an operator has to mend something first


class _Share(NamedTuple):
    """One delivery's part of what is committed."""

    passage: Passage | None
    rows: int
    refused: list[tuple[int, str]]


class Numbers:
    """The number that each counting device should go on with, known since this process began.

    A gap is told once. What fills it later, which is how a device empties its backlog, is told nothing.
    After a restart of the server the first delivery of a device only says where it is.
    """

    def __init__(self) -> None:
        self._next: dict[RecordId, int] = {}

    def note(self, device: RecordId, first: int, count: int) -> tuple[int, int] | None:
        """Take in `count` reports numbered from `first`; the first and last number that were skipped, if any."""
        expected = self._next.get(device, first)
        self._next[device] = max(expected, first + count)
        return (expected, first - 1) if first > expected else None


class Intake:
    """From deliveries to durable fixes."""

    def __init__(
        self, door: Door, presence: Presence, committer: Committer, clock: Clock, *, oldest_fix_ms: int = 0
    ) -> None:
        """`oldest_fix_ms`: how long ago a fix may have been measured to be taken; 0 takes any."""
        self._door = door
        self._presence = presence
        self._committer = committer
        self._clock = clock
        self._oldest_fix_ms = oldest_fix_ms
        self._numbers = Numbers()

    def check_key(self, protocol: str, sender: Sender) -> RecordId | None:
        """Whose key the one outside the body is; raises Unwelcome where it is nobody's. See Door."""
        return self._door.check_key(protocol, sender)

    async def greet(self, protocol: str, claim: Claim, sender: Sender) -> RecordId:
        """The device that comes in. Raises Unwelcome unless it may now."""
        return (await self._door.welcome(protocol, claim, sender)).device

    def misunderstand(self, device: RecordId) -> None:
        """What a device said could not be read."""
        self._presence.reject(device, self._clock.now_ms(), NOT_UNDERSTOOD)

    async def take(self, protocol: str, deliveries: Sequence[Delivery], sender: Sender) -> Sequence[Taken]:
        """Let in, newcomers too, admit and commit; one Taken per delivery, in order, once all of them are on disk.

        Raises Unwelcome when none of the deliveries is let in, UNAVAILABLE when not all could be stored.
        Of several deliveries, those that are not let in have all their reports rejected with the door's
        reason, so that one unknown device does not hold up the others that a forwarder speaks for.
        """
        passages: list[Passage | Unwelcome] = []
        for delivery in deliveries:
            try:
                passages.append(await self._door.welcome(protocol, delivery.claim, sender))
            except Unwelcome as refusal:
                passages.append(refusal)
        told: asyncio.Future[Sequence[Taken]] = asyncio.get_running_loop().create_future()
        self._offer(protocol, deliveries, passages, partial(_settle, told))
        return await told

    def offer(self, protocol: str, delivery: Delivery, sender: Sender, tell: Tell) -> None:
        """Let in, admit and commit one delivery without waiting for anything; `tell` hears what became of it.

        Raises Unwelcome when it is not let in, UNAVAILABLE when nothing can be stored now, and Newcomer, before
        anything is done, where only `take` can help.
        """
        passage = self._door.enter(protocol, delivery.claim, sender)
        self._offer(protocol, (delivery,), (passage,), tell)

    def _offer(
        self, protocol: str, deliveries: Sequence[Delivery], passages: Sequence[Passage | Unwelcome], tell: Tell
    ) -> None:
        rows = bytearray()
        org: OrgId | None = None
        shares: list[_Share] = []
        unwelcome: Unwelcome | None = None
        for delivery, passage in zip(deliveries, passages, strict=True):
            if isinstance(passage, Unwelcome):
                unwelcome = unwelcome or passage
                shares.append(_turned_away(delivery, passage.reason))
                continue
            org = org or passage.org
            if passage.org == org:
                shares.append(self._admit(rows, passage, delivery))
            else:
                self._presence.reject(passage.device, self._clock.now_ms(), OTHER_ORG)
                shares.append(_turned_away(delivery, OTHER_ORG))
        if unwelcome is not None and org is None:
            raise unwelcome

        def committed(outcomes: bytes | Refusal) -> None:
            if isinstance(outcomes, Refusal):
                tell(outcomes)
                return
            if _UNJUDGED in outcomes:  # what was stored all the same is known when it comes again
                tell(_not_judged())
                return
            _count_marks(rows, outcomes)
            tell(self._tell(protocol, deliveries, shares, outcomes))

        if rows and org is not None:
            self._committer.submit(org, rows, committed)
        else:
            tell(self._tell(protocol, deliveries, shares, b""))

    def _admit(self, rows: bytearray, passage: Passage, delivery: Delivery) -> _Share:
        now_ms = self._clock.now_ms()
        before = len(rows)
        refused = admit(
            rows,
            passage.asset,
            delivery.reports,
            now_ms=now_ms,
            oldest_ms=now_ms - self._oldest_fix_ms if self._oldest_fix_ms else 0,
        )
        return _Share(passage, (len(rows) - before) // FIX_SIZE, refused)

    def _tell(
        self, protocol: str, deliveries: Sequence[Delivery], shares: Sequence[_Share], outcomes: bytes
    ) -> list[Taken]:
        taken = []
        start = 0
        for delivery, share in zip(deliveries, shares, strict=True):
            codes = outcomes[start : start + share.rows]
            start += share.rows
            known, different = codes.count(_KNOWN), codes.count(_DIFFERENT)
            rejected = share.refused
            if different:
                rejected = _with_different(rejected, codes, len(delivery.reports))
            if rejected and share.passage is not None:
                self._presence.reject(share.passage.device, self._clock.now_ms(), rejected[-1][1])
            gap = None
            if delivery.first_number is not None and share.passage is not None:
                gap = self._numbers.note(share.passage.device, delivery.first_number, len(delivery.reports))
            taken.append(Taken(share.rows - known - different, known, different, rejected, gap))
        _count(protocol, taken)
        return taken


@lru_cache(maxsize=64)
def _fixes(protocol: str, outcome: str) -> Counter:
    return FIXES.labels(protocol, outcome)


def _count(protocol: str, taken: Sequence[Taken]) -> None:
    for one in taken:
        if one.stored:
            _fixes(protocol, "stored").inc(one.stored)
        if one.known:
            _fixes(protocol, "known").inc(one.known)
        if one.same_time_different:
            _fixes(protocol, SAME_TIME_DIFFERENT).inc(one.same_time_different)
        if len(one.rejected) > one.same_time_different:
            _fixes(protocol, "rejected").inc(len(one.rejected) - one.same_time_different)
            for _, reason in one.rejected:
                if reason != SAME_TIME_DIFFERENT:
                    FIXES_REJECTED.labels(reason).inc()
        if one.gap is not None:
            GAPS.labels(protocol).inc()


def _count_marks(rows: bytearray, outcomes: bytes) -> None:
    marks = rows[FIX_SIZE - 1 :: FIX_SIZE]  # the last byte of each row
    if any(marks):
        stored = [mark for mark, code in zip(marks, outcomes, strict=True) if mark and code == Outcome.STORED]
        for bit, name in MARK_NAMES.items():
            FIXES_MARKED.labels(name).inc(sum(1 for mark in stored if mark & bit))


def _not_judged() -> Refusal:
    return unavailable(
        "Some of these fixes can't be compared now with what is stored of their time. Send all again later.",
        retry_after_s=RETRY_UNJUDGED_S,
    )


def _settle(told: asyncio.Future[Sequence[Taken]], said: Sequence[Taken] | Refusal) -> None:
    if told.done():  # whoever asked has gone away
        return
    if isinstance(said, Refusal):
        told.set_exception(said)
    else:
        told.set_result(said)


def _turned_away(delivery: Delivery, reason: str) -> _Share:
    return _Share(None, 0, [(index, reason) for index in range(len(delivery.reports))])


def _with_different(refused: list[tuple[int, str]], codes: bytes, count: int) -> list[tuple[int, str]]:
    """`refused` and the reports whose moment was taken by another fix, by index."""
    gone = {index for index, _ in refused}
    admitted = [index for index in range(count) if index not in gone]
    different = [
        (index, SAME_TIME_DIFFERENT)
        for index, code in zip(admitted, codes, strict=True)
        if code == Outcome.SAME_TIME_DIFFERENT
    ]
    return sorted(refused + different)
