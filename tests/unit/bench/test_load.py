"""The lean client reads answers however they are cut, and sends again what was not taken."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from odograph.bench.load import Asker, Blast, Lost, connect

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def answering(answer_to):
    """A server that answers each whole request with the pieces that `answer_to(request)` gives; b"" hangs up."""

    async def serve(reader, writer):
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                for piece in answer_to(request):
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        await server.wait_closed()


def _heard_in(pieces):
    """What a wire makes of these bytes, without a network."""
    from odograph.bench.load import Wire

    heard = []
    wire = Wire(lambda _, status, body: heard.append((status, body)))
    for piece in pieces:
        wire.data_received(piece)
    return heard


@pytest.mark.parametrize("answer", [OK, OK.replace(b"Content-Length", b"content-length"), CHUNKED])
def test_an_answer_is_read_wherever_it_is_cut(answer):
    for cut in range(1, len(answer)):
        assert _heard_in([answer[:cut], answer[cut:]]) == [(200, b"hello")]
    assert _heard_in([bytes([byte]) for byte in answer]) == [(200, b"hello")]


def test_two_answers_one_after_the_other_are_two():
    assert _heard_in([OK, CHUNKED, OK]) == [(200, b"hello")] * 3


async def test_an_asker_connects_again_after_the_server_hung_up():
    async with answering(lambda request: [b""] if b"/bye" in request else [OK]) as address:
        asker = Asker(address)
        assert await asker.get("/") == (200, b"hello")
        with pytest.raises(Lost):
            await asker.get("/bye")
        assert (await asker.get("/")).status == 200
        asker.close()


async def test_a_blast_sends_everything_and_sends_again_what_was_not_taken():
    seen = []

    def answer(request):
        seen.append(request)
        return [BUSY] if len(seen) in {3, 4} else [b""] if len(seen) == 6 else [OK]

    async with answering(answer) as address:
        blast = Blast(address, 4)
        await blast.open()
        requests = [b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(20)]
        blasted = await blast.run(iter(requests))
        blast.close()
    assert blasted.requests == 20
    assert blasted.retried == 3
    assert set(seen) == set(requests)
    assert blasted.problems() == []
    assert len(blasted.latencies_s) == 20


async def test_a_refusal_is_final_and_told():
    async with answering(lambda _: [BUSY.replace(b"503", b"403")]) as address:
        blast = Blast(address, 2)
        await blast.open()
        blasted = await blast.run(iter([b"GET / HTTP/1.1\r\n\r\n"] * 3))
        blast.close()
    assert blasted.problems() == ["3 x 403: b''"]


async def test_nobody_listening_is_an_error():
    async with answering(lambda _: []) as address:
        pass
    with pytest.raises(OSError):
        await connect(address, lambda *_: None)
