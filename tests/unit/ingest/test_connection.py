"""What a connection does with devices' requests among others: order, pressure, its end, what the operator sees."""

from __future__ import annotations

import asyncio
import json
import logging
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import pytest

from odograph.clock import Clock
from odograph.errors import Kind, Refusal, unavailable
from odograph.ingest import patience
from odograph.ingest.connection import LONGEST_HEAD
from odograph.ingest.door import Sender
from odograph.ingest.http import LONG_BODY, MAX_STRANGERS_UNFINISHED, IngestHttp
from odograph.ingest.intake import Intake
from odograph.network import WELCOME
from odograph.protocols.base import Delivery, HttpAnswer, HttpRequest, Taken
from odograph.telemetry import REGISTRY, request_id
from tests.unit.ingest.driver import Heard, Server
from tests.unit.ingest.scripted import StillClock

GET = b"GET /ingest/echo?%b HTTP/1.1\r\nhost: test\r\n\r\n"


HERE = "127.0.0.1"
"""An address whose strangers are bounded by nothing but what room there is."""


class Echo:
    """A protocol that answers with the query or body that it was sent."""

    name = "echo"

    def __init__(self) -> None:
        self.decoded: list[str] = []

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        said = request.query or request.body.decode()
        self.decoded.append(said)
        if said == "bug":
            raise ZeroDivisionError(said)
        return (Delivery(said, ()),)  # type: ignore[arg-type]

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:
        [(_, said)] = taken[0].rejected
        if said == "bug-at-the-end":
            raise ZeroDivisionError(said)
        return HttpAnswer(200, said.encode(), "text/plain")


class Scripted:
    """An intake that tells when it is told to."""

    def __init__(self) -> None:
        self.waiting: dict[str, Callable[[Sequence[Taken] | Refusal], None]] = {}
        self.senders: list[Sender] = []

    def offer(self, protocol, delivery, sender, tell) -> None:
        self.senders.append(sender)
        self.waiting[delivery.claim] = tell

    def check_key(self, _: str, sender: Sender) -> None:
        if sender.key != "known":
            raise Refusal(Kind.UNAUTHENTICATED, "Unknown device key.")

    def tell(self, said: str) -> None:
        self.waiting.pop(said)([Taken(rejected=[(0, said)])])


class World:
    """A server with one protocol; whatever is not a device's is answered 'app'."""

    def __init__(self, **options: Any) -> None:
        self.echo, self.intake = Echo(), Scripted()
        ingest = IngestHttp([self.echo], cast(Intake, self.intake), cast(Clock, StillClock()))  # type: ignore[list-item]

        self.app_is_for_friends = False

        async def app(scope, receive, send) -> None:
            if self.app_is_for_friends:
                scope[WELCOME] = True
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
            await send({"type": "http.response.body", "body": b"app"})

        self.server = Server(ingest, app, **options)


async def turns(is_reached: Callable[[], bool]) -> None:
    """A few turns of the event loop, until something has happened."""
    for _ in range(100):
        if is_reached():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not happen")


@pytest.fixture
def world():
    return World()


def post(body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST /ingest/echo HTTP/1.1", b"host: test", b"content-length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"", body))


async def test_an_answer_goes_out_in_the_step_that_hears_of_the_commit(world):
    connection, wire = world.server.connect()
    connection.data_received(GET % b"a")
    assert not wire.written
    world.intake.tell("a")
    assert wire.written.endswith(b"\r\n\r\na")


async def test_pipelined_requests_are_answered_in_order_whoever_serves_them(world):
    connection, wire = world.server.connect()
    app = b"GET /elsewhere HTTP/1.1\r\nhost: test\r\n\r\n"
    connection.data_received(GET % b"a" + app + post(b"b") + app + GET % b"c")
    assert wire.is_paused, "the device says more than is answered"
    heard = []
    for said in ("a", "app", "b", "app", "c"):
        if said != "app":
            await turns(partial(operator.contains, world.intake.waiting, said))
            world.intake.tell(said)
        heard.append((await wire.answer()).body.decode())
    assert heard == ["a", "app", "b", "app", "c"]
    assert not wire.is_paused


async def test_however_many_are_refused_in_a_row_each_has_its_answer(world):
    connection, wire = world.server.connect()
    many = 3_000
    connection.data_received(GET % b"first" + b"GET /ingest/nothing HTTP/1.1\r\nhost: test\r\n\r\n" * many)
    world.intake.tell("first")
    statuses = [(await wire.answer()).status for _ in range(1 + many)]
    assert statuses == [200] + [404] * many


