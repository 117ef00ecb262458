"""The seam between memory and disk, and what positions make of it: one page, one org, one question at a time."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
import pytest

from odograph.api import positions
from odograph.api.params import Query, parse_time
from odograph.api.resources.base import Call
from odograph.api.wire import render_time
from odograph.live.stretch import Segment
from odograph.model.ids import OrgId
from odograph.store.base import Change
from odograph.store.sqlite import database, opened
from tests.property import scenarios
from tests.property.engine_store import EngineMachine
from tests.property.feed_world import BASE_MS, Poller, World, assets_of_org, number_of, tag_of_org

BIG, SMALL = OrgId(1), OrgId(2)


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path, EngineMachine(1))
    await world.start()
    yield world
    await world.stop()


async def polled(world, org, kind="all"):
    poller = Poller(org, kind)
    await world.poll(poller)
    return poller


def rows(seconds, vehicle=0):
    return [(vehicle, second, 0) for second in seconds]


def seconds_of(keys):
    return [(time_ms - BASE_MS) // 1000 for _, time_ms, _ in keys]


async def test_one_cursor_leads_through_sealed_data_the_log_and_memory_to_the_end(world):
    world.stretch_bytes = 150
    with scenarios.small_pages():
        await world.restart()
        reader = await polled(world, BIG)
        await world.append(BIG, rows([3, 1]))
        await world.machine.seal(10)
        await world.append(BIG, rows([2, 9, 7, 5]))
        await world.append(BIG, rows([8, 4]))
        await world.poll(reader)
    assert seconds_of(reader.chain) == [3, 1, 2, 9, 7, 5, 8, 4]
    assert world.coverage["sealed then log then memory"] == 1


async def test_the_same_cursor_gives_the_same_fixes_and_then_more(world):
    reader = await polled(world, BIG)
    cursor = reader.cursor
    await world.append(BIG, rows([5, 3]))
    await world.settled()
    before, _, _ = await world.page(reader, cursor)
    await world.append(BIG, rows([4]))
    await world.settled()
    after, _, _ = await world.page(reader, cursor)
    assert seconds_of(before) == [5, 3]
    assert seconds_of(after) == [5, 3, 4]
    await world.machine.seal(10)
    await world.restart()
    assert (await world.page(reader, cursor))[0] == after


async def test_an_empty_poll_is_shorter_than_150_bytes(world):
    await world.append(BIG, rows(range(100)))
    reader = await polled(world, BIG)
    answer = await asked(world, "feed", reader, after=reader.cursor)
    assert msgspec.json.decode(answer)["data"] == []
    assert len(answer) < 150


async def asked(world, what, poller, **query):
    call = Call(poller.principal, Query(urlencode(query).encode()), {}, b"", world.context)
    return (await getattr(world.readers["locations"], what)(call)).body


async def test_a_poll_in_memory_looks_at_its_own_org_alone_and_asks_no_disk(world, monkeypatch):
    reader = await polled(world, SMALL)
    await world.append(BIG, rows(range(500)))
    await world.append(SMALL, rows([1]))
    await world.settled()
    looked_at = []
    right = Segment.__dict__["seqs"].fget

    def counted(segment):
        found = right(segment)
        looked_at.append((segment.org, len(found)))
        return found

    async def refused(*_):
        raise AssertionError("a poll within the newest stretch reads no disk")

    monkeypatch.setattr(Segment, "seqs", property(counted))
    monkeypatch.setattr(world.store, "read_after", refused)
    await world.poll(reader)
    await world.poll(reader)
    assert seconds_of(reader.chain) == [1]
    assert {org for org, _ in looked_at} == {SMALL}
    assert max(rows for _, rows in looked_at) == 1


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_poll_on_disk_reads_rows_of_its_own_org_alone(world, monkeypatch, is_sealed):
    reader = await polled(world, SMALL)
    for second in range(40):
        await world.append(BIG, rows([second]))
    await world.append(SMALL, rows([1]))
    if is_sealed:
        await world.machine.seal(1000)
    await world.restart()
    orgs = []

    class Counted(database.LogRow):
        @property
        def fixes(self):
            orgs.append(self.org)
            return super().fixes

    def noted(_, day, run, open_run=opened.OpenedDays._open_run):
        orgs.append(run.org)
        return open_run(_, day, run)

    monkeypatch.setattr("odograph.store.sqlite.database.LogRow", Counted)
    monkeypatch.setattr(opened.OpenedDays, "_open_run", noted)
    world.live.stretch._base = world.live.stretch.head  # nothing of it is in memory
    world.live.stretch._streams.clear()
    await world.poll(reader)
    assert seconds_of(reader.chain) == [1]
    assert orgs == [SMALL]


async def test_an_idle_org_goes_on_from_memory_after_its_first_page_from_disk(world, monkeypatch):
    await world.append(BIG, rows(range(5)))
    reader = await polled(world, SMALL)
    await world.append(BIG, rows(range(10, 400)))
    await world.machine.seal(1000)
    await world.restart()
    reads = []
    right = type(world.store).read_after

    async def counted(store, *given):
        reads.append(given)
        return await right(store, *given)

    monkeypatch.setattr(type(world.store), "read_after", counted)
    for _ in range(5):
        await world.poll(reader)
    assert len(reads) <= 1
    assert reader.chain == []


async def test_tags_count_at_the_moment_of_the_request(world):
    reader = await polled(world, BIG, "tag token")
    await world.append(BIG, rows([1], vehicle=2))
    await world.append(BIG, rows([2], vehicle=0))
    await world.settled()
    newcomer, leaver = assets_of_org(BIG)[2], assets_of_org(BIG)[0]
    before = reader.cursor
    await carries(world, newcomer, (tag_of_org(BIG),))
    await carries(world, leaver, ())
    shown = decoded(await asked(world, "feed", reader, after=before))
    assert shown == [(newcomer, 1)], "who joins is shown from an old cursor on, who left is hidden at once"
    after = msgspec.json.decode(await asked(world, "feed", reader, after=before))["pagination"]["endCursor"]
    await carries(world, leaver, (tag_of_org(BIG),))
    assert decoded(await asked(world, "feed", reader, after=after)) == [], "joining replays nothing"
    whole = {"startTime": render_time(0), "endTime": render_time(1 << 41)}
    assert decoded(await asked(world, "history", reader, **whole)) == [(leaver, 2), (newcomer, 1)]


async def carries(world, asset, tags):
    entity = world.live.directory.assets.find_by_number(BIG, asset)
    body = msgspec.json.encode(msgspec.structs.replace(entity.body, tag_ids=tags))
    await world.store.write([Change(BIG, "asset", entity.id, body)])
    while world.live.directory.assets.find_by_number(BIG, asset).body.tag_ids != tags:
        world.live.moved.clear()
        await world.live.moved.wait()


def decoded(body):
    return [
        (number_of(entry["id"]), ((parse_time(fix["time"]) or 0) - BASE_MS) // 1000)
        for entry in msgspec.json.decode(body)["data"]
        for fix in entry["locations"]
    ]


async def test_history_goes_on_behind_its_place_and_shows_what_came_late_there(world, monkeypatch):
    monkeypatch.setattr(positions, "HISTORY_PAGE", 3)
    reader = Poller(BIG)
    await world.append(BIG, rows([10, 20, 30, 60, 70]))
    await world.settled()
    query = {"startTime": render_time(BASE_MS), "endTime": render_time(BASE_MS + 100_000)}
    first = await asked(world, "history", reader, **query)
    await world.append(BIG, rows([15, 40, 65]))  # before the place; between it and the next fix; behind both
    await world.append(BIG, rows([5, 50], vehicle=1))
    await world.settled()
    found, page = decoded(first), first
    while cursor := msgspec.json.decode(page)["pagination"]["endCursor"]:
        page = await asked(world, "history", reader, **query, after=cursor)
        found += decoded(page)
    one, two, _ = assets_of_org(BIG)
    assert found == [(one, t) for t in (10, 20, 30, 40, 60, 65, 70)] + [(two, t) for t in (5, 50)]


async def test_history_before_1970_begins_in_1970_however_its_pages_fall(world, monkeypatch):
    monkeypatch.setattr(positions, "HISTORY_SCAN", 1)
    monkeypatch.setattr(positions, "HISTORY_PAGE", 1)
    await world.append(BIG, rows([1, 2], vehicle=2))
    await world.settled()
    query = {"startTime": "1950-01-01T00:00:00Z", "endTime": render_time(BASE_MS + 100_000)}
    found, after = [], ""
    for _ in range(10):
        page = await asked(world, "history", Poller(BIG), **query, after=after)
        found += decoded(page)
        after = msgspec.json.decode(page)["pagination"]["endCursor"]
        if not after:
            break
    assert found == [(assets_of_org(BIG)[2], second) for second in (1, 2)]
    early = {"startTime": "1950-01-01T00:00:00Z", "endTime": "1960-01-01T00:00:00Z"}
    assert decoded(await asked(world, "history", Poller(BIG), **early)) == []


async def test_the_first_call_fixes_its_place_before_its_first_page(world, monkeypatch):
    monkeypatch.setattr(positions, "SNAPSHOT_PAGE", 1)
    await world.append(BIG, [(0, 1, 0), (1, 1, 0), (2, 1, 0)])
    await world.settled()
    reader = Poller(BIG)
    shown, cursor, more = await world.page(reader, "")
    assert (seconds_of(shown), more) == ([1], True)
    await world.append(BIG, [(0, 2, 0), (1, 2, 0)])
    await world.settled()
    while more:
        some, cursor, more = await world.page(reader, cursor)
        shown += some
    assert seconds_of(shown) == [1, 2, 1], "each page shows what is newest as it is read"
    after, _, _ = await world.page(reader, cursor)
    assert seconds_of(after) == [2, 2], "all that came after the first page, also what another page has shown"


async def test_a_page_with_a_filter_moves_on_although_nothing_matches(world, monkeypatch):
    monkeypatch.setattr(positions, "FEED_SCAN", 4)
    reader = await polled(world, BIG, "vehicles")
    await world.append(BIG, rows(range(10)))
    await world.append(BIG, rows([11], vehicle=1))
    await world.settled()
    pages = []
    cursor, more = reader.cursor, True
    while more:
        shown, cursor, more = await world.page(reader, cursor)
        pages.append(seconds_of(shown))
    assert pages == [[], [], [11]]


async def test_an_asset_that_is_gone_is_not_shown_and_holds_up_nobody(world):
    reader = await polled(world, BIG)
    await world.append(BIG, [(0, 1, 0), (1, 2, 0)])
    await world.settled()
    entity = world.live.directory.assets.find_by_number(BIG, assets_of_org(BIG)[0])
    await world.store.write([Change(BIG, "asset", entity.id, None)])
    while world.live.directory.assets.find_by_number(BIG, assets_of_org(BIG)[0]) is not None:
        world.live.moved.clear()
        await world.live.moved.wait()
    shown, _, more = await world.page(reader, reader.cursor)
    assert (seconds_of(shown), more) == ([2], False)
