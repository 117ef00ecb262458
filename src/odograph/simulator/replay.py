"""Sends recordings as their devices would: at a pace or as fast as they are taken, each in order, resumable."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from odograph.clock import Clock, SystemClock
from odograph.errors import invalid
from odograph.model.fixes import Report
from odograph.protocols.base import Claim
from odograph.simulator.recordings import BadLine, Heard, Recording
from odograph.simulator.senders import (
    PATIENCE_S,
    NoAnswer,
    Patience,
    Sender,
    Server,
    Tally,
    Unwelcome,
    check_speakable,
    make_sender,
    open_client,
)
from odograph.simulator.state import read_state, write_state
from odograph.simulator.timetable import Timetable, read_span, read_timetable

READ_AHEAD: Final = 100_000  # reports held for vehicles whose answers are awaited, some 20 MB
SLICE: Final = 500  # reports read between two turns of the event loop: 2 ms
SAVE_EVERY_S: Final = 1.0  # what a crash can make us send twice
MAX_BAD_KEPT: Final = 100  # the first ones, for showing; all are counted


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to send, to whom, as whom and how fast.

    `claim_of` gives the claim of the device mounted on a vehicle of the recording, None where there is none.
    `speed` is 1 for the recording's own pace, 60 for an hour a minute, None for as fast as it is taken.
    `now` moves all times, by the same amount, so that the recording's last fix happens when it is sent; at its
    own pace that means that its first one happens now. `state_path` makes it resumable.
    """

    files: Sequence[Path]
    server: Server
    protocol: str
    claim_of: Callable[[str], Claim | None]
    speed: float | None = 1.0
    now: bool = False
    state_path: Path | None = None
    concurrency: int = 16
    batch_size: int = 1000
    patience_s: float = PATIENCE_S
    vehicle: str | None = None
    """The name for GPX and NMEA files; else their file names are."""
    day: date | None = None
    """The first day of NMEA files that tell none."""


@dataclass(slots=True)
class Summary:
    """What became of everything in the recording; the counts of earlier runs of a resumed replay are in it.

    `unsent` holds reports that nobody has answered for, by reason: the next run of the same plan sends them.
    """

    tally: Tally = field(default_factory=Tally)
    unsent: Counter[str] = field(default_factory=Counter)
    bad_lines: int = 0
    bad: list[BadLine] = field(default_factory=list)
    vehicles: int = 0
    resumed: int = 0
    """Reports passed over because an earlier run was answered for them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: `done` grows from 0 to `total`, in bytes of the files or, at a pace, in reports."""

    done: int
    total: int
    tally: Tally
    waiting: str
    """Why it stands still, if it does."""


@dataclass(slots=True, eq=False)
class _Lane:
    """One vehicle: what waits to be sent, in order, and how much was ever answered."""

    vehicle: str
    skip: int
    pending: deque[Report] = field(default_factory=deque)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    closed: str = ""
    """Why nothing more is sent."""


async def replay(
    plan: ReplayPlan, on_progress: Callable[[Progress], None] | None = None, *, clock: Clock | None = None
) -> Summary:
    """Send everything once. INVALID for files, a protocol or a state that don't fit.

    Cancelling saves how far it came and passes the cancellation on.
    """
    run = _Run(plan, on_progress or _nobody, clock or SystemClock())
    return await run.go()


def _nobody(progress: Progress) -> None:
    """Takes the progress where nobody looks."""


