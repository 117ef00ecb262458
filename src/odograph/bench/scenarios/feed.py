"""What readers cost: eight pollers on the newest stretch, and a snapshot of 10,000 vehicles."""

from __future__ import annotations

import asyncio
from typing import Final

from odograph.bench.blasting import batch_requests, blast, cut
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import Install, Options, installed, now_ms
from odograph.bench.readers import FEED, SNAPSHOT, checked, cursor_of, first_cursor
from odograph.bench.report import Rows
from odograph.bench.scenarios.base import Scenario
from odograph.bench.served import API

POLLERS: Final = 8
VEHICLES: Final = 10_000
STEPS: Final = 30
SNAPSHOTS: Final = 10


async def run(options: Options, rows: Rows) -> None:
    """Fill the newest stretch, read it eight times over, then ask for everybody's last place."""
    count, repeats = options.pick(VEHICLES, 1_000), options.repeats
    fleet = Fleet(count, start_ms=now_ms() - (repeats * STEPS + 10) * STEP_MS)
    rates, warm = [], []
    async with installed(options, "feed", count) as install:
        for _ in range(repeats):
            asker = install.operator()
            cursor = await first_cursor(asker)
            asker.close()
            fixes = fleet.advance(STEPS)
            await blast(install, batch_requests(install, cut(fixes, size=10)))
            rates.append(await _poll(install, cursor, fixes.size))
            warm.append(await _poll(install, cursor, fixes.size))
        snapshots = [await _snapshot_cpu_ms(install, count) for _ in range(repeats)]
    note = f"{fixes.size:,} fixes to each of {POLLERS} pollers, encoded on the way"
    rows.at_least("feed out of the newest stretch, a core", rates, "fixes/s", 1_000_000, note=note)
    rows.state("the same stretch read again, a core", warm, "fixes/s")
    rows.at_most(f"snapshot of {count:,} vehicles, server's cpu", snapshots, "ms", options.pick(50, 5))


async def _poll(install: Install, cursor: str, fixes: int) -> float:
    """Fixes that left the server by second of its processor time, while eight pollers read the same stretch."""
    with install.server.watched() as watch:
        await asyncio.gather(*(_read_all(install, cursor, fixes) for _ in range(POLLERS)))
    return POLLERS * fixes / max(0.01, watch.server_cpu_s)


async def _read_all(install: Install, cursor: str, fixes: int) -> None:
    asker = install.operator()
    got, more = 0, True
    while more:
        body = checked(await asker.get(f"{FEED}?after={cursor}")).body
        got += body.count(b'"latitude":')
        cursor, more = cursor_of(body)
    asker.close()
    if got != fixes:
        raise AssertionError(f"a poller got {got} fixes of {fixes}")


async def _snapshot_cpu_ms(install: Install, count: int) -> float:
    asker = install.operator()
    with install.server.watched() as watch:
        for _ in range(SNAPSHOTS):
            seen, cursor, more = 0, "", True
            while more:
                body = checked(await asker.get(f"{SNAPSHOT}?after={cursor}")).body
                seen += body.count(b'"latitude":')
                cursor, more = cursor_of(body)
            if seen != count:
                raise AssertionError(f"the snapshot shows {seen} vehicles of {count}")
    asker.close()
    return watch.by_role()[API].cpu_s / SNAPSHOTS * 1000


FEED_OUT = Scenario("feed", "eight pollers on the newest stretch; snapshot of 10,000 vehicles", run)
