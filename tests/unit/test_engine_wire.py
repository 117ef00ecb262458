"""Frames, connections that nobody reads, followers that lose their place."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import numpy as np
import pytest

from odograph.localsocket import WRITER_SOCKET, short_path
from odograph.model.ids import OrgId, RecordId, Seq
from odograph.store.base import Block, Committed, Newest, OrgFixes, Record
from odograph.store.sqlite import connection as connection_module
from odograph.store.sqlite import followers, wire
from odograph.store.sqlite.connection import Connection
from odograph.store.sqlite.followers import Follower, Gap
from tests.support.stores import ORG, as_rows, make_track


def joined(pieces) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


def a_commit(first: int, count: int = 3, *, rev: int = 0) -> tuple[wire.Push, bytes]:
    blocks = [Block(ORG, np.arange(first, first + count), make_track(1, count, start_ms=first), 5)] if count else []
    records = [Record(ORG, "tag", RecordId(1), rev, b"{}")] if rev else []
    received = bytearray(joined(wire.push_frame(Committed(blocks, records))))
    ((head, body),) = wire.cut_frames(received)
    push = wire.reply_decoder.decode(head)
    assert isinstance(push, wire.Push)
    return push, body


@pytest.mark.parametrize("step", [1, 7, 8, 1000])
def test_frames_arrive_whole_however_they_are_cut(step: int):
    sent: list[tuple[wire.Request, bytes]] = [
        (wire.Append(1, [(OrgId(1), 2), (OrgId(2), 1)]), make_track(1, 3).tobytes()),
        (wire.Hello(7, is_store=True), b""),
        (wire.Append(2, []), b""),
    ]
    stream = b"".join(joined(wire.frame(head, body)) for head, body in sent)
    received, got = bytearray(), []
    for start in range(0, len(stream), step):
        received += stream[start : start + step]
        got += [(wire.request_decoder.decode(head), body) for head, body in wire.cut_frames(received)]
    assert got == sent
    assert not received


def test_a_frame_of_absurd_length_is_refused():
    with pytest.raises(ValueError, match="frame"):
        list(wire.cut_frames(bytearray(b"\xff" * 64)))


def test_a_body_that_does_not_hold_its_rows_is_refused():
    with pytest.raises(ValueError, match="rows"):
        wire.parts_of([(ORG, 3)], make_track(1, 2).tobytes())


def test_parts_and_newest_come_back_as_they_were():
    parts = [
        OrgFixes(OrgId(1), make_track(1, 2)),
        OrgFixes(OrgId(2), make_track(2, 0)),
        OrgFixes(ORG, make_track(3, 4)),
    ]
    body = b"".join(part.fixes.tobytes() for part in parts)
    got = wire.parts_of([(part.org, len(part.fixes)) for part in parts], body)
    assert [(part.org, as_rows(part.fixes)) for part in got] == [(part.org, as_rows(part.fixes)) for part in parts]
    newest = Newest(make_track(1, 3), np.array([5, 6, 7]), np.array([1, 2, 3]))
    back = wire.newest_from_bytes(wire.newest_to_bytes(newest))
    assert as_rows(back.fixes) == as_rows(newest.fixes)
    assert (back.seqs.tolist(), back.received_ms.tolist()) == ([5, 6, 7], [1, 2, 3])


def test_a_socket_below_a_long_path_can_be_reached(tmp_path: Path):
    directory = tmp_path / ("d" * 90) / ("e" * 90)
    directory.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        with short_path(directory, WRITER_SOCKET) as address:
            listener.bind(address)
        listener.listen()
        with short_path(directory, WRITER_SOCKET) as address:
            caller.connect(address)
    assert (directory / WRITER_SOCKET).exists()


def test_a_client_that_never_reads_is_left_behind_and_told_once_it_reads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_module, "LEFT_BEHIND_BYTES", 1 << 20)
    here, there = socket.socketpair()
    with here, there:
        connection = Connection(here)
        push = b"x" * 100_000
        for _ in range(100):
            connection.push([wire.LENGTHS.pack(0, len(push)), push])
            connection.flush()
        assert connection.is_left_behind
        assert connection.unsent_bytes < 2 << 20
        connection.put(wire.frame(wire.Appended(9)))
        there.setblocking(False)
        received = bytearray()
        while connection.unsent_bytes:
            received += there.recv(1 << 20)
            connection.flush()
        received += there.recv(1 << 20)
        assert not connection.is_left_behind
        heads = [head for head, _ in wire.cut_frames(received) if head]
        assert [wire.reply_decoder.decode(head) for head in heads] == [wire.Appended(9), wire.Behind()]
        connection.push([push])
        connection.flush()
        assert there.recv(100) == b"x" * 100


# -- followers


async def test_a_follower_gets_each_commit_once_whatever_disk_gave_it_already():
    follower = Follower(None)
    follower.listen()
    for first in (1, 4, 7):
        follower.push(*a_commit(first))
    follower.after = Seq(6)
    assert not (await follower.next()).blocks
    assert not (await follower.next()).blocks
    assert (await follower.next()).blocks[0].seqs.tolist() == [7, 8, 9]
    assert follower.after == 9


async def test_a_missing_commit_is_a_gap():
    follower = Follower(Seq(3))
    follower.listen()
    follower.push(*a_commit(7))
    with pytest.raises(Gap):
        await follower.next()


async def test_a_missing_record_is_a_gap():
    follower = Follower(Seq(3))
    follower.rev = 4
    follower.listen()
    follower.push(*a_commit(0, 0, rev=5))
    follower.push(*a_commit(0, 0, rev=7))
    assert [record.rev for record in (await follower.next()).records] == [5]
    with pytest.raises(Gap):
        await follower.next()


async def test_a_follower_that_waits_is_woken_by_a_commit_and_by_a_loss():
    follower = Follower(Seq(0))
    follower.listen()
    waiting = asyncio.create_task(follower.next())
    await asyncio.sleep(0)
    follower.push(*a_commit(1))
    assert (await waiting).blocks[0].seqs.tolist() == [1, 2, 3]
    waiting = asyncio.create_task(follower.next())
    await asyncio.sleep(0)
    follower.lose()
    with pytest.raises(Gap):
        await waiting


async def test_a_follower_that_never_reads_holds_a_bounded_number_of_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(followers, "MAX_WAITING_BYTES", 10_000)
    follower = Follower(Seq(0))
    follower.listen()
    for start in range(100):
        follower.push(*a_commit(1 + 100 * start, 100))
    with pytest.raises(Gap):
        await follower.next()
    follower.push(*a_commit(1))
    with pytest.raises(Gap):
        await follower.next()
    follower.listen()
    follower.push(*a_commit(1))
    assert (await follower.next()).blocks
