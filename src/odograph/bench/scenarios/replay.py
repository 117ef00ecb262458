"""A month comes back: 1,000 vehicles replay 30 days, shuffled, half of it known already, while others are live."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

import numpy as np

from odograph.bench.blasting import batch_requests, blast, cut, taken
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import DAY_MS, Install, Options, installed, now_ms
from odograph.bench.report import Rows, percentiles_ms
from odograph.bench.scenarios.base import Scenario, shares_text
from odograph.bench.scenarios.live import traffic
from odograph.bench.traffic import Devices
from odograph.model.fixes import Fixes

VEHICLES: Final = 1_000
LIVE: Final = 200
DAYS: Final = 30
CONNECTIONS: Final = 32
SEED: Final = 11


async def run(options: Options, rows: Rows) -> None:
    """Half of the month first; then live traffic alone, then beside the whole month."""
    a_day = options.pick(300, 20)
    month = _month(a_day)
    runs = cut(month, seed=SEED, size=options.pick(100, 20))
    half = len(runs.order) // 2
    known = type(runs)(runs.rows, runs.vehicles, runs.runs_each, runs.order[:half], runs.size)
    again = np.random.default_rng(SEED).permutation(runs.order).tolist()
    whole = type(runs)(runs.rows, runs.vehicles, runs.runs_each, again, runs.size)
    # The live vehicles are others than the replaying ones: a connection a device, as in the street.
    async with installed(options, "replay", VEHICLES + LIVE) as install:
        first = await blast(install, batch_requests(install, known), CONNECTIONS)
        stored_before = taken(first).stored
        speakers = _last(install, LIVE)
        devices = Devices(speakers.server.address, speakers.keys)
        await devices.open()
        quiet = await traffic(speakers, devices, options.pick(30, 8), step_ms=1_000, pollers=2)
        live = asyncio.create_task(
            traffic(speakers, devices, options.pick(90, 10), step_ms=1_000, pollers=2, seed=2)
        )
        await asyncio.sleep(1)
        with install.server.watched() as watch:
            began = perf_counter()
            blasted = await blast(install, batch_requests(install, whole), CONNECTIONS)
            ended = perf_counter()
        counts = taken(blasted)
        beside = await live
        devices.close()
    sent = month.size
    rows.at_least("replayed", sent / blasted.seconds, "fixes/s", 100_000, note=shares_text(watch.shares()))
    rows.at_most(
        "stored twice or lost",
        abs(stored_before + counts.stored - sent),
        "fixes",
        0,
        note=f"{sent:,} sent: {counts.stored:,} stored, {counts.known:,} known",
    )
    p99, still = percentiles_ms(beside.sightings.visible_between(began, ended))[1], quiet.visible_ms[1]
    rows.at_most(
        "live p99, by its quiet value", p99 / still, "x", 2.0, note=f"{still:.1f} ms quiet, {p99:.1f} ms beside"
    )
    rows.at_most(
        "written a fix stored",
        watch.written_bytes / counts.stored,
        "bytes",
        300,
        note=f"{watch.written_bytes / sent:.0f} a fix replayed",
    )


def _month(a_day: int) -> Fixes:
    """Each vehicle drives at the same hour of 30 days, `a_day` fixes at 5 s each."""
    first_ms = now_ms() - (DAYS + 1) * DAY_MS
    return np.concatenate(
        [
            Fleet(VEHICLES, start_ms=first_ms + day * DAY_MS, seed=day, step_ms=STEP_MS).advance(a_day)
            for day in range(DAYS)
        ],
        axis=1,
    )


def _last(install: Install, count: int) -> Install:
    """The same server, seen with its last vehicles alone."""
    return Install(install.server, install.keys[-count:], install.assets[-count:], install.token)


REPLAY = Scenario("replay", "30 days by 1,000 vehicles, shuffled, half known, beside live traffic", run)
