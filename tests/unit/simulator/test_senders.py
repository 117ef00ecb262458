"""A sender believes an answer and nothing else, whatever happens to its connection."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest

from odograph.errors import Refusal
from odograph.model.fixes import Report
from odograph.protocols.base import Claim
from odograph.protocols.registry import PROTOCOLS
from odograph.simulator.senders import (
    NoAnswer,
    Patience,
    Server,
    Unwelcome,
    make_sender,
    open_client,
    protocol_names,
)
from tests.unit.simulator.doubles import HANG_UP, failure

IMEI = "356307042441013"
START_MS = 1_600_000_000_000


def reports(count, first=0):
    return [Report(START_MS + (first + i) * 1000, 30.0 + i / 1e4, -97.0, 90.0, 36.0) for i in range(count)]


@asynccontextmanager
async def sender(name, server, clock, *, device=IMEI, patience_s=900.0):
    claim = Claim(device, None if name == "teltonika" else "secret/key")
    async with open_client(server.server, 4) as client:
        patience = Patience(clock, random.Random(1), patience_s)
        one = make_sender(name, claim, server.server, client, patience, clock)
        try:
            yield one
        finally:
            await one.close()


async def send_all(one, said):
    tallies = []
    for start in range(0, len(said), one.max_reports):
        tallies.append(await one.send(said[start : start + one.max_reports]))
    return tallies


@pytest.mark.parametrize("name", protocol_names())
async def test_every_protocol_arrives_over_one_connection_in_order(server, clock, name):
    said = reports(5)
    async with sender(name, server, clock) as one:
        tallies = await send_all(one, said)
    assert [(round(heard.lat, 7), heard.time_ms) for heard in server.heard[IMEI]] == [
        (round(report.lat, 7), report.time_ms) for report in said
    ]
    assert server.connections == 1
    assert sum(tally.sent for tally in tallies) == sum(tally.taken for tally in tallies) == 5
    assert all("secret%2Fkey" in request.path for request in server.requests)


def test_the_names_are_those_of_the_registry():
    assert protocol_names() == [one.name for one in PROTOCOLS.http] + [one.name for one in PROTOCOLS.stream]


async def test_a_batch_is_gzipped_numbered_and_tells_what_became_of_it(server, clock):
    said = [*reports(50), Report(START_MS, 30, -97), Report(START_MS - 1, 400.0, -97)]
    async with sender("batch", server, clock) as one:
        tally = await one.send(said, 7)
    assert server.requests[0].headers["content-encoding"] == "gzip"
    assert server.numbers == [7]
    assert (tally.sent, tally.taken, tally.stored, tally.known) == (52, 51, 50, 1)
    assert tally.refused == {"latitude_out_of_range": 1}


async def test_counts_in_a_header_are_read_for_protocols_whose_answer_tells_none(server, clock):
    told = b'{"stored":0,"known":0,"rejected":[{"index":0,"reason":"time_too_old"}]}'
    server.fails.append(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nodograph-taken: " + told + b"\r\n\r\n")
    async with sender("osmand", server, clock) as one:
        tally = await one.send(reports(1))
    assert (tally.sent, tally.taken, tally.refused) == (1, 0, {"time_too_old": 1})


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507])
async def test_a_server_that_has_no_room_is_tried_again_when_it_says(server, clock, status):
    server.fails.extend([failure(status, "retry-after: 7"), failure(status, "Retry-After: 11"), HANG_UP])
    async with sender("batch", server, clock) as one:
        tally = await one.send(reports(3))
    assert clock.slept[:2] == [7.0, 11.0]
    assert 0 < clock.slept[2] <= 2.0
    assert tally.stored == 3
    assert len(server.requests) == 4


async def test_retry_after_may_be_a_date(server, clock):
    server.fails.append(failure(503, f"retry-after: {formatdate(clock.now_ms() / 1000 + 40, usegmt=True)}"))
    async with sender("batch", server, clock) as one:
        await one.send(reports(1))
    assert clock.slept == [40.0]


async def test_a_retry_after_of_nonsense_is_ignored(server, clock):
    server.fails.append(failure(503, "retry-after: soon"))
    async with sender("batch", server, clock) as one:
        await one.send(reports(1))
    assert 0 < clock.slept[0] <= 0.5


async def test_waits_grow_to_a_bound_and_patience_ends(server, clock):
    server.fails.extend([HANG_UP] * 100)
    async with sender("osmand", server, clock, patience_s=600) as one:
        with pytest.raises(NoAnswer, match="600 s"):
            await one.send(reports(1))
    assert server.heard == {}
    assert clock.slept[3] > clock.slept[0]
    assert max(clock.slept) <= 60
    assert 300 < sum(clock.slept) <= 600


async def test_an_answer_renews_the_patience(server, clock):
    async with sender("osmand", server, clock, patience_s=20) as one:
        for number in range(5):
            server.fails.append(failure(503, "retry-after: 15"))
            await one.send(reports(1, number))
    assert len(server.heard[IMEI]) == 5


@pytest.mark.parametrize("status", [401, 403, 404, 301])
async def test_a_device_that_is_turned_away_is_told_why_and_nothing_counts_as_taken(server, clock, status):
    server.fails.append(failure(status, message="This key was revoked."))
    async with sender("batch", server, clock) as one:
        with pytest.raises(Unwelcome, match="This key was revoked"):
            await one.send(reports(1))
    assert clock.slept == []


async def test_what_the_server_can_not_understand_is_refused_with_its_words(server, clock):
    server.fails.append(failure(400, message="Not understood: lat is missing."))
    async with sender("osmand", server, clock) as one:
        tally = await one.send(reports(1))
    assert tally.taken == 0
    assert tally.refused == {"status 400: Not understood: lat is missing.": 1}


async def test_a_url_that_is_none_is_refused_at_once(clock):
    server = Server("fleet.example:8080")
    async with open_client(server, 1) as client:
        one = make_sender("osmand", Claim("d", "k"), server, client, Patience(clock, random.Random(1)), clock)
        with pytest.raises(Unwelcome, match="URL"):
            await one.send(reports(1))


async def test_a_tracker_whose_connection_breaks_logs_in_again_and_repeats_the_frame(server, clock):
    async with sender("teltonika", server, clock) as one:
        await one.send(reports(3))
        server.fails.append(HANG_UP)
        tally = await one.send(reports(3, 3))
    assert tally.taken == 3
    assert server.connections == 2
    assert [report.time_ms for report in server.heard[IMEI]] == [START_MS + i * 1000 for i in range(6)]


async def test_a_receipt_for_fewer_reports_is_no_receipt(server, clock):
    async with sender("teltonika", server, clock) as one:
        await one.send(reports(1))
        server.fails.append((1).to_bytes(4, "big"))
        tally = await one.send(reports(2, 1))
    assert tally.taken == 2
    assert len(server.heard[IMEI]) == 3
    assert len(clock.slept) == 1


async def test_a_tracker_that_is_refused_or_has_no_imei_is_unwelcome(server, clock):
    server.fails.append(b"\x00")
    async with sender("teltonika", server, clock) as one:
        with pytest.raises(Unwelcome, match=IMEI):
            await one.send(reports(1))
    async with sender("teltonika", server, clock, device="van-1") as one:
        with pytest.raises(Unwelcome, match="van-1"):
            await one.send(reports(1))


async def test_what_a_tracker_has_no_words_for_does_not_hold_up_the_rest(server, clock):
    said = [*reports(2), Report(START_MS - 1, 400.0, -97), Report(START_MS - 2, float("nan"), -97)]
    async with sender("teltonika", server, clock) as one:
        tally = await one.send(said)
    assert (tally.sent, tally.taken) == (4, 2)
    assert tally.refused == {"can't be said in teltonika": 2}


async def test_an_unknown_protocol_and_an_unknown_port_are_named(server, clock):
    async with open_client(server.server, 1) as client:
        patience = Patience(clock, random.Random(1))
        with pytest.raises(Refusal, match="There are: batch, osmand"):
            make_sender("gt06", Claim(), server.server, client, patience, clock)
        with pytest.raises(Refusal, match="TCP port"):
            make_sender("teltonika", Claim(), Server("http://x"), client, patience, clock)