async def test_who_does_not_read_its_answers_is_not_listened_to(world):
    connection, wire = world.server.connect()
    connection.data_received(GET % b"a")
    connection.pause_writing()
    assert wire.is_paused
    world.intake.tell("a")
    assert wire.is_paused, "an answer does not change that"
    connection.resume_writing()
    assert not wire.is_paused


async def test_a_body_is_asked_for_once_the_head_is_welcome(world):
    connection, wire = world.server.connect()
    begin, body = post(b"body", b"expect: 100-continue").split(b"\r\n\r\n")
    connection.data_received(begin + b"\r\n\r\n")
    await asyncio.sleep(0)
    assert bytes(wire.written) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.written.clear()
    connection.data_received(body)
    world.intake.tell("body")
    assert (await wire.answer()).body == b"body"
    too_long = begin.replace(b"content-length: 4", b"content-length: 400000000") + b"\r\n\r\n"
    connection.data_received(too_long)
    assert (await wire.answer()).status == 413
    assert wire.is_closed


@pytest.mark.parametrize(
    ("request_line", "header"),
    [(b"GET /ingest/echo?a HTTP/1.0", b"x: y"), (b"GET /ingest/echo?a HTTP/1.1", b"connection: close")],
)
async def test_a_connection_that_shall_not_be_kept_is_closed_after_the_answer(world, request_line, header):
    connection, wire = world.server.connect()
    connection.data_received(b"\r\n".join((request_line, b"host: test", header, b"", b"")))
    assert not wire.is_closed
    world.intake.tell("a")
    heard = await wire.answer()
    assert (heard.body, heard.headers["connection"]) == (b"a", "close")
    assert wire.is_closed


async def test_stopping_waits_for_the_answer_and_closes_who_waits_for_nothing(world):
    (busy, wire), (idle, other) = world.server.connect(), world.server.connect()
    busy.data_received(GET % b"a")
    for connection in (busy, idle):
        connection.shutdown()
    assert (wire.is_closed, other.is_closed) == (False, True)
    world.intake.tell("a")
    assert (await wire.answer()).headers["connection"] == "close"
    assert wire.is_closed


async def test_who_went_away_is_not_answered_and_harms_nobody(world):
    connection, wire = world.server.connect()
    connection.data_received(GET % b"a")
    connection.connection_lost(None)
    world.intake.tell("a")
    assert not wire.written
    cut, wire = world.server.connect()
    cut.data_received(post(b"whole")[:-1])
    cut.connection_lost(None)
    assert world.echo.decoded == ["a"]


