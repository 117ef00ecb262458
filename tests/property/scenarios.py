"""What happens in a world: rounds of steps that run at the same time, and the play of them from first to last."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import strategies as st

from odograph.api import positions, spelling
from odograph.live import stretch, turns
from odograph.store.sqlite import engine, log, runs
from tests.property.feed_world import ASSETS_EACH, KINDS, ORGS, World

SMALL = [
    (positions, "SNAPSHOT_PAGE", 2),
    (positions, "FEED_PAGE", 3),
    (positions, "FEED_SCAN", 4),
    (positions, "HISTORY_PAGE", 4),
    (positions, "HISTORY_GROUP", 2),
    (positions, "HISTORY_SCAN", 2),
    (stretch, "_FIRST_ROWS", 2),
    (stretch, "_MOST_ROWS", 4),
    (turns, "FEW_FIXES", 1),
    (positions, "SLICE", 1),
    (spelling, "FEW", 2),
    (log, "STRETCH_ROWS", 6),
    (runs, "CHUNK_ROWS", 3),
    (runs, "PACK_BYTES", 100),
    (engine, "TRIM_BLOCKS", 1),
    (engine, "LOAD_ROWS", 4),
]
"""Every page, chunk and segment so small that a few fixes meet all their ends."""
RAM_DISK = Path("/dev/shm")  # where there is one: thousands of commits, and no power cut among them
STRETCH_BYTES = (120, 400, 100_000)
"""From one segment or two, so that most of an unsealed log is on disk only, to more than there is."""


@contextmanager
def small_pages() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for module, name, size in SMALL:
            patch.setattr(module, name, size)
        yield patch


orgs = st.sampled_from(ORGS)
rows = st.lists(
    st.tuples(st.integers(0, ASSETS_EACH - 1), st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=6
)
STEPS = {
    "append": st.tuples(st.just("append"), orgs, rows),
    "poll": st.tuples(st.just("poll"), st.integers(0, 9)),
    "join": st.tuples(st.just("join"), orgs, st.sampled_from(KINDS)),
    "seal": st.tuples(st.just("seal"), st.integers(1, 12)),
    "kill": st.tuples(st.just("kill"), st.booleans()),
    "lose": st.just(("lose",)),
}
OFTEN = ("append", "poll", "append", "join", "append", "seal", "poll", "kill", "append", "lose")
steps = st.sampled_from(OFTEN).flatmap(STEPS.__getitem__)
rounds = st.tuples(st.integers(0, 9), st.lists(steps, min_size=3, max_size=7)).map(
    lambda drawn: [("restart",)] if drawn[0] == 9 else drawn[1]
)
scenarios = st.tuples(
    st.integers(0, 1 << 30), st.sampled_from(STRETCH_BYTES), st.lists(rounds, min_size=7, max_size=14)
)


def busy_rounds(random: Random, count: int) -> list[list[Any]]:
    """Rounds that all have much to do, for a store that is slow to start: every third with an accident."""

    def append() -> Any:
        row = ((random.randrange(ASSETS_EACH), random.randrange(200), random.randrange(2)) for _ in range(8))
        return ("append", random.choice(ORGS), list(row))

    accidents = [("seal", 20), ("kill", True), ("seal", 9), ("kill", False)]
    played = []
    for place in range(count):
        steps_at_once: list[Any] = [append() for _ in range(8)]
        steps_at_once += [("poll", number) for number in range(6)]
        if place % 2 == 0:
            steps_at_once.append(("join", random.choice(ORGS), random.choice(KINDS)))
        if place % 3 == 2:
            steps_at_once.append(accidents[place // 3 % len(accidents)])
        random.shuffle(steps_at_once)
        played.append(steps_at_once)
        if place % 8 == 7:
            played.append([("restart",)])
    return played


async def take(world: World, step: Any) -> None:
    """One step of a round."""
    match step:
        case ("append", org, some):
            await world.append(org, some)
        case ("poll", number):
            if world.pollers:
                await world.poll(world.pollers[number % len(world.pollers)])
        case ("join", org, kind):
            await world.join(org, kind)
        case ("seal", max_rows):
            await world.machine.seal(max_rows)
        case ("kill", after_commit):
            await world.machine.kill(after_commit=after_commit)
        case ("lose",):
            await world.machine.lose()
        case ("restart",):
            await world.restart()
        case _:
            raise AssertionError(step)


async def play(world: World, played: Any) -> None:
    """All rounds, then the judgement."""
    await world.start()
    try:
        for place, steps_at_once in enumerate(played):
            async with asyncio.TaskGroup() as group:
                for step in steps_at_once:
                    group.create_task(take(world, step))
            if place % 2:
                await world.settled()
        await world.judge()
    finally:
        await world.stop()


def run(machine: Any, stretch_bytes: int, played: Any, **types: Any) -> Counter[str]:
    """Play it in a folder of its own; what was met on the way. Raises AssertionError where the world is wrong."""
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as folder:
        world = World(Path(folder) / "data", machine, stretch_bytes, **types)
        try:
            asyncio.run(play(world, played))
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        met: Counter[str] = world.coverage + machine.happened
        return met


def first_of(group: BaseException) -> BaseException:
    """The first plain exception within groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
