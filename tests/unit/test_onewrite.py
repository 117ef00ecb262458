"""An answer's head and body leave together, and nothing waits for what does not come."""

from __future__ import annotations

import asyncio

from odograph.onewrite import OneWriteProtocol, OneWriteTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Recorded:
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def write(self, data):
        self.calls.append(data)

    def writelines(self, pieces):
        self.calls.append(b"".join(pieces))

    def close(self):
        self.calls.append("closed")

    def is_closing(self):
        return False


def transport():
    inner = Recorded()
    return inner, OneWriteTransport(inner, asyncio.get_running_loop())  # type: ignore[arg-type]


async def test_a_head_and_its_body_are_one_write():
    inner, outer = transport()
    outer.write(HEAD)
    assert inner.calls == []
    outer.write(b"ok")
    await asyncio.sleep(0)
    assert inner.calls == [HEAD + b"ok"]


async def test_a_head_whose_body_comes_later_does_not_wait_for_it():
    inner, outer = transport()
    outer.write(HEAD)
    await asyncio.sleep(0)
    assert inner.calls == [HEAD]
    outer.write(b"an event")
    outer.write(b"another")
    assert inner.calls == [HEAD, b"an event", b"another"]


async def test_what_waits_is_sent_before_the_end():
    inner, outer = transport()
    outer.write(HEAD)
    outer.close()
    await asyncio.sleep(0)
    assert inner.calls == [HEAD, "closed"]
    assert outer.is_closing() is False


async def test_a_whole_answer_goes_at_once_and_behind_what_waits():
    inner, outer = transport()
    outer.send(HEAD + b"ok")
    assert inner.calls == [HEAD + b"ok"]
    outer.write(HEAD)
    outer.send(HEAD + b"ok")
    assert inner.calls == [HEAD + b"ok", HEAD, HEAD + b"ok"]


async def test_a_server_with_it_answers_in_one_packet():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    loop = asyncio.get_running_loop()
    inner = Recorded()
    inner.get_extra_info = lambda _: None  # type: ignore[attr-defined]
    protocol = OneWriteProtocol(_config(app), _state(), {}, loop)
    protocol.connection_made(inner)  # type: ignore[arg-type]
    for _ in range(2):
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(0.01)
    protocol.connection_lost(None)
    answers = [call for call in inner.calls if isinstance(call, bytes)]
    assert len(answers) == 2
    assert all(answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"\r\n\r\nok") for answer in answers)


def _config(app):
    from uvicorn import Config

    config = Config(app, http=OneWriteProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    return config


def _state():
    from uvicorn.server import ServerState

    return ServerState()