class _Run:
    def __init__(self, plan: ReplayPlan, on_progress: Callable[[Progress], None], clock: Clock) -> None:
        if not plan.files:
            raise invalid("There is nothing to replay: name at least one recording.")
        if plan.speed is not None and not plan.speed > 0:
            raise invalid(f"The speed must be above 0, not {plan.speed}.")
        check_speakable(plan.protocol, plan.server)
        self._plan = plan
        self._on_progress = on_progress
        self._clock = clock
        self._recordings = [Recording(path, vehicle=plan.vehicle, day=plan.day) for path in plan.files]
        self._state = read_state(
            plan.state_path, self._recordings, now=plan.now, vehicle=plan.vehicle, day=plan.day
        )
        self._summary = Summary(tally=self._state.tally)
        self._lanes: dict[str, _Lane] = {}
        self._waiting = ""
        self._held = 0
        self._room = asyncio.Event()
        self._slots = asyncio.Semaphore(plan.concurrency)
        self._read_all = False
        self._timetable: Timetable | None = None
        self._passed = 0

    async def go(self) -> Summary:
        plan = self._plan
        if plan.speed is not None:
            self._timetable = await asyncio.to_thread(read_timetable, self._recordings, self._note_bad)
        await self._fix_shift()
        try:
            async with open_client(plan.server, plan.concurrency) as client:
                self._client = client
                await self._read_and_send()
        finally:
            self._save()
        self._summary.vehicles = len(self._lanes)
        return self._summary

    async def _read_and_send(self) -> None:
        saving = asyncio.create_task(self._save_now_and_then())
        try:
            async with asyncio.TaskGroup() as lanes:
                await self._read(lanes)
        finally:
            saving.cancel()

    async def _read(self, group: asyncio.TaskGroup) -> None:
        """Hand every report to its vehicle's lane, as far ahead as there is room."""
        shift_ms = self._state.shift_ms or 0
        source = self._all_reports() if self._timetable is None else self._due_reports(self._timetable)
        async for vehicle, report in source:
            lane = self._lanes.get(vehicle)
            if lane is None:
                lane = self._lanes[vehicle] = _Lane(vehicle, self._state.answered.get(vehicle, 0))
                group.create_task(self._serve(lane))
            if lane.skip:
                lane.skip -= 1
                self._summary.resumed += 1
                continue
            lane.pending.append(report._replace(time_ms=report.time_ms + shift_ms))
            lane.heard.set()
            self._held += 1
            while self._held >= READ_AHEAD:
                self._room.clear()
                await self._room.wait()
        self._read_all = True
        for lane in self._lanes.values():
            lane.heard.set()

    async def _all_reports(self) -> AsyncIterator[Heard]:
        for recording in self._recordings:
            for count, heard in enumerate(recording.read(self._note_bad)):
                if not count % SLICE:
                    await asyncio.sleep(0)
                yield heard

    async def _due_reports(self, timetable: Timetable) -> AsyncIterator[Heard]:
        """Each report when its time has come; the clock starts at the first one that is still to be sent."""
        speed = self._plan.speed or 1.0
        started_s: float | None = None
        first_ms = 0
        left = dict(self._state.answered)
        for due_ms, heard in timetable.in_order():
            if left.get(heard.vehicle, 0):
                left[heard.vehicle] -= 1
            else:
                if started_s is None:
                    started_s, first_ms = self._clock.steady_s(), due_ms
                wait_s = started_s + (due_ms - first_ms) / 1000 / speed - self._clock.steady_s()
                if wait_s > 0:
                    await self._clock.sleep(wait_s)
            self._passed += 1
            yield heard

    async def _serve(self, lane: _Lane) -> None:
        """Send what a lane holds, all that waits at once, until nothing more can come."""
        sender = self._sender_of(lane)
        try:
            while True:
                while not lane.pending and not self._read_all:
                    lane.heard.clear()
                    await lane.heard.wait()
                if not lane.pending:
                    return
                async with self._slots:  # what comes while it waits for its turn goes along
                    await self._send_some(lane, sender)
        finally:
            if sender is not None:
                await sender.close()

    async def _send_some(self, lane: _Lane, sender: Sender | None) -> None:
        size = min(sender.max_reports, self._plan.batch_size) if sender else len(lane.pending)
        reports = [lane.pending[index] for index in range(min(size, len(lane.pending)))]
        if sender is None or lane.closed:
            self._summary.unsent[lane.closed] += len(reports)
        else:
            try:
                await self._send(lane, sender, reports)
            except (Unwelcome, NoAnswer) as error:
                lane.closed = str(error)
                return
        for _ in reports:
            lane.pending.popleft()
        self._held -= len(reports)
        self._room.set()

    async def _send(self, lane: _Lane, sender: Sender, reports: Sequence[Report]) -> None:
        answered = self._state.answered.get(lane.vehicle, 0)
        tally = await sender.send(reports, answered)
        self._waiting = ""
        self._state.answered[lane.vehicle] = answered + len(reports)
        self._summary.tally.add(tally)

    def _sender_of(self, lane: _Lane) -> Sender | None:
        claim = self._plan.claim_of(lane.vehicle)
        if claim is None:
            lane.closed = "no device is known for this vehicle"
            return None
        plan = self._plan
        chance = random.Random(lane.vehicle)  # noqa: S311 - spreads the tries of many vehicles, keeps no secret
        patience = Patience(self._clock, chance, plan.patience_s, self._note_waiting)
        return make_sender(plan.protocol, claim, plan.server, self._client, patience, self._clock)

    async def _fix_shift(self) -> None:
        """Once, also for later runs: else the same fix would be stored twice, at two times."""
        if self._state.shift_ms is not None:
            return
        self._state.shift_ms = 0
        if self._plan.now:
            timetable, speed = self._timetable, self._plan.speed
            span = timetable.span if timetable is not None else await asyncio.to_thread(read_span, self._recordings)
            lasts_ms = (span.last_ms - span.first_ms) / max(speed, 1.0) if speed else 0.0
            self._state.shift_ms = round(self._clock.now_ms() + lasts_ms - span.last_ms)

    async def _save_now_and_then(self) -> None:
        while True:
            await self._clock.sleep(SAVE_EVERY_S)
            self._save()

    def _save(self) -> None:
        if self._plan.state_path is not None:
            write_state(self._plan.state_path, self._state)
        if self._timetable is not None:
            done, total = self._passed - self._held, len(self._timetable)
        else:
            done = sum(recording.position_bytes for recording in self._recordings)
            total = sum(recording.size_bytes for recording in self._recordings)
        self._on_progress(Progress(done, total, self._summary.tally, self._waiting))

    def _note_bad(self, bad: BadLine) -> None:
        self._summary.bad_lines += 1
        if len(self._summary.bad) < MAX_BAD_KEPT:
            self._summary.bad.append(bad)

    def _note_waiting(self, why: str) -> None:
        self._waiting = why
