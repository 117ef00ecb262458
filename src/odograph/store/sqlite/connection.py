"""One client of the writer: what came and is not whole yet, what is to be sent and does not fit yet."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from typing import Final

from odograph.store.sqlite.wire import Behind, cut_frames, frame

RECEIVE_BYTES: Final = 1 << 20
RECEIVES_AT_ONCE: Final = 16  # then the others' turn
LEFT_BEHIND_BYTES: Final = 32 << 20  # unsent commits beyond this are cheaper to read from disk
CLOGGED_BYTES: Final = 64 << 20  # who does not read its answers is not listened to
MAX_PIECES: Final = 64  # of one send; the kernel's limit is 1024


class Connection:
    """A non-blocking socket with its buffers."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.pid = 0
        self.is_store = False
        self.is_left_behind = False
        self.unsent_bytes = 0
        self._received = bytearray()
        self._unsent: deque[memoryview] = deque()

    @property
    def is_clogged(self) -> bool:
        """Whether nothing more should be taken from it for now."""
        return self.unsent_bytes > CLOGGED_BYTES

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Head and body of each frame that is whole by now. ConnectionError: it is gone."""
        for _ in range(RECEIVES_AT_ONCE):
            try:
                data = self.socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                break
            if not data:
                raise ConnectionResetError("closed")
            self._received += data
            if len(data) < RECEIVE_BYTES // 16:
                break
        return cut_frames(self._received)

    def put(self, pieces: Sequence[bytes | memoryview]) -> None:
        """To be sent by `flush`, in order."""
        for piece in pieces:
            if len(piece):
                self._unsent.append(memoryview(piece))
                self.unsent_bytes += len(piece)

    def push(self, pieces: Sequence[bytes | memoryview]) -> None:
        """As `put`, what may be skipped when nobody reads: `Behind` follows once somebody does."""
        if self.unsent_bytes > LEFT_BEHIND_BYTES:
            self.is_left_behind = True
        if not self.is_left_behind:
            self.put(pieces)

    def flush(self) -> None:
        """Send what the socket takes. ConnectionError: it is gone."""
        while self._unsent:
            try:
                sent = self.socket.sendmsg([self._unsent[at] for at in range(min(len(self._unsent), MAX_PIECES))])
            except BlockingIOError:
                return
            self._sent(sent)
            if not self._unsent and self.is_left_behind:
                self.is_left_behind = False
                self.put(frame(Behind()))

    def _sent(self, count: int) -> None:
        self.unsent_bytes -= count
        while count:
            piece = self._unsent.popleft()
            if len(piece) > count:
                self._unsent.appendleft(piece[count:])
                return
            count -= len(piece)
