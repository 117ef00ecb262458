"""The feed's proof can fail: each planted fault is found within a bounded number of examples."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from odograph.api.positions import Positions, assets_of
from odograph.live.seam import Seam
from odograph.live.stretch import Stretch
from odograph.model.ids import Seq
from odograph.store.base import Committed
from odograph.store.sqlite.dedupe import Dedupe
from odograph.store.sqlite.log import LogReader, Snapshot
from tests.property import scenarios
from tests.property.engine_store import EngineMachine, MortalEngine

SEED = 2026
MAX_EXAMPLES = 100


COMPLAINTS = (
    "the feed missed|the feed showed|the feed is not the end of the log|asked again|a fix lies between"
    "|history is not what was stored|the snapshot at .* is not the newest|a fix that was answered yes is gone"
    "|memory does not follow the log"
)


def find_fault(
    engine_type: type[MortalEngine] = MortalEngine, log_type: type[LogReader] = LogReader, **types: Any
) -> str:
    """What the property says against a world made of these types."""

    @seed(SEED)
    @settings(
        max_examples=MAX_EXAMPLES,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios.scenarios)
    def property_(scenario):
        number, stretch_bytes, played = scenario
        scenarios.run(EngineMachine(number, engine_type, log_type), stretch_bytes, played, **types)

    with scenarios.small_pages(), pytest.raises(AssertionError) as found:
        property_()
    return str(found.value).splitlines()[0]


# -- 1. published before it is committed


class EarlyEngine(MortalEngine):
    """Tells its followers within the transaction."""

    publish: Callable[[Committed], None]

    def _insert(self, parts, received_ms):
        blocks = super()._insert(parts, received_ms)
        self.publish(Committed(blocks))
        return blocks


def test_it_finds_what_is_published_before_it_is_committed():
    assert re.match(COMPLAINTS, find_fault(EarlyEngine))


# -- 2. a cursor taken after the snapshot


class LateCursor(Positions):
    """The cursor of the first call's last page is the head of that moment."""

    async def _feed_first(self, call, kind, position, last):
        answer = await super()._feed_first(call, kind, position, last)
        if b'"hasNextPage":true' in answer.body:
            return answer
        now = self._cursor(call, kind, 1, call.context.live.stretch.head)
        old = self._cursor(call, kind, 1, position)
        return type(answer)(answer.body.replace(old.encode(), now.encode()))


class SlowCursor(Positions):
    """Each page is read, then somebody else has a turn, then the position is fixed: one page is enough."""

    async def feed(self, call):
        before = await super().feed(call)
        fields = self._fields(call, f"{self._spelling.name}.feed")
        if fields:
            return before
        for _ in range(3):
            await asyncio.sleep(0)
        assets, more = assets_of(call)[:2], len(assets_of(call)) > 2
        head = call.context.live.stretch.head
        fixed = (0, head, int(assets[-1])) if more else (1, head)
        body = before.body[: before.body.index(b'"endCursor"')]
        cursor = self._cursor(call, f"{self._spelling.name}.feed", *fixed)
        return type(before)(body + f'"endCursor":"{cursor}","hasNextPage":{str(more).lower()}}}}}'.encode())


@pytest.mark.parametrize("reader", [LateCursor, SlowCursor])
def test_it_finds_a_cursor_that_is_taken_after_the_snapshot(reader):
    assert re.match("the feed missed|a fix lies between the first call", find_fault(reader_type=reader))


# -- 3. a cursor that is stuck on filtered pages


class StuckSeam(Seam):
    """The cursor is the last match, not the last fix looked at."""

    async def read_after(self, org, after, wanted, *rest):
        fixes, reached, more = await super().read_after(org, after, wanted, *rest)
        if wanted is not None and not len(fixes):
            reached = after
        return fixes, reached, more


class HastySeam(Seam):
    """Where a filtered page shows nothing, the cursor goes to the end."""

    async def read_after(self, org, after, wanted, *rest):
        fixes, reached, more = await super().read_after(org, after, wanted, *rest)
        if wanted is not None and not len(fixes):
            reached, more = self._stretch.head, False
        return fixes, reached, more


@pytest.mark.parametrize(
    ("seam", "complaint"),
    [(StuckSeam, "the feed does not move on"), (HastySeam, "the feed missed|asked again")],
)
def test_it_finds_a_cursor_that_is_stuck_on_filtered_pages(seam, complaint):
    assert re.match(complaint, find_fault(seam_type=seam))


