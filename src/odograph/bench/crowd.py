"""The parent's side of the viewers: starts their process, opens streams, and gathers what they got."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from odograph.bench.audience import LENGTH, READ_LIMIT, Heard, Open, Tell
from odograph.bench.load import Lost
from odograph.bench.readers import Unexpected
from odograph.bench.waiting import NeverCame

LOOK_S: Final = 0.1
_DECODER: Final = msgspec.msgpack.Decoder(Heard)

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Gathered:
    """What all viewers got in a stretch of time: arrays as in `Heard`, one after the other."""

    viewers: list[Whole] = field(default_factory=list)
    times_ms: list[Whole] = field(default_factory=list)
    moments_s: list[Floats] = field(default_factory=list)
    dark: list[Whole] = field(default_factory=list)
    dark_s: list[Floats] = field(default_factory=list)
    updates: int = 0
    update_bytes: int = 0
    states: int = 0
    untold: int = 0

    @property
    def ended(self) -> int:
        """Streams that closed, with a word or without."""
        return self.untold + sum(map(len, self.dark))

    def add(self, heard: Heard) -> None:
        """One more answer."""
        self.viewers.append(np.frombuffer(heard.viewers, dtype=np.int64))
        self.times_ms.append(np.frombuffer(heard.times_ms, dtype=np.int64))
        self.moments_s.append(np.frombuffer(heard.moments_s))
        self.dark.append(np.frombuffer(heard.dark, dtype=np.int64))
        self.dark_s.append(np.frombuffer(heard.dark_s))
        self.updates += heard.updates
        self.update_bytes += heard.update_bytes
        self.states += heard.states
        self.untold += heard.untold


class Crowd:
    """The viewers' process. `size` viewers are numbered from 0 in the order of opening."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.size = 0
        self.is_open = 0

    async def open(self, paths: Sequence[str]) -> None:
        """A viewer for each path more. Raises Unexpected where one did not get a stream."""
        heard = await self._ask(Open(list(paths)))
        self.size += len(paths)
        if heard.refused or heard.untold or heard.dark:
            statuses = Counter(heard.refused).most_common()
            raise Unexpected(f"not all viewers got a stream: {statuses}, {heard.untold} closed at once")

    async def gather(self, into: Gathered) -> None:
        """What happened since the last time."""
        into.add(await self._ask(Tell()))

    async def until_dark(self, left: int, within_s: float) -> Gathered:
        """Wait until no more than `left` streams are open. Raises NeverCame."""
        gathered, began = Gathered(), perf_counter()
        while True:
            await self.gather(gathered)
            if self.is_open <= left:
                return gathered
            if perf_counter() - began > within_s:
                raise NeverCame(f"After {within_s:g} s {self.is_open - left:,} streams are still open.")
            await asyncio.sleep(LOOK_S)

    async def _ask(self, command: Any) -> Heard:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        frame = msgspec.msgpack.encode(command)
        asked.write(LENGTH.pack(len(frame)) + frame)
        await asked.drain()
        try:
            length = LENGTH.unpack(await answers.readexactly(LENGTH.size))[0]
            heard = _DECODER.decode(await answers.readexactly(length))
        except asyncio.IncompleteReadError:
            raise Lost("The viewers' process ended.") from None
        self.is_open = heard.is_open
        return heard


@asynccontextmanager
async def crowd(address: tuple[str, int]) -> AsyncIterator[Crowd]:
    """Viewers of the server at this address; they hang up at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "odograph.bench.audience",
        address[0],
        str(address[1]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=READ_LIMIT,
    )
    try:
        yield Crowd(process)
    finally:
        process.kill()
        await process.wait()
