"""Viewers of public links beside a live fleet: what they cost, when they see a fix, how fast they go dark."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np

from odograph.bench.blasting import batch_requests, blast, cut
from odograph.bench.crowd import Crowd, Floats, Gathered, Whole, crowd
from odograph.bench.fleet import Fleet
from odograph.bench.gateways import Gateways
from odograph.bench.install import Install, Options, installed, now_ms
from odograph.bench.links import Link, make_links, revoke_links
from odograph.bench.readers import Unexpected
from odograph.bench.report import Rows, percentiles_ms, render
from odograph.bench.scenarios.base import Scenario, shares_text
from odograph.bench.served import own_rss_bytes
from odograph.bench.traffic import Plan, plan_punctually, spread_phases

P99_MS: Final = 250.0
AIM: Final = 10_000
AIM_P99_MS: Final = 150.0
A_VIEWER_KB: Final = 40.0
DARK_S: Final = 1.0
RAISES: Final = (1.5, 2.0, 2.5, 3.0, 3.5)
_WITHIN_S: Final = 60.0
_DRAIN_S: Final = 5.0
_LEAD_MS: Final = 1_500
_PREPARED_A_MS: Final = 100
_OTHER_DESCRIPTORS: Final = 500  # of a server beside its viewers: devices, files, sockets of its own


@dataclass(frozen=True, slots=True)
class Load:
    """Half of `viewers` watch one link, the others `links` links of one vehicle each.

    Behind them `fleet` vehicles send `rate` fixes a second for `seconds`. `raises`: then with ever more viewers.
    """

    viewers: int = 5_000
    links: int = 2_500
    fleet: int = 20_000
    rate: int = 2_000
    seconds: int = 30
    raises: bool = False

    @property
    def step_ms(self) -> int:
        """What lies between two fixes of a vehicle."""
        return round(self.fleet / self.rate * 1000)

    @property
    def steps(self) -> int:
        """Fixes of each vehicle."""
        return max(2, round(self.seconds * 1000 / self.step_ms))


FULL: Final = Load()
QUICK: Final = Load(viewers=200, links=100, fleet=400, rate=200, seconds=6)


@dataclass(slots=True)
class House:
    """Links and who watches which: the first link is everybody's, `seats` holds each viewer's link by its place."""

    links: list[Link]
    seats: list[int]

    @property
    def vehicles(self) -> Whole:
        """Each viewer's vehicle: link n shows the n-th."""
        return np.asarray(self.seats, dtype=np.int64)

    @property
    def shared(self) -> int:
        """How many watch the first link."""
        return self.seats.count(0)


@dataclass(frozen=True, slots=True)
class Seen:
    """How long fixes took to viewers, and how many never came to one that should have got them."""

    took_s: Floats
    missing: int
    expected: int
    event_bytes: float
    behind_ms: float
    shares: dict[str, float]

    @property
    def visible_ms(self) -> tuple[float, float]:
        """p50 and p99 from sending to the viewer."""
        return percentiles_ms(self.took_s)

    @property
    def note(self) -> str:
        """Who used what."""
        return f"{shares_text(self.shares)}; sender behind its plan p99 {self.behind_ms:.1f} ms"


async def run(options: Options, rows: Rows) -> None:
    """5,000 viewers of 2,501 links; viewers are not raised here, as that takes minutes: see `bench share`."""
    await measure(options, rows, QUICK if options.is_quick else FULL)


async def measure(options: Options, rows: Rows, load: Load) -> None:
    """Memory, latency and darkness at this load; then, if asked, how many viewers the machine holds."""
    async with installed(options, "share", load.fleet) as install:
        fleet = Fleet(load.fleet, start_ms=now_ms() - 10 * load.step_ms, step_ms=load.step_ms)
        await blast(install, batch_requests(install, cut(fleet.advance(1), size=1)))  # everybody is somewhere
        gateways = Gateways(install.server.address, install.keys)
        await gateways.open()
        try:
            held = await _measure_goals(install, rows, load, gateways)
            if load.raises:
                await _raise(options, install, rows, load, gateways, held)
        finally:
            gateways.close()


async def _measure_goals(install: Install, rows: Rows, load: Load, gateways: Gateways) -> Seen:
    house = House(await make_links(install, range(load.links + 1)), [])
    async with crowd(install.server.address) as viewers:
        before = own_rss_bytes(install.server.pid)
        await _seat(house, viewers, load.viewers, range(1, len(house.links)))
        opened = own_rss_bytes(install.server.pid)
        seen = await _watch(install, house, viewers, gateways, load)
        busy = own_rss_bytes(install.server.pid)
        each, each_busy = ((one - before) / load.viewers / 1000 for one in (opened, busy))
        watched = f"{load.viewers:,} viewers, {house.shared:,} of them on one link"
        rows.at_most("resident memory a viewer", each, "kB", A_VIEWER_KB, note=watched)
        rows.state("the same after the traffic, log and all", each_busy, "kB")
        p50, p99 = seen.visible_ms
        rows.state("device to viewer, p50", p50, "ms", note=f"{load.rate:,} fixes/s of {load.fleet:,} vehicles")
        rows.at_most("device to viewer, p99", p99, "ms", P99_MS, note=seen.note)
        rows.at_most("fixes that a viewer did not get", seen.missing, "", 0, note=f"of {seen.expected:,}")
        rows.state("an event", seen.event_bytes, "bytes")
        await _revoke(install, rows, house, viewers, gateways, load)
    return seen


