"""A connection for devices and everybody else: devices' requests go straight to ingest, all others to the app.

A device's request is offered to the next commit in the step that reads it off its socket, and answered in the step
that hears of the commit: through the server's ASGI cycle each would be a task, and wait for two turns of the event
loop more, which are long when backlogs come in. What belongs to a connection rather than to a request (pipelining,
idle connections, shutting down) stays with the server's own protocol.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from time import perf_counter
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

import msgspec
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from odograph.ingest.crowd import Crowd
from odograph.ingest.http import PREFIX, Exchange, Head, IngestHttp, Reply
from odograph.ingest.patience import Patience
from odograph.network import WELCOME, client_of
from odograph.onewrite import OneWriteProtocol
from odograph.telemetry import Served, count_served, forget_request_id, log_served, new_request_id

_PREFIX: Final = PREFIX.encode()
_CLOSE: Final = b"connection: close\r\n"
LONGEST_HEAD: Final = 128 << 10  # and what was read with its beginning
LONGEST_URL: Final = 0xFFFF  # what the server's own protocol can take apart; 2,000 ids take half of it
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LOGGED_PATH: Final = 200
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}


class _Nobody:
    """Nobody waits for a request's body here."""

    def set(self) -> None:
        """Wake nobody."""


_NOBODY: Final = _Nobody()


class _Request:
    """A device's request, in the place where the server's protocol keeps the one that it serves.

    `response_complete`, `disconnected`, `keep_alive` and `message_event` are what that protocol reads and sets;
    `run_asgi` is how it begins a request that had to wait for others on its connection.
    """

    __slots__ = (
        "_connection",
        "_exchange",
        "_expects_continue",
        "_head",
        "_is_begun",
        "_is_whole",
        "_started_s",
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
    )

    def __init__(
        self,
        connection: DeviceConnection,
        ingest: IngestHttp,
        head: Head,
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self._connection = connection
        self._head = head
        self._exchange = Exchange(ingest, head, self._reply)
        self._expects_continue = expects_continue
        self._is_begun = self._is_whole = False
        self._started_s = perf_counter()
        self.keep_alive = keep_alive
        self.response_complete = self.disconnected = False
        self.message_event = _NOBODY

    async def run_asgi(self, _: object) -> None:
        """As `begin`, which has not ended then for the request before."""
        self.begin()

    def begin(self) -> None:
        """It is this request's turn."""
        if self.disconnected or self._connection.transport.is_closing():
            return
        self._is_begun = True
        self._exchange.begin()
        if self._is_whole:
            self._exchange.finish()
        elif self._expects_continue and not self.response_complete:
            self._connection.transport.write(_CONTINUE)

    def wait(self) -> None:
        """More of the body is to come."""
        if self._is_begun and not self._is_whole:
            self._exchange.wait()

    @property
    def is_welcome(self) -> bool:
        """Whether it is known to come from one of ours."""
        return self._exchange.is_welcome

    def leave(self) -> None:
        """The connection is gone; what came whole counts all the same."""
        if not self._is_whole:
            self._exchange.leave()

    def take(self, part: bytes) -> None:
        """Some of the body; before its turn, no more of it comes than was read at once."""
        if not self.response_complete:
            self._exchange.take(part)

    def end(self) -> None:
        """The body is whole."""
        self._is_whole = True
        if self._is_begun and not self.response_complete:
            self._exchange.finish()

    def _reply(self, reply: Reply) -> None:
        self.response_complete = True
        status, body = reply.answer.status, reply.answer.body
        if not self.disconnected:
            self._connection.answer(self, self._render(reply))
        endpoint, seconds = self._exchange.endpoint, perf_counter() - self._started_s
        count_served(endpoint, status, seconds)
        if not 200 <= status < 300:  # what devices send, thousands a second, has no line otherwise
            method, path, query, _, address = self._head
            log_served(Served(method, path, query, status, len(body), seconds, address))
            forget_request_id()

    def _render(self, reply: Reply) -> bytes:
        answer = reply.answer
        extra = b""
        for name, value in reply.headers:
            extra += b"%b: %b\r\n" % (name, value)
        if _CLOSE in extra:
            self.keep_alive = False
        elif not self.keep_alive:
            extra += _CLOSE
        return b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
            _STATUS_LINES[answer.status],
            self._connection.default_headers(),
            answer.content_type.encode(),
            len(answer.body),
            extra,
            b"" if self._head.method == "HEAD" else answer.body,
        )


