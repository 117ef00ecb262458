"""Viewers note what they were shown and when they went dark, and the figures are made of exactly that."""

import asyncio
from contextlib import asynccontextmanager
from time import perf_counter

import numpy as np
import pytest

from odograph.bench.crowd import Gathered, crowd
from odograph.bench.fleet import Fleet
from odograph.bench.gateways import Gateways
from odograph.bench.install import Options, now_ms
from odograph.bench.links import Link
from odograph.bench.readers import Unexpected
from odograph.bench.report import Rows
from odograph.bench.scenarios.share import House, Load, dark_s, measure, took_s
from odograph.bench.traffic import plan_punctually
from odograph.bench.waiting import NeverCame
from tests.unit.bench.test_load import BUSY, OK, answering

BEGIN_MS = 1_700_000_000_000
KEPT_OPEN = b"for another request"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STATE = b'event: state\ndata: {"assets":[{"fix":{"time":1}}]}\n\n'
ENDED = b'event: ended\ndata: {"reason":"gone"}\n\n'


def update(time_ms):
    return b'id: x\nevent: update\ndata: {"now":5,"assets":[{"fix":{"time":%d}}]}\n\n' % time_ms


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def streaming(story):
    """A server whose stream at each path sends these pieces, a write each; None waits until `go` is set."""
    go = asyncio.Event()

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        for piece in story[path]:
            if piece is None:
                await go.wait()
            elif piece is KEPT_OPEN:
                await reader.read()
            else:
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2], go
    finally:
        server.close()


async def test_a_viewer_notes_each_fix_it_is_shown_and_when_its_link_ended():
    cut = chunk(update(20))
    story = {
        "/a": [
            HEAD,
            chunk(STATE),
            None,
            chunk(update(10)),
            chunk(b": beat\n\n"),
            cut[:30],
            cut[30:],
            chunk(ENDED),
            b"0\r\n\r\n",
            KEPT_OPEN,
        ],
        "/b": [HEAD + chunk(STATE), None, chunk(update(30) + update(40))],
    }
    async with streaming(story) as (address, go), crowd(address) as viewers:
        await viewers.open(["/b", "/a", "/b"])
        assert viewers.is_open == 3
        began = perf_counter()
        go.set()
        heard = await viewers.until_dark(0, 10)
        ended = perf_counter()
    seen = sorted(zip(np.concatenate(heard.viewers), np.concatenate(heard.times_ms), strict=True))
    assert seen == [(0, 30), (0, 40), (1, 10), (1, 20), (2, 30), (2, 40)]
    assert np.concatenate(heard.dark).tolist() == [1]
    assert (heard.untold, heard.ended, heard.updates) == (2, 3, 6)
    assert heard.update_bytes == pytest.approx(6 * len(update(10)), rel=0.1)  # chunk lines are counted too
    moments = np.concatenate([*heard.moments_s, *heard.dark_s])
    assert began < moments.min() <= moments.max() < ended


async def test_who_gets_no_stream_is_told_with_the_status():
    story = {"/a": [HEAD, chunk(STATE), None], "/b": [BUSY]}
    async with streaming(story) as (address, _), crowd(address) as viewers:
        with pytest.raises(Unexpected, match=r"\(503, 1\)"):
            await viewers.open(["/a", "/b"])


async def test_a_stream_that_stays_open_is_told():
    async with streaming({"/a": [HEAD, chunk(STATE), None]}) as (address, _), crowd(address) as viewers:
        await viewers.open(["/a", "/a"])
        with pytest.raises(NeverCame, match="2 streams are still open"):
            await viewers.until_dark(0, 0.2)


def test_each_fix_counts_once_for_each_viewer_from_its_sending_to_its_first_sight():
    fixes = Fleet(3, start_ms=BEGIN_MS).advance(2)
    plan = plan_punctually(fixes, BEGIN_MS)
    times = fixes["time_ms"]
    shown = [  # viewer, what it was shown, when
        (0, times[2, 0], 50.0),
        (1, times[1, 1], 51.0),
        (1, times[1, 1], 52.0),  # again
        (2, times[1, 1], 53.0),
        (2, BEGIN_MS - 9, 54.0),  # from before
    ]
    gathered = Gathered(
        viewers=[np.array([one[0] for one in shown])],
        times_ms=[np.array([one[1] for one in shown], dtype=np.int64)],
        moments_s=[np.array([one[2] for one in shown])],
    )
    sent_s = [40.0, 41.0, 42.0, 43.0, 44.0, 45.0]
    assert sorted(took_s(plan, sent_s, gathered, np.array([2, 1, 1]))) == [50.0 - 44.0, 51.0 - 43.0, 53.0 - 43.0]


def test_darkness_counts_from_the_deletion_of_the_viewers_own_link():
    links = [Link(id=str(n), live_sharing_url="http://x/y", revoked_s=float(n)) for n in (10, 20)]
    gathered = Gathered(dark=[np.array([2, 0]), np.array([1])], dark_s=[np.array([11.0, 12.0]), np.array([20.5])])
    assert dark_s(House(links, [0, 1, 0]), gathered).tolist() == [1.0, 2.0, 0.5]


async def test_gateways_send_each_fix_once_with_its_own_key_however_slow_the_answers_are():
    fixes = Fleet(300, start_ms=now_ms(), step_ms=200).advance(2)
    got = []

    def answer(request):
        got.append(request.split(b" ")[1])
        return [OK]

    async with answering(answer) as address:
        gateways = Gateways(address, [f"key{vehicle}" for vehicle in range(300)])
        await gateways.open()
        await gateways.run(plan_punctually(fixes, int(fixes["time_ms"].min())))
        gateways.close()
    wanted = {
        b"/ingest/osmand/key%d?timestamp=%d" % (vehicle, time)
        for vehicle, times in enumerate(fixes["time_ms"])
        for time in times
    }
    assert {target.partition(b"&")[0] for target in got} == wanted
    assert len(got) == 600
    assert all(gateways.sent_s)


async def test_a_fix_that_is_not_taken_ends_the_measurement():
    fixes = Fleet(2, start_ms=now_ms()).advance(1)
    async with answering(lambda _: [BUSY]) as address:
        gateways = Gateways(address, ["a", "b"])
        await gateways.open()
        with pytest.raises(Unexpected, match="503: 2"):
            await gateways.run(plan_punctually(fixes, now_ms()))
        gateways.close()


async def test_a_few_viewers_of_a_real_server_see_every_fix_and_all_go_dark(tmp_path_factory):
    rows = Rows("share", lambda _: None)
    load = Load(viewers=9, links=3, fleet=6, rate=12, seconds=1, raises=True)
    folder = tmp_path_factory.mktemp("s")  # a control socket's path must be short
    await measure(Options(folder, is_quick=True), rows, load)
    found = {row.name: row for row in rows.rows}
    missing = found["fixes that a viewer did not get"]
    assert (missing.figure, missing.note) == (0, "of 18")
    assert found["streams that ended without a word"].figure == 0
    assert 100 < found["an event"].figure < 2_000
    assert found["resident memory a viewer"].note == "9 viewers, 4 of them on one link"
    assert found["revoke to dark, one link"].note.startswith("4 streams")
    assert found["revoke to dark, the others"].note.startswith("5 streams")
    assert found["viewers with p99 under 250 ms"].figure in {0, 9, 14}  # as the machine is at leisure
