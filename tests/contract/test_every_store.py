"""What every engine promises: durable, ordered, once, isolated, exact."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw
import numpy as np
import pytest

from odograph.clock import SystemClock
from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.fixes import FIX_DTYPE, MARK_JUMP, MARK_ZERO_ISLAND
from odograph.model.ids import AssetId, OrgId, RecordId, Seq
from odograph.store.base import INSTALL, Change, LedgerEntry, OrgFixes, Outcome, Store
from tests.support.stores import (
    BASE_MS,
    HEAD,
    ORG,
    Place,
    append,
    as_rows,
    make_fixes,
    make_track,
    read_feed,
    watching,
)

STORED, KNOWN, DIFFERENT, _ = Outcome
T = TypeVar("T")
OTHER = OrgId(8)
DAY_MS = 86_400_000
TODAY = SystemClock().now_ms() // 60_000  # what is older than 400 days is forgotten at once


def by_time(rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return sorted(rows, key=lambda row: row[:2])


# -- durable


async def test_what_was_answered_is_there_after_a_restart(place: Place) -> None:
    track = make_track(1, 50)
    async with place.opened() as store:
        assert await append(store, track) == [[STORED] * 50]
    async with place.opened() as store:
        fixes, seqs = await read_feed(store)
        assert as_rows(fixes) == as_rows(track)
        assert seqs == list(range(1, 51))


async def test_what_was_answered_is_there_after_the_writer_was_killed(place: Place) -> None:
    async with place.opened() as store, watching(store) as watcher:
        for start in range(5):
            await append(store, make_track(1, 20, start_ms=start * 1_000_000))
            place.kill_writer()
            await sent_again(partial(append, store, make_track(2, 20, start_ms=start * 1_000_000)))
        await watcher.until_seq(200)
        assert watcher.order == list(range(1, 201))
        assert len((await read_feed(store))[1]) == 200


async def sent_again(send: Callable[[], Awaitable[T]]) -> T:
    """As a device does it: until somebody says yes."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await send()
            except Refusal as refusal:
                if refusal.kind is not Kind.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.02)  # as the device, which is told when to come again


async def test_an_append_that_a_dying_writer_left_unanswered_is_refused(place: Place) -> None:
    async with place.opened() as store:
        waiting = [asyncio.create_task(append(store, make_track(asset, 1000))) for asset in range(1, 30)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        place.kill_writer()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(answer, list | Refusal) for answer in answers)
        for asset, answer in enumerate(answers, 1):
            if isinstance(answer, list):
                continue
            await sent_again(partial(append, store, make_track(asset, 1000)))
        fixes, seqs = await read_feed(store, limit=10_000)
        assert seqs == list(range(1, 29_001))
        assert len(set(zip(fixes["asset"].tolist(), fixes["time_ms"].tolist(), strict=True))) == 29_000


# -- the ledger


def entry(minute: int, body: bytes = b"{}", *, org: OrgId = ORG, share: int = 1, writer: int = 1) -> LedgerEntry:
    return LedgerEntry(org, RecordId(share), TODAY + minute, writer, body)


async def ledger(
    store: Store, start: int = 0, end: int = 10, limit: int = 100, *, org: OrgId = ORG, share: int = 1
):
    return await store.read_ledger(org, RecordId(share), TODAY + start, TODAY + end, limit)


async def test_what_was_noted_is_there_after_a_restart_and_after_a_kill(place: Place) -> None:
    async with place.opened() as store:
        await store.note([entry(1), entry(2)])
        place.kill_writer()
        await sent_again(partial(store.note, [entry(3)]))
        assert await ledger(store) == [entry(1), entry(2), entry(3)]
    async with place.opened() as store:
        assert await ledger(store) == [entry(1), entry(2), entry(3)]


