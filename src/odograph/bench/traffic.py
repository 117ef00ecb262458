"""A live fleet, every device on its own connection, each fix sent when it is due; and who watches the feed."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, time
from typing import Final
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from odograph.bench.load import Address, Answered, Wire, connect, connect_many
from odograph.bench.payloads import QueryRequests, query_rows
from odograph.bench.readers import FEED, checked, cursor_of, decode_page, fixes_of
from odograph.model.fixes import Fixes

TICK_S: Final = 0.002
WATCH_S: Final = 0.005
POLL_S: Final = 5.0
RETRY_S: Final = 1.0
DRAIN_S: Final = 20.0
LATE: Final = 0.10
TWICE: Final = 0.05

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent when. `fixes` has the shape (devices, fixes each) and holds each fix once.

    `due_s` (seconds after `begin_ms`) and `indices` (into the flat fixes) are parallel, sorted by due time.
    """

    fixes: Fixes
    begin_ms: int
    due_s: Floats
    indices: Whole


def plan_traffic(fixes: Fixes, begin_ms: int, *, late_s: tuple[float, float], seed: int = 7) -> Plan:
    """Each fix when it is measured; one in ten late by `late_s`, one in twenty a second time."""
    random = np.random.default_rng(seed)
    due = (fixes["time_ms"].reshape(-1) - begin_ms) / 1000
    is_late = random.random(len(due)) < LATE
    due = due + is_late * random.uniform(*late_s, len(due))
    again = np.flatnonzero(random.random(len(due)) < TWICE)
    all_due = np.concatenate((due, due[again] + random.uniform(0.05, late_s[1], len(again))))
    indices = np.concatenate((np.arange(len(due)), again))
    order = np.argsort(all_due, kind="stable")
    return Plan(fixes, begin_ms, all_due[order], indices[order])


def plan_punctually(fixes: Fixes, begin_ms: int) -> Plan:
    """Each fix once, when it is measured."""
    due = (fixes["time_ms"].reshape(-1) - begin_ms) / 1000
    order = np.argsort(due, kind="stable")
    return Plan(fixes, begin_ms, due[order], order)


async def follow(plan: Plan, offer: Callable[[int], None], behind_s: list[float]) -> None:
    """Offer each fix of the plan at its moment; `behind_s` gets how late we were at it."""
    began = perf_counter() - (time() - plan.begin_ms / 1000)
    place = 0
    while place < len(plan.indices):
        now = perf_counter() - began
        end = int(np.searchsorted(plan.due_s, now, side="right"))
        if end > place:
            behind_s.append(now - float(plan.due_s[place]))
            for index in plan.indices[place:end].tolist():
                offer(index)
            place = end
        await asyncio.sleep(TICK_S)


class Sightings:
    """When each fix of a plan was first sent, and when the feed first showed it; how often it did."""

    def __init__(self, fixes: Fixes, assets: Sequence[int]) -> None:
        """`assets`: the numbers by which the server knows the fleet's vehicles."""
        flat = fixes.reshape(-1)
        keys = np.asarray(assets, dtype=np.int64)[flat["asset"]] << 42 | flat["time_ms"]
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._sent_s = [0.0] * len(flat)  # a list: single items are set, ten thousand times a second
        self.seen_s: Floats = np.full(len(flat), np.nan)
        self.times_seen = np.zeros(len(flat), dtype=np.int32)
        self.unseen = len(flat)
        self.foreign = 0

    def send(self, index: int, now_s: float) -> None:
        """A fix goes out; only the first time counts."""
        if not self._sent_s[index]:
            self._sent_s[index] = now_s

    @property
    def sent_s(self) -> Floats:
        """When each fix was first sent; NaN where it was not."""
        sent = np.array(self._sent_s)
        sent[sent == 0] = np.nan
        return sent

    def see(self, got: Fixes, now_s: float) -> None:
        """Fixes that the feed showed."""
        keys = got["asset"].astype(np.int64) << 42 | got["time_ms"]
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        ours = self._keys[places] == keys
        self.foreign += int((~ours).sum())
        indices = self._order[places[ours]]
        fresh = indices[self.times_seen[indices] == 0]
        self.seen_s[fresh] = now_s
        self.unseen -= len(np.unique(fresh))
        np.add.at(self.times_seen, indices, 1)

    @property
    def visible_after_s(self) -> Floats:
        """From sending to seeing, of every fix that was seen."""
        took = self.seen_s - self.sent_s
        return took[~np.isnan(took)]

    def visible_between(self, begin_s: float, end_s: float) -> Floats:
        """The same, of fixes that were sent in this time."""
        sent = self.sent_s
        took = (self.seen_s - sent)[(sent >= begin_s) & (sent <= end_s)]
        return took[~np.isnan(took)]

    @property
    def lost(self) -> int:
        """Fixes that were sent and never seen."""
        return int(((self.times_seen == 0) & ~np.isnan(self.sent_s)).sum())

    @property
    def twice(self) -> int:
        """Fixes that were seen more than once."""
        return int((self.times_seen > 1).sum())


