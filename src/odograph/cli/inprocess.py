"""The application called as a function: requests and answers in pieces, without a socket, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

import httpx

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

PIECES_AHEAD: Final = 4  # that the application may be ahead of whoever reads its answer


class InProcess(httpx.AsyncBaseTransport):
    """An ASGI application as a transport. Unlike httpx's own it hands on an answer while it is being made."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request. ReadError where the application ends without a whole answer."""
        exchange = _Exchange(await request.aread())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": None,
            "server": None,
        }
        task = asyncio.create_task(exchange.run(self._app(scope, exchange.receive, exchange.send)))
        start = await exchange.said.get()
        if start is None or start["type"] != "http.response.start":
            await task
            raise httpx.ReadError("the application gave no answer", request=request)
        return httpx.Response(start["status"], headers=start["headers"], stream=_Pieces(exchange, task, request))


class _Exchange:
    """What the application and its caller say to each other."""

    def __init__(self, body: bytes) -> None:
        self.said: asyncio.Queue[Message | None] = asyncio.Queue(PIECES_AHEAD)
        self.is_over = asyncio.Event()
        self._body: bytes | None = body

    async def run(self, work: Awaitable[None]) -> None:
        """Run the application; then there is a None in the queue, unless the caller hung up and reads no more."""
        is_cancelled = False
        try:
            await work
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            if not is_cancelled:
                await self.said.put(None)

    async def receive(self) -> Message:
        """The body at once, then the end of the connection when the caller is done."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.is_over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Wait until there is room: a slow reader slows the application."""
        await self.said.put(message)


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, exchange: _Exchange, task: asyncio.Task[None], request: httpx.Request) -> None:
        self._exchange = exchange
        self._task = task
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Each piece. ReadError where the end is missing."""
        while (message := await self._exchange.said.get()) is not None:
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return
        raise httpx.ReadError("the answer was cut short", request=self._request)

    async def aclose(self) -> None:
        """Hang up."""
        self._exchange.is_over.set()
        if not self._task.done():
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
