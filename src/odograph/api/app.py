"""The ASGI app: every request through the same gates, in the same order.

Public pages, then: who asks (401 before 404, so that strangers learn no paths), which endpoint (404, 405),
may they (403), how often (429), what do they bring (400, 413, 414), and only then the handler.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from odograph.api import problems
from odograph.api.auth import OPERATOR, authenticate, authorize
from odograph.api.context import Context
from odograph.api.documents import Page, pages
from odograph.api.limits import RateLimits
from odograph.api.params import Query
from odograph.api.problems import Problem
from odograph.api.resources.base import Answer, Call, Endpoint, Resource
from odograph.api.routing import Routes
from odograph.errors import Refusal, not_found, unavailable
from odograph.network import WELCOME
from odograph.room import Room
from odograph.telemetry import ENDPOINT, REFUSALS, REQUEST_ID, App, Receive, Scope, Send, new_request_id, request_id

MAX_BODY: Final = 512 << 10  # a tag of 19,000 vehicles; what it takes to read it, nobody else has meanwhile
MAX_FILE: Final = 8 << 20  # an import of 50,000 vehicles; devices' batches go to ingest, not here
MAX_UNFINISHED: Final = 32 << 20  # of all bodies that are being read
RETRY_AFTER_S: Final = 5
BODY_TIMEOUT_S: Final = 30
GZIP_FROM: Final = 16 << 10  # below this, a round trip costs more than the bytes it saves

_log: Final = logging.getLogger("odograph.api")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", None})


class _Gone(Exception):
    """The caller hung up before its request was whole: there is nobody to answer."""


def build(
    context: Context,
    resources: Sequence[Resource],
    *,
    guides: Mapping[str, str] | None = None,
    limits: RateLimits | None = None,
) -> App:
    """The app that serves these resources and the public pages.

    `guides` maps names like `feed.md` to Markdown served under /docs/. Raises ValueError where two endpoints
    claim the same method and path.
    """
    documents = pages(context, resources, guides or {})
    return _Api(context, resources, documents, RateLimits(context.clock) if limits is None else limits)


class _Api:
    def __init__(
        self, context: Context, resources: Sequence[Resource], documents: Mapping[str, Page], limits: RateLimits
    ) -> None:
        self._context = context
        self._room = Room(MAX_UNFINISHED)
        self._routes = Routes(endpoint for resource in resources for endpoint in resource.endpoints())
        self._pages = documents
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        if scope["type"] != "http":
            return
        if REQUEST_ID not in scope:
            scope[REQUEST_ID] = new_request_id()
        reply = _Reply(scope, receive, send)
        try:
            await reply.send(await self._answer(scope, receive))
        except _Gone:
            return
        except Refusal as refusal:
            REFUSALS.labels(refusal.kind.value).inc()
            await reply.send_problem(problems.from_refusal(refusal))
        except Problem as problem:
            REFUSALS.labels(str(problem.status)).inc()
            await reply.send_problem(problem)
        except Exception:
            _log.exception("internal error", extra={"method": scope["method"], "path": scope["path"]})
            await reply.send_problem(Problem(500, "Internal error."))

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        page = self._pages.get(scope["path"].rstrip("/"))
        if page is not None and method == "GET":
            scope[ENDPOINT] = scope["path"].rstrip("/")
            return await page(scope)
        if not self._context.live.ready.is_set():
            raise unavailable("The server is still reading its log. Try again in a moment.", retry_after_s=1)
        principal = authenticate(scope["headers"], scope.get(OPERATOR) is True, self._context)
        scope[WELCOME] = True
        endpoint, values = self._endpoint(scope, method)
        scope[ENDPOINT] = endpoint.path
        authorize(principal, endpoint)
        self._limits.charge(principal, endpoint)
        query = Query(scope["query_string"])
        query.check(endpoint.params)
        has_body = endpoint.reads_body or method not in {"GET", "DELETE"}
        body = await self._read_body(endpoint, scope, receive) if has_body else b""
        return await endpoint.handler(Call(principal, query, values, body, self._context))

    async def _read_body(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> bytes:
        """The whole body, as long as this endpoint's may be, while there is room for it."""
        most = MAX_BODY if endpoint.consumes == "application/json" else MAX_FILE
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        size = int(announced) if announced.isdigit() else most
        if size > most:
            raise problems.too_large(most)
        if not self._room.take(size):
            raise unavailable("Too much is being sent at once. Try again later.", retry_after_s=RETRY_AFTER_S)
        try:
            return await _read_body(receive, most)
        finally:
            self._room.give_back(size)

    def _endpoint(self, scope: Scope, method: str) -> tuple[Endpoint, Mapping[str, str]]:
        found = self._routes.find(scope["path"])
        if found is None:
            if scope["path"].rstrip("/") in self._pages:
                raise problems.wrong_method(scope["method"], ("GET",))
            raise not_found("There is nothing at this path.")
        methods, values = found
        endpoint = methods.get(method)
        if endpoint is None:
            raise problems.wrong_method(scope["method"], tuple(sorted(methods)))
        return endpoint, values


async def _read_body(receive: Receive, most: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                body += message.get("body", b"")
                if len(body) > most:
                    raise problems.too_large(most)
                more = message.get("more_body", False)
    except TimeoutError:
        raise problems.too_slow(BODY_TIMEOUT_S) from None
    return bytes(body)


class _Reply:
    """Writes the one answer of one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_started = False

    async def send_problem(self, problem: Problem) -> None:
        """An error body; nothing where an answer has begun: the connection is then cut, which the caller sees."""
        if not self._has_started:
            await self.send(
                Answer(problems.render(problem.message, request_id()), problem.status, headers=problem.headers)
            )

    async def send(self, answer: Answer) -> None:
        """The answer, or for HEAD its head alone."""
        headers = [
            (b"x-request-id", request_id().encode()),
            (b"cache-control", b"no-store"),
            *answer.headers,
        ]
        if answer.status != 204:
            headers.append((b"content-type", answer.content_type.encode()))
        if answer.stream is not None:
            await self._stream(answer, answer.stream, headers)
            return
        body = await self._packed(answer.body, headers)
        if answer.status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        await self._start(answer.status, headers)
        await self._send({"type": "http.response.body", "body": b"" if self._is_head() else body})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._has_started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _stream(
        self, answer: Answer, pieces: AsyncIterator[bytes], headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Piece by piece, until the end or until the caller hangs up. The first piece may still be refused."""
        piece: bytes | None = None if self._is_head() else await anext(pieces, None)
        await self._start(answer.status, headers)
        gone = asyncio.ensure_future(self._hung_up())
        try:
            while piece is not None and not gone.done():
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(pieces, None)
        finally:
            gone.cancel()
            close: Any = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        if not gone.done() or gone.cancelled():
            await self._send({"type": "http.response.body", "body": b""})

    async def _hung_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _packed(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Compressed where that is worth its processor time: a long body for another machine that wants it.

        On this machine's own connections bytes cost nothing, and a proxy in front of us compresses better.
        """
        client = self._scope.get("client")
        if len(body) < GZIP_FROM or (client[0] if client else None) in _LOOPBACK:
            return body
        wanted = next((value for name, value in self._scope["headers"] if name == b"accept-encoding"), b"")
        headers.append((b"vary", b"accept-encoding"))
        if b"gzip" not in wanted:
            return body
        headers.append((b"content-encoding", b"gzip"))
        return await asyncio.to_thread(zlib.compress, body, 1, 31)  # 31: with a gzip header; 1: the fastest

    def _is_head(self) -> bool:
        return bool(self._scope["method"] == "HEAD")
