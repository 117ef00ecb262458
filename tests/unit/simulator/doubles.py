"""A server of real sockets and little sense: it keeps what it is sent, and fails when it is told to."""

from __future__ import annotations

import asyncio
import gzip
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from odograph.model.fixes import Report
from odograph.protocols.base import Hello, HttpAnswer, HttpRequest, Taken
from odograph.protocols.registry import PROTOCOLS
from odograph.simulator.senders import Server

HANG_UP = b""
"""Instead of an answer: the connection is closed, after the request was read."""


class SteppedClock:
    """Time moves only when somebody sleeps: to the earliest waking, once the others had their turns."""

    TURNS = 20  # of the event loop, enough for a request and its answer over a local socket

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.time_ms = float(now_ms)
        self.slept: list[float] = []
        self._wakings: list[float] = []

    def now_ms(self) -> int:
        return int(self.time_ms)

    def steady_s(self) -> float:
        return self.time_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        waking = self.time_ms + seconds * 1000
        self._wakings.append(waking)
        try:
            while self.time_ms < waking:
                for _ in range(self.TURNS):
                    await asyncio.sleep(0)
                if min(self._wakings) == waking:
                    self.time_ms = max(self.time_ms, waking)
        finally:
            self._wakings.remove(waking)


@dataclass
class Double:
    """`heard` holds every report that came, by device, in order of arrival; `fails` what to answer instead."""

    heard: dict[str, list[Report]] = field(default_factory=dict)
    known: set[tuple[str, int]] = field(default_factory=set)
    fails: deque[bytes] = field(default_factory=deque)
    requests: list[HttpRequest] = field(default_factory=list)
    numbers: list[int | None] = field(default_factory=list)
    connections: int = 0
    busy: int = 0
    busiest: int = 0
    server: Server = field(default_factory=lambda: Server(""))
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0

    async def after_requests(self, count: int) -> None:
        self.wanted = count
        await self.enough.wait()

    def take(self, device: str, reports) -> Taken:
        stored = known = 0
        rejected = []
        for index, report in enumerate(reports):
            if abs(report.lat) > 90:
                rejected.append((index, "latitude_out_of_range"))
            elif (device, report.time_ms) in self.known:
                known += 1
            else:
                stored += 1
                self.known.add((device, report.time_ms))
                self.heard.setdefault(device, []).append(report)
        return Taken(stored, known, 0, rejected)

    async def serve_http(self, reader, writer) -> None:
        self.connections += 1
        try:
            while request := await _read_request(reader):
                self.requests.append(request)
                if self.wanted and len(self.requests) >= self.wanted:
                    self.enough.set()
                self.busy += 1
                self.busiest = max(self.busiest, self.busy)
                await asyncio.sleep(0)
                answer = self.fails.popleft() if self.fails else _bytes_of(self._answer(request))
                self.busy -= 1
                if answer == HANG_UP:
                    return
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, request: HttpRequest) -> HttpAnswer:
        name = request.path.split("/")[2]
        protocol = next(protocol for protocol in PROTOCOLS.http if protocol.name == name)
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") else request.body
        taken = []
        for delivery in protocol.decode(request._replace(body=body)):
            self.numbers.append(delivery.first_number)
            taken.append(self.take(delivery.claim.device or request.path.split("/")[-1], delivery.reports))
        return protocol.answer(taken)

    async def serve_teltonika(self, reader, writer) -> None:
        self.connections += 1
        decoder = PROTOCOLS.stream[0].decoder()
        device = ""
        try:
            while data := await reader.read(4096):
                for event in decoder.feed(data):
                    fail = self.fails.popleft() if self.fails else None
                    if fail == HANG_UP:
                        return
                    if isinstance(event, Hello):
                        device = event.claim.device or ""
                        writer.write(event.welcome if fail is None else fail)
                    else:
                        if fail is None:
                            self.take(device, event.reports)
                        writer.write(event.receipt if fail is None else fail)
        finally:
            writer.close()


def failure(status: int, *headers: str, message: str = "no") -> bytes:
    body = b'{"message":"%s"}' % message.encode()
    lines = [f"HTTP/1.1 {status} X", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _bytes_of(answer: HttpAnswer) -> bytes:
    head = f"HTTP/1.1 {answer.status} X\r\ncontent-type: {answer.content_type}\r\n"
    return f"{head}content-length: {len(answer.body)}\r\n\r\n".encode() + answer.body


async def _read_request(reader) -> HttpRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return HttpRequest(method, path, query, headers, body, 0)


@asynccontextmanager
async def double():
    """A Double that listens."""
    one = Double()
    http = await asyncio.start_server(one.serve_http, "127.0.0.1", 0, limit=1 << 20)
    tcp = await asyncio.start_server(one.serve_teltonika, "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (http, tcp)]
    one.server = Server(f"http://127.0.0.1:{ports[0]}", {"teltonika": ports[1]})
    try:
        yield one
    finally:
        http.close()
        tcp.close()