async def test_a_later_entry_of_the_same_minute_and_writer_takes_the_place_of_the_earlier(store: Store) -> None:
    await store.note([entry(1, b"1"), entry(1, b"2", writer=2)])
    await store.note([entry(1, b"3"), entry(2, b"4")])
    wanted = [entry(1, b"3"), entry(1, b"2", writer=2), entry(2, b"4")]
    assert await ledger(store) == wanted


async def test_a_ledger_is_read_by_share_and_half_open_span_up_to_its_limit(store: Store) -> None:
    await store.note([])
    await store.note([entry(5), entry(3), entry(4), entry(4, share=2), entry(4, org=OTHER)])
    assert await ledger(store, 3, 5) == [entry(3), entry(4)]
    assert await ledger(store, limit=2) == [entry(3), entry(4)]
    assert await ledger(store, org=OTHER) == [entry(4, org=OTHER)]
    assert await ledger(store, org=OTHER, share=2) == []


# -- ordered


async def test_a_reader_among_many_writers_misses_nothing(store: Store) -> None:
    async def write(asset: int) -> None:
        for start in range(20):
            await append(store, make_track(asset, 7, start_ms=start * 100_000), org=OrgId(asset % 3))

    async with watching(store) as first, watching(store) as second:
        await asyncio.gather(*(write(asset) for asset in range(1, 13)))
        head = (await store.status()).head
        assert head == 12 * 20 * 7
        await first.until_seq(head)
        await second.until_seq(head)
    assert first.order == second.order == list(range(1, head + 1))
    for org in range(3):
        fixes, seqs = await read_feed(store, OrgId(org), limit=33)
        mine = {seq: row for seq, (owner, row) in first.fixes.items() if owner == org}
        assert dict(zip(seqs, as_rows(fixes), strict=True)) == mine


async def test_a_follower_has_seen_what_was_answered(store: Store) -> None:
    async with watching(store) as watcher:
        for start in range(50):
            await append(store, make_track(1, 3, start_ms=start * 100_000))
            await asyncio.sleep(0)
            assert len(watcher.order) == 3 * (start + 1)


async def test_a_follower_begins_where_newest_ends(place: Place) -> None:
    async with place.opened() as store:
        await append(store, make_track(1, 10))
        await place.seal()
        await append(store, make_track(1, 10, start_ms=500_000))
        newest = await store.newest()
        await place.seal()
        await append(store, make_track(1, 10, start_ms=900_000))
        async with watching(store) as watcher:
            assert watcher.order == list(range(11, 31))
        assert newest.seqs.tolist() == [10]


async def test_a_follower_has_the_whole_catalogue_before_any_fix_however_large_it_is(place: Place) -> None:
    many = 3_000
    async with place.opened() as store:
        made = [Change(ORG, "thing", None, b"%d" % number) for number in range(many)]
        records = await store.write(made)
        gone, renamed = records[0], records[1]
        await store.write([Change(ORG, "thing", gone.id, None), Change(ORG, "thing", renamed.id, b"renamed")])
        await append(store, make_track(1, 10))
        living: dict[int, bytes] = {}
        async for committed in store.follow():
            for record in committed.records:
                if record.body is None:
                    living.pop(record.id, None)
                else:
                    living[record.id] = record.body
            if committed.blocks:
                assert len(living) == many - 1
            if committed.is_current:
                break
    assert sorted(living.values()) == sorted([b"%d" % number for number in range(2, many)] + [b"renamed"])


async def test_a_follower_that_does_not_read_for_a_while_is_caught_up(place: Place) -> None:
    async with place.opened(seal_rows=10_000_000) as store:
        feed = aiter(store.follow())
        assert (await anext(feed)).is_current
        for start in range(22):
            fixes = make_track(1, 60_000, start_ms=start * 600_000, step_ms=10)
            await store.append([OrgFixes(ORG, fixes)])
        await place.seal()
        await append(store, make_track(2, 1))
        seqs = np.empty(0, dtype=np.int64)
        while not len(seqs) or seqs[-1] < 22 * 60_000 + 1:
            seqs = np.concatenate([seqs, *(block.seqs for block in (await anext(feed)).blocks)])
        assert np.array_equal(seqs, np.arange(1, 22 * 60_000 + 2))