class Devices:
    """One connection and one key a device; a device whose answer is out keeps what comes next until it is in."""

    def __init__(self, address: Address, keys: Sequence[str]) -> None:
        self._address = address
        self._requests = QueryRequests()
        self._heads = [self._requests.head(key) for key in keys]
        self._wires: list[Wire] = []
        self._outstanding: list[int] = [-1] * len(keys)
        self._waiting: list[deque[int]] = [deque() for _ in keys]
        self._sent_s: list[float] = [0.0] * len(keys)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.statuses: Counter[int] = Counter()
        self.answered_s: list[float] = []
        self.behind_s: list[float] = []

    async def open(self) -> None:
        """Connect every device."""
        self._wires = await connect_many(self._address, len(self._heads), self._hear)
        gc.collect()
        gc.freeze()  # what lives as long as the run need not be looked through again and again

    async def greet(self) -> None:
        """Let each connection carry one small request, so that it holds all the memory that it ever will."""
        self._done = asyncio.Event()
        self._greeting = len(self._wires)
        for wire in self._wires:
            wire.send(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
        await self._done.wait()
        self._greeting = 0

    _greeting = 0

    async def run(self, plan: Plan, sightings: Sightings) -> None:
        """Send the whole plan, each fix at its moment; returns when each request has its answer."""
        self._plan, self._sightings = plan, sightings
        self._each = plan.fixes.shape[1]
        self._rows = query_rows(plan.fixes.reshape(-1))
        self._left = len(plan.indices)
        self._done = asyncio.Event()
        await follow(plan, self._offer, self.behind_s)
        async with asyncio.timeout(DRAIN_S):
            await self._done.wait()

    def close(self) -> None:
        """Hang up."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        gc.unfreeze()
        for wire in self._wires:
            wire.transport.close()

    def _offer(self, index: int) -> None:
        device = index // self._each
        if self._outstanding[device] >= 0 or not self._wires[device].is_open:
            self._waiting[device].append(index)
        else:
            self._send(device, index)

    def _send(self, device: int, index: int) -> None:
        self._outstanding[device] = index
        now = self._sent_s[device] = perf_counter()
        self._sightings.send(index, now)
        self._wires[device].send(self._requests.request(self._heads[device], self._rows, index))

    def _hear(self, wire: Wire, status: int, _: bytes) -> None:
        if self._is_closed:
            return
        if self._greeting:
            self._greeting -= 1
            if not self._greeting:
                self._done.set()
            return
        device = wire.tag
        self.statuses[status] += 1
        index, self._outstanding[device] = self._outstanding[device], -1
        if status in {0, 503}:
            self._retry(device, index)
            return
        self.answered_s.append(perf_counter() - self._sent_s[device])
        self._left -= 1
        if not self._left:
            self._done.set()
        elif self._waiting[device]:
            self._send(device, self._waiting[device].popleft())

    def _retry(self, device: int, index: int) -> None:
        if index >= 0:
            self._outstanding[device] = index  # nothing else may go out meanwhile
        task = asyncio.ensure_future(self._retry_later(device, index))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retry_later(self, device: int, index: int) -> None:
        await asyncio.sleep(RETRY_S)
        while not self._wires[device].is_open:
            try:
                self._wires[device] = await connect(self._address, self._hear, device)
            except OSError:
                await asyncio.sleep(RETRY_S)
        if index < 0 and self._waiting[device]:  # it came while the device was away
            index = self._waiting[device].popleft()
        if index >= 0:
            self._send(device, index)


class Follower:
    """Polls the feed on one connection, again `every_s` after each last page, and hands each page on.

    `take` gets the body and the moment at which it was whole. The figures' clock is the sender's: one process.
    """

    def __init__(
        self, address: Address, headers: bytes, cursor: str, every_s: float, take: Callable[[bytes, float], None]
    ) -> None:
        self._address = address
        self._headers = headers
        self._cursor = cursor
        self._every_s = every_s
        self._take = take
        self._wire: Wire | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.pages = 0
        self.refused = 0

    async def start(self, after_s: float = 0.0) -> None:
        """Begin to poll in `after_s`."""
        self._wire = await connect(self._address, self._hear)
        self._timer = asyncio.get_running_loop().call_later(after_s, self._poll)

    def stop(self) -> None:
        """Poll no more."""
        if self._timer is not None:
            self._timer.cancel()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.transport.close()

    def _poll(self) -> None:
        if self._wire is not None and self._wire.is_open:
            target = f"{FEED}?after={quote(self._cursor)}".encode()
            self._wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: bench\r\n" + self._headers + b"\r\n")

    def _hear(self, _: Wire, status: int, body: bytes) -> None:
        now = perf_counter()
        if self._wire is None:
            return
        loop = asyncio.get_running_loop()
        if status != 200:
            self.refused += 1
            self._timer = loop.call_later(RETRY_S, self._poll)
            return
        self.pages += 1
        self._cursor, more = cursor_of(body)
        self._take(body, now)
        self._timer = loop.call_later(0 if more else self._every_s, self._poll)


class Counting:
    """A consumer that only counts what it gets."""

    def __init__(self) -> None:
        self.fixes = 0

    def __call__(self, body: bytes, _: float) -> None:
        """One page."""
        self.fixes += body.count(b'"latitude":')


def watching(sightings: Sightings) -> Callable[[bytes, float], None]:
    """A consumer that notes when it saw which fix."""

    def take(body: bytes, now_s: float) -> None:
        if b'"latitude":' in body:
            sightings.see(fixes_of([decode_page(checked(Answered(200, body)))]), now_s)

    return take


async def until_seen(sightings: Sightings, within_s: float = DRAIN_S) -> None:
    """Wait until the feed has shown everything, or for so long."""
    ends = perf_counter() + within_s
    while sightings.unseen and perf_counter() < ends:  # noqa: ASYNC110 - what is awaited comes with many events
        await asyncio.sleep(0.05)


def spread_phases(fixes: Fixes, step_ms: int, seed: int = 3) -> Fixes:
    """Shift each device's times by its own part of a step, in place, so that they don't all speak at once."""
    fixes["time_ms"] += np.random.default_rng(seed).integers(0, step_ms, size=(fixes.shape[0], 1))
    return fixes
