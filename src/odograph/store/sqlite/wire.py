"""What goes over the writer's socket: frames of a msgpack head and raw rows.

A frame is two little-endian 32-bit lengths, the head and the body. The writer answers every request that has
a `request` number with that number; commits are pushed to whoever said Hello as a store.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from odograph.errors import Kind, Refusal
from odograph.model.fixes import FIX_SIZE, fixes_from_bytes
from odograph.model.ids import OrgId, Seq
from odograph.store.base import Block, Change, Committed, LedgerEntry, Newest, OrgFixes, Record
from odograph.store.sqlite.runs import OrgPart, Span

LOCK_NAME: Final = "writer.lock"
LENGTHS: Final = struct.Struct("<II")
MAX_FRAME_BYTES: Final = 1 << 28  # nobody sends a tenth of it: a longer one is not ours


class Hello(msgspec.Struct, tag="hello", array_like=True):
    """The first frame of a connection; a store is one at a time, and sees every commit from here on."""

    pid: int
    is_store: bool


class Append(msgspec.Struct, tag="append", array_like=True):
    """Body: the rows of all parts. `parts`: org and number of rows of each."""

    request: int
    parts: list[tuple[OrgId, int]]


class Write(msgspec.Struct, tag="write", array_like=True):
    """Change records."""

    request: int
    changes: list[Change]


class Note(msgspec.Struct, tag="note", array_like=True):
    """Put entries into the ledger."""

    request: int
    entries: list[LedgerEntry]


class Widen(msgspec.Struct, tag="widen", array_like=True):
    """Of a sealed run, some assets' spans and newest fixes. Body: as `newest_to_bytes` makes it."""

    request: int
    day: str
    spans: list[Span]


class Seal(msgspec.Struct, tag="seal", array_like=True):
    """Make a run official."""

    request: int
    day: str
    after: Seq
    last: Seq
    orgs: list[OrgPart]
    received_ms: int


class Drop(msgspec.Struct, tag="drop", array_like=True):
    """Forget a day."""

    request: int
    day: str


class Welcome(msgspec.Struct, tag="welcome", array_like=True):
    """The answer to Hello."""

    head: int
    rev: int


class Appended(msgspec.Struct, tag="appended", array_like=True):
    """Body: an Outcome per row."""

    request: int


class Written(msgspec.Struct, tag="written", array_like=True):
    """What the changes made, in their order."""

    request: int
    records: list[Record]


class Carried(msgspec.Struct, tag="carried", array_like=True):
    """A Note, Widen, Seal or Drop is on disk."""

    request: int


class Refused(msgspec.Struct, tag="refused", array_like=True):
    """Nothing of the request was done. Request 0 is Hello."""

    request: int
    kind: str
    message: str
    retry_after_s: int | None

    @classmethod
    def of(cls, request: int, refusal: Refusal) -> Refused:
        """As a frame."""
        return cls(request, refusal.kind.value, refusal.message, refusal.retry_after_s)

    def refusal(self) -> Refusal:
        """As an exception."""
        return Refusal(Kind(self.kind), self.message, retry_after_s=self.retry_after_s)


class Push(msgspec.Struct, tag="push", array_like=True):
    """One commit. Body: the rows of all parts, whose seqs follow each other from `first`."""

    first: int
    received_ms: int
    parts: list[tuple[OrgId, int]]
    records: list[Record]


class Behind(msgspec.Struct, tag="behind", array_like=True):
    """Some commits were not pushed, because nobody read them."""


class Ready(msgspec.Struct, tag="ready", array_like=True):
    """The writer's one line on standard output, as JSON, once its socket listens; or a Refused."""


Request = Hello | Append | Write | Note | Widen | Seal | Drop
Reply = Welcome | Appended | Written | Carried | Refused | Push | Behind
Frame = tuple[Request | Reply, bytes]

_encoder: Final = msgspec.msgpack.Encoder()
request_decoder: Final = msgspec.msgpack.Decoder(Request)
reply_decoder: Final = msgspec.msgpack.Decoder(Reply)


def frame(head: Request | Reply, *body: bytes | memoryview) -> list[bytes | memoryview]:
    """The pieces to send."""
    packed = _encoder.encode(head)
    return [LENGTHS.pack(len(packed), sum(len(piece) for piece in body)) + packed, *body]


def cut_frames(received: bytearray) -> list[tuple[bytes, bytes]]:
    """Head and body of each whole frame, which are taken out of `received`. ValueError: not our frames."""
    frames, at = [], 0
    while len(received) - at >= LENGTHS.size:
        head, body = LENGTHS.unpack_from(received, at)
        if head + body > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {head + body} bytes")
        begin = at + LENGTHS.size
        if len(received) < begin + head + body:
            break
        at = begin + head + body
        with memoryview(received) as view:
            frames.append((bytes(view[begin : begin + head]), bytes(view[begin + head : at])))
    del received[:at]
    return frames


def push_frame(committed: Committed) -> list[bytes | memoryview]:
    """A commit as a frame."""
    blocks = committed.blocks
    first = int(blocks[0].seqs[0]) if blocks else 0
    received_ms = blocks[0].received_ms if blocks else 0
    parts = [(block.org, len(block.fixes)) for block in blocks]
    push = Push(first, received_ms, parts, list(committed.records))
    return frame(push, *(block.fixes.tobytes() for block in blocks))


def blocks_of(push: Push, body: bytes) -> list[Block]:
    """The blocks of a pushed commit."""
    blocks, seq = [], push.first
    for part in parts_of(push.parts, body):
        rows = len(part.fixes)
        blocks.append(Block(part.org, np.arange(seq, seq + rows, dtype=np.int64), part.fixes, push.received_ms))
        seq += rows
    return blocks


def parts_of(parts: Sequence[tuple[OrgId, int]], body: bytes) -> list[OrgFixes]:
    """The body's rows, part by part."""
    if sum(rows for _, rows in parts) * FIX_SIZE != len(body):
        raise ValueError("a frame's body does not hold the rows that its head names")
    fixes, found, at = fixes_from_bytes(body), [], 0
    for org, rows in parts:
        found.append(OrgFixes(org, fixes[at : at + rows]))
        at += rows
    return found


def newest_to_bytes(newest: Newest) -> bytes:
    """Three columns, one after the other."""
    return newest.fixes.tobytes() + newest.seqs.tobytes() + newest.received_ms.tobytes()


def newest_from_bytes(body: bytes) -> Newest:
    """What `newest_to_bytes` was given."""
    rows = len(body) // (FIX_SIZE + 16)
    columns = np.frombuffer(body, dtype=np.int64, offset=rows * FIX_SIZE).reshape(2, rows)
    return Newest(fixes_from_bytes(body[: rows * FIX_SIZE]), columns[0], columns[1])