# -- once


async def test_a_fix_is_stored_once_within_a_batch(store: Store) -> None:
    track = make_track(1, 3)
    changed = track.copy()
    changed["speed_ckmh"] += 1
    assert await append(store, track, track[::-1], changed) == [[STORED] * 3, [KNOWN] * 3, [DIFFERENT] * 3]
    assert as_rows((await read_feed(store))[0]) == as_rows(track)


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_fix_is_stored_once_over_commits(place: Place, *, is_sealed: bool) -> None:
    track = make_track(1, 300)
    changed = track.copy()
    changed["heading_cdeg"] = 1
    async with place.opened() as store:
        await append(store, track)
        if is_sealed:
            await place.seal()
        shuffled = np.random.default_rng(1).permutation(track)
        assert await append(store, shuffled, changed) == [[KNOWN] * 300, [DIFFERENT] * 300]
    async with place.opened() as store:
        assert await append(store, track, changed) == [[KNOWN] * 300, [DIFFERENT] * 300]
        assert as_rows((await read_feed(store))[0]) == as_rows(track)


async def test_a_month_sent_again_shuffled_and_half_known_is_stored_once(place: Place) -> None:
    month = np.concatenate([make_track(asset, 30 * 48, step_ms=1_800_000) for asset in range(1, 9)])
    known = month[::2]
    random = np.random.default_rng(2)
    async with place.opened() as store:
        for part in np.array_split(random.permutation(known), 3):
            await append(store, part)
            await place.seal()
        for part in np.array_split(random.permutation(month), 7):
            is_known = (part["time_ms"] - BASE_MS) // 1_800_000 % 2 == 0
            (outcomes,) = await append(store, part)
            assert outcomes == np.where(is_known, KNOWN, STORED).tolist()
        fixes, seqs = await read_feed(store, limit=500)
        assert seqs == list(range(1, len(month) + 1))
        assert by_time(as_rows(fixes)) == as_rows(month)


async def test_the_same_fix_from_two_senders_at_once_is_stored_once(store: Store) -> None:
    track = make_track(1, 100)
    answers = await asyncio.gather(*(append(store, track) for _ in range(8)))
    assert sum(outcomes.count(STORED) for (outcomes,) in answers) == 100
    assert len((await read_feed(store))[1]) == 100


async def test_a_fix_that_no_key_can_hold_is_refused(store: Store) -> None:
    for fixes in (make_fixes([1 << 21], [0]), make_fixes([1], [1 << 42]), make_fixes([0], [0])):
        with pytest.raises(Refusal) as refused:
            await append(store, fixes)
        assert refused.value.kind is Kind.INVALID
    assert (await store.status()).head == 0


# -- doubtful


async def test_a_jump_is_marked_and_kept(store: Store) -> None:
    track = make_track(1, 4)
    track["lat_e7"][2] += 10_000_000  # 111 km in five seconds
    await append(store, track[:2])
    await append(store, track[2:])
    fixes, _ = await read_feed(store)
    assert fixes["marks"].tolist() == [0, 0, MARK_JUMP, MARK_JUMP]
    assert fixes["lat_e7"].tolist() == track["lat_e7"].tolist()


async def test_a_receiver_without_a_position_makes_no_jump_of_the_next_fix(store: Store) -> None:
    track = make_track(1, 3)
    track["lat_e7"][1] = track["lon_e7"][1] = 0
    track["marks"][1] = MARK_ZERO_ISLAND
    await append(store, track)
    assert (await read_feed(store))[0]["marks"].tolist() == [0, MARK_ZERO_ISLAND, 0]


# -- isolated


