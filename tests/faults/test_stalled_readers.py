"""Who never reads holds up nobody else, and is told what it missed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from odograph.localsocket import WRITER_SOCKET, short_path
from odograph.model.fixes import FIX_DTYPE, FIX_SIZE
from odograph.model.ids import OrgId
from odograph.store.sqlite import wire
from odograph.store.sqlite.connection import LEFT_BEHIND_BYTES
from tests.faults.served import served

ROWS = 100_000
APPENDS = 16  # 43 MB: more than is kept for anybody
PATIENCE_S = 30.0
CLIENTS, REQUESTS = 20, 300


class Line:
    """A connection to the writer."""

    def __init__(self, directory: Path, *, is_store: bool) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        with short_path(directory, WRITER_SOCKET) as address:
            self.socket.connect(address)
        self._received = bytearray()
        self.send(wire.Hello(os.getpid(), is_store))

    def send(self, request: wire.Request, body: bytes = b"") -> None:
        self.socket.sendall(b"".join(wire.frame(request, body)))

    def frames(self) -> Iterator[tuple[wire.Reply, bytes]]:
        """Whatever comes; TimeoutError when nothing does."""
        while data := self.socket.recv(1 << 20):
            self._received += data
            for head, body in wire.cut_frames(self._received):
                yield wire.reply_decoder.decode(head), body

    def close(self) -> None:
        self.socket.close()


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """The writer process of the directory."""
    directory.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "odograph.store.sqlite.writer", str(directory), "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b'["ready"]\n'
        yield
    finally:
        process.communicate(timeout=PATIENCE_S)  # closes its standard input, with which it ends
    assert process.returncode == 0


def test_a_follower_that_never_reads_holds_up_no_append_and_is_told_that_it_is_behind(tmp_path: Path) -> None:
    with writing(tmp_path / "data"), ExitStack() as lines:
        stalled = lines.enter_context(closing(Line(tmp_path / "data", is_store=True)))
        busy = lines.enter_context(closing(Line(tmp_path / "data", is_store=False)))
        answers = busy.frames()
        assert isinstance(next(answers)[0], wire.Welcome)
        for number in range(APPENDS):
            _append(busy, number)
            reply, outcomes = next(answers)
            assert reply == wire.Appended(number)
            assert outcomes == bytes(ROWS)
        pushed = stalled.frames()
        assert isinstance(next(pushed)[0], wire.Welcome)
        rows, is_behind = 0, False
        for reply, _ in pushed:
            if isinstance(reply, wire.Behind):
                is_behind = True
                break
            assert isinstance(reply, wire.Push)
            assert reply.first == rows + 1, "a commit is missing before it was said"
            rows += ROWS
        assert is_behind
        assert ROWS <= rows <= LEFT_BEHIND_BYTES / FIX_SIZE + 2 * ROWS
        _append(busy, APPENDS)
        reply, _ = next(pushed)
        assert isinstance(reply, wire.Push)
        assert reply.first == APPENDS * ROWS + 1


def _append(line: Line, number: int) -> None:
    fixes = np.zeros(ROWS, dtype=FIX_DTYPE)
    fixes["asset"] = 1
    fixes["time_ms"] = np.arange(ROWS) + number * ROWS
    line.send(wire.Append(number, [(OrgId(1), ROWS)]), fixes.tobytes())


@pytest.mark.timeout(120)
def test_clients_that_never_read_their_answers_hold_up_nobody_and_fill_no_memory(tmp_path: Path) -> None:
    with served(tmp_path) as server, ExitStack() as stack:
        made = json.loads(server.command("device", "add", "--new-vehicle", "van", "--json"))
        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=PATIENCE_S))
        size = len(client.get("/openapi.json").content)
        before = server.resident_bytes()
        request = f"GET /openapi.json HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode()
        for _ in range(CLIENTS):
            stalled = stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.port))))
            stalled.setblocking(False)
            stalled.send(request * REQUESTS)
        for second in range(50):
            assert client.get("/healthz").status_code == 200
            answer = client.post(
                "/ingest/batch",
                headers={"authorization": f"Bearer {made['key']}"},
                json={"fixes": [{"time": 1_717_200_000_000 + second, "lat": 48.1, "lon": 11.5}]},
            )
            assert answer.json()["stored"] == 1
        asked = CLIENTS * REQUESTS * size
        assert server.resident_bytes() - before < asked / 5, "answers that nobody reads are piled up"
