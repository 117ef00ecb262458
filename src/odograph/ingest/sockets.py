"""Protocols over a connection that stays open: one decoder a connection, receipts after the commit and in order.

While a frame is being committed nothing more is read from its connection, so that pressure reaches the device.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

from odograph.errors import Refusal, unavailable
from odograph.ingest.crowd import Crowd
from odograph.ingest.door import Sender, Unwelcome
from odograph.ingest.intake import Intake
from odograph.model.ids import RecordId
from odograph.network import client_of
from odograph.protocols.base import BadFrame, Claim, Delivery, Event, Hello, StreamProtocol
from odograph.telemetry import BAD_FRAMES

HELLO_S: Final = 30.0  # a stranger's time to say who it is
IDLE_S: Final = 7200.0  # twice the hour at which a device reports whose vehicle stands
READ_SIZE: Final = 4096
BACKLOG: Final = 4096  # a whole fleet reconnects at once after an outage
_SHOWN: Final = 64  # bytes of a bad frame that go into the log

_log = logging.getLogger(__name__)


class Listener:
    """Listens for the devices of one protocol."""

    def __init__(
        self,
        protocol: StreamProtocol,
        intake: Intake,
        host: str,
        port: int,
        crowd: Crowd,
        *,
        hello_s: float = HELLO_S,
        idle_s: float = IDLE_S,
    ) -> None:
        """Port 0 takes a free one."""
        self._protocol = protocol
        self._intake = intake
        self._address = (host, port)
        self._crowd = crowd
        self._hello_s = hello_s
        self._idle_s = idle_s
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._connections)

    async def open(self) -> int:
        """Listen until `close`, and return the port. UNAVAILABLE when it can't be had."""
        host, port = self._address
        try:
            self._server = await asyncio.start_server(self._accept, host, port, limit=READ_SIZE, backlog=BACKLOG)
        except OSError as error:
            raise unavailable(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Take no more connections and end those there are, which costs their devices a repetition at most."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        peer = writer.get_extra_info("peername")
        guest = _Guest(self._protocol.name, peer[0] if peer else "", writer)
        self._crowd.enter(guest)
        try:
            await self._serve(reader, writer, guest)
        finally:
            self._crowd.leave(guest)
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guest: _Guest) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        conversation = _Conversation(self._protocol, self._intake, guest.address)
        try:
            while True:
                async with asyncio.timeout(self._idle_s if conversation.is_known else self._hello_s):
                    data = await reader.read(READ_SIZE)
                if not data or not await conversation.hear(data, writer):
                    return
                if conversation.is_known and not guest.is_known:
                    guest.is_known = True
                    self._crowd.know(guest)
                async with asyncio.timeout(self._hello_s):
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            return  # gone, or silent for too long: what had no receipt comes again
        except asyncio.CancelledError:
            return  # by `close`: this is the task's outermost frame, and asyncio would log it as a failure
        except Exception:
            _log.exception("connection failed", extra={"protocol": self._protocol.name})


class _Guest:
    """A connection among all others of the server."""

    def __init__(self, protocol: str, address: str, writer: asyncio.StreamWriter) -> None:
        self.protocol = protocol
        self.address = address
        self.party = client_of(address)
        self.is_known = False
        self._writer = writer

    def is_trusted(self) -> bool:
        """No proxy speaks for trackers."""
        return False

    def is_served(self) -> bool:
        """A stranger is answered at once."""
        return False

    def turn_out(self) -> None:
        """Others need its place."""
        self._writer.transport.abort()


class _Conversation:
    """What one connection has said so far."""

    def __init__(self, protocol: StreamProtocol, intake: Intake, address: str) -> None:
        self._protocol = protocol
        self._intake = intake
        self._sender = Sender(address)
        self._decoder = protocol.decoder()
        self._claim: Claim | None = None
        self._device: RecordId | None = None

    @property
    def is_known(self) -> bool:
        """Whether the device has introduced itself and was let in."""
        return self._claim is not None

    async def hear(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Take in some bytes and write what is owed for them; False when the connection is to be closed."""
        try:
            for event in self._decoder.feed(data):
                if not await self._answer(event, writer):
                    return False
        except BadFrame as error:
            name = self._protocol.name
            BAD_FRAMES.labels(name).inc()
            if self._device is not None:
                self._intake.misunderstand(self._device)
            _log.warning(
                "bad frame",
                extra={
                    "protocol": name,
                    "client": self._sender.address,
                    "reason": str(error),
                    "bytes": data[:_SHOWN].hex(),
                },
            )
            return False
        except Refusal:
            return False  # no receipt: the device keeps what it sent and tries again
        return True

    async def _answer(self, event: Event, writer: asyncio.StreamWriter) -> bool:
        if isinstance(event, Hello):
            return await self._greet(event, writer)
        if self._claim is None:
            raise BadFrame("reports came before the device said who it is")
        # The claim is looked up again for each frame: a device disabled meanwhile is not served on.
        await self._intake.take(self._protocol.name, (Delivery(self._claim, event.reports),), self._sender)
        writer.write(event.receipt)
        return True

    async def _greet(self, hello: Hello, writer: asyncio.StreamWriter) -> bool:
        try:
            self._device = await self._intake.greet(self._protocol.name, hello.claim, self._sender)
        except Unwelcome:
            writer.write(hello.refuse)
            return False
        self._claim = hello.claim
        writer.write(hello.welcome)
        return True
