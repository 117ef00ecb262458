"""The ledger book: what is gathered, when it is noted, and that nothing of it is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec
import pytest

from odograph.errors import unavailable
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare
from odograph.model.ids import OrgId, RecordId
from odograph.sharing.ledger import FLUSH_S, Disclosed, LedgerBook
from odograph.store.base import LedgerEntry, Store

NOON_MS = 1_714_557_600_000
MINUTE = NOON_MS // 60_000


def make_share(number: int = 1, org: int = 1) -> Entity[LiveShare]:
    body = LiveShare(f"share{number}", "Link", "assetsLocation", NOON_MS, NOON_MS, "00" * 32)
    return Entity(OrgId(org), RecordId(number), 1, body)


class Ticking:
    """A clock on which a sleep lasts until the test lets time pass."""

    def __init__(self) -> None:
        self.time_ms = NOON_MS
        self.asleep = asyncio.Event()
        self.wake: asyncio.Future[None] | None = None
        self.slept_s = 0.0

    def now_ms(self) -> int:
        return self.time_ms

    def steady_s(self) -> float:
        return self.time_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.slept_s = seconds
        self.wake = asyncio.get_running_loop().create_future()
        self.asleep.set()
        await self.wake
        self.time_ms += round(seconds * 1000)

    async def round(self) -> None:
        """Until the sleeper sleeps again."""
        await self.asleep.wait()
        self.asleep.clear()
        assert self.wake is not None
        self.wake.set_result(None)
        await self.asleep.wait()


class Notes:
    """The part of a store that a ledger book uses, which refuses while it is told to."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int], LedgerEntry] = {}
        self.batches: list[int] = []
        self.is_down = False

    async def note(self, entries: Sequence[LedgerEntry]) -> None:
        if self.is_down:
            raise unavailable("down")
        self.batches.append(len(entries))
        self.kept.update({(one.share, one.minute): one for one in entries})

    def body(self, share: int = 1, minute: int = MINUTE) -> Disclosed:
        return msgspec.json.decode(self.kept[share, minute].body, type=Disclosed)


@pytest.fixture
async def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def book(clock: Ticking, notes: Notes):
    book = LedgerBook(clock)
    task = asyncio.create_task(book.run(cast("Store", notes)))
    await clock.asleep.wait()
    yield book
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_happens_within_a_minute_becomes_one_entry(book: LedgerBook, clock: Ticking, notes: Notes):
    share = make_share()
    book.loaded(share)
    book.loaded(share)
    book.polled(share)
    book.streams(share, 1)
    book.streams(share, 3)
    book.streams(share, 2)
    book.disclosed(share, [7, 3], 100, 120)
    book.disclosed(share, [3], 90, 95)
    await clock.round()
    assert notes.body() == Disclosed([3, 7], 90, 120, page_loads=2, polls=1, streams_highest=3)
    assert clock.slept_s == FLUSH_S


async def test_nothing_is_noted_where_nothing_happened(book: LedgerBook, clock: Ticking, notes: Notes):
    await clock.round()
    book.loaded(make_share())
    await clock.round()
    await clock.round()
    assert notes.batches == [1]


async def test_a_later_flush_of_the_same_minute_replaces_the_entry(book: LedgerBook, clock: Ticking, notes: Notes):
    book.loaded(make_share())
    await clock.round()
    book.loaded(make_share())
    await clock.round()
    assert notes.batches == [1, 1]
    assert notes.body().page_loads == 2


async def test_each_minute_and_link_has_an_entry_of_its_own(book: LedgerBook, clock: Ticking, notes: Notes):
    clock.time_ms += 57_000
    book.loaded(make_share(1))
    book.loaded(make_share(2, org=5))
    clock.time_ms += 3000
    book.loaded(make_share(1))
    await clock.round()
    assert {key: one.org for key, one in notes.kept.items()} == {
        (1, MINUTE): 1,
        (2, MINUTE): 5,
        (1, MINUTE + 1): 1,
    }
    assert len({one.writer for one in notes.kept.values()}) == 1


async def test_it_wakes_at_the_end_of_a_minute_and_counts_streams_that_only_stay_open(
    book: LedgerBook, clock: Ticking, notes: Notes
):
    book.streams(make_share(), 4)
    for _ in range(13):
        await clock.round()
    assert notes.body(minute=MINUTE + 1).streams_highest == 4
    book.streams(make_share(), 0)
    for _ in range(13):
        await clock.round()
    assert notes.body(minute=MINUTE + 1).streams_highest == 4
    assert (1, MINUTE + 2) not in notes.kept


async def test_a_book_forgets_links_that_nobody_looks_at(book: LedgerBook, clock: Ticking):
    for number in range(1, 50):
        book.loaded(make_share(number))
    for _ in range(13):
        await clock.round()
    assert not book._current
    assert not book._past


async def test_while_the_store_is_down_nothing_is_lost(book: LedgerBook, clock: Ticking, notes: Notes):
    notes.is_down = True
    book.loaded(make_share())
    for _ in range(13):
        await clock.round()
    book.polled(make_share())
    await clock.round()
    assert notes.kept == {}
    notes.is_down = False
    await clock.round()
    assert notes.body().page_loads == 1
    assert notes.body(minute=MINUTE + 1).polls == 1


async def test_what_happens_while_entries_are_on_their_way_is_noted_next(clock: Ticking):
    book, share = LedgerBook(clock), make_share()

    class Slow(Notes):
        async def note(self, entries: Sequence[LedgerEntry]) -> None:
            if not self.batches:
                book.loaded(share)
                clock.time_ms += 60_000
                book.polled(share)
            await super().note(entries)

    slow = Slow()
    book.loaded(share)
    task = asyncio.create_task(book.run(cast("Store", slow)))
    await clock.round()
    await clock.round()
    assert slow.body().page_loads == 2
    assert slow.body(minute=MINUTE + 1).polls == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_minute_that_ends_while_its_entry_is_refused_is_noted_later(clock: Ticking):
    book, share = LedgerBook(clock), make_share()

    class Failing(Notes):
        async def note(self, entries: Sequence[LedgerEntry]) -> None:
            if self.is_down:
                clock.time_ms += 60_000
                book.polled(share)
            await super().note(entries)

    failing = Failing()
    failing.is_down = True
    book.loaded(share)
    task = asyncio.create_task(book.run(cast("Store", failing)))
    await clock.round()
    failing.is_down = False
    await clock.round()
    assert failing.body().page_loads == 1
    assert failing.body(minute=MINUTE + 1).polls == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_cancelled_book_notes_what_is_left(clock: Ticking, notes: Notes):
    book = LedgerBook(clock)
    task = asyncio.create_task(book.run(cast("Store", notes)))
    await clock.asleep.wait()
    book.loaded(make_share())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert notes.body().page_loads == 1


async def test_two_runs_of_a_server_write_entries_of_their_own(clock: Ticking):
    assert LedgerBook(clock)._writer != LedgerBook(clock)._writer
