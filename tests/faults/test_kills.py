"""Killed at any moment, the store and the server keep what they answered, and followers miss nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest

from odograph.errors import Kind, Refusal
from odograph.model.ids import OrgId, Seq
from odograph.store.base import OrgFixes
from odograph.store.sqlite.client import SqliteStore
from tests.faults.story import State, fixes_of, moment_of, rows_of

KILLS = 17  # times three, one test each, so that workers share them
APPENDERS = 4
ANSWERS = 12  # between kills, at most
SEALS = 6  # kills after which the sealer is waited for
SEAL_ROWS = 1500

Moment = tuple[int, int]


class Load:
    """Some appenders and a follower at one store; counts what was answered."""

    def __init__(self, store: SqliteStore, seed: int) -> None:
        self.store = store
        self.seed = seed
        self.answered: set[Moment] = set()
        self.sent: set[Moment] = set()
        self.seen = State()
        self.reached = Seq(0)
        self.is_over = False
        self.progress = asyncio.Condition()
        self.answers = 0

    async def append(self, asset: int) -> None:
        """Fix after fix, some late, some again; what was not answered is sent until it is."""
        chance, second = Random(self.seed * 100 + asset), 0
        while not self.is_over:
            times = [second + step for step in range(chance.randrange(1, 40))]
            second = times[-1] + chance.choice((1, 1, 30))
            times += [chance.randrange(second) for _ in range(5)]
            fixes = fixes_of(*((asset, time) for time in times))
            moments = {moment_of(data) for data in rows_of(fixes)}
            self.sent |= moments
            await self._until_taken(OrgFixes(OrgId(1 + asset % 2), fixes))
            self.answered |= moments
            async with self.progress:
                self.answers += 1
                self.progress.notify_all()

    async def follow(self) -> None:
        """Everything once, each org's in order."""
        last: dict[int, int] = {}
        async for committed in self.store.follow():
            for block in committed.blocks:
                assert (np.diff(block.seqs) > 0).all()
                assert block.seqs[0] > last.get(block.org, 0), "the follower was shown a place again"
                last[block.org] = int(block.seqs[-1])
            self.seen.take(committed.blocks)
            async with self.progress:
                self.reached = Seq(max([self.reached, *last.values()]))
                self.progress.notify_all()

    async def until_answered(self, more: int) -> None:
        """Until so many more appends have been answered."""
        async with self.progress:
            goal = self.answers + more
            await self.progress.wait_for(lambda: self.answers >= goal)

    async def until_sealed(self) -> None:
        """Until more is sealed than now."""
        begin = (await self.store.status()).sealed_through
        while (await self.store.status()).sealed_through == begin:
            await self.until_answered(10)

    async def until_seen(self, head: Seq) -> None:
        """Until the follower is there."""
        async with self.progress:
            await self.progress.wait_for(lambda: self.reached >= head)

    async def _until_taken(self, part: OrgFixes) -> None:
        while True:
            try:
                await self.store.append([part])
            except Refusal as refusal:
                if refusal.kind is not Kind.UNAVAILABLE:
                    raise
                async with self.progress:  # the next line would not wait, and the writer has to be started
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self.progress.wait(), 0.05)
            else:
                return


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "data", seal_rows=SEAL_ROWS)
    yield opened
    await opened.close()


@pytest.mark.parametrize("seed", range(3))
async def test_a_writer_that_is_killed_loses_nothing_that_was_answered(store: SqliteStore, seed: int) -> None:
    load, chance = Load(store, seed), Random(seed)
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(load.follow())
        appenders = [tasks.create_task(load.append(1 + number)) for number in range(APPENDERS)]
        for kill in range(KILLS):
            if kill % SEALS == SEALS - 1:
                await load.until_sealed()
            await load.until_answered(chance.randrange(1, ANSWERS))
            os.kill(_writer_of(store), signal.SIGKILL)
        await load.until_answered(1)
        load.is_over = True
        await asyncio.gather(*appenders)
        await load.until_seen((await store.status()).head)
        follower.cancel()
    await _check(load)


def _writer_of(store: SqliteStore) -> int:
    process = store._link._process
    assert process is not None
    return process.pid


async def _check(load: Load) -> None:
    status = await load.store.status()
    stored = State()
    for org in (OrgId(1), OrgId(2)):
        after = Seq(0)
        while after < status.head:
            block, after = await load.store.read_after(org, after, status.head, 1000)
            stored.take([block])
    moments = [moment_of(data) for _, data in stored.rows.values()]
    assert len(moments) == len(set(moments)), "stored twice"
    assert load.answered <= set(moments), "answered yes and not there"
    assert set(moments) <= load.sent, "nobody sent it"
    assert sorted(stored.rows) == list(range(1, status.head + 1)), "a seq is missing"
    assert load.seen.rows == stored.rows, "the follower saw something else than what is stored"
    assert status.sealed_through > 0, "the sealer never ran"