# -- 4. dedupe against the last fix only


class ForgetfulDedupe(Dedupe):
    """Knows a repetition only of the newest fix of all."""

    def _look_up(self, keys, prints):
        is_stored, found, unjudged = super()._look_up(keys, prints)
        newest = self._newest.time_ms[keys >> 42] == (keys & ((1 << 42) - 1))
        return is_stored & newest, found, unjudged


def test_it_finds_dedupe_against_the_last_fix_only():
    class Forgetful(MortalEngine):
        def __init__(self, *given, **more):
            super().__init__(*given, **more)
            self._dedupe.__class__ = ForgetfulDedupe

    assert re.search("was answered STORED|holds a moment twice|two fixes of one moment", find_fault(Forgetful))


# -- 5. off by one where memory, log and sealed data meet


class FloorAbove(Stretch):
    def floor(self, org):
        return Seq(super().floor(org) + 1)


class FloorBelow(Stretch):
    def floor(self, org):
        return Seq(max(0, super().floor(org) - 1))


class ShedsTooLittle(Stretch):
    """After a segment was let go, the seam stands before its last fix."""

    def _shed(self):
        before = {org: stream.floor for org, stream in self._streams.items()}
        super()._shed()
        for org, stream in self._streams.items():
            if stream.floor != before[org]:
                stream.floor -= 1


class BeginsTooHigh(Stretch):
    """What was there before the first block ends one place too far."""

    def append(self, block):
        was_empty = self._is_empty
        super().append(block)
        if was_empty:
            self._base += 1
            self._streams[block.org].floor += 1


class StopsBehindTheMatch(Seam):
    """From memory: the first match for which there was no room counts as shown."""

    async def read_after(self, org, after, wanted, page, scan):
        floor = self._stretch.floor(org)
        fixes, reached, more = await super().read_after(org, after, wanted, page, scan)
        is_full = after >= floor and len(fixes) == page
        return fixes, Seq(min(reached + is_full, self._stretch.head)), more


class CutsOneTooFar(Seam):
    """From disk: a page's cursor lies one place too far."""

    async def read_after(self, org, after, wanted, *rest):
        floor = self._stretch.floor(org)
        fixes, reached, more = await super().read_after(org, after, wanted, *rest)
        return fixes, Seq(min(reached + (after < floor), self._stretch.head)), more


class CutsOneTooShort(Seam):
    """From disk: the last fix of a page is shown again."""

    async def read_after(self, org, after, wanted, *rest):
        floor = self._stretch.floor(org)
        fixes, reached, more = await super().read_after(org, after, wanted, *rest)
        return fixes, Seq(max(after, reached - (after < floor and len(fixes) > 1))), more


class LeavesOneBetween(Seam):
    """Reads disk to before the seam and goes on behind it."""

    async def read_after(self, org, after, wanted, *rest):
        floor = self._stretch.floor(org)
        fixes, reached, more = await super().read_after(org, after, wanted, *rest)
        if after < floor == reached and len(fixes):
            fixes = fixes[:-1]
        return fixes, reached, more


@pytest.mark.parametrize("stretch", [FloorAbove, FloorBelow, ShedsTooLittle, BeginsTooHigh])
def test_it_finds_memory_that_is_off_by_one(stretch):
    assert re.match(COMPLAINTS, find_fault(stretch_type=stretch))


@pytest.mark.parametrize("seam", [StopsBehindTheMatch, CutsOneTooFar, CutsOneTooShort, LeavesOneBetween])
def test_it_finds_a_seam_that_is_off_by_one(seam):
    assert re.match(COMPLAINTS, find_fault(seam_type=seam))


class SealedTooLittle(LogReader):
    """Takes the last sealed fix for one of the log, where it is not any more."""

    wrong_by = -1

    @contextmanager
    def snapshot(self):
        with super().snapshot() as right:
            yield Snapshot(right.connection, Seq(max(0, right.sealed_through + self.wrong_by)), right.epoch)


class SealedTooMuch(SealedTooLittle):
    """Looks for the first unsealed fix among what is sealed."""

    wrong_by = 1


@pytest.mark.parametrize("reader", [SealedTooLittle, SealedTooMuch])
def test_it_finds_a_reader_that_is_off_by_one_about_what_is_sealed(reader):
    assert re.match(COMPLAINTS, find_fault(log_type=reader))
