"""How fast durable ingest is: batches of 100 from many connections, and single fixes from 64 and from one."""

from __future__ import annotations

from statistics import median
from typing import Final

import numpy as np

from odograph.bench.blasting import BATCH, CONNECTIONS, batch_requests, blast, cut, single_requests, taken
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import Install, Options, installed, now_ms
from odograph.bench.readers import compare, first_cursor, read_feed
from odograph.bench.report import Rows, percentiles_ms
from odograph.bench.scenarios.base import Scenario, shares_text
from odograph.bench.yardsticks import blocks_rate, packing_rate, rows_rate, sync_rate
from odograph.model.fixes import Fixes

VEHICLES: Final = 1_000
_YARDSTICK_FIXES: Final = 1_000_000  # a small table would flatter the yardstick: its indexes fit the cache


async def run_batch(options: Options, rows: Rows) -> None:
    """Batches of 100, and what SQLite does with the same rows and blocks."""
    steps = options.pick(2_000, 300)
    repeats = options.repeats
    fleet = Fleet(VEHICLES, start_ms=now_ms() - (repeats * steps + 10) * STEP_MS)
    rates, by_rows, by_packing, by_blocks, p99 = [], [], [], [], []
    async with installed(options, "batch", VEHICLES) as install:
        for _ in range(repeats):
            fixes = fleet.advance(steps)
            sample = _in_arrival_order(fixes)[:_YARDSTICK_FIXES]
            by_rows.append(rows_rate(options.folder, sample))
            asker = install.operator()
            cursor = await first_cursor(asker)
            requests = batch_requests(install, cut(fixes))
            with install.server.watched() as watch:
                blasted = await blast(install, requests)
            rates.append(fixes.size / blasted.seconds)
            p99.append(percentiles_ms(blasted.latencies_s)[1])
            block = max(1, round(await install.fixes_a_commit()))
            by_packing.append(packing_rate(options.folder, sample, block))
            by_blocks.append(blocks_rate(options.folder, sample, block))
            counts = taken(blasted)
        difference = compare(
            _numbered(fixes, install), np.concatenate([page async for page in read_feed(asker, cursor)])
        )
        asker.close()
    note = f"{CONNECTIONS} connections, {block:,} fixes a commit; {shares_text(watch.shares())}"
    rows.at_least("batches of 100, durable", rates, "fixes/s", 250_000, note=note)
    ratios = [rate / other for rate, other in zip(rates, by_rows, strict=True)]
    rows.at_least("by executemany, UNIQUE, 1,000 a commit", ratios, "x", 1.0, note=f"{median(by_rows):,.0f} rows/s")
    ratios = [rate / other for rate, other in zip(rates, by_packing, strict=True)]
    rows.at_least("by blocks packed from rows", ratios, "x", 0.25, note=f"{median(by_packing):,.0f} fixes/s")
    ratios = [rate / other for rate, other in zip(rates, by_blocks, strict=True)]
    rows.at_least("by blocks packed beforehand", ratios, "x", 0.25, note=f"{median(by_blocks):,.0f} fixes/s")
    rows.state("answered, p99", p99, "ms")
    rows.at_most(
        "not stored, or read back otherwise",
        fixes.size - counts.stored + _wrong(difference),
        "fixes",
        0,
        note=str(difference),
    )


def _wrong(difference: object) -> int:
    return 1 if difference else 0


def _in_arrival_order(fixes: Fixes) -> Fixes:
    """As `cut` sends them: runs of 100, in turn one of each vehicle."""
    vehicles, steps = fixes.shape
    runs = fixes[:, : steps // BATCH * BATCH].reshape(vehicles, -1, BATCH)
    return np.ascontiguousarray(runs.transpose(1, 0, 2)).reshape(-1)


def _numbered(fixes: Fixes, install: Install) -> Fixes:
    flat = fixes.reshape(-1).copy()
    flat["asset"] = np.asarray(install.assets, dtype=np.uint32)[flat["asset"]]
    return flat


async def run_single(options: Options, rows: Rows) -> None:
    """Single fixes by the OsmAnd protocol: from 64 connections, and from one."""
    many, few = options.pick(100, 12), options.pick(10, 1)
    repeats = options.repeats
    fleet = Fleet(VEHICLES, start_ms=now_ms() - (repeats * (many + few) + 10) * STEP_MS)
    rates, ones, syncs, p99 = [], [], [], []
    async with installed(options, "single", VEHICLES) as install:
        for _ in range(repeats):
            sync = sync_rate(options.folder, options.pick(3, 1))
            syncs.append(sync.per_second)
            requests = single_requests(install, fleet.advance(many))
            with install.server.watched() as watch:
                blasted = await blast(install, requests)
            rates.append(blasted.requests / blasted.seconds)
            p99.append(percentiles_ms(blasted.latencies_s)[1])
            alone = await blast(install, single_requests(install, fleet.advance(few)), 1)
            ones.append(alone.requests / alone.seconds)
        stored = (await install.metrics())["odograph_head_seq"]
    disk = median(syncs)
    rows.state("4 KiB write + fdatasync", syncs, "a second", note=f"last p99 {sync.p99_ms:.2f} ms")
    goal = min(10_000, 2 * disk)
    rows.at_least(
        f"{CONNECTIONS} connections, one fix a request",
        rates,
        "requests/s",
        goal,
        yardstick=disk,
        note=shares_text(watch.shares()),
    )
    rows.state("answered, p99", p99, "ms")
    ratios = [one / sync for one, sync in zip(ones, syncs, strict=True)]
    rows.at_least("one connection, by the disk's rate", ratios, "x", 0.25, note=f"{median(ones):,.0f} requests/s")
    sent = VEHICLES * (many + few) * repeats
    rows.at_most("answered and not stored", sent - stored, "fixes", 0, note=f"of {sent:,}")


BATCHES = Scenario("batch", "batches of 100 fixes, beside SQLite's own rates", run_batch)
SINGLE = Scenario("single", "one fix a request, 64 connections and one", run_single)
