"""Opening and closing; what goes over a connection is promised by the contract suite."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from odograph.clock import SystemClock
from odograph.errors import Kind, Refusal
from odograph.ingest.committer import Committer
from odograph.ingest.crowd import Crowd
from odograph.ingest.door import Door
from odograph.ingest.intake import Intake
from odograph.ingest.knocks import Knocks
from odograph.ingest.sockets import Listener
from odograph.live.directory import Directory
from odograph.live.presence import Presence
from odograph.protocols.registry import PROTOCOLS
from odograph.store.base import Store
from tests.unit.ingest.scripted import ScriptedStore

[TELTONIKA] = PROTOCOLS.stream


async def nothing(*_):
    raise AssertionError("nobody comes in here")


def make_listener(port):
    clock, store = SystemClock(), cast("Store", ScriptedStore())
    directory = Directory()
    presence = Presence(directory.devices)
    door = Door(directory, presence, Knocks(nothing, clock), nothing, clock)
    intake = Intake(door, presence, Committer(store, clock), clock)
    return Listener(TELTONIKA, intake, "127.0.0.1", port, Crowd(1000))


async def test_a_port_that_is_taken_is_refused_by_name():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Refusal, match=f"port {port}") as refused:
            await make_listener(port).open()
        assert refused.value.kind is Kind.UNAVAILABLE


async def test_closing_ends_the_connections_there_are_and_takes_no_more():
    listener = make_listener(0)
    port = await listener.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not listener.connections:  # noqa: ASYNC110 - accepted by the loop itself, which has no event for it
        await asyncio.sleep(0)
    await listener.close()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert listener.connections == 0
    with pytest.raises(OSError, match=str(port)):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def test_what_was_never_opened_can_be_closed():
    listener = make_listener(0)
    await listener.close()
    assert listener.connections == 0
