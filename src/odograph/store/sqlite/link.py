"""The line to the writer process: started when nobody runs one, kept up while the store is open."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, cast

import msgspec

from odograph.errors import Kind, Refusal, unavailable
from odograph.localsocket import WRITER_SOCKET, short_path
from odograph.store.sqlite import wire
from odograph.store.sqlite.housekeeping import Rule, flags_of

OPEN_S: Final = 30.0  # for a predecessor to end, or another process' writer to start listening
IN_USE_S: Final = 1.0  # for the writer to notice that the store before us is gone
CLOSE_S: Final = 30.0
RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 5.0
MAX_WAITING_BYTES: Final = 64 << 20  # requests sent and not answered
_log = logging.getLogger(__name__)

Answer = tuple[wire.Reply, bytes]


class _Line(asyncio.Protocol):
    """One connection to the writer. What comes is handed on in the step that reads it: a turn of the loop less."""

    def __init__(self, on_reply: Callable[[wire.Reply, bytes], None]) -> None:
        self._on_reply = on_reply
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ours to write to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand on each reply that is whole."""
        self._received += data
        try:
            for head, body in wire.cut_frames(self._received):
                self._on_reply(wire.reply_decoder.decode(head), body)
        except (ValueError, msgspec.MsgspecError):
            _log.exception("the writer speaks in tongues")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why makes no difference
        """It is over."""
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, request: wire.Request, *body: bytes) -> None:
        """Send one request."""
        assert self._transport is not None
        self._transport.writelines(wire.frame(request, *body))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class WriterLink:
    """Sends requests and hands on what is pushed.

    `on_push` gets each commit in order; `on_gap` says that some may have been missed. Both are called on the
    event loop, before any later answer is handed out.
    """

    def __init__(
        self,
        directory: Path,
        rule: Rule,
        on_push: Callable[[wire.Push, bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._rule = rule
        self._on_push = on_push
        self._on_gap = on_gap
        self._numbers = count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Answer], int]] = {}
        self._waiting_bytes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: _Line | None = None
        self._greeted: asyncio.Future[Answer] | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; UNAVAILABLE says why not."""
        self._line = await self._connect()
        self._task = asyncio.create_task(self._run(self._line))

    async def ask(self, make: Callable[[int], wire.Request], *body: bytes) -> Answer:
        """Send the request made with a number, and wait for its answer. Raises what the writer refuses with."""
        size = sum(len(piece) for piece in body)
        if self._line is None:
            raise unavailable("The store's writer is being started. Send this again.", retry_after_s=1)
        if self._waiting and self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise unavailable("Too much waits to be stored. Send this again later.")
        number = next(self._numbers)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (future, size)
        self._waiting_bytes += size
        self._line.send(make(number), *body)
        answer = await future
        if isinstance(answer[0], wire.Refused):
            raise answer[0].refusal()
        return answer

    async def close(self) -> None:
        """Let go of the line; the writer, where it is ours, ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None:
            await asyncio.to_thread(_end, self._process)

    # -- keeping it up

    async def _run(self, line: _Line) -> None:
        try:
            while True:
                await line.ended
                self._let_go(unavailable("The store's writer went away. Send this again.", retry_after_s=1))
                _log.error("the writer went away")
                self._line = line = await self._reconnect()
                self._on_gap()
        finally:
            self._let_go(unavailable("The store is closed."))

    def _take(self, reply: wire.Reply, body: bytes) -> None:
        match reply:
            case wire.Push():
                self._on_push(reply, body)
            case wire.Behind():
                self._on_gap()
            case wire.Welcome() | wire.Refused(request=0):
                if self._greeted is not None and not self._greeted.done():
                    self._greeted.set_result((reply, body))
            case _:
                self._answer(reply.request, (reply, body))

    def _answer(self, number: int, answer: Answer) -> None:
        future, size = self._waiting.pop(number)
        self._waiting_bytes -= size
        if not future.done():  # whoever asked may have gone away
            future.set_result(answer)

    def _let_go(self, refusal: Refusal) -> None:
        """The line is down: nobody knows what became of the requests on it."""
        if self._line is not None:
            self._line.close()
            self._line = None
        for number in list(self._waiting):
            self._answer(number, (wire.Refused.of(number, refusal), b""))

    async def _reconnect(self) -> _Line:
        retry_s = RETRY_S
        while True:
            try:
                return await self._connect()
            except Refusal as refusal:
                _log.error("the writer can't be started: %s", refusal.message)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    # -- connecting

    async def _connect(self) -> _Line:
        """To the writer that runs, else to one that is started for it. UNAVAILABLE."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        while True:
            refusal: Refusal
            try:
                return await self._greet()
            except (FileNotFoundError, ConnectionError):
                patience_s = OPEN_S
                try:
                    await self._start()
                    continue
                except Refusal as error:
                    if error.kind is not Kind.CONFLICT:
                        raise
                    refusal = unavailable(error.message)
            except Refusal as error:
                patience_s, refusal = IN_USE_S, error
            if loop.time() - begin_s > patience_s:
                raise refusal
            await asyncio.sleep(RETRY_S)

    async def _greet(self) -> _Line:
        loop = asyncio.get_running_loop()
        with short_path(self._directory, WRITER_SOCKET) as address:
            _, line = await loop.create_unix_connection(lambda: _Line(self._take), address)
        self._greeted = loop.create_future()
        try:
            line.send(wire.Hello(os.getpid(), is_store=True))
            await asyncio.wait((self._greeted, line.ended), return_when=asyncio.FIRST_COMPLETED)
            if not self._greeted.done():
                raise ConnectionResetError("the writer went away")
            reply, _ = self._greeted.result()
            if isinstance(reply, wire.Refused):
                raise reply.refusal()
        except BaseException:
            line.close()
            raise
        finally:
            self._greeted = None
        return line

    async def _start(self) -> None:
        """Start the writer and wait until it listens. CONFLICT: another one has the directory."""
        if self._process is not None:
            await asyncio.to_thread(_end, self._process)
        process, line = await asyncio.to_thread(_spawn, self._directory, self._rule)
        self._process = process
        if line is None:
            code = await asyncio.to_thread(process.wait)
            raise unavailable(f"The store's writer ended with {code} before it was ready.")
        if isinstance(line, wire.Refused):
            raise line.refusal()


def _spawn(directory: Path, rule: Rule) -> tuple[subprocess.Popen[bytes], wire.Ready | wire.Refused | None]:
    """The process, and what it said first; None when it ended without a word. It ends with our end of its pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "odograph.store.sqlite.writer", str(directory), "--with-parent", *flags_of(rule)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: the writer ends after us
    )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    return process, msgspec.json.decode(line, type=wire.Ready | wire.Refused) if line else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close our end of its pipe, and wait."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(CLOSE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
