"""Refusals are gathered, bounded, and written without anyone waiting for it."""

from __future__ import annotations

import asyncio
import contextlib

from odograph.errors import unavailable
from odograph.ingest.knocks import MAX_PENDING, MAX_WRITE, PAUSE_S, Knocks
from odograph.model.catalog import Knock
from odograph.model.ids import OrgId
from tests.unit.ingest.scripted import StillClock

ORG = OrgId(1)


class Notebook:
    """What was written, and an error to raise instead once."""

    def __init__(self):
        self.writes = []
        self.error = None

    async def __call__(self, noted):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.writes.append(list(noted))


@contextlib.asynccontextmanager
async def running(notebook):
    clock = StillClock()
    knocks = Knocks(notebook, clock)
    task = asyncio.create_task(knocks.run())
    try:
        yield knocks, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def note(knocks, device_id="d", address="192.0.2.1", reason="unknown_key", now_ms=1000):
    knocks.note(ORG, Knock(device_id, "osmand", address, reason, now_ms, now_ms))


async def test_refusals_of_one_sender_become_one_note():
    notebook = Notebook()
    async with running(notebook) as (knocks, clock):
        note(knocks, now_ms=1000)
        note(knocks, reason="disabled", address="192.0.2.2", now_ms=3000)
        note(knocks, device_id="", address="192.0.2.2")
        await clock.slept.wait()
    [[first, second]] = notebook.writes
    assert (first.org, first.knock.device_id, first.knock.reason, first.knock.address) == (
        ORG,
        "d",
        "disabled",
        "192.0.2.2",
    )
    assert (first.knock.first_ms, first.knock.last_ms, first.knock.count) == (1000, 3000, 2)
    assert (second.knock.device_id, second.knock.count) == ("", 1)


async def test_a_flood_is_bounded_in_memory_and_in_writes():
    notebook = Notebook()
    async with running(notebook) as (knocks, clock):
        for number in range(MAX_PENDING + 500):
            note(knocks, device_id=f"d{number}")
        assert len(knocks.pending()) == MAX_PENDING
        await clock.slept.wait()
        assert [len(write) for write in notebook.writes] == [MAX_WRITE]
        for _ in range(MAX_PENDING // MAX_WRITE):
            await clock.move(PAUSE_S)
            await clock.slept.wait() if knocks.pending() else await asyncio.sleep(0)
        assert sum(map(len, notebook.writes)) == MAX_PENDING
        assert knocks.pending() == []


async def test_what_could_not_be_written_is_kept_and_merged():
    notebook = Notebook()
    notebook.error = unavailable("The disk is full.")
    async with running(notebook) as (knocks, clock):
        note(knocks, now_ms=1000)
        await clock.slept.wait()
        assert notebook.writes == []
        note(knocks, reason="disabled", now_ms=2000)
        await clock.move(PAUSE_S)
        await clock.slept.wait()
    [[noted]] = notebook.writes
    assert (noted.knock.count, noted.knock.first_ms, noted.knock.reason) == (2, 1000, "disabled")