async def _seat(house: House, viewers: Crowd, count: int, links: Sequence[int]) -> None:
    """So many viewers more: half of them of the first link, the others in turn of each of these links."""
    seats = [0] * (count // 2) + [links[place % len(links)] for place in range(count - count // 2)]
    house.seats += seats
    await viewers.open([house.links[seat].stream for seat in seats])


async def _watch(install: Install, house: House, viewers: Crowd, gateways: Gateways, load: Load) -> Seen:
    """Let the fleet speak, with everybody watching."""
    plan = _plan(load, load.steps)
    gathered, expected = Gathered(), len(house.seats) * load.steps
    await viewers.gather(Gathered())  # what came while they opened is forgotten
    with install.server.watched() as watch:
        await gateways.run(plan)
        ends = perf_counter() + _DRAIN_S
        while sum(map(len, gathered.times_ms)) < expected and perf_counter() < ends:
            await viewers.gather(gathered)
            await asyncio.sleep(0.05)
    if gathered.ended:
        raise Unexpected(f"{gathered.ended:,} streams ended while nobody had ended them")
    took = took_s(plan, gateways.sent_s, gathered, house.vehicles)
    behind = percentiles_ms(gateways.behind_s)[1]
    event = gathered.update_bytes / max(1, gathered.updates)
    return Seen(took, expected - len(took), expected, event, behind, watch.shares())


def took_s(plan: Plan, sent_s: Sequence[float], gathered: Gathered, vehicles: Whole) -> Floats:
    """From sending to seeing, once for each viewer and fix; `vehicles` is what each viewer watches."""
    flat = plan.fixes.reshape(-1)
    keys = flat["asset"].astype(np.int64) << 42 | flat["time_ms"]
    order = np.argsort(keys, kind="stable")
    watchers = np.concatenate(gathered.viewers)
    wanted = vehicles[watchers] << 42 | np.concatenate(gathered.times_ms)
    places = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    indices = order[places]
    is_ours = keys[indices] == wanted
    indices, moments = indices[is_ours], np.concatenate(gathered.moments_s)[is_ours]
    first = np.unique(watchers[is_ours] * len(keys) + indices, return_index=True)[1]
    took: Floats = moments[first] - np.asarray(sent_s)[indices[first]]
    return took


def _plan(load: Load, steps: int) -> Plan:
    begin_ms = now_ms() + _LEAD_MS + load.fleet * steps // _PREPARED_A_MS
    fleet = Fleet(load.fleet, start_ms=begin_ms, step_ms=load.step_ms)
    return plan_punctually(spread_phases(fleet.advance(steps), load.step_ms), begin_ms)


async def _revoke(
    install: Install, rows: Rows, house: House, viewers: Crowd, gateways: Gateways, load: Load
) -> None:
    """Delete everybody's link, then all others, while the fleet speaks."""
    traffic = asyncio.create_task(gateways.run(_plan(load, 2)))
    try:
        await asyncio.sleep(_LEAD_MS / 1000)
        await revoke_links(install, house.links[:1])
        shared = await viewers.until_dark(viewers.size - house.shared, _WITHIN_S)
        await revoke_links(install, house.links[1:])
        others = await viewers.until_dark(0, _WITHIN_S)
        await traffic
    finally:
        traffic.cancel()
    for name, gathered in (("one link", shared), ("the others", others)):
        slowest = dark_s(house, gathered)
        note = f"{slowest.size:,} streams; half of them within {render(float(np.median(slowest)) * 1000)} ms"
        rows.at_most(f"revoke to dark, {name}", float(slowest.max()), "s", DARK_S, note=note)
    rows.at_most("streams that ended without a word", shared.untold + others.untold, "", 0)


def dark_s(house: House, gathered: Gathered) -> Floats:
    """From asking for the deletion to the closed stream, of each stream that went dark."""
    asked = np.array([link.revoked_s for link in house.links])
    dark: Floats = np.concatenate(gathered.dark_s) - asked[house.vehicles[np.concatenate(gathered.dark)]]
    return dark


async def _raise(
    options: Options, install: Install, rows: Rows, load: Load, gateways: Gateways, seen: Seen
) -> None:
    """More and more viewers, until p99 passes its goal or the descriptors of a process are used up."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_DESCRIPTORS
    p99 = seen.visible_ms[1]
    held = {goal: load.viewers if p99 <= goal else 0 for goal in (AIM_P99_MS, P99_MS)}
    house, why = House([], []), f"{load.viewers:,}: p99 {p99:.0f} ms"
    async with crowd(install.server.address) as viewers:
        for factor in RAISES[: options.pick(len(RAISES), 1) if held[P99_MS] else 0]:
            count = round(load.viewers * factor)
            if count > most:
                why = f"a process may open {most + _OTHER_DESCRIPTORS:,} descriptors here"
                break
            new = await _more_links(install, house, min(load.fleet, round(load.links * factor) + 1))
            await _seat(house, viewers, count - viewers.size, new)
            seen = await _watch(install, house, viewers, gateways, load)
            p50, p99 = seen.visible_ms
            why = f"{count:,}: p99 {p99:.0f} ms, {seen.missing:,} fixes missing; {seen.note}"
            options.say(f"       share     {count:,} viewers: p50 {p50:.1f} ms, p99 {p99:.1f} ms; {seen.note}")
            held |= {goal: count for goal in held if p99 <= goal and not seen.missing}
            if p99 > P99_MS or seen.missing:
                break
    rows.at_least("viewers with p99 under 150 ms", held[AIM_P99_MS], "", AIM, note=f"last {why}")
    rows.state("viewers with p99 under 250 ms", held[P99_MS], "")


async def _more_links(install: Install, house: House, count: int) -> Sequence[int]:
    """Places of the links to seat new viewers at: those that were added to make so many, else all but the first."""
    had = len(house.links)
    house.links += await make_links(install, range(had, count))
    return range(max(1, had), count) if count > max(1, had) else range(1, had)


SHARE: Final = Scenario("share", "viewers of public links beside a live fleet; revoke to dark", run)
