"""A device's side of HTTP: requests over a connection that is in memory, or handed to an ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from uvicorn import Config
from uvicorn.server import ServerState

from odograph.ingest.connection import DeviceConnection
from odograph.ingest.crowd import Crowd
from odograph.ingest.http import IngestHttp
from odograph.ingest.patience import Patience
from odograph.protocols.base import HttpRequest
from odograph.telemetry import App

LIMIT_S = 20.0


class Heard(NamedTuple):
    """The answer to one request; status 0: there was none."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """Of an error body, which must have exactly the two fields of ours."""
        said = json.loads(self.body)
        assert set(said) == {"message", "requestId"}
        assert said["requestId"]
        message: str = said["message"]
        return message


class Wire:
    """The server's end of a connection: what it wrote, and whether it reads and is open."""

    def __init__(self, address: str) -> None:
        self.written = bytearray()
        self.is_closed = self.is_paused = False
        self._address = address
        self._moved = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data
        self._moved.set()

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.write(b"".join(pieces))

    def close(self) -> None:
        self.is_closed = True
        self._moved.set()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": (self._address, 50_000), "sockname": ("127.0.0.1", 80)}.get(name, default)

    async def answer(self, method: str = "GET") -> Heard:
        """The next whole answer, taken off the wire; status 0 when the connection ends before it."""
        while (heard := self._cut(method)) is None:
            if self.is_closed:
                return Heard(0, {}, b"")
            self._moved.clear()
            await asyncio.wait_for(self._moved.wait(), LIMIT_S)
        return heard

    def _cut(self, method: str) -> Heard | None:
        head, end, rest = bytes(self.written).partition(b"\r\n\r\n")
        if not end:
            return None
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = dict(cast("list[tuple[str, str]]", pairs))
        assert len(headers) == len(pairs), "a header came twice"
        size = 0 if method == "HEAD" else int(headers["content-length"])
        if len(rest) < size:
            return None
        del self.written[: len(head) + 4 + size]
        return Heard(int(status.split()[1]), headers, rest[:size])


class Server:
    """What devices connect to: ingest, and beside it any application."""

    def __init__(self, ingest: IngestHttp, app: App | None = None, *, most: int = 100_000, **options: Any) -> None:
        self._ingest = ingest
        self._config = Config(
            cast("Any", app or ingest), ws="none", lifespan="off", log_config=None, access_log=False, **options
        )
        self._config.load()
        self.state = ServerState()
        self.patience, self.crowd = Patience(), Crowd(most)

    def connect(self, address: str = "203.0.113.9") -> tuple[DeviceConnection, Wire]:
        """A new connection from there."""
        wire = Wire(address)
        connection = DeviceConnection(
            self._ingest,
            self.patience,
            self.crowd,
            config=self._config,
            server_state=self.state,
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        connection.connection_made(cast("asyncio.Transport", wire))
        return connection, wire


def head_of(request: HttpRequest, headers: Mapping[str, str]) -> bytes:
    """What comes before the body."""
    target = quote(request.path, safe="/%") + (f"?{request.query}" if request.query else "")
    lines = [
        f"{request.method} {target} HTTP/1.1",
        "host: test",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def call(
    app: App | Server,
    request: HttpRequest,
    *,
    headers: Mapping[str, str] | None = None,
    pieces: Sequence[bytes] | None = None,
    is_cut_off: bool = False,
    address: str = "203.0.113.9",
) -> Heard:
    """Send a request; its body in one piece, or in `pieces`; `is_cut_off`: the sender goes away before the end."""
    parts = [request.body] if pieces is None else list(pieces)
    sent = dict(request.headers) | dict(headers or {})
    if pieces is None and request.body:
        sent.setdefault("content-length", str(len(request.body)))
    speak = _over_connection if isinstance(app, Server) else _to_application
    return await speak(cast("Any", app), request, sent, parts, address, is_cut_off=is_cut_off)


async def _over_connection(
    server: Server,
    request: HttpRequest,
    sent: dict[str, str],
    parts: list[bytes],
    address: str,
    *,
    is_cut_off: bool,
) -> Heard:
    connection, wire = server.connect(address)
    is_chunked = bool(any(parts) or is_cut_off) and "content-length" not in sent
    if is_chunked:
        sent = sent | {"transfer-encoding": "chunked"}
    connection.data_received(head_of(request, sent))
    for part in filter(None, parts):
        if not wire.is_closed:
            connection.data_received(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
    if is_chunked and not is_cut_off and not wire.is_closed:
        connection.data_received(b"0\r\n\r\n")
    if is_cut_off:
        wire.close()
        connection.connection_lost(None)
    return await wire.answer(request.method)


async def _to_application(
    app: App, request: HttpRequest, sent: dict[str, str], parts: list[bytes], address: str, *, is_cut_off: bool
) -> Heard:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": is_cut_off or index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})
    incoming = iter(messages)
    answers: list[Any] = []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "query_string": request.query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "client": (address, 50_000),
    }
    await app(scope, receive, send)
    if not answers:
        return Heard(0, {}, b"")
    start, body = answers
    got = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(got["content-length"]) == len(body["body"])
    return Heard(start["status"], got, body["body"])
