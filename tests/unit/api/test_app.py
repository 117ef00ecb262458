"""The gates that every request passes, on a resource of our own."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from odograph.api import app as app_module
from odograph.api.app import MAX_BODY, build
from odograph.api.resources.base import Answer, Call, Endpoint
from odograph.errors import Corrupt, unavailable
from odograph.model.ids import OrgId
from odograph.telemetry import AccessLog
from tests.support.api import EVERY_SCOPE, World, open_world


class Echo(msgspec.Struct):
    """What came."""

    org: str
    body: str
    id: str


class Pieces:
    """A stream that a test can hold, break and watch."""

    def __init__(self, pieces: Sequence[bytes | Exception]) -> None:
        self.pieces = list(pieces)
        self.is_closed = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def read(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                await self.go_on.wait()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.is_closed = True


class Tiny:
    """Echoes, streams, fails."""

    name = "Tiny"

    def __init__(self) -> None:
        self.stream = Pieces([b"a", b"b", b"c"])
        self.failure: Exception = ZeroDivisionError("secret detail")

    def endpoints(self) -> Sequence[Endpoint]:
        get: dict[str, Any] = {"scope": None, "summary": "x", "is_extension": True}
        return (
            Endpoint("GET", "/echo", handler=self.echo, answers=Echo, **get),
            Endpoint("POST", "/echo/{id}", handler=self.echo, takes=Echo, answers=Echo, **get),
            Endpoint("GET", "/long", handler=self.long, answers=Echo, **get),
            Endpoint("GET", "/stream", handler=self.streamed, produces=("text/plain",), **get),
            Endpoint("GET", "/fail", handler=self.fail, answers=Echo, **get),
            Endpoint("DELETE", "/echo", handler=self.nothing, **get),
        )

    async def echo(self, call: Call) -> Answer:
        echo = Echo(str(call.principal.org), call.body.decode(), call.path.get("id", ""))
        return Answer(msgspec.json.encode(echo))

    async def long(self, _: Call) -> Answer:
        return Answer(msgspec.json.encode(Echo("1", "x" * 100_000, "")))

    async def streamed(self, _: Call) -> Answer:
        return Answer(stream=self.stream.read(), content_type="text/plain")

    async def fail(self, _: Call) -> Answer:
        raise self.failure

    async def nothing(self, _: Call) -> Answer:
        return Answer(status=204)


@pytest.fixture
def tiny() -> Tiny:
    return Tiny()


@pytest_asyncio.fixture
async def world(tmp_path, tiny):
    async with open_world(tmp_path, (tiny,)) as world:
        await world.make_org("Acme")
        yield world


@pytest_asyncio.fixture
async def token(world: World) -> str:
    return await world.make_token(OrgId(1), EVERY_SCOPE)


class Wire:
    """One request, spoken by hand: what to hand in, and what came out."""

    def __init__(self, world: World, token: str, method: str, path: str, **scope: Any) -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {token}".encode()), *scope.pop("headers", ())],
            "client": ("198.51.100.7", 5),
            **scope,
        }
        self.app = world.app
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.on_send: Any = None

    async def run(self) -> None:
        await self.app(self.scope, self.inbox.get, self.send)

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))
        if self.on_send:
            self.on_send(message)

    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def test_the_handler_gets_principal_path_and_body(world, token):
    answer = await world.client(token).post("/echo/7", content=b"hello")
    assert answer.json() == {"org": "1", "body": "hello", "id": "7"}


async def test_head_is_get_without_a_body(world, token):
    for path in ("/echo", "/stream", "/healthz", "/long"):
        answer = await world.client(token).head(path)
        assert answer.status_code == 200
        assert answer.content == b""
    assert int((await world.client(token).head("/long")).headers["content-length"]) > 100_000
    assert (await world.client(token).head("/nowhere")).status_code == 404
    assert (await world.client().head("/echo")).status_code == 401


async def test_a_deletion_answers_204_with_nothing_in_it(world, token):
    answer = await world.client(token).delete("/echo")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers


async def test_a_fault_is_logged_once_with_the_request_id_and_told_to_nobody(world, token, tiny, caplog):
    with caplog.at_level(logging.ERROR):
        answer = await world.client(token).get("/fail")
    assert answer.status_code == 500
    assert answer.json()["message"] == "Internal error."
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "secret detail" in str(record.exc_info[1])
    tiny.failure = Corrupt("day 7 at 512")
    answer = await world.client(token).get("/fail")
    assert "day 7" not in answer.text


async def test_a_store_that_is_away_says_when_to_come_back(world, token, tiny):
    tiny.failure = unavailable("The disk is full.", retry_after_s=7)
    answer = await world.client(token).get("/fail")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_while_the_log_is_read_nobody_is_told_that_their_token_is_wrong(world, token):
    world.context.live.ready.clear()
    answer = await world.client("odo_whatever").get("/echo")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await world.client().get("/readyz")).status_code == 503
    assert (await world.client().get("/healthz")).status_code == 200


async def test_a_body_that_says_it_is_too_large_is_not_read(world, token):
    wire = Wire(world, token, "POST", "/echo/1", headers=[(b"content-length", b"%d" % (MAX_BODY + 1))])
    await wire.run()
    assert wire.sent[0]["status"] == 413
    assert b"connection" not in wire.headers(), "or whoever still writes would never read this answer"


async def test_a_body_that_grows_too_large_is_cut_off(world, token):
    wire = Wire(world, token, "POST", "/echo/1")
    for _ in range(9):
        wire.inbox.put_nowait({"type": "http.request", "body": bytes(1 << 20), "more_body": True})
    await wire.run()
    assert wire.sent[0]["status"] == 413


async def test_bodies_that_are_not_whole_share_bounded_room(world, token):
    size = (b"content-length", b"%d" % MAX_BODY)
    waiting = [
        Wire(world, token, "POST", "/echo/1", headers=[size]) for _ in range(app_module.MAX_UNFINISHED // MAX_BODY)
    ]
    async with asyncio.TaskGroup() as group:
        for wire in waiting:
            group.create_task(wire.run())
        await asyncio.sleep(0.01)
        late = Wire(world, token, "POST", "/echo/1", headers=[size])
        await late.run()
        assert late.sent[0]["status"] == 503
        assert late.headers()[b"retry-after"] == b"5"
        for wire in waiting:
            wire.inbox.put_nowait({"type": "http.disconnect"})
    again = Wire(world, token, "POST", "/echo/1", headers=[size])
    again.inbox.put_nowait({"type": "http.request", "body": b"{}", "more_body": False})
    await again.run()
    assert again.sent[0]["status"] == 200


async def test_a_body_that_breaks_off_is_answered_by_nobody(world, token):
    wire = Wire(world, token, "POST", "/echo/1")
    wire.inbox.put_nowait({"type": "http.request", "body": b"half", "more_body": True})
    wire.inbox.put_nowait({"type": "http.disconnect"})
    await wire.run()
    assert wire.sent == []


async def test_a_body_that_never_comes_is_waited_for_only_so_long(world, token, monkeypatch):
    monkeypatch.setattr(app_module, "BODY_TIMEOUT_S", 0)
    wire = Wire(world, token, "POST", "/echo/1")
    await wire.run()
    assert wire.sent[0]["status"] == 408


async def test_a_stream_comes_in_its_pieces(world, token):
    wire = Wire(world, token, "GET", "/stream")
    await wire.run()
    assert [message.get("body") for message in wire.sent[1:]] == [b"a", b"b", b"c", b""]
    assert [message.get("more_body", False) for message in wire.sent[1:]] == [True, True, True, False]
    assert b"content-length" not in wire.headers()


async def test_a_stream_that_cannot_begin_is_a_plain_refusal(world, token, tiny):
    tiny.stream = Pieces([unavailable("Not now.")])
    assert (await world.client(token).get("/stream")).status_code == 503


async def test_a_stream_that_breaks_is_never_made_to_look_whole(world, token, tiny, caplog):
    tiny.stream = Pieces([b"a", ZeroDivisionError("disk")])
    wire = Wire(world, token, "GET", "/stream")
    with caplog.at_level(logging.ERROR):
        await wire.run()
    assert [message.get("body") for message in wire.sent[1:]] == [b"a"]
    assert all(message.get("more_body") for message in wire.sent[1:]), (
        "no last piece: the server cuts the connection"
    )
    assert tiny.stream.is_closed
    assert len(caplog.records) == 1


async def test_a_stream_stops_when_its_reader_is_gone(world, token, tiny):
    tiny.stream = Pieces([b"x"] * 1_000_000)
    wire = Wire(world, token, "GET", "/stream")

    def hang_up(message: Any) -> None:
        if message.get("body"):
            tiny.stream.go_on.clear()
            wire.inbox.put_nowait({"type": "http.disconnect"})
            asyncio.get_running_loop().call_soon(tiny.stream.go_on.set)

    wire.on_send = hang_up
    await asyncio.wait_for(wire.run(), 20)
    assert len(wire.sent) < 20
    assert tiny.stream.is_closed


async def test_long_answers_are_packed_for_others_and_not_for_this_machine(world, token):
    for client, headers, is_packed in (
        (("198.51.100.7", 5), [(b"accept-encoding", b"gzip, deflate")], True),
        (("198.51.100.7", 5), [], False),
        (("127.0.0.1", 5), [(b"accept-encoding", b"gzip")], False),
        (None, [(b"accept-encoding", b"gzip")], False),
    ):
        wire = Wire(world, token, "GET", "/long", client=client, headers=headers)
        await wire.run()
        body = wire.sent[1]["body"]
        assert (wire.headers().get(b"content-encoding") == b"gzip") == is_packed
        assert int(wire.headers()[b"content-length"]) == len(body)
        assert len(gzip.decompress(body) if is_packed else body) > 100_000
    wire = Wire(world, token, "GET", "/echo", headers=[(b"accept-encoding", b"gzip")])
    await wire.run()
    assert b"content-encoding" not in wire.headers()


async def test_the_operator_is_known_by_the_socket_alone(world):
    forged = world.client()
    forged.headers.update({"X-Odograph-Operator": "true", "odograph.operator": "1"})
    assert (await forged.get("/echo")).status_code == 401
    assert (await world.client(operator=True).get("/echo")).json()["org"] == "1"


async def test_the_operator_says_which_org_where_there_are_several(world):
    other = await world.make_org("Globex")
    assert (await world.client(operator=True).get("/echo")).status_code == 400
    for name in ("Globex", "globex", str(other)):
        assert (await world.client(operator=True, org=name).get("/echo")).json()["org"] == str(other)
    assert (await world.client(operator=True, org="Initech").get("/echo")).status_code == 404


async def test_a_token_cannot_choose_its_org(world, token):
    await world.make_org("Globex")
    assert (await world.client(token, org="Globex").get("/echo")).json()["org"] == "1"


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer   {}"])
async def test_the_scheme_is_bearer_in_any_case(world, token, header):
    answer = await world.client().get("/echo", headers={"Authorization": header.format(token)})
    assert answer.status_code == 200


@pytest.mark.parametrize("header", ["{}", "Basic {}", "Token {}", "Bearer", "Bearer {}x", "Bearer {} {}"])
async def test_anything_else_is_not(world, token, header):
    answer = await world.client().get("/echo", headers={"Authorization": header.format(token, token)})
    assert answer.status_code == 401


async def test_a_token_in_the_query_is_no_token(world, token):
    assert (await world.client().get("/echo", params={"token": token, "access_token": token})).status_code == 401


async def test_every_request_has_an_id_of_its_own(world, token):
    client = world.client(token)
    answers = [await client.get("/echo") for _ in range(5)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5


async def test_what_is_not_http_is_turned_away(world):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await AccessLog(build(world.context, ()))({"type": "websocket", "path": "/"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
    await build(world.context, ())({"type": "lifespan"}, receive, send)
    assert len(sent) == 1


async def test_public_pages_take_get_alone_and_hide_behind_401(world, token):
    assert (await world.client(token).post("/healthz")).status_code == 405
    assert (await world.client().post("/healthz")).status_code == 401
    assert (await world.client().get("/healthz/")).status_code == 200


async def test_the_root_is_nothing(world, token):
    answer: httpx.Response = await world.client(token).get("/")
    assert answer.status_code == 404