async def test_an_org_reads_its_own_fixes_alone(place: Place) -> None:
    async with place.opened() as store:
        for start in range(3):
            mine, theirs = (make_track(asset, 10, start_ms=start * 100_000) for asset in (1, 2))
            await store.append([OrgFixes(ORG, mine), OrgFixes(OTHER, theirs)])
            if start < 2:
                await place.seal()
        for org, asset in ((ORG, 1), (OTHER, 2)):
            fixes, _ = await read_feed(store, org, limit=7)
            assert fixes["asset"].tolist() == [asset] * 30
        (stranger,) = await store.read_range(ORG, [AssetId(2)], [BASE_MS], BASE_MS + DAY_MS, HEAD, 100)
        assert not len(stranger)
        assert not len(await store.read_at(ORG, [AssetId(2)], BASE_MS + DAY_MS, HEAD))


# -- exact


async def test_every_bit_survives_sealing(place: Place) -> None:
    random = np.random.default_rng(3)
    fixes = np.zeros(5000, dtype=FIX_DTYPE)
    for name, limit in (("lat_e7", 2**31), ("lon_e7", 2**31)):
        fixes[name] = random.integers(-limit, limit, len(fixes))
    for name, limit in (("heading_cdeg", 2**16), ("speed_ckmh", 2**32), ("marks", 2**3)):
        fixes[name] = random.integers(0, limit, len(fixes))
    fixes["asset"] = random.integers(1, 2**21, len(fixes))
    fixes["time_ms"] = random.integers(1, 2**42, len(fixes))
    async with place.opened() as store:
        await append(store, fixes)
        before, seqs = await read_feed(store, limit=900)
        assert as_rows(before) == as_rows(fixes)
        await place.seal()
        after, seqs_after = await read_feed(store, limit=900)
        assert as_rows(after) == as_rows(fixes)
        assert seqs_after == seqs


@pytest.mark.parametrize("seed", range(4))
async def test_reads_agree_with_a_plain_list_wherever_the_sealer_stands(place: Place, seed: int) -> None:
    """Appends of late and early data, sealing in between; every kind of read at every kind of place."""
    dice = random.Random(seed)
    log: list[tuple[int, tuple[int, ...]]] = []  # org and row of each seq
    async with place.opened() as store:
        for _ in range(12):
            for _ in range(dice.randrange(1, 5)):
                org = dice.choice((ORG, OTHER))
                count = dice.randrange(1, 40)
                assets = [dice.randrange(1, 5) + 10 * org for _ in range(count)]
                fixes = make_fixes(assets, [dice.randrange(0, 4000) * 1000 for _ in range(count)])
                ((outcomes,)) = await append(store, fixes, org=org)
                log += [(org, row) for row, code in zip(as_rows(fixes), outcomes, strict=True) if code is STORED]
            if dice.random() < 0.5:
                await place.seal(dice.choice((20, 1000)))
            await check_reads(store, log, dice)


async def check_reads(store: Store, log: list[tuple[int, tuple[int, ...]]], dice: random.Random) -> None:
    org = dice.choice((ORG, OTHER))
    through = Seq(dice.randrange(0, len(log) + 1))
    after = Seq(dice.randrange(0, through + 1))
    seqs = [seq for seq, (owner, _) in enumerate(log, 1) if owner == org and after < seq <= through]
    got: list[int] = []
    at = after
    while at < through:
        block, at = await store.read_after(org, at, through, dice.randrange(1, 50))
        assert places(as_rows(block.fixes)) == places([log[seq - 1][1] for seq in block.seqs.tolist()])
        got += block.seqs.tolist()
    assert got == seqs
    assets = [AssetId(number + 10 * org) for number in dice.sample(range(1, 7), dice.randrange(1, 5))]
    *starts, end = sorted(BASE_MS + dice.randrange(0, 4000) * 1000 for _ in range(len(assets) + 1))
    limit = dice.randrange(1, 60)
    ranges = await store.read_range(org, assets, starts, end, through, limit)
    for asset, start, range_ in zip(assets, starts, ranges, strict=True):
        mine = sorted(row for owner, row in log[:through] if owner == org and row[0] == asset)
        assert places(as_rows(range_)) == places([row for row in mine if start <= row[1] < end][:limit])
    at_rows = as_rows(await store.read_at(org, [asset, AssetId(asset + 1)], end, through))
    expected = [
        max(rows)
        for one in (asset, asset + 1)
        if (rows := [row for owner, row in log[:through] if owner == org and row[0] == one and row[1] <= end])
    ]
    assert places(at_rows) == places(expected)


