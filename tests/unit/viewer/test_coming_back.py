"""Streams that drop, fall behind and come back lose no point, and nobody else's viewers pay for them."""

from __future__ import annotations

import asyncio
import random

import pytest

from odograph.viewer.streams import MOST_BYTES, MOST_EVENTS, STALLED_S, Stream
from tests.support.viewing import MINUTE_MS, NOON_MS, Viewing, Watching, open_viewing


def points(events) -> set[float]:
    """Latitudes of all trail points in these events."""
    found: set[float] = set()
    for event in events:
        if event.name == "missed":
            found |= {lat for _, lat, _ in event.data["points"]}
        else:
            found |= {lat for asset in event.data.get("assets", ()) for _, lat, _ in asset.get("trail", ())}
    return found


async def drained(watching: Watching):
    """What it has been sent by now."""
    for _ in range(30):
        await asyncio.sleep(0)
    return [watching.events.get_nowait() for _ in range(watching.events.qsize())]


@pytest.mark.parametrize("seed", range(8))
async def test_a_viewer_that_drops_anywhere_and_comes_back_loses_no_point(tmp_path, seed):
    """The trail of the state is not counted on reconnecting: what was missed must come with its cursor."""
    dice = random.Random(seed)
    async with open_viewing(tmp_path) as viewing:
        org = await viewing.make_org()
        van, other = await viewing.make_vehicle(org), await viewing.make_vehicle(org)
        _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
        viewing.clock.move(60 * MINUTE_MS)
        watching, cursor, seen, sent = await viewing.watch(key), "", set(), set()
        for step in range(40):
            viewing.clock.move(2 * MINUTE_MS)
            late_ms = dice.choice((0, 0, 0, dice.randint(1, 50) * MINUTE_MS - MINUTE_MS // 2))
            at_ms = viewing.clock.now_ms() - late_ms + step
            lat = (
                52 + (at_ms - NOON_MS) // MINUTE_MS / 1000 + step / 1e6
            )  # where it was then, and a digit of its own
            await viewing.report(org, other, 50, 4)  # traffic that is none of the link's business
            await viewing.report(org, van, lat, 4.3, at_ms=at_ms)
            sent.add(round(lat * 1e7) / 1e7)
            if dice.random() < 0.3:
                events = await drained(watching)
                events = events[: dice.randint(0, len(events))]  # the rest was lost with the connection
                seen |= points(event for event in events if event.name != "state" or not cursor)
                cursor = next((event.id for event in reversed(events) if event.id), cursor)
                await watching.close()
                if dice.random() < 0.5:
                    viewing.clock.move(MINUTE_MS)
                watching = await viewing.watch(key, cursor)
        seen |= points(event for event in await drained(watching) if event.name != "state" or not cursor)
        assert {lat for lat in sent if lat not in seen} == set()
        await watching.close()


async def test_a_slow_viewer_is_told_the_state_anew_and_what_it_missed(viewing: Viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
    slow, quick = await viewing.watch(key), await viewing.watch(key)
    await slow.next()
    slow.may_send.clear()
    for step in range(MOST_EVENTS + 20):
        viewing.clock.move(200)
        await viewing.report(org, van, 52 + step / 20_000, 4.3)
        await quick.until("update")
    slow.may_send.set()
    events = await drained(slow)
    assert "state" in {event.name for event in events}
    assert len(points(event for event in events if event.name != "state")) == MOST_EVENTS + 20
    await slow.close()
    await quick.close()


async def test_a_viewer_that_takes_nothing_is_let_go_and_the_others_go_on(viewing: Viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    stalled, quick = await viewing.watch(key), await viewing.watch(key)
    await stalled.next()
    stalled.may_send.clear()
    await viewing.report(org, van, 52.0, 4.3)
    await quick.until("update")
    began_s = viewing.clock.steady_s()
    while not stalled.task.done():
        assert viewing.clock.steady_s() < began_s + STALLED_S + 16
        viewing.clock.move(250)
        await asyncio.sleep(0)
    assert viewing.clock.steady_s() > began_s + STALLED_S
    await viewing.report(org, van, 52.001, 4.3)
    await quick.until("update")
    await quick.close()


async def test_what_waits_for_a_slow_viewer_is_bounded():
    stream = Stream(0)
    for seq in range(10_000):
        stream.put(b"x" * 1000, seq)
    assert stream.is_behind
    assert await stream.next() == b""
    stream.begin_again(5)
    stream.put(b"x" * (MOST_BYTES * 2), 6)
    assert len(await stream.next()) == MOST_BYTES * 2  # one event always fits


async def test_nothing_that_waited_is_sent_after_the_end():
    stream = Stream(0)
    stream.put(b"secret", 1)
    stream.end(b"over")
    stream.put(b"more", 2)
    assert await stream.next() == b"over"
    assert await stream.next() == b""
    assert stream.is_over


async def test_each_event_is_encoded_once_for_all_viewers(viewing: Viewing, org, monkeypatch):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    streams = [await viewing.watch(key) for _ in range(20)]
    for stream in streams:
        await stream.next()
    told = []
    monkeypatch.setattr(Stream, "put", lambda self, event, seq: told.append(event))
    await viewing.report(org, van, 52.1, 4.3)
    assert len(told) == 20
    assert len({id(event) for event in told}) == 1
    for stream in streams:
        await stream.close()


async def test_an_idle_stream_has_a_heartbeat_within_fifteen_seconds(viewing: Viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    stream = await viewing.watch(key)
    await stream.next()
    del stream.raw[:]
    for _ in range(60):
        viewing.clock.move(250)
        await drained(stream)
    assert stream.raw.count(b":\n\n") == 1
    await stream.close()


async def test_links_that_nobody_looks_at_are_forgotten(viewing: Viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    await viewing.get(f"/fleet/viewer/{key}")
    assert len(viewing.public.hub._orgs) == 1
    viewing.clock.move(MINUTE_MS)
    viewing.public.hub.tick()
    assert viewing.public.hub._orgs == {}
    assert (await viewing.get(f"/fleet/viewer/{key}")).status == 200


async def test_a_link_with_many_assets_is_narrowed_on_all_streams_by_one_record(viewing: Viewing, org):
    tag = await viewing.make_tag(org)
    for at in range(70):
        await viewing.make_vehicle(org, f"Van {at}", tag_ids=(tag.body.number,))
    shares = [await viewing.make_share(org, tag_ids=(tag.body.number,)) for _ in range(80)]
    streams = [await viewing.watch(key) for _, key in shares]
    for stream in streams:
        assert len((await stream.next()).data["assets"]) == 70
    await viewing.remove(tag)
    for stream in streams:
        assert len((await stream.until("update")).data["gone"]) == 70
        await stream.close()


async def test_cursors_are_of_one_length_and_tell_no_volume(viewing: Viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    cursors = []
    for _ in range(3):
        cursors.append((await viewing.get(f"/fleet/viewer/{key}/state")).json()["cursor"])
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, 52.1, 4.3)
    assert {len(cursor) for cursor in cursors} == {32}
    assert len(set(cursors)) == 3
