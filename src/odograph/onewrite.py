"""An HTTP connection that sends an answer's head together with its body: one system call and one packet.

The server hands them on one after the other, and each would be a call that wakes whoever waits for the answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD: Final = b"HTTP/1.1 "


class OneWriteTransport:
    """A transport on which heads wait for bodies, until the event loop's next turn at most."""

    __slots__ = ("_later", "_loop", "_transport", "_waiting", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: bytes | None = None
        self._later: asyncio.Handle | None = None
        self.is_closing = transport.is_closing  # asked several times a request, and `__getattr__` is slow

    def write(self, data: bytes) -> None:
        """Send data; an answer's head is kept until its body comes."""
        if self._waiting is not None:
            pieces = (self._waiting, data)
            self._forget()
            self._transport.writelines(pieces)
        elif data.startswith(_HEAD):
            self._waiting = data
            self._later = self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def send(self, answer: bytes) -> None:
        """Send a whole answer now, behind what waits."""
        if self._waiting is not None:
            self._flush()
        self._transport.write(answer)

    def close(self) -> None:
        """Send what waits, then close."""
        if self._waiting is not None:
            self._flush()
        self._transport.close()

    def _flush(self) -> None:
        waiting = self._waiting
        self._forget()
        if waiting is not None:
            self._transport.write(waiting)

    def _forget(self) -> None:
        self._waiting = None
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """As the server's own, on a transport of ours."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection."""
        super().connection_made(cast(asyncio.Transport, OneWriteTransport(transport, self.loop)))

    def send(self, answer: bytes) -> None:
        """Send a whole answer."""
        cast(OneWriteTransport, self.transport).send(answer)
