"""What has to fit into a small machine: all processes with 1,000 live vehicles, and what each vehicle adds."""

from __future__ import annotations

import asyncio
from typing import Final

from odograph.bench.blasting import batch_requests, blast, cut
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import Options, installed, now_ms, restarted
from odograph.bench.report import Rows
from odograph.bench.scenarios.base import Scenario
from odograph.bench.scenarios.live import traffic
from odograph.bench.traffic import Devices

VEHICLES: Final = 1_000
MANY: Final = 20_000
_SETTLE_S: Final = 2.0


async def run(options: Options, rows: Rows) -> None:
    """A box that has been busy for a while; then two fleets that differ in size alone."""
    await _run_box(options, rows)
    few = await _bytes_with(options, VEHICLES)
    many = await _bytes_with(options, options.pick(MANY, 4_000))
    more = options.pick(MANY, 4_000) - VEHICLES
    rows.at_most(
        "memory a vehicle",
        (many - few) / more,
        "bytes",
        500,
        note=f"all processes {few / 1e6:.0f} MB and {many / 1e6:.0f} MB, with a device, its key and a fix each",
    )


async def _run_box(options: Options, rows: Rows) -> None:
    """Defaults; the newest stretch filled and a sealing run done under live traffic, so that nothing is missing."""
    steps = options.pick(4_000, 200)
    fleet = Fleet(VEHICLES, start_ms=now_ms() - (steps + 10) * STEP_MS)
    async with installed(options, "memory", VEHICLES) as install:
        idle = install.server.rss_bytes()
        with install.server.watched() as watch:
            for _ in range(4):
                await blast(install, batch_requests(install, cut(fleet.advance(steps // 4))))
            devices = Devices(install.server.address, install.keys)
            await devices.open()
            await traffic(install, devices, options.pick(60, 8), step_ms=STEP_MS)
            devices.close()
        shared_once = install.server.rss_bytes()
        peaks = {role: round(usage.peak_rss_bytes / 1e6) for role, usage in watch.by_role().items()}
    rows.at_most(
        "all processes, 1,000 live vehicles, defaults",
        shared_once / 1e6,
        "MB",
        250,
        note=f"idle {idle / 1e6:.0f} MB; after {steps * VEHICLES:,} fixes of backlog; pages shared counted once",
    )
    rows.at_most(
        "the same at its peak, while sealing",
        watch.peak_total_bytes / 1e6,
        "MB",
        250,
        note="pages shared counted once; peaks of each with what it shares " + str(peaks),
    )


async def _bytes_with(options: Options, vehicles: int) -> int:
    fleet = Fleet(vehicles, start_ms=now_ms() - 20 * STEP_MS)
    async with installed(options, "vehicles", vehicles) as install:
        await blast(install, batch_requests(install, cut(fleet.advance(1), size=1)))
        async with restarted(install):  # without the import's own rubbish
            await asyncio.sleep(_SETTLE_S)
            return install.server.rss_bytes()


MEMORY = Scenario("memory", "all processes with 1,000 live vehicles; bytes a vehicle", run)
