"""The headline: a fleet of devices, each with its own key and connection, and what a reader sees of it when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from odograph.bench.fleet import Fleet
from odograph.bench.install import Install, Options, installed, now_ms
from odograph.bench.load import Asker
from odograph.bench.readers import compare, first_cursor, read_history
from odograph.bench.report import Rows, percentiles_ms
from odograph.bench.scenarios.base import Scenario, shares_text
from odograph.bench.served import own_rss_bytes
from odograph.bench.slow_disk import slowed
from odograph.bench.traffic import (
    POLL_S,
    WATCH_S,
    Counting,
    Devices,
    Follower,
    Plan,
    Sightings,
    plan_traffic,
    spread_phases,
    until_seen,
    watching,
)
from odograph.model.fixes import Fixes

POLLERS: Final = 20
P50_MS: Final = 10.0
P99_MS: Final = 100.0
STEP_MS: Final = 5_000
AIM: Final = 50_000
RAISES: Final = (1.33, 1.67, 2.0, 2.33, 2.67, 3.0, 3.33, 3.67, 4.0, 4.5, 5.0, 6.0)
_LEAD_MS: Final = 1_500
_PREPARED_A_MS: Final = 100  # fixes whose requests are made ahead: a third of what a free machine makes


@dataclass(frozen=True, slots=True)
class Heard:
    """What one stretch of live traffic was like."""

    plan: Plan
    sightings: Sightings
    pollers: list[Counting]
    answered_s: list[float]
    behind_s: list[float]
    refused: int
    shares: dict[str, float]

    @property
    def visible_ms(self) -> tuple[float, float]:
        """p50 and p99 from sending to seeing."""
        return percentiles_ms(self.sightings.visible_after_s)


async def traffic(
    install: Install, devices: Devices, seconds: float, *, step_ms: int, pollers: int = POLLERS, seed: int = 1
) -> Heard:
    """Let the fleet speak for so long, with everybody watching; returns when all has been answered and seen."""
    count = len(install.keys)
    steps = _steps(seconds, step_ms)
    begin_ms = now_ms() + _LEAD_MS + count * steps // _PREPARED_A_MS
    fleet = Fleet(count, start_ms=begin_ms, seed=seed, step_ms=step_ms)
    fixes = spread_phases(fleet.advance(steps), step_ms)
    late_s = (min(60.0, seconds / 10), min(600.0, seconds / 2))
    plan = plan_traffic(fixes, begin_ms, late_s=late_s, seed=seed)
    sightings = Sightings(fixes, install.assets)
    operator = install.operator()
    cursor = await first_cursor(operator)
    operator.close()
    watcher = Follower(install.server.control, b"", cursor, WATCH_S, watching(sightings))
    counting = [Counting() for _ in range(pollers)]
    bearer = b"Authorization: Bearer " + install.token.encode() + b"\r\n"
    readers = [Follower(install.server.address, bearer, cursor, POLL_S, one) for one in counting]
    await watcher.start()
    for number, reader in enumerate(readers):
        await reader.start(number * POLL_S / max(1, pollers))
    answered, behind = len(devices.answered_s), len(devices.behind_s)
    with install.server.watched() as watch:
        await devices.run(plan, sightings)
        await until_seen(sightings)
    watcher.stop()
    if not sightings.unseen:
        await _until_counted(counting, fixes.size)
    for reader in readers:
        reader.stop()
    return Heard(
        plan,
        sightings,
        counting,
        devices.answered_s[answered:],
        devices.behind_s[behind:],
        sum(reader.refused for reader in readers),
        watch.shares(),
    )


def _steps(seconds: float, step_ms: int) -> int:
    return max(2, round(seconds * 1000 / step_ms))


async def _until_counted(pollers: list[Counting], fixes: int) -> None:
    """Each poller gets its last pages within a few of its pauses."""
    for _ in range(int(3 * POLL_S / 0.1)):
        if all(poller.fixes >= fixes for poller in pollers):
            return
        await asyncio.sleep(0.1)


async def check_history(operator: Asker, install: Install, fixes: Fixes) -> str:
    """Whether history holds exactly what was sent, as text."""
    flat = fixes.reshape(-1).copy()
    flat["asset"] = np.asarray(install.assets, dtype=np.uint32)[flat["asset"]]
    first, last = int(flat["time_ms"].min()), int(flat["time_ms"].max())
    return str(compare(flat, await read_history(operator, install.assets, first, last + 1)))


async def run(options: Options, rows: Rows) -> None:
    """15,000 devices for ten minutes, then faster until the feed's p99 breaks."""
    count, seconds = options.pick(15_000, 500), options.pick(600, 12)
    async with installed(options, "live", count) as install:
        pid = install.server.pid
        before = own_rss_bytes(pid)
        devices = await _connected(install)
        each = (own_rss_bytes(pid) - before) / count / 1000
        rows.at_most("resident memory a connection", each, "kB", 30, note=f"{count:,} connections")
        heard = await traffic(install, devices, seconds, step_ms=STEP_MS)
        _report(rows, heard, f"{count:,} devices at 5 s, {seconds} s")
        devices.close()
        await _report_sets(rows, install, heard)
        devices = await _connected(install)  # comparing sets takes longer than a server keeps idle connections
        await _raise(options, rows, install, devices, _held(heard, count))
        devices.close()


