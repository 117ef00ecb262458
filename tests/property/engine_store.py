"""The embedded store with its writer in this process, so that one seed decides what happens between two awaits.

The engine, the readers, the follower and the frames are the real ones; only the process boundary is not there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from odograph.errors import Refusal, unavailable
from odograph.store.base import OrgFixes
from odograph.store.sqlite import wire
from odograph.store.sqlite.client import SqliteStore
from odograph.store.sqlite.database import SEALED_NAME
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.housekeeping import Rule
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.sealed import DayFiles
from odograph.store.sqlite.sealer import seal_once
from tests.property.feed_world import sides

HOURS_A_COMMIT = 7
LONGEST_PAUSE = 4  # turns of the event loop
PATIENCE = 12  # turns that a kill waits for somebody whom it hurts


class Calendar:
    """A clock that goes on by some hours with each commit, so that there is more than one day file."""

    def __init__(self) -> None:
        self.time_ms = 1_700_000_000_000

    def go_on(self) -> None:
        self.time_ms += HOURS_A_COMMIT * 3_600_000

    def now_ms(self) -> int:
        return self.time_ms

    def steady_s(self) -> float:
        return self.time_ms / 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Killed(Exception):
    """The writer died between its last statement and the COMMIT."""


class MortalEngine(Engine):
    """Can be made to die at the worst moment."""

    is_dying = False

    def _write(self, writes):
        if self.is_dying:
            raise Killed
        return super()._write(writes)


class EngineLink:
    """Takes the place of the line to the writer process: whatever waits goes into one commit."""

    def __init__(self, machine, directory, on_push, on_gap):
        self.machine = machine
        self.directory = directory
        self.on_push = on_push
        self.on_gap = on_gap
        self.numbers = count(1)
        self.waiting = []
        self.engine: Any = machine.engine_type(directory, machine.calendar)
        self.engine.publish = self.publish

    async def ask(self, make, *body):
        request = make(next(self.numbers))
        await self.machine.pause()
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((request, b"".join(body), future))
        await self.machine.pause()
        if not future.done():
            self.commit()
        reply, answer = await future
        if isinstance(reply, wire.Refused):
            raise reply.refusal()
        return reply, answer

    def commit(self) -> None:
        """One commit of what waits; the follower is told, then those who asked."""
        if self.engine is None:
            self._let_go()
            return
        waiting, self.waiting = self.waiting, []
        appends = [one for one in waiting if isinstance(one[0], wire.Append)]
        writes = [one for one in waiting if isinstance(one[0], wire.Write)]
        done = self._carry_out(appends, writes)
        self.publish(done.committed)
        for (request, _, future), answer in zip((*appends, *writes), (*done.appended, *done.written), strict=True):
            if future.done():
                continue
            if isinstance(answer, Refusal):
                future.set_result((wire.Refused.of(request.request, answer), b""))
            elif isinstance(request, wire.Append):
                body = b"".join(part.tobytes() for part in answer)
                future.set_result((wire.Appended(request.request), body))
            else:
                future.set_result((wire.Written(request.request, answer), b""))

    def _carry_out(self, appends, writes):
        self.machine.calendar.go_on()
        parts: list[Sequence[OrgFixes]] = [wire.parts_of(request.parts, body) for request, body, _ in appends]
        return self.engine.commit(parts, [request.changes for request, _, _ in writes])

    def publish(self, committed) -> None:
        """Over the wire and back, as the real one does it."""
        if committed.blocks or committed.records:
            frame = bytearray(b"".join(bytes(piece) for piece in wire.push_frame(committed)))
            for head, body in wire.cut_frames(frame):
                self.on_push(wire.reply_decoder.decode(head), body)

    async def kill(self, *, after_commit: bool) -> None:
        """The writer dies with what waits on disk, or in its very commit; after a while a new one starts."""
        appends = [one for one in self.waiting if isinstance(one[0], wire.Append)]
        self.engine.is_dying = not after_commit
        with suppress(Killed):
            self._carry_out(appends, [])
        self.engine.close()
        self.engine = None
        await self.machine.pause()
        self._let_go()
        await self.machine.pause()
        self.engine = self.machine.engine_type(self.directory, self.machine.calendar)
        self.engine.publish = self.publish
        self.on_gap()

    def _let_go(self) -> None:
        """Nobody knows what became of those who wait."""
        waiting, self.waiting = self.waiting, []
        for request, _, future in waiting:
            if not future.done():
                refusal = unavailable("The store's writer went away.")
                future.set_result((wire.Refused.of(request.request, refusal), b""))

    async def close(self) -> None:
        self.engine.close()


class EngineStore(SqliteStore):
    """The store's own client, over `EngineLink` and without threads."""

    def __init__(self, machine, directory: Path) -> None:
        super().__init__(directory, Rule())
        self.machine = machine
        self._log = machine.log_type(directory)
        self.link = EngineLink(machine, directory, self._pushed, self._lost)
        self._link = self.link  # type: ignore[assignment] # it takes its part

    async def read_after(self, org, after, through, limit, assets=None):
        with self._log.snapshot() as snapshot:
            side = "sealed" if after < min(through, snapshot.sealed_through) else "log"
        block, reached = await super().read_after(org, after, through, limit, assets)
        if len(block.fixes):
            sides.get(set()).add(side)
        return block, reached

    async def _in_thread(self, function, *args):  # type: ignore[override] # no keywords are given
        await self.machine.pause()
        answer = function(*args)
        await self.machine.pause()
        return answer

    async def close(self) -> None:
        await self.link.close()
        self._threads.shutdown()
        self._log.close()