async def test_what_is_not_http_is_told_so_and_hung_up_on(world):
    connection, wire = world.server.connect()
    connection.data_received(b"GET /ingest/echo?a HTTP/1.1\r\nno colon here\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert wire.is_closed


async def test_a_bug_of_ours_is_500_and_the_connection_goes_on(world, caplog):
    connection, wire = world.server.connect()
    for bug in (b"bug", b"bug-at-the-end"):
        with caplog.at_level(logging.ERROR):
            connection.data_received(GET % bug)
            for said in list(world.intake.waiting):
                world.intake.tell(said)
            heard = await wire.answer()
        assert (heard.status, heard.message) == (500, "Something went wrong here. Send this again later.")
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()
    connection.data_received(GET % b"a")
    world.intake.tell("a")
    assert (await wire.answer()).body == b"a"


async def test_long_requests_let_short_ones_pass(world):
    long = [b"%d" % number + b"x" * LONG_BODY for number in range(6)]
    wires = []
    for body in long:
        connection, wire = world.server.connect()
        connection.data_received(post(body))
        wires.append(wire)
    assert world.echo.decoded == []
    await asyncio.sleep(0)
    assert 0 < len(world.echo.decoded) < len(long), "a part of them a turn"
    connection, wire = world.server.connect()
    connection.data_received(GET % b"short")
    assert world.echo.decoded[-1] == "short"
    await turns(lambda: len(world.intake.waiting) > len(long))
    assert [said for said in world.echo.decoded if said != "short"] == [body.decode() for body in long]


async def test_a_refusal_has_its_line_and_its_id_and_what_is_taken_is_counted_only(world, caplog, monkeypatch):
    def count(status: str) -> float:
        labels = {"endpoint": "/ingest/echo", "status": status}
        return REGISTRY.get_sample_value("odograph_requests_total", labels) or 0.0

    ids: list[str] = []

    def noting(_: logging.LogRecord) -> bool:
        ids.append(request_id())
        return True

    monkeypatch.setattr(logging.getLogger("odograph.access"), "filters", [noting])
    before = count("200"), count("503")
    connection, wire = world.server.connect()
    with caplog.at_level(logging.INFO, logger="odograph.access"):
        connection.data_received(GET % b"a" + GET % b"key=secret&b")
        world.intake.tell("a")
        await asyncio.sleep(0)
        world.intake.waiting.pop("key=secret&b")(unavailable("Not now.", retry_after_s=3))
    assert (await wire.answer()).status == 200
    refused = await wire.answer()
    assert (refused.status, refused.headers["retry-after"], refused.message) == (503, "3", "Not now.")
    assert (count("200"), count("503")) == (before[0] + 1, before[1] + 1)
    [line] = [vars(record) for record in caplog.records if record.name == "odograph.access"]
    assert ids == [json.loads(refused.body)["requestId"]]
    assert request_id() == "", "it is of no other request"
    assert (line["status"], line["path"], line["client"]) == (503, "/ingest/echo?key=secret&b", "203.0.113.9")


@pytest.mark.parametrize(
    ("forwarded", "came_from", "address"),
    [
        (b"198.51.100.7", "127.0.0.1", "198.51.100.7"),
        (b"192.0.2.1, 198.51.100.7", "127.0.0.1", "198.51.100.7"),
        (b"198.51.100.7", "203.0.113.9", "203.0.113.9"),
        (b"", "127.0.0.1", "127.0.0.1"),
    ],
)
async def test_a_proxy_is_believed_where_the_operator_trusts_it(forwarded, came_from, address):
    world = World(proxy_headers=True, forwarded_allow_ips=["127.0.0.1"])
    connection, _ = world.server.connect(came_from)
    connection.data_received(
        b"GET /ingest/echo?a HTTP/1.1\r\nhost: test\r\nx-forwarded-for: " + forwarded + b"\r\n\r\n"
    )
    assert world.intake.senders == [Sender(address, None)]


async def test_without_a_proxy_nobody_says_where_they_come_from(world):
    world = World(proxy_headers=False)
    connection, _ = world.server.connect()
    connection.data_received(b"GET /ingest/echo?a HTTP/1.1\r\nhost: test\r\nx-forwarded-for: 198.51.100.7\r\n\r\n")
    assert world.intake.senders == [Sender("203.0.113.9", None)]


@pytest.mark.parametrize(
    ("said", "status", "message"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400, "This is no HTTP/1.1 request"),
        (b"NONSENSE / HTTP/1.1\r\n\r\n", 400, "This is no HTTP/1.1 request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "This is no HTTP/1.1 request"),
        (b"GET http://[ HTTP/1.1\r\nhost: test\r\n\r\n", 400, "This is no HTTP/1.1 request"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "This is no HTTP/1.1 request"),
        (
            b"GET /x?vehicleIds=%b HTTP/1.1\r\nhost: test\r\n\r\n" % (b"1," * 40_000),
            414,
            "The URL is longer than 65535",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", b"GET /elsewhere HTTP/1.1\r\nhost: test\r\n\r\n"])
async def test_what_never_became_a_request_is_refused_like_all_else(world, caplog, said, status, message, before):
    world.server.state.default_headers = [(b"date", b"today")]
    connection, wire = world.server.connect()
    if before:
        connection.data_received(before)
        assert (await wire.answer()).body == b"app"
    with caplog.at_level(logging.INFO, logger="odograph.access"):
        connection.data_received(said)
        heard = await wire.answer()
    assert heard.status == status
    assert heard.message.startswith(message)
    assert wire.is_closed
    assert (heard.headers["content-type"], heard.headers["date"]) == ("application/json", "today")
    assert heard.headers["x-request-id"] == json.loads(heard.body)["requestId"]
    [line] = [vars(record) for record in caplog.records if record.name == "odograph.access"]
    assert (line["status"], line["client"]) == (status, "203.0.113.9")
    assert len(line["path"]) <= 200
    assert request_id() == "", "it is of no other request"
    connection.data_received(b"more of it")
    assert not wire.written, "nothing is said after the end"


async def test_answers_say_what_the_server_says_with_all_of_them(world):
    connection, wire = world.server.connect()
    for date in (b"Thu, 01 Jan 1970 00:00:00 GMT", b"Thu, 01 Jan 1970 00:00:01 GMT"):
        world.server.state.default_headers = [(b"date", date)]
        connection.data_received(GET % b"a")
        world.intake.tell("a")
        heard: Heard = await wire.answer()
        assert heard.headers["date"] == date.decode()


BEARER = b"authorization: Bearer %b"
MIB = 1 << 20


def begin(size: int, *headers: bytes) -> bytes:
    """The first half of a body of so many bytes."""
    return post(b"x" * size, *headers)[: -(size // 2)]


async def test_strangers_share_bounded_room_for_what_they_have_not_finished(world):
    held = []
    for _ in range(MAX_STRANGERS_UNFINISHED // MIB):
        connection, wire = world.server.connect()
        connection.data_received(begin(MIB))
        assert not wire.written
        held.append(connection)
    late, wire = world.server.connect()
    late.data_received(begin(MIB))
    heard = await wire.answer()
    assert (heard.status, heard.headers["retry-after"]) == (503, "5")
    assert wire.is_closed
    connection, wire = world.server.connect()
    connection.data_received(post(b"short"))
    world.intake.tell("short")
    assert (await wire.answer()).status == 200, "what comes at once takes no room"
    known, wire = world.server.connect()
    known.data_received(begin(2 * MIB, BEARER % b"known"))
    assert not wire.written, "whoever has a key has other room"
    held[0].connection_lost(None)
    again, wire = world.server.connect()
    again.data_received(begin(MIB))
    assert not wire.written, "who hangs up leaves room"
    again.data_received(b"x" * (MIB // 2))
    await turns(lambda: "x" * MIB in world.intake.waiting)
    world.intake.tell("x" * MIB)
    assert (await wire.answer()).status == 200
    again.data_received(begin(MIB))
    assert not wire.written, "who is answered leaves room"


async def test_a_body_without_a_length_takes_room_as_it_comes(world, monkeypatch):
    part = b"%x\r\n%b\r\n" % (MIB // 2, b"x" * (MIB // 2))
    head = b"POST /ingest/echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    statuses = []
    for _ in range(MAX_STRANGERS_UNFINISHED // MIB + 2):
        connection, wire = world.server.connect()
        connection.data_received(head)
        connection.data_received(part)
        connection.data_received(part)
        statuses.append(wire.written[9:12])
    assert statuses == [b""] * 8 + [b"503"] * 2


async def test_the_rest_of_a_body_is_not_waited_for_when_its_key_is_unknown(world):
    connection, wire = world.server.connect()
    connection.data_received(begin(1000, BEARER % b"other"))
    assert (await wire.answer()).status == 401


async def test_headers_have_a_bound(world):
    connection, wire = world.server.connect()
    connection.data_received(b"GET /elsewhere HTTP/1.1\r\n")
    for number in range(LONGEST_HEAD // 1000 + 2):
        if not wire.is_closed:
            connection.data_received(b"x-%d: %b\r\n" % (number, b"y" * 1000))
    heard = await wire.answer()
    assert heard.status == 431
    assert "longer than 131072 bytes" in heard.message
    assert wire.is_closed


async def test_a_long_body_before_a_head_does_not_count_as_head(world):
    connection, wire = world.server.connect()
    body = b"x" * (2 * LONGEST_HEAD)
    connection.data_received(post(body) + b"GET /elsewhere HTTP/1.1\r\nhost")
    connection.data_received(b": test\r\n\r\n")
    await turns(lambda: bool(world.intake.waiting))
    world.intake.tell(body.decode())
    assert (await wire.answer()).status == 200
    assert (await wire.answer()).body == b"app"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE_S", 0.02)
    monkeypatch.setattr(patience, "LOOK_EVERY_S", 0.01)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /elsew", b"GET /elsewhere HTTP/1.1\r\nhost", begin(1000), begin(1000).replace(b"echo", b"echo?")],
)
async def test_who_stops_in_the_middle_is_hung_up_on(world, impatient, said):
    connection, wire = world.server.connect()
    if said:
        connection.data_received(said)
    heard = await wire.answer()
    assert wire.is_closed
    assert heard.status == (408 if said else 0)


async def test_who_goes_on_slowly_or_waits_for_us_is_not_hung_up_on(world, impatient):
    slow, slow_wire = world.server.connect()
    waiting, waiting_wire = world.server.connect()
    idle, idle_wire = world.server.connect()
    head, _, body = post(b"slow" * 10).rpartition(b"\r\n\r\n")
    slow.data_received(head + b"\r\n\r\n")
    idle.data_received(GET % b"idle")
    world.intake.tell("idle")
    waiting.data_received(GET % b"waiting" + b"GET /elsewhere HTTP/1.1\r\nhost")
    for byte in body:
        slow.data_received(bytes([byte]))
        await asyncio.sleep(0.002)
    world.intake.tell("slow" * 10)
    assert (await slow_wire.answer()).status == 200
    assert (await idle_wire.answer()).status == 200
    assert not (waiting_wire.is_closed)
    assert not (idle_wire.is_closed)
    world.intake.tell("waiting")
    assert (await waiting_wire.answer()).status == 200
    assert (await waiting_wire.answer()).status == 408, "now it is its turn"


@pytest.mark.parametrize("before", [b"", GET % b"before"], ids=["a first request", "a second request"])
@pytest.mark.parametrize("piece", [b"x", b"\r\n"], ids=["of a head", "of empty lines"])
async def test_a_head_has_its_time_however_it_trickles_in(world, impatient, before, piece):
    connection, wire = world.server.connect()
    if before:
        connection.data_received(before)
        world.intake.tell("before")
        assert (await wire.answer()).status == 200
    if piece == b"x":
        connection.data_received(b"GET /")
    for _ in range(100):
        if wire.is_closed:
            break
        connection.data_received(piece)
        await asyncio.sleep(0.002)
    assert (await wire.answer()).status == (408 if before or piece == b"x" else 0)
    assert wire.is_closed


async def test_empty_lines_before_a_request_do_no_harm(world):
    connection, wire = world.server.connect()
    for said in ("a", "b"):
        connection.data_received(b"\r\n\r\n")
        connection.data_received(GET % said.encode())
        world.intake.tell(said)
        assert (await wire.answer()).body == said.encode()


async def test_who_was_taken_for_one_of_ours_makes_room_for_nobody():
    world = World(most=3)
    known, known_wire = world.server.connect(HERE)
    known.data_received(GET % b"known")
    world.intake.tell("known")
    refused, refused_wire = world.server.connect(HERE)
    refused.data_received(b"GET /elsewhere HTTP/1.1\r\nhost: test\r\n\r\n")
    assert (await refused_wire.answer()).body == b"app", "which is for everybody"
    served, served_wire = world.server.connect(HERE)
    served.data_received(GET % b"served")
    _, newest_wire = world.server.connect(HERE)
    assert [wire.is_closed for wire in (known_wire, refused_wire, served_wire, newest_wire)] == [
        False, True, False, False,
    ]  # fmt: skip
    world.intake.tell("served")
    assert (await served_wire.answer()).body == b"served"


async def test_a_token_or_a_link_makes_a_connection_known_as_a_key_does():
    world = World(most=1)
    world.app_is_for_friends = True
    known, known_wire = world.server.connect(HERE)
    known.data_received(b"GET /elsewhere HTTP/1.1\r\nhost: test\r\n\r\n")
    assert (await known_wire.answer()).body == b"app"
    _, newest_wire = world.server.connect(HERE)
    assert (known_wire.is_closed, newest_wire.is_closed) == (False, True)


async def test_a_key_is_known_before_a_long_body_has_come():
    world = World(most=1)
    long, long_wire = world.server.connect(HERE)
    long.data_received(begin(LONG_BODY, b"x-device-key: known"))
    _, newest_wire = world.server.connect(HERE)
    assert (long_wire.is_closed, newest_wire.is_closed) == (False, True)


@pytest.mark.parametrize(
    ("options", "is_told"),
    [
        ({}, True),
        ({"proxy_headers": True, "forwarded_allow_ips": ["192.0.2.1"]}, True),
        ({"proxy_headers": True, "forwarded_allow_ips": ["203.0.113.0/24"]}, False),
    ],
)
async def test_a_proxy_that_nobody_trusts_is_told_of_once(caplog, options, is_told):
    world = World(**({"proxy_headers": False} | options))
    for _ in range(2):
        connection, _ = world.server.connect()
        connection.data_received(
            b"GET /ingest/nothing HTTP/1.1\r\nhost: test\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
        )
    told = [record for record in caplog.records if "trusted_proxies" in record.message]
    assert [record.client for record in told] == ["203.0.113.9"] * is_told
