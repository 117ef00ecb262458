"""Viewers: open event streams of public links, as a process of its own, so that reading does not delay sending.

Run as `python -m odograph.bench.audience HOST PORT`; `crowd.py` talks to it in frames (four bytes of length, then
MessagePack) over its standard input and output. Moments are of `perf_counter`, whose clock all processes share.
"""

from __future__ import annotations

import asyncio
import gc
import re
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final

import msgspec
import uvloop

from odograph.bench.load import CONNECT_AT_ONCE

LENGTH: Final = struct.Struct(">I")
READ_LIMIT: Final = 64 * 1024 * 1024
_AN_ADDRESS: Final = 100  # streams from one client address: 127.0.0.0/8 is all ours, and the server limits each
_LAST_CHUNK: Final = b"0\r\n\r\n"
_TIME: Final = re.compile(rb'"time":(\d+)')


class Open(msgspec.Struct, tag=True):
    """Open a stream of each of these paths; answered with the sum of all that happened once each has begun."""

    paths: list[str]


class Tell(msgspec.Struct, tag=True):
    """Say what happened since the last answer."""


class Heard(msgspec.Struct):
    """What the viewers got since the last answer. The arrays' bytes are parallel in threes, and in twos.

    `viewers` (int64), `times_ms` (int64) and `moments_s` (float64): a viewer saw the fix of that time.
    `dark` (int64) and `dark_s` (float64): a viewer was told that the link has ended, and the stream was closed.
    """

    is_open: int
    """Streams that are open now."""
    viewers: bytes
    times_ms: bytes
    moments_s: bytes
    dark: bytes
    dark_s: bytes
    updates: int
    update_bytes: int
    states: int
    untold: int
    """Streams that closed without saying why."""
    refused: dict[int, int]
    """Answers that were no stream, by status."""


class Stream(asyncio.Protocol):
    """One viewer."""

    __slots__ = ("_audience", "_path", "_rest", "has_begun", "is_over", "is_told", "number", "transport")

    def __init__(self, audience: Audience, number: int, path: str) -> None:
        self._audience = audience
        self._path = path
        self._rest = b""
        self.number = number
        self.has_begun = False
        self.is_told = False
        self.is_over = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ask for the stream."""
        self.transport = transport
        transport.write(b"GET " + self._path.encode() + b" HTTP/1.1\r\nHost: bench\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        """Whole events go on to the audience; chunk lines between them are no part of any."""
        now = perf_counter()
        if self._rest:
            data, self._rest = self._rest + data, b""
        elif not self.has_begun and data[9:12] != b"200":
            self._audience.refuse(self, int(data[9:12]))
            return
        end = data.rfind(b"\n\n")
        if end >= 0:
            for event in data[:end].split(b"\n\n"):
                self._audience.hear(self, event, now)
            data = data[end + 2 :]
        self._rest = data
        if data.endswith(_LAST_CHUNK):
            self._end(now)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Dark, if it was not before."""
        self._end(perf_counter())

    def _end(self, now: float) -> None:
        """The answer is over; the connection would serve another one."""
        if not self.is_over:
            self.is_over = True
            self._audience.lose(self, now)
            self.transport.close()


class Audience:
    """All streams of this process, and what they got."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._opened = 0
        self._waiting = 0
        self._all_begun = asyncio.Event()
        self._is_open = 0
        self._forget()

    def _forget(self) -> None:
        self._viewers, self._times_ms, self._moments_s = array("q"), array("q"), array("d")
        self._dark, self._dark_s = array("q"), array("d")
        self._updates = self._update_bytes = self._states = self._untold = 0
        self._refused: Counter[int] = Counter()

    async def open(self, paths: Sequence[str]) -> None:
        """Streams numbered on from those before; returns when each has its first state, or was refused."""
        loop = asyncio.get_running_loop()
        self._waiting += len(paths)
        self._all_begun.clear()
        for first in range(0, len(paths), CONNECT_AT_ONCE):
            some = paths[first : first + CONNECT_AT_ONCE]
            await asyncio.gather(*(self._open(loop, path, self._opened + n) for n, path in enumerate(some)))
            self._opened += len(some)
        await self._all_begun.wait()
        gc.collect()
        gc.freeze()

    async def _open(self, loop: asyncio.AbstractEventLoop, path: str, number: int) -> None:
        source = number // _AN_ADDRESS
        await loop.create_connection(
            lambda: Stream(self, number, path),
            *self._address,
            local_addr=(f"127.1.{source // 250}.{source % 250 + 1}", 0),
        )
        self._is_open += 1

    def hear(self, stream: Stream, event: bytes, now_s: float) -> None:
        """One event of a stream."""
        at = event.find(b"event: ")
        if at < 0:
            return
        if event.startswith(b"update", at + 7):
            self._updates += 1
            self._update_bytes += len(event) + 2
            for time_ms in _TIME.findall(event):
                self._viewers.append(stream.number)
                self._times_ms.append(int(time_ms))
                self._moments_s.append(now_s)
        elif event.startswith(b"state", at + 7):
            self._states += 1
            self._begin(stream)
        elif event.startswith(b"ended", at + 7):
            stream.is_told = True

    def refuse(self, stream: Stream, status: int) -> None:
        """The answer is no stream."""
        self._refused[status] += 1
        stream.is_told = True
        stream.transport.close()

    def lose(self, stream: Stream, now_s: float) -> None:
        """A stream is closed."""
        self._is_open -= 1
        self._begin(stream)
        if not stream.is_told:
            self._untold += 1
        else:
            self._dark.append(stream.number)
            self._dark_s.append(now_s)

    def _begin(self, stream: Stream) -> None:
        if not stream.has_begun:
            stream.has_begun = True
            self._waiting -= 1
            if not self._waiting:
                self._all_begun.set()

    def tell(self) -> Heard:
        """What happened, which is then forgotten."""
        heard = Heard(
            is_open=self._is_open,
            viewers=self._viewers.tobytes(),
            times_ms=self._times_ms.tobytes(),
            moments_s=self._moments_s.tobytes(),
            dark=self._dark.tobytes(),
            dark_s=self._dark_s.tobytes(),
            updates=self._updates,
            update_bytes=self._update_bytes,
            states=self._states,
            untold=self._untold,
            refused=dict(self._refused),
        )
        self._forget()
        return heard


async def _serve(address: tuple[str, int]) -> None:
    """Do what is asked until standard input ends."""
    loop = asyncio.get_running_loop()
    audience, asked = Audience(address), asyncio.StreamReader(limit=READ_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    decoder = msgspec.msgpack.Decoder(Open | Tell)
    while True:
        try:
            frame = await asked.readexactly(LENGTH.unpack(await asked.readexactly(LENGTH.size))[0])
        except asyncio.IncompleteReadError:
            return
        command = decoder.decode(frame)
        if isinstance(command, Open):
            await audience.open(command.paths)
        answer = msgspec.msgpack.encode(audience.tell())
        sys.stdout.buffer.write(LENGTH.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(_serve((sys.argv[1], int(sys.argv[2]))))