@dataclass
class _Recorder:
    """Notes down what the sealer asks of the writer, to be done later, or never."""

    asked: list[tuple[str, Any]] = field(default_factory=list)

    def widen(self, *given):
        self.asked.append(("widen", given))

    def seal(self, *given):
        self.asked.append(("seal", given))

    def drop(self, *given):
        self.asked.append(("drop", given))


class EngineMachine:
    """Where an `EngineStore` lives, and what can happen to it there."""

    def __init__(
        self,
        seed: int,
        engine_type: type[MortalEngine] = MortalEngine,
        log_type: type[LogReader] = LogReader,
    ) -> None:
        self.random = Random(seed)
        self.engine_type = engine_type
        self.log_type = log_type
        self.calendar = Calendar()
        self.happened: Counter[str] = Counter()
        self.patience_s = 3.0
        self._is_sealing = asyncio.Lock()

    async def pause(self) -> None:
        """Let others run for some turns, how many the seed knows."""
        for _ in range(self.random.randrange(LONGEST_PAUSE)):
            await asyncio.sleep(0)

    async def open(self, directory: Path) -> EngineStore:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.store = EngineStore(self, directory)
        return self.store

    async def kill(self, *, after_commit: bool) -> None:
        for _ in range(PATIENCE):
            if self.store.link.waiting:
                break
            await asyncio.sleep(0)
        if self.store.link.engine is not None:
            self.happened["kill"] += 1
            await self.store.link.kill(after_commit=after_commit)

    async def lose(self) -> None:
        """The follower is left behind: it has to read on from disk."""
        await self.pause()
        self.happened["left behind"] += 1
        self.store._lost()

    async def seal(self, max_rows: int) -> None:
        """One run, with pauses between its steps; a kill in between leaves it half done."""
        async with self._is_sealing:
            recorder, engine = _Recorder(), self.store.link.engine
            if engine is None:
                return
            log, days = LogReader(self.directory), DayFiles(self.directory / SEALED_NAME)
            try:
                days.discard_after(engine.sealed_through)
                rows = seal_once(log, days, recorder, max_rows)
            finally:
                days.close()
                log.close()
            for name, given in recorder.asked:
                await self.pause()
                if self.store.link.engine is not engine:
                    self.happened["run left half done"] += 1
                    return
                getattr(engine, name)(*given)
            self.happened["run sealed"] += bool(rows)
            is_more = True
            while is_more and self.store.link.engine is engine:
                is_more = engine.trim()
                await self.pause()