class DeviceConnection(OneWriteProtocol):
    """As the server's own, but for requests under PREFIX."""

    protocol = "http"
    _default_headers: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = ([], b"")

    def __init__(self, ingest: IngestHttp, patience: Patience, crowd: Crowd, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ingest = ingest
        self._patience = patience
        self._crowd = crowd
        self._is_stranger = True
        self.party = ""
        # The server's own protocol begins a list of headers with each request: it tells how far this one has come.
        self._with_head: object = self.headers
        self._whole: object = _NOBODY  # before the first request, too, something is awaited
        self._head_bytes = 0
        self.heard_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self.party = client_of(self.client[0]) if self.client else ""
        self._patience.add(self)
        self._crowd.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        super().connection_lost(exc)
        self._crowd.leave(self)
        self._whole = self.headers
        if isinstance(self.cycle, _Request):
            self.cycle.leave()

    def data_received(self, data: bytes) -> None:
        """Take in what was read."""
        before, whole = self.headers, self._whole
        super().data_received(data)
        if self.headers is not self._whole and not self.transport.is_closing():
            self._wait(len(data) if self.headers is before else 0)
        elif self.headers is whole and not self.transport.is_closing():
            self._await_another()

    @property
    def is_midway(self) -> bool:
        """Whether a request has begun and not ended, or none has begun yet."""
        return self.headers is not self._whole

    @property
    def _is_in_head(self) -> bool:
        return self.headers is not self._with_head

    def is_our_turn(self) -> bool:
        """Whether an answer is to go out, or what comes is not read, before the client can go on."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        return bool(self._is_in_head or self.pipeline or self.flow.read_paused)

    def hang_up(self) -> None:
        """Nothing has come for long."""
        if self.transport.is_closing():
            return
        if self._is_in_head or (self.cycle is not None and not self.cycle.response_complete):
            self._decline(408, "The rest of the request did not come. Send it again.")
        else:
            self.transport.close()

    def is_trusted(self) -> bool:
        """Whether it comes from one of the operator's proxies."""
        proxies = self.config.loaded_app
        address = self.client[0] if self.client else ""
        return isinstance(proxies, ProxyHeadersMiddleware) and address in proxies.trusted_hosts

    def is_served(self) -> bool:
        """Whether a request of its own is whole and not answered."""
        return self.headers is self._whole and self.cycle is not None and not self.cycle.response_complete

    def turn_out(self) -> None:
        """Others need its place."""
        self.transport.abort()

    def on_headers_complete(self) -> None:
        """A request's head is here."""
        self._with_head, self._head_bytes = self.headers, 0
        if self.cycle is None:
            self._look_for_proxy()
        if not self.url.startswith(_PREFIX):
            super().on_headers_complete()
            return
        path, _, query = self.url.decode("latin-1").partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        request = _Request(
            self,
            self._ingest,
            Head(
                self.parser.get_method().decode("ascii"),
                unquote(path) if "%" in path else path,
                query,
                headers,
                self._address(),
            ),
            keep_alive=self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(),
            expects_continue=self.expect_100_continue,
        )
        earlier, self.cycle = self.cycle, request  # type: ignore[assignment]
        if earlier is None or earlier.response_complete:
            request.begin()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self.app))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        """Some of a request's body is here."""
        if isinstance(self.cycle, _Request):
            self.cycle.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole of a request is here."""
        self._whole = self.headers
        if isinstance(self.cycle, _Request):
            self.cycle.end()
        else:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Decline what never became a request in the shape of all other refusals. `msg` is the server's own."""
        del msg
        if self.transport.is_closing():
            return
        url: bytes = getattr(self, "url", b"")  # which begins with a connection's first request
        if len(url) > LONGEST_URL:
            status = HTTPStatus.REQUEST_URI_TOO_LONG.value
            message = f"The URL is longer than {LONGEST_URL} bytes. Split the request."
        else:
            status = HTTPStatus.BAD_REQUEST.value
            message = (
                "This is no HTTP/1.1 request: its first line, its URL, a header or its body's framing is malformed."
            )
        self._decline(status, message)

    def _wait(self, own_bytes: int) -> None:
        """The request goes on with what is read next; so much of what was read is its own for certain."""
        is_in_body = self.cycle is not None and not self._is_in_head
        if is_in_body or not own_bytes:  # a head has its time from its beginning, however it trickles in
            self._patience.add(self)
        if self._is_in_head:
            self._head_bytes += own_bytes
            if self._head_bytes > LONGEST_HEAD:
                self._decline(
                    431, f"The request's headers are longer than {LONGEST_HEAD} bytes. Send fewer of them."
                )
        elif isinstance(self.cycle, _Request):
            self.cycle.wait()
            if self._is_stranger and self.cycle.is_welcome:
                self._become_known()

    def _await_another(self) -> None:
        """Empty lines came, which may stand before a request, and ended the server's wait for one."""
        self._whole = self._with_head = _NOBODY
        self._patience.add(self)

    def _become_known(self) -> None:
        self._is_stranger = False
        self._crowd.know(self)

    def _look_for_proxy(self) -> None:
        """With a connection's first request, so that the others cost nothing."""
        if self.client and any(name == b"x-forwarded-for" for name, _ in self.headers) and not self.is_trusted():
            self._crowd.tell_of_proxy(self.client[0])

    def _decline(self, status: int, message: str) -> None:
        """Answer what can't go on, and close."""
        url: bytes = getattr(self, "url", b"")  # which begins with a connection's first request
        request_id = new_request_id()
        body = msgspec.json.encode({"message": message, "requestId": request_id})
        self.send(
            b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
            % (_STATUS_LINES[status], self.default_headers(), len(body), request_id.encode(), _CLOSE, body)
        )
        self.transport.close()
        path = url.partition(b"?")[0][:_LOGGED_PATH].decode("latin-1")
        count_served("other", status, 0.0)
        log_served(Served("", path, "", status, len(body), 0.0, self.client[0] if self.client else ""))
        forget_request_id()

    def pause_writing(self) -> None:
        """Who does not read its answers is not listened to."""
        super().pause_writing()
        if isinstance(self.cycle, _Request):
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The answers are on their way."""
        super().resume_writing()
        if not self.pipeline:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """An answer has gone out."""
        if self._is_stranger:
            cycle = self.cycle
            if cycle.is_welcome if isinstance(cycle, _Request) else WELCOME in cycle.scope:
                self._become_known()
        super().on_response_complete()

    def answer(self, request: _Request, answer: bytes) -> None:
        """Send a request's answer, and go on to the next."""
        if self.transport.is_closing():
            return
        self.send(answer)
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()
        if self.flow.write_paused:
            self.flow.pause_reading()

    def default_headers(self) -> bytes:
        """What the server says with every answer: it makes a new list when that changes, once a second."""
        made_of, text = DeviceConnection._default_headers
        if made_of is not self.server_state.default_headers:
            made_of = self.server_state.default_headers
            text = b"".join(b"%b: %b\r\n" % pair for pair in made_of)
            DeviceConnection._default_headers = (made_of, text)
        return text

    def _address(self) -> str:
        """Where a request comes from, as the server's own middleware tells it to the application."""
        address = self.client[0] if self.client else ""
        if self.is_trusted():
            forwarded = b", ".join(value for name, value in self.headers if name == b"x-forwarded-for")
            if forwarded:
                trusted: Any = cast("ProxyHeadersMiddleware", self.config.loaded_app).trusted_hosts
                return trusted.get_trusted_client_address(forwarded.decode("latin-1"))[0] or address
        return address
