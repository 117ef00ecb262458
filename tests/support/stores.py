"""Stores of every engine in a temporary folder, and fixes to put into them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from odograph.clock import SystemClock
from odograph.errors import Corrupt
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Committed, OrgFixes, Outcome, Store
from odograph.store.registry import ENGINES, open_store
from odograph.store.sqlite.database import SEALED_NAME
from odograph.store.sqlite.housekeeping import Rule
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.sealed import DayFiles
from odograph.store.sqlite.sealer import OverSocket, keep_house
from odograph.store.sqlite.wire import LOCK_NAME

ORG = OrgId(7)
BASE_MS = 1_700_000_000_000
HEAD = Seq(1 << 40)
"""Beyond every seq of a test."""


def make_fixes(assets: Sequence[int], times_ms: Sequence[int], *, lat_e7: int = 520_000_000) -> Fixes:
    """Fixes of these assets, BASE_MS plus these times; every value follows from asset and time."""
    fixes = np.zeros(len(assets), dtype=FIX_DTYPE)
    fixes["asset"] = assets
    fixes["time_ms"] = np.array(times_ms, dtype=np.int64) + BASE_MS
    fixes["lat_e7"] = lat_e7 + fixes["time_ms"] // 1000 % 1000
    fixes["lon_e7"] = -40_000_000 - fixes["asset"].astype(np.int32)
    fixes["heading_cdeg"] = np.where(fixes["time_ms"] % 7 == 0, UNKNOWN_HEADING, fixes["time_ms"] % 36_000)
    fixes["speed_ckmh"] = np.where(fixes["time_ms"] % 11 == 0, UNKNOWN_SPEED, fixes["time_ms"] % 20_000)
    return fixes


def make_track(asset: int, count: int, *, start_ms: int = 0, step_ms: int = 5_000) -> Fixes:
    """`count` fixes of one asset, one every `step_ms`."""
    return make_fixes([asset] * count, range(start_ms, start_ms + count * step_ms, step_ms))


def verify(files: DayFiles, day: str) -> None:
    """Raise Corrupt with the first thing that is wrong with the day's file."""
    for what in files.damage(day):
        raise Corrupt(what)


def as_rows(fixes: Fixes) -> list[tuple[int, ...]]:
    """For comparison."""
    rows: list[tuple[int, ...]] = fixes.tolist()
    return rows


async def append(store: Store, *parts: Fixes, org: OrgId = ORG) -> list[list[Outcome]]:
    """Append parts of one org in one commit."""
    outcomes = await store.append([OrgFixes(org, part) for part in parts])
    return [[Outcome(code) for code in part.tolist()] for part in outcomes]


async def read_feed(
    store: Store, org: OrgId = ORG, *, after: int = 0, limit: int = 100, assets: Sequence[int] | None = None
) -> tuple[Fixes, list[int]]:
    """Everything after a seq, page by page, and the seqs."""
    wanted = None if assets is None else np.array(sorted(assets), dtype=np.uint32)
    through = (await store.status()).head
    fixes, seqs, at = [], [], Seq(after)
    while at < through:
        block, reached = await store.read_after(org, at, through, limit, wanted)
        assert reached > at
        assert len(block.fixes) <= limit
        fixes.append(block.fixes)
        seqs += block.seqs.tolist()
        at = reached
    return np.concatenate([np.empty(0, dtype=FIX_DTYPE), *fixes]), seqs


@dataclass
class Watcher:
    """A follower that remembers everything."""

    fixes: dict[int, tuple[OrgId, tuple[int, ...]]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    records: dict[int, bytes | None] = field(default_factory=dict)
    revs: list[int] = field(default_factory=list)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_current: bool = False

    async def run(self, store: Store) -> None:
        async for committed in store.follow():
            self.take(committed)
            async with self.moved:
                self.moved.notify_all()

    def take(self, committed: Committed) -> None:
        assert committed.is_current or not self.is_current
        self.is_current = committed.is_current
        for record in committed.records:
            self.records[record.id] = record.body
            self.revs.append(record.rev)
        for block in committed.blocks:
            for seq, row in zip(block.seqs.tolist(), as_rows(block.fixes), strict=True):
                assert seq not in self.fixes, f"{seq} came twice"
                self.fixes[seq] = (block.org, row)
                self.order.append(seq)

    async def until_seq(self, seq: int) -> None:
        async with asyncio.timeout(30), self.moved:
            await self.moved.wait_for(lambda: self.is_current and (not seq or seq in self.fixes))

    async def until_rev(self, rev: int) -> None:
        async with asyncio.timeout(30), self.moved:
            await self.moved.wait_for(lambda: bool(self.revs) and self.revs[-1] >= rev)


@asynccontextmanager
async def watching(store: Store) -> AsyncIterator[Watcher]:
    """A Watcher that has reached the head."""
    watcher = Watcher()
    task = asyncio.create_task(watcher.run(store))
    try:
        await watcher.until_seq(0)
        yield watcher
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True)
class Place:
    """A data directory and the engine that is to be opened on it."""

    engine: str
    directory: Path

    async def open(self, **settings: float) -> Store:
        return await open_store(self.engine, self.directory, **settings)

    @asynccontextmanager
    async def opened(self, **settings: float) -> AsyncIterator[Store]:
        store = await self.open(**settings)
        try:
            yield store
        finally:
            await store.close()

    async def seal(self, rows_a_run: int = 1_000_000) -> None:
        """Everything that is in the log of the open store, now."""
        await asyncio.to_thread(_seal_through_socket, self.directory, rows_a_run)

    def kill_writer(self) -> None:
        """As the kernel does it when memory runs out."""
        os.kill(int((self.directory / LOCK_NAME).read_text(encoding="ascii")), signal.SIGKILL)


def _seal_through_socket(directory: Path, rows_a_run: int) -> None:
    log, official = LogReader(directory), OverSocket(directory)
    days = DayFiles(directory / SEALED_NAME, is_known=log.knows_day)
    try:
        keep_house(log, days, official, Rule(seal_rows=rows_a_run, seal_after_s=-1), SystemClock())
    finally:
        official.close()
        days.close()
        log.close()


@pytest.fixture(params=sorted(ENGINES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Nothing yet."""
    return Place(request.param, tmp_path / "data")


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """An open, empty store that seals nothing by itself."""
    async with place.opened() as opened:
        yield opened


def asset_ids(*numbers: int) -> Iterator[AssetId]:
    """Typed."""
    return map(AssetId, numbers)