async def _connected(install: Install) -> Devices:
    devices = Devices(install.server.address, install.keys)
    await devices.open()
    await devices.greet()
    return devices


def _report(rows: Rows, heard: Heard, load: str) -> None:
    p50, p99 = heard.visible_ms
    answered = percentiles_ms(heard.answered_s)
    behind = percentiles_ms(heard.behind_s)[1]
    rows.at_most("visible in the feed, p50", p50, "ms", P50_MS, note=load)
    rows.at_most("visible in the feed, p99", p99, "ms", P99_MS, note=shares_text(heard.shares))
    rows.state("answered, p50", answered[0], "ms")
    rows.state("answered, p99", answered[1], "ms", note=f"generator behind its plan p99 {behind:.1f} ms")


async def _report_sets(rows: Rows, install: Install, heard: Heard) -> None:
    sightings, sent = heard.sightings, heard.plan.fixes.size
    again = len(heard.plan.indices) - sent
    rows.at_most("lost from the feed", sightings.lost, "fixes", 0, note=f"of {sent:,}, {again:,} sent twice")
    rows.at_most("twice in the feed", sightings.twice + sightings.foreign, "fixes", 0)
    wrong = [one.fixes - sent for one in heard.pollers if one.fixes != sent]
    rows.at_most(
        "pollers that got more or less than was sent", len(wrong), "pollers", 0, note=f"of {len(heard.pollers)}"
    )
    operator = install.operator()
    verdict = await check_history(operator, install, heard.plan.fixes)
    operator.close()
    rows.at_most("differences between sent and history", sum(map(int, _digits(verdict))), "fixes", 0, note=verdict)


def _digits(text: str) -> list[str]:
    return [word for word in text.replace(",", "").split() if word.isdigit()]


def _held(heard: Heard, count: int) -> int:
    """The fleet, if its p99 was within the goal; else 0: nothing has been held yet."""
    return count if heard.visible_ms[1] <= P99_MS else 0


async def _raise(options: Options, rows: Rows, install: Install, devices: Devices, held: int) -> None:
    """Faster and faster, until p99 breaks its goal; each step stands for a larger fleet at 5 s."""
    count, why = len(install.keys), "not raised: p99 was over its goal already"
    for number, factor in enumerate(RAISES[: options.pick(len(RAISES), 2) if held else 0]):
        try:
            heard = await traffic(
                install, devices, options.pick(40, 5), step_ms=round(STEP_MS / factor), seed=number + 2
            )
        except TimeoutError:
            why = f"{count * factor:,.0f} devices were not answered in time"
            break
        p50, p99 = heard.visible_ms
        options.say(
            f"       live      {count * factor:,.0f} devices at 5 s: p50 {p50:.1f} ms, p99 {p99:.1f} ms;"
            f" {shares_text(heard.shares)}"
        )
        if p99 > P99_MS or heard.sightings.lost or heard.sightings.twice:
            why = f"{count * factor:,.0f} devices: p99 {p99:.0f} ms, {shares_text(heard.shares)}"
            break
        held, why = round(count * factor), f"highest tried; {shares_text(heard.shares)}"
    name, note = "fleet at 5 s with p99 under 100 ms", f"then {why}"
    if options.is_quick:
        rows.state(name, held, "devices", note=note)
    else:
        rows.at_least(name, held, "devices", AIM, note=note)


async def run_slow(options: Options, rows: Rows) -> None:
    """2,000 devices on a disk whose every flush takes 10 ms longer."""
    count, seconds = options.pick(2_000, 400), options.pick(60, 10)
    async with slowed(options.folder) as disk:
        if disk is None:
            options.say("       slowdisk  skipped: needs gcc to build the shim that slows fdatasync down")
            return
        rows.state("fdatasync under the shim, p50", disk.measured_ms, "ms")
        await _run_on(options, rows, count, seconds, disk.environment)


async def _run_on(options: Options, rows: Rows, count: int, seconds: int, environment: Mapping[str, str]) -> None:
    async with installed(options, "slowdisk", count, environment=environment) as install:
        devices = Devices(install.server.address, install.keys)
        await devices.open()
        heard = await traffic(install, devices, seconds, step_ms=STEP_MS)
        devices.close()
        p50, p99 = heard.visible_ms
        rows.state("visible in the feed, p50", p50, "ms", note=f"{count:,} devices at 5 s, {seconds} s")
        rows.at_most("visible in the feed, p99", p99, "ms", P99_MS, note=shares_text(heard.shares))
        rows.at_most("lost or twice", heard.sightings.lost + heard.sightings.twice, "fixes", 0)


LIVE = Scenario("live", "devices on their own connections, visible in the feed", run)
SLOW_DISK = Scenario("slowdisk", "the same with 10 ms more for each fdatasync", run_slow)
