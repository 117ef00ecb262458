"""A client lean enough to stand beside the server it measures: HTTP/1.1 on bare sockets, one request at a time.

It understands what our own server answers (Content-Length, or chunks until the last one) and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

CONNECT_AT_ONCE: Final = 200  # well below any listen backlog

_LAST_CHUNK: Final = b"0\r\n\r\n"

Address = tuple[str, int] | Path
"""A host and port, or the path of a unix socket."""


class Answered(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Lost(Exception):
    """The connection closed before the answer was whole."""


class Wire(asyncio.Protocol):
    """One keep-alive connection. `answered` is called with (wire, status, body); status 0: the wire broke."""

    __slots__ = (
        "_answered",
        "_head",
        "_is_chunked",
        "_missing",
        "_parts",
        "_status",
        "is_open",
        "tag",
        "transport",
    )

    def __init__(self, answered: Callable[[Wire, int, bytes], None], tag: Any = None) -> None:
        self._answered = answered
        self.tag = tag
        self.transport: Any = None
        self.is_open = False
        self._head = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._status = 0
        self._is_chunked = False

    def connection_made(self, transport: Any) -> None:
        """Ready to send."""
        self.transport = transport
        self.is_open = True

    def send(self, request: bytes) -> None:
        """Send one whole request; the answer before it must have come."""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Bytes of one answer."""
        if self._status:
            self._take(data)
            return
        if self._head:
            data, self._head = self._head + data, b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return
        self._begin(data, end)

    def _begin(self, data: bytes, end: int) -> None:
        status = int(data[9:12])
        if status == 204:  # it has no body, and says nothing of one
            self._answered(self, status, b"")
            return
        at = data.find(b"ontent-length: ", 0, end)
        if at < 0:
            at = data.lower().find(b"ontent-length: ", 0, end)
        if at >= 0:
            stop = data.find(b"\r\n", at)
            length = int(data[at + 15 : stop])
            body = data[end + 4 :]
            if len(body) == length:  # nearly always: the whole answer in one piece
                self._answered(self, status, body)
                return
            self._missing = length
        self._is_chunked = at < 0
        self._status = status
        self._take(data[end + 4 :])

    def _take(self, data: bytes) -> None:
        if self._is_chunked:
            if self._parts and len(data) < len(_LAST_CHUNK):  # it may have been cut in the middle
                data = self._parts.pop() + data
            self._parts.append(data)
            if not data.endswith(_LAST_CHUNK):
                return
        else:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing:
                return
        body = b"".join(self._parts)
        status, self._status, self._parts = self._status, 0, []
        self._answered(self, status, _unchunk(body) if self._is_chunked else body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Tell whoever waits."""
        self.is_open = False
        self._answered(self, 0, b"")


def _unchunk(data: bytes) -> bytes:
    parts: list[bytes] = []
    place = 0
    while True:
        end = data.index(b"\r\n", place)
        size = int(data[place:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        place = end + 4 + size


async def connect(address: Address, answered: Callable[[Wire, int, bytes], None], tag: Any = None) -> Wire:
    """An open wire. Raises OSError where nobody listens."""
    loop = asyncio.get_running_loop()
    if isinstance(address, Path):
        _, wire = await loop.create_unix_connection(lambda: Wire(answered, tag), str(address))
    else:
        _, wire = await loop.create_connection(lambda: Wire(answered, tag), *address)
    return wire


async def connect_many(address: Address, count: int, answered: Callable[[Wire, int, bytes], None]) -> list[Wire]:
    """`count` open wires, tagged 0 to count - 1."""
    wires: list[Wire] = []
    for first in range(0, count, CONNECT_AT_ONCE):
        tags = range(first, min(count, first + CONNECT_AT_ONCE))
        wires += await asyncio.gather(*(connect(address, answered, tag) for tag in tags))
    return wires


class Asker:
    """One wire for a coroutine that waits for each answer."""

    def __init__(self, address: Address, headers: bytes = b"") -> None:
        """`headers`: lines that every request carries, each with its line end."""
        self._address = address
        self._headers = headers
        self._wire: Wire | None = None
        self._waiter: asyncio.Future[Answered] | None = None

    async def get(self, target: str) -> Answered:
        """GET a path with its query."""
        return await self._ask(
            b"GET " + target.encode() + b" HTTP/1.1\r\nHost: bench\r\n" + self._headers + b"\r\n"
        )

    async def send(self, method: str, target: str, body: bytes, content_type: str = "application/json") -> Answered:
        """A request with a body."""
        head = f"{method} {target} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n"
        return await self._ask(
            b"%b%bContent-Length: %d\r\n\r\n%b" % (head.encode(), self._headers, len(body), body)
        )

    async def _ask(self, request: bytes) -> Answered:
        if self._wire is None or not self._wire.is_open:
            self._wire = await connect(self._address, self._hear)
        self._waiter = asyncio.get_running_loop().create_future()
        self._wire.send(request)
        return await self._waiter

    def _hear(self, _: Wire, status: int, body: bytes) -> None:
        if self._waiter is not None and not self._waiter.done():
            if status:
                self._waiter.set_result(Answered(status, body))
            else:
                self._waiter.set_exception(Lost("The server closed the connection before its answer was whole."))

    def close(self) -> None:
        """Hang up."""
        self._waiter = None
        if self._wire is not None and self._wire.is_open:
            self._wire.transport.close()


@dataclass(slots=True)
class Blasted:
    """What a closed loop saw. `answers` counts (status, body): our receipts are few different texts."""

    seconds: float = 0.0
    answers: Counter[tuple[int, bytes]] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    retried: int = 0

    @property
    def requests(self) -> int:
        """Answered requests, refused ones too."""
        return sum(self.answers.values())

    def problems(self) -> list[str]:
        """Answers that are no 200, for people."""
        return [
            f"{count} x {status}: {body[:200]!r}" for (status, body), count in self.answers.items() if status != 200
        ]


class Blast:
    """Sends requests over `connections` wires, each its next one as soon as it has the answer to the last.

    A 503 or a broken wire is sent again, as a device would; every other answer is final.
    """

    def __init__(self, address: Address, connections: int) -> None:
        self._address = address
        self._connections = connections
        self._wires: list[Wire] = []
        self._again: deque[bytes] = deque()
        self._sent: list[tuple[bytes, float]] = []

    async def open(self) -> None:
        """Connect all wires."""
        self._wires = await connect_many(self._address, self._connections, self._hear)
        self._sent = [(b"", 0.0)] * self._connections

    async def run(self, requests: Iterator[bytes]) -> Blasted:
        """Send everything; returns when every request has been answered."""
        self._requests = requests
        self._blasted = Blasted()
        self._busy = 0
        self._done = asyncio.Event()
        began = perf_counter()
        for wire in self._wires:
            self._send_next(wire)
        await self._done.wait()
        self._blasted.seconds = perf_counter() - began
        return self._blasted

    def close(self) -> None:
        """Hang up on all wires."""
        self._done = asyncio.Event()
        self._wires, wires = [], self._wires
        for wire in wires:
            wire.transport.close()

    def _send_next(self, wire: Wire) -> None:
        request = self._again.popleft() if self._again else next(self._requests, None)
        if request is None:
            if not self._busy:
                self._done.set()
            return
        self._busy += 1
        self._sent[wire.tag] = (request, perf_counter())
        wire.send(request)

    def _hear(self, wire: Wire, status: int, body: bytes) -> None:
        request, sent = self._sent[wire.tag] if self._wires else (b"", 0.0)
        if not request:
            return
        self._sent[wire.tag] = (b"", 0.0)
        self._busy -= 1
        if status in {0, 503}:
            self._blasted.retried += 1
            self._again.append(request)
            asyncio.get_running_loop().call_later(0.2, self._resume, wire)
            return
        self._blasted.answers[status, body] += 1
        self._blasted.latencies_s.append(perf_counter() - sent)
        self._send_next(wire)

    def _resume(self, wire: Wire) -> None:
        if wire.is_open:
            self._send_next(wire)
        else:
            self._reopening = asyncio.ensure_future(self._reopen(wire.tag))

    async def _reopen(self, tag: int) -> None:
        self._wires[tag] = await connect(self._address, self._hear, tag)
        self._send_next(self._wires[tag])
