"""Reading what is old and sealed: an old cursor, a vehicle's day, a whole fleet's day as a file; cold and warm."""

from __future__ import annotations

import asyncio
import http.client
import os
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final
from urllib.parse import urlencode

from odograph.bench.blasting import batch_requests, blast, cut
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import DAY_MS, Install, Options, installed, now_ms, restarted
from odograph.bench.readers import FEED, checked, cursor_of, first_cursor, render_time
from odograph.bench.report import Rows
from odograph.bench.scenarios.base import Scenario, shares_text
from odograph.bench.scenarios.flat import SEAL_AT_ONCE
from odograph.bench.served import API
from odograph.model.ids import ASSET_ID_BASE

VEHICLES: Final = 1_000
DAY_STEPS: Final = DAY_MS // STEP_MS
STRETCHES: Final = 8
SAMPLES: Final = 5
EXPORT_BYTES: Final = 1 << 20
_CACHES: Final = Path("/proc/sys/vm/drop_caches")


async def run(options: Options, rows: Rows) -> None:
    """Store a fleet's day, seal it, restart, and ask."""
    count = options.pick(VEHICLES, 60)
    start_ms = now_ms() - DAY_MS - 60_000
    fleet = Fleet(count, start_ms=start_ms)
    cursors: list[str] = []
    # Its own limit of rows is kept: sealed runs have the size that they have on every other server.
    async with installed(options, "history", count) as install:
        asker = install.operator()
        for _ in range(STRETCHES):
            cursors.append(await first_cursor(asker))
            await blast(install, batch_requests(install, cut(fleet.advance(DAY_STEPS // STRETCHES), size=80)))
        asker.close()
        async with restarted(install, *SEAL_AT_ONCE):
            await install.until_sealed()
        install.server.stop()
        await _first_pages(options, rows, install, cursors[:SAMPLES])
        await _vehicle_days(options, rows, install, start_ms)
        await _export(options, rows, install, start_ms, count)


def _drop_caches(options: Options) -> bool:
    """Forget what the kernel has read; only root may."""
    os.sync()
    try:
        _CACHES.write_text("3")
    except OSError:
        options.say("       history   the page cache stays warm: only root may drop it")
        return False
    return True


async def _first_pages(options: Options, rows: Rows, install: Install, cursors: list[str]) -> None:
    took = []
    is_cold = False
    for cursor in cursors:
        await install.server.start()
        asker = install.operator()
        is_cold = _drop_caches(options)
        began = perf_counter()
        body = checked(await asker.get(f"{FEED}?{urlencode({'after': cursor})}")).body
        took.append((perf_counter() - began) * 1000)
        if b'"latitude":' not in body:
            raise AssertionError("the old cursor's first page is empty")
        again = perf_counter()
        checked(await asker.get(f"{FEED}?{urlencode({'after': cursor_of(body)[0]})}"))
        then = (perf_counter() - again) * 1000
        asker.close()
        install.server.stop()
    rows.at_most(
        "first page of an old cursor",
        took,
        "ms",
        500,
        note=f"server restarted, page cache {'dropped' if is_cold else 'warm'}; next page {then:.0f} ms",
    )


async def _vehicle_days(options: Options, rows: Rows, install: Install, start_ms: int) -> None:
    cold = []
    for number in range(SAMPLES):
        await install.server.start()
        _drop_caches(options)
        cold.append(await _vehicle_day_ms(install, number, start_ms))
        warm = [await _vehicle_day_ms(install, number, start_ms) for _ in range(SAMPLES)]
        install.server.stop()
    rows.at_most("vehicle-day (17,280 fixes) to JSON, warm", median(warm), "ms", 60, note="four pages")
    rows.at_most("vehicle-day to JSON, cold", cold, "ms", 100)


async def _vehicle_day_ms(install: Install, vehicle: int, start_ms: int) -> float:
    """All pages, one after the other."""
    query = {
        "startTime": render_time(start_ms - 60_000),
        "endTime": render_time(start_ms + DAY_MS + 60_000),
        "vehicleIds": str(ASSET_ID_BASE + install.assets[vehicle]),
    }
    asker = install.operator()
    got, more = 0, True
    checked(await asker.get("/fleet/vehicles/locations?vehicleIds=" + query["vehicleIds"]))
    began = perf_counter()
    while more:
        body = checked(await asker.get(f"/fleet/vehicles/locations/history?{urlencode(query)}")).body
        got += body.count(b'"latitude":')
        query["after"], more = cursor_of(body)
    took = (perf_counter() - began) * 1000
    asker.close()
    if got != DAY_STEPS:
        raise AssertionError(f"a vehicle's day has {got} fixes, not {DAY_STEPS}")
    return took


async def _export(options: Options, rows: Rows, install: Install, start_ms: int, count: int) -> None:
    await install.server.start()
    _drop_caches(options)
    with install.server.watched() as watch:
        began = perf_counter()
        lines = await asyncio.to_thread(_download, install, start_ms)
        took = perf_counter() - began
    install.server.stop()
    fixes = count * DAY_STEPS
    if lines != fixes + 1:
        raise AssertionError(f"the export has {lines} lines, not {fixes + 1}")
    share = fixes / (VEHICLES * DAY_STEPS)
    rows.at_most(f"fleet-day of {fixes:,} fixes to CSV", took, "s", 60 * share, note=shares_text(watch.shares()))
    rows.at_most("resident memory meanwhile, api process", watch.by_role()[API].peak_rss_bytes / 1e6, "MB", 300)


def _download(install: Install, start_ms: int) -> int:
    """Lines of the file; it is thrown away as it comes."""
    query = {"startTime": render_time(start_ms - 60_000), "endTime": render_time(start_ms + DAY_MS + 60_000)}
    connection = http.client.HTTPConnection(*install.server.address, timeout=600)
    target = f"/odograph/export?{urlencode({**query, 'format': 'csv'})}"
    connection.request("GET", target, headers={"Authorization": f"Bearer {install.token}"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise AssertionError(f"the export answered {answer.status}: {answer.read(300)!r}")
    lines = 0
    while piece := answer.read(EXPORT_BYTES):
        lines += piece.count(b"\n")
    connection.close()
    return lines


HISTORY = Scenario("history", "an old cursor, a vehicle's day, a fleet's day as a file", run)
