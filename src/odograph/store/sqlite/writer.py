"""The writer process: whatever waits at its socket goes into one commit, then everybody hears of it.

`python -m odograph.store.sqlite.writer DATA_DIR`. Followers are sent a commit before those who appended get
their answer, over the same socket: who has an answer has seen the commit. A follower that does not read is
left behind, and catches up from disk.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from odograph.clock import Clock, SystemClock
from odograph.errors import Corrupt, Refusal, conflict, unavailable
from odograph.localsocket import WRITER_SOCKET, short_path
from odograph.store.base import Change, OrgFixes, Record
from odograph.store.sqlite import wire
from odograph.store.sqlite.connection import Connection
from odograph.store.sqlite.engine import Engine, Outcomes
from odograph.store.sqlite.housekeeping import RETRY_S, Housekeeping, add_rule, rule_of
from odograph.store.sqlite.pages import NewerFormat
from odograph.store.sqlite.process import configure_process

MAX_COMMIT_ROWS: Final = 200_000  # whatever waits beyond that goes into the next one
IDLE_S: Final = 1.0  # between looks at what is due
TRIM_LEDGER_EVERY_S: Final = 3600.0  # a minute in 400 days may stay an hour longer
TRIM_AFTER: Final = 16  # commits, when there is never a quiet moment to delete what is sealed
Pieces = Sequence[bytes | memoryview]
Answer = Sequence[Outcomes] | Sequence[Record] | Refusal
_log = logging.getLogger("odograph.writer")


class Writer:
    """Serves one engine until it is told to stop."""

    def __init__(self, engine: Engine, listener: socket.socket, housekeeping: Housekeeping, clock: Clock) -> None:
        self._engine = engine
        self._housekeeping = housekeeping
        self._clock = clock
        self._tidy_at_s = 0.0
        self._trim_ledger_at_s = 0.0
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self._connections: set[Connection] = set()
        self._addressed: set[Connection] = set()  # who has something to be sent at the end of this turn
        self._appends: list[tuple[Connection, int, list[OrgFixes]]] = []
        self._writes: list[tuple[Connection, int, list[Change]]] = []
        self._since_trim = 0
        self._is_orphan = False
        self.is_stopping = False

    def watch_parent(self, handle: int) -> None:
        """Stop once the handle reads its end and no store is connected any more."""
        self._selector.register(handle, selectors.EVENT_READ, lambda: self._orphaned(handle))

    def watch_signals(self) -> None:
        """Stop at SIGTERM and SIGINT, after the commit that runs."""
        here, there = socket.socketpair()
        for end in (here, there):
            end.setblocking(False)
        signal.set_wakeup_fd(there.fileno())
        self._wakeup = (here, there)
        self._selector.register(here, selectors.EVENT_READ, lambda: here.recv(64))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "is_stopping", True))

    def run(self) -> None:
        """Serve."""
        more_to_trim = True
        while not self.is_stopping:
            ready = self._selector.select(0 if more_to_trim else IDLE_S)
            for key, _ in ready:
                key.data()
            while self._appends or self._writes:
                self._commit()
                self._flush()
            self._flush()
            if not ready or self._since_trim >= TRIM_AFTER:
                more_to_trim = self._tidy()
            if self._is_orphan and not any(connection.is_store for connection in self._connections):
                self.is_stopping = True

    def close(self) -> None:
        """Let go of every connection."""
        self._housekeeping.stop()
        for connection in list(self._connections):
            self._forget(connection)
        self._selector.close()

    # -- connections

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            connection = Connection(listener.accept()[0])
            self._connections.add(connection)
            self._selector.register(connection.socket, selectors.EVENT_READ, lambda: self._serve(connection))

    def _serve(self, connection: Connection) -> None:
        """Take in what came; what could not be sent before goes with this turn's."""
        try:
            for head, body in connection.receive():
                self._take(connection, wire.request_decoder.decode(head), body)
        except (ConnectionError, ValueError, msgspec.MsgspecError) as error:
            if not isinstance(error, ConnectionError):
                _log.error("a client speaks in tongues: %s", error)
            self._forget(connection)
        else:
            self._addressed.add(connection)

    def _watch(self, connection: Connection) -> None:
        reading = 0 if connection.is_clogged else selectors.EVENT_READ
        writing = selectors.EVENT_WRITE if connection.unsent_bytes else 0
        key = self._selector.get_key(connection.socket)
        if key.events != reading | writing:
            self._selector.modify(connection.socket, reading | writing, key.data)

    def _forget(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._addressed.discard(connection)
            self._selector.unregister(connection.socket)
            connection.socket.close()

    def _orphaned(self, handle: int) -> None:
        if not os.read(handle, 64):
            self._selector.unregister(handle)
            self._is_orphan = True

    def _send(self, connection: Connection, pieces: Pieces, *, may_skip: bool = False) -> None:
        """At the end of this turn, with all else that it has for this connection: that wakes its owner once."""
        if connection in self._connections:
            (connection.push if may_skip else connection.put)(pieces)
            self._addressed.add(connection)

    def _flush(self) -> None:
        while self._addressed:
            connection = self._addressed.pop()
            try:
                connection.flush()
            except ConnectionError:
                self._forget(connection)
            else:
                self._watch(connection)

    # -- requests

    def _take(self, connection: Connection, request: wire.Request, body: bytes) -> None:
        match request:
            case wire.Append():
                self._appends.append((connection, request.request, wire.parts_of(request.parts, body)))
            case wire.Write():
                self._writes.append((connection, request.request, request.changes))
            case wire.Note():
                self._carry_out(connection, request.request, partial(self._engine.note, request.entries))
            case wire.Hello():
                self._greet(connection, request)
            case wire.Widen():
                newest = wire.newest_from_bytes(body)
                self._carry_out(
                    connection, request.request, partial(self._engine.widen, request.day, request.spans, newest)
                )
            case wire.Seal():
                run = (request.day, request.after, request.last, request.orgs, request.received_ms)
                self._carry_out(connection, request.request, partial(self._engine.seal, *run))
            case wire.Drop():
                self._carry_out(connection, request.request, partial(self._engine.drop, request.day))

    def _greet(self, connection: Connection, hello: wire.Hello) -> None:
        other = next((one for one in self._connections if one.is_store and one is not connection), None)
        if hello.is_store and other is not None:
            refusal = unavailable(f"The data directory is in use by process {other.pid}.")
            self._send(connection, wire.frame(wire.Refused.of(0, refusal)))
            return
        connection.pid, connection.is_store = hello.pid, hello.is_store
        self._send(connection, wire.frame(wire.Welcome(self._engine.head, self._engine.rev)))

    def _carry_out(self, connection: Connection, request: int, action: Callable[[], None]) -> None:
        try:
            action()
        except (Refusal, Corrupt, NewerFormat) as error:
            _log.error("a request failed: %s", error)
            self._send(connection, wire.frame(wire.Refused.of(request, _refusal_of(error))))
        else:
            self._send(connection, wire.frame(wire.Carried(request)))

    def _commit(self) -> None:
        """One commit of what waits; followers are told, then those who asked."""
        rows, count = 0, 0
        while count < len(self._appends) and rows < MAX_COMMIT_ROWS:
            rows += sum(len(part.fixes) for part in self._appends[count][2])
            count += 1
        appends, self._appends = self._appends[:count], self._appends[count:]
        writes, self._writes = self._writes, []
        self._since_trim += 1
        try:
            done = self._engine.commit([parts for *_, parts in appends], [changes for *_, changes in writes])
        except (Refusal, Corrupt, NewerFormat) as error:
            refusal = _refusal_of(error)
            _log.error("a commit failed: %s", error)
            for connection, request, _ in (*appends, *writes):
                self._send(connection, wire.frame(wire.Refused.of(request, refusal)))
            return
        if done.committed.blocks or done.committed.records:
            self._push(wire.push_frame(done.committed))
        for (connection, request, _), answer in zip(
            (*appends, *writes), (*done.appended, *done.written), strict=True
        ):
            self._send(connection, _reply(request, answer))

    def _push(self, pieces: Pieces) -> None:
        for connection in [one for one in self._connections if one.is_store]:
            self._send(connection, pieces, may_skip=True)

    def _tidy(self) -> bool:
        """What can wait; whether there is more of it."""
        self._since_trim = 0
        if self._clock.steady_s() < self._tidy_at_s:
            return False
        try:
            self._engine.pass_time()
            self._housekeeping.look(
                unsealed_rows=self._engine.unsealed_rows,
                oldest_unsealed_ms=self._engine.oldest_unsealed_ms,
                oldest_day_ms=self._engine.oldest_day_ms(),
                lived_ms=self._engine.lived_ms,
            )
            if self._clock.steady_s() >= self._trim_ledger_at_s:
                is_more = self._engine.trim_ledger()
                self._trim_ledger_at_s = self._clock.steady_s() + (0.0 if is_more else TRIM_LEDGER_EVERY_S)
            return self._engine.trim()
        except (Refusal, Corrupt, NewerFormat, OSError) as error:
            _log.error("housekeeping failed: %s", error)
            self._tidy_at_s = self._clock.steady_s() + RETRY_S
            return False


def _refusal_of(error: Refusal | Corrupt | NewerFormat) -> Refusal:
    """What they hear who asked, devices among them: where the damage lies is for the operator's log."""
    return error if isinstance(error, Refusal) else unavailable("The store is damaged and can't take this now.")


def _reply(request: int, answer: Answer) -> Pieces:
    if isinstance(answer, Refusal):
        return wire.frame(wire.Refused.of(request, answer))
    if answer and isinstance(answer[0], Record):
        return wire.frame(wire.Written(request, [one for one in answer if isinstance(one, Record)]))
    return wire.frame(wire.Appended(request), *(one.tobytes() for one in answer if not isinstance(one, Record)))


def lock(directory: Path) -> int:
    """Take the directory for this process, for as long as it lives. CONFLICT names who has it."""
    handle = os.open(directory / wire.LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise conflict(f"{directory} is being written by process {holder}.") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
    return handle


def listen(directory: Path) -> socket.socket:
    """The socket, for the owner of the directory alone; needs the lock."""
    (directory / WRITER_SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    with short_path(directory, WRITER_SOCKET) as address:
        listener.bind(address)
    listener.listen()
    return listener


def main() -> int:
    """Run until SIGTERM; with --with-parent, until standard input ends and no store is connected."""
    arguments = argparse.ArgumentParser(prog="odograph.store.sqlite.writer")
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--with-parent", action="store_true")
    add_rule(arguments)
    given = arguments.parse_args()
    configure_process()
    clock = SystemClock()
    try:
        lock(given.directory)
        housekeeping = Housekeeping(given.directory, rule_of(given), clock)
        engine = Engine(given.directory, clock)
    except (Refusal, Corrupt, NewerFormat) as error:
        hint = ". `odograph check` finds all that is damaged." if isinstance(error, Corrupt) else ""
        _say(wire.Refused.of(0, error if isinstance(error, Refusal) else unavailable(f"{error}{hint}")))
        return 1
    listener = listen(given.directory)
    writer = Writer(engine, listener, housekeeping, clock)
    writer.watch_signals()
    if given.with_parent:
        writer.watch_parent(sys.stdin.fileno())
    _say(wire.Ready())
    try:
        writer.run()
    finally:
        writer.close()
        listener.close()
        (given.directory / WRITER_SOCKET).unlink(missing_ok=True)
        engine.checkpoint()
        engine.close()
    return 0


def _say(line: wire.Ready | wire.Refused) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