def places(rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Without the marks, which the engine adds to."""
    return [row[:-1] for row in rows]


async def test_a_filtered_page_says_how_far_it_looked(place: Place) -> None:
    async with place.opened() as store:
        fixes = make_fixes([1, 2, 3, 4] * 50, range(200))
        for part in np.array_split(fixes, 4):
            await append(store, part)
        for _ in range(2):
            mine, _ = await read_feed(store, limit=9, assets=[2, 4])
            assert mine["asset"].tolist() == [2, 4] * 50
            block, reached = await store.read_after(ORG, Seq(0), HEAD, 10, np.array([99], dtype=np.uint32))
            assert (len(block.fixes), reached) == (0, 10)
            await place.seal()


async def test_a_log_that_is_long_enough_is_sealed_without_being_asked(place: Place) -> None:
    async with place.opened(seal_rows=1000) as store:
        for start in range(3):
            await append(store, make_track(1, 500, start_ms=start * 10_000_000))
        async with asyncio.timeout(30):
            while (await store.status()).sealed_through < 1000:  # noqa: ASYNC110 - nobody is told when it is done
                await asyncio.sleep(0.05)
        assert (await read_feed(store, limit=300))[1] == list(range(1, 1501))


async def test_newest_is_by_time_and_last_contact_by_arrival(place: Place) -> None:
    async with place.opened() as store:
        await append(store, make_track(1, 10), make_track(2, 5))
        await append(store, make_track(1, 3, start_ms=-900_000))
        await place.seal()
    async with place.opened() as store:
        newest = await store.newest()
        assert as_rows(newest.fixes) == as_rows(np.concatenate((make_track(1, 10)[-1:], make_track(2, 5)[-1:])))
        assert newest.seqs.tolist() == [10, 15]
        assert newest.received_ms[0] >= newest.received_ms[1] > 0


# -- records


def org_record(name: str, *, body: bytes = b"{}") -> Change:
    return Change(INSTALL, "org", None, body, keys=(f"name:{name}",))


async def test_records_are_written_followed_and_there_after_a_restart(place: Place) -> None:
    async with place.opened() as store, watching(store) as watcher:
        first, second = await store.write([org_record("a"), org_record("b")])
        assert first.id != second.id
        assert first.rev < second.rev
        await store.write([Change(INSTALL, "org", first.id, b"[]", keys=("name:a",), expected_rev=first.rev)])
        (gone,) = await store.write([Change(INSTALL, "org", second.id, None)])
        await watcher.until_rev(gone.rev)
        assert watcher.records == {first.id: b"[]", second.id: None}
    async with place.opened() as store, watching(store) as watcher:
        assert watcher.records == {first.id: b"[]"}
        (third,) = await store.write([org_record("b")])
        assert third.id not in {first.id, second.id}
        await watcher.until_rev(third.rev)


async def test_a_follower_hears_of_records_through_a_killed_writer(place: Place) -> None:
    async with place.opened() as store, watching(store) as watcher:
        (record,) = await store.write([org_record("a")])
        place.kill_writer()
        (gone,) = await sent_again(partial(store.write, [Change(INSTALL, "org", record.id, None)]))
        await watcher.until_rev(gone.rev)
        assert watcher.records == {record.id: None}


async def test_a_change_of_what_somebody_else_changed_is_a_conflict(store: Store) -> None:
    (record,) = await store.write([org_record("a")])
    await store.write([Change(INSTALL, "org", record.id, b"[]", expected_rev=record.rev)])
    for change in (
        Change(INSTALL, "org", record.id, b"3", expected_rev=record.rev),
        Change(INSTALL, "org", RecordId(record.id + 1), b"3"),
        Change(ORG, "org", record.id, b"3"),
        Change(INSTALL, "tag", record.id, b"3"),
    ):
        with pytest.raises(Refusal) as refused:
            await store.write([change])
        assert refused.value.kind is Kind.CONFLICT
        assert str(change.id) in refused.value.message


async def test_a_key_belongs_to_one_record_of_an_org(store: Store) -> None:
    (first,) = await store.write([org_record("a")])
    with pytest.raises(Refusal, match="name:a") as refused:
        await store.write([org_record("a")])
    assert refused.value.kind is Kind.CONFLICT
    await store.write([Change(ORG, "org", None, b"{}", keys=("name:a",))])
    await store.write([Change(INSTALL, "org", first.id, b"{}", keys=("name:b",))])
    (second,) = await store.write([org_record("a")])
    await store.write(
        [
            Change(INSTALL, "org", first.id, b"{}", keys=("name:a",)),
            Change(INSTALL, "org", second.id, b"{}", keys=("name:b",)),
        ]
    )
    await store.write([Change(INSTALL, "org", first.id, None)])
    await store.write([org_record("a")])


async def test_a_write_is_made_whole_or_not_at_all(store: Store) -> None:
    await store.write([org_record("taken")])
    async with watching(store) as watcher:
        with pytest.raises(Refusal):
            await store.write([org_record("new"), org_record("taken")])
        await store.write([org_record("new")])
        await watcher.until_rev((await store.status()).rev)
        assert len(watcher.records) == 2


async def test_a_conflict_does_not_touch_those_who_share_the_commit(store: Store) -> None:
    await store.write([org_record("taken")])
    answers = await asyncio.gather(
        append(store, make_track(1, 10)),
        store.write([org_record("taken")]),
        store.write([org_record("other")]),
        append(store, make_track(2, 10)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [list, Refusal, list, list]
    assert (await store.status()).head == 20


# -- refused and found


async def test_a_second_store_on_a_directory_is_refused_and_told_who_has_it(place: Place, store: Store) -> None:
    with pytest.raises(Refusal, match=str(os.getpid())) as refused:
        await place.open()
    assert refused.value.kind is Kind.UNAVAILABLE
    await append(store, make_track(1, 1))


@pytest.mark.parametrize("name", ["odograph.db", "sealed"])
async def test_a_file_of_a_later_format_is_refused(place: Place, name: str) -> None:
    async with place.opened() as store:
        await append(store, make_track(1, 10))
        await place.seal()
    path = place.directory / name
    path = next(path.glob("*.db")) if path.is_dir() else path
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(Refusal, match="format 99") as refused:
        async with place.opened() as store:
            await read_feed(store)
    assert refused.value.kind is Kind.UNAVAILABLE
    assert path.name in refused.value.message


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_flipped_bit_is_found_and_the_file_named(place: Place, *, is_sealed: bool) -> None:
    async with place.opened() as store:
        await append(store, make_track(1, 5000))
        if is_sealed:
            await place.seal()
    path = next((place.directory / "sealed").glob("*.db")) if is_sealed else place.directory / "odograph.db"
    flip_a_bit(path)
    with pytest.raises((Corrupt, Refusal), match=path.name):
        async with place.opened() as store:
            await read_feed(store)


def flip_a_bit(path: Path) -> None:
    """In the middle of the largest blob."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "DELETE")
    table = "pack" if path.parent.name == "sealed" else "block"
    key = connection.execute(f"SELECT rowid FROM {table} ORDER BY length(data) DESC LIMIT 1").get
    with connection.blob_open("main", table, "data", key, writeable=True) as blob:
        blob.seek(blob.length() // 2)
        byte = blob.read(1)
        blob.seek(blob.length() // 2)
        blob.write(bytes((byte[0] ^ 4,)))
    connection.close()
