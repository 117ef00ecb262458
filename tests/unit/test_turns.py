"""Long work on the event loop: one at a time, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from odograph.live.turns import FEW_FIXES, Turns

LONG = FEW_FIXES + 1


def noting(name: str, notes: list[str], steps: int = 3) -> Iterator[int]:
    for step in range(steps):
        notes.append(f"{name}{step}")
        yield step


async def test_whoever_asks_for_little_has_a_turn_between_any_two_slices_of_long_work():
    turns = Turns()
    notes: list[str] = []
    long = asyncio.create_task(turns.take(noting("long", notes), LONG))
    for number in range(3):
        await asyncio.sleep(0)
        assert await turns.take(noting(f"short{number}-", notes, 1), FEW_FIXES) == [0]
    assert await long == [0, 1, 2]
    assert notes == ["long0", "short0-0", "long1", "short1-0", "long2", "short2-0"]


async def test_long_work_waits_for_long_work_and_a_reader_that_goes_away_holds_up_nobody():
    turns = Turns()
    notes: list[str] = []
    gone, first, second = (
        asyncio.create_task(turns.take(noting(name, notes), LONG)) for name in ("gone", "first", "second")
    )
    await asyncio.sleep(0)
    gone.cancel()
    assert await first == await second == [0, 1, 2]
    assert notes == ["gone0", *(f"{name}{step}" for name in ("first", "second") for step in range(3))]
