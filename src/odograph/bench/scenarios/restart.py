"""How long a server is away when it is restarted with millions of fixes that are not sealed yet."""

from __future__ import annotations

from typing import Final

from odograph.bench.blasting import batch_requests, blast, cut
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import Options, installed, now_ms
from odograph.bench.report import Rows
from odograph.bench.scenarios.base import Scenario

VEHICLES: Final = 1_000
NEVER_SEAL: Final = ("--seal-rows", "20000000", "--seal-after-s", "86400")
STRETCHES: Final = 5


async def run(options: Options, rows: Rows) -> None:
    """Fill, stop and start; then kill and start."""
    steps = options.pick(1_000, 100)
    total = VEHICLES * steps * STRETCHES
    fleet = Fleet(VEHICLES, start_ms=now_ms() - (STRETCHES * steps + 10) * STEP_MS)
    async with installed(options, "restart", VEHICLES, *NEVER_SEAL) as install:
        for _ in range(STRETCHES):
            await blast(install, batch_requests(install, cut(fleet.advance(steps))))
        before = (await install.metrics())["odograph_head_seq"]
        stopped, killed, stopping, spent = [], [], [], []
        for _ in range(options.repeats):
            stopping.append(install.server.stop())
            stopped.append(await install.server.start())
            spent.append(install.server.cpu_s())
            install.server.kill()
            killed.append(await install.server.start())
        after = (await install.metrics())["odograph_head_seq"]
        memory = install.server.rss_bytes()
    goal = 2.0
    rows.at_most(f"start to ready, {total:,} unsealed fixes", stopped, "s", goal, note="after SIGTERM")
    rows.at_most("start to ready, after kill -9", killed, "s", goal)
    rows.state("processor time of that start", spent, "s", note="of both processes; a busy machine takes longer")
    rows.state("time to stop", stopping, "s")
    rows.at_most("fixes missing after the restarts", before - after, "fixes", 0)
    rows.state("memory of all processes then", memory / 1e6, "MB")


RESTART = Scenario("restart", "from start to ready with 5 million unsealed fixes", run)
