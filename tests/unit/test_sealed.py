"""The day files: every read against the same read of a plain list, and what crashes, drops and damage leave."""

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import numpy as np
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.fixes import FIX_DTYPE, FIX_SIZE
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Block
from odograph.store.sqlite import dayfile, opened, readers, runs, sealed
from odograph.store.sqlite.dayfile import DayReader, DayWriter
from odograph.store.sqlite.pages import NewerFormat
from odograph.store.sqlite.sealed import DayFiles
from tests.support.stores import verify

DAY = "2026-03-01"
DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]
ORGS = {OrgId(1): [1, 2, 3], OrgId(2): [4], OrgId(3): [5, 6]}
ASSETS = [(org, AssetId(asset)) for org, assets in ORGS.items() for asset in assets]


def made(rows):
    """Rows of (asset, time_ms) as fixes whose other fields follow from them."""
    fixes = np.zeros(len(rows), dtype=FIX_DTYPE)
    if rows:
        fixes["asset"], fixes["time_ms"] = np.array(rows).T
    fixes["lat_e7"] = fixes["time_ms"] % 1_000_003
    fixes["lon_e7"] = -fixes["asset"].astype(np.int64) * 7
    fixes["speed_ckmh"] = fixes["time_ms"] % 9_000
    return fixes


def block(org, first, rows, received_ms=50):
    return Block(OrgId(org), np.arange(first, first + len(rows), dtype=np.int64), made(rows), received_ms)


@dataclass
class World:
    """A log beside its sealed form: blocks of several orgs, a quarter of them late, in runs over three days."""

    files: DayFiles
    blocks: list[Block] = field(default_factory=list)
    run_ends: list[int] = field(default_factory=list)
    head: int = 0

    def seal(self, random, day, rows):
        run, after = [], self.head
        taken = {(int(fix["asset"]), int(fix["time_ms"])) for one in self.blocks for fix in one.fixes}
        while self.head < after + rows:
            org = OrgId(int(random.choice(list(ORGS))))
            now = 1_000_000 + self.head * 40
            wanted = []
            for _ in range(int(random.integers(1, 30))):
                late = (
                    int(random.integers(0, now)) if random.random() < 0.25 else now + int(random.integers(0, 400))
                )
                row = (int(random.choice(ORGS[org])), late)
                if row not in taken:
                    taken.add(row)
                    wanted.append(row)
            run.append(block(org, self.head + 1, wanted, received_ms=now))
            self.head += len(wanted)
        self.blocks += run
        self.run_ends.append(self.head)
        return self.files.write_run(day, run, Seq(after), Seq(self.head))

    def rows(self, through=1 << 60):
        """All (seq, org, fix) up to a seq, by seq."""
        return [
            (int(seq), one.org, fix)
            for one in self.blocks
            for seq, fix in zip(one.seqs, one.fixes, strict=True)
            if seq <= through
        ]

    def of(self, asset, through=1 << 60):
        return sorted(
            (fix for _, _, fix in self.rows(through) if fix["asset"] == asset), key=lambda fix: fix["time_ms"]
        )


def together(rows):
    return b"".join(fix.tobytes() for fix in rows)


@pytest.fixture
def files(tmp_path):
    made = DayFiles(tmp_path / "sealed")
    yield made
    made.close()


@pytest.fixture
def world(files, monkeypatch):
    monkeypatch.setattr(runs, "CHUNK_ROWS", 16)
    monkeypatch.setattr(runs, "PACK_BYTES", 700)
    world, random = World(files), np.random.default_rng(3)
    for day in DAYS:
        for rows in (200, 90, 150):
            world.seal(random, day, rows)
    return world


# -- reads against a plain list


def test_a_range_is_the_same_as_in_the_log_wherever_it_begins_and_however_few_are_wanted(world):
    random = np.random.default_rng(1)
    for _ in range(150):
        _, asset = ASSETS[random.integers(len(ASSETS))]
        start, end = sorted(random.integers(0, 1_100_000, 2).tolist())
        through, limit = int(random.integers(0, world.head + 5)), int(random.integers(1, 80))
        want = [fix for fix in world.of(asset, through) if start <= fix["time_ms"] < end][:limit]
        got = world.files.read_range(asset, DAYS, start, end, Seq(through), limit)
        assert got.tobytes() == together(want)


def test_a_range_has_its_start_and_not_its_end(files):
    files.write_run(DAY, [block(1, 1, [(1, 10), (1, 20), (1, 30)])], Seq(0), Seq(3))
    assert files.read_range(AssetId(1), [DAY], 10, 30, Seq(3), 9)["time_ms"].tolist() == [10, 20]


def test_the_newest_fix_at_any_time_is_the_same_as_in_the_log(world):
    random = np.random.default_rng(2)
    for _ in range(300):
        _, asset = ASSETS[random.integers(len(ASSETS))]
        time_ms, through = int(random.integers(-5, 1_100_000)), int(random.integers(0, world.head + 5))
        want = [fix for fix in world.of(asset, through) if fix["time_ms"] <= time_ms][-1:]
        got = world.files.read_at(asset, DAYS, time_ms, Seq(through))
        assert (b"" if got is None else got.tobytes()) == together(want)


def test_the_chunk_that_begins_last_need_not_hold_the_newest_fix(files):
    long = [(1, time) for time in range(0, 1000, 100)]
    files.write_run(DAY, [block(1, 1, long)], Seq(0), Seq(10))
    files.write_run(DAY, [block(1, 11, [(1, 350), (1, 360)])], Seq(10), Seq(12))
    for time_ms, want in ((955, 900), (399, 360), (401, 400), (349, 300), (5000, 900)):
        newest = files.read_at(AssetId(1), [DAY], time_ms, Seq(12))
        assert newest is not None
        assert newest["time_ms"].tolist() == [want]
    assert files.read_at(AssetId(1), [DAY], -1, Seq(12)) is None


def test_every_stored_time_is_found_and_no_other(world):
    random = np.random.default_rng(4)
    for _ in range(60):
        _, asset = ASSETS[random.integers(len(ASSETS))]
        through = int(random.integers(0, world.head + 5))
        known = {int(fix["time_ms"]): fix for fix in world.of(asset, through)}
        every = [int(fix["time_ms"]) for fix in world.of(asset)]
        times = np.sort(np.concatenate([random.choice(every, 20), random.integers(0, 1_100_000, 20)]))
        found, fixes = world.files.find(asset, DAYS, times, Seq(through))
        assert found.tolist() == [int(time) in known for time in times]
        assert fixes.tobytes() == together(known[int(time)] for time in times if int(time) in known)


def test_nothing_is_found_among_no_times(world):
    found, fixes = world.files.find(AssetId(1), DAYS, np.empty(0, dtype=np.int64), Seq(world.head))
    assert len(found) == len(fixes) == 0


def test_pages_in_arrival_order_are_the_log_of_the_org(world):
    random = np.random.default_rng(5)
    for limit in (1, 7, 64, 10_000):
        for org, assets in ORGS.items():
            through, at = int(random.integers(world.head // 2, world.head + 1)), Seq(int(random.integers(0, 100)))
            want = [(seq, fix) for seq, owner, fix in world.rows(through) if owner == org and seq > at]
            wanted = np.array(sorted(assets[:2]), dtype=np.uint32) if limit != 64 else None
            if wanted is not None:
                want = [(seq, fix) for seq, fix in want if fix["asset"] in wanted]
            seqs: list[int] = []
            fixes = b""
            while at < through:
                page, last = world.files.read_after(org, DAYS, at, Seq(through), limit, wanted)
                assert page.org == org
                assert len(page.seqs) <= limit
                assert at < last <= through
                seqs, fixes, at = seqs + page.seqs.tolist(), fixes + page.fixes.tobytes(), last
            assert seqs == [seq for seq, _ in want]
            assert fixes == together(fix for _, fix in want)


def test_a_page_ends_at_through_when_nothing_is_left(world):
    page, last = world.files.read_after(OrgId(9), DAYS, Seq(0), Seq(world.head), 10)
    assert (len(page.seqs), last, page.received_ms) == (0, world.head, 0)


def test_the_same_cursor_gives_the_same_page(world):
    first, _ = world.files.read_after(OrgId(1), DAYS, Seq(37), Seq(world.head), 50)
    again, _ = world.files.read_after(OrgId(1), DAYS, Seq(37), Seq(world.head), 50)
    assert first.seqs.tolist() == again.seqs.tolist()
    assert first.fixes.tobytes() == again.fixes.tobytes()


def test_a_page_says_when_the_last_of_its_last_run_came_in(files):
    files.write_run(DAY, [block(1, 1, [(1, 5)], 70), block(1, 2, [(1, 6)], 90)], Seq(0), Seq(2))
    files.write_run(DAY, [block(1, 3, [(1, 7)], 120)], Seq(2), Seq(3))
    assert files.read_after(OrgId(1), [DAY], Seq(0), Seq(3), 2)[0].received_ms == 90
    assert files.read_after(OrgId(1), [DAY], Seq(0), Seq(3), 3)[0].received_ms == 120


# -- what is read, and how much of it


class Counted:
    """How many chunks were fetched from files."""

    def __init__(self, monkeypatch):
        self.chunks = 0
        fetch = DayReader.opened

        def counting(reader, chunk):
            self.chunks += 1
            return fetch(reader, chunk)

        monkeypatch.setattr(DayReader, "opened", counting)


def one_asset_in_many_chunks(files):
    for run in range(20):
        rows = [(1, (run * 100 + step) * 10) for step in range(100)]
        files.write_run(DAY, [block(1, run * 100 + 1, rows)], Seq(run * 100), Seq(run * 100 + 100))


def test_a_short_page_of_a_long_history_opens_one_chunk_and_the_next_page_none(files, monkeypatch):
    one_asset_in_many_chunks(files)
    counted = Counted(monkeypatch)
    assert len(files.read_range(AssetId(1), [DAY], 3000, 1 << 40, Seq(2000), 30)) == 30
    assert counted.chunks == 1
    assert len(files.read_range(AssetId(1), [DAY], 3300, 1 << 40, Seq(2000), 30)) == 30
    assert counted.chunks == 1


def test_the_newest_fix_at_a_time_opens_one_chunk_of_many(files, monkeypatch):
    one_asset_in_many_chunks(files)
    counted = Counted(monkeypatch)
    assert files.read_at(AssetId(1), [DAY], 12_345, Seq(2000)) is not None
    assert counted.chunks == 1


def test_a_look_up_opens_only_the_chunks_that_could_hold_its_times_and_each_once(files, monkeypatch):
    one_asset_in_many_chunks(files)
    counted = Counted(monkeypatch)
    found, _ = files.find(AssetId(1), [DAY], np.array([5, 1010, 1020, 1030, 99_999], dtype=np.int64), Seq(2000))
    assert found.tolist() == [False, True, True, True, False]
    assert counted.chunks == 2
    files.find(AssetId(2), [DAY], np.array([1010], dtype=np.int64), Seq(2000))
    assert counted.chunks == 2


def test_an_orgs_pages_open_its_own_chunks_alone(files, monkeypatch):
    for run in range(5):
        blocks = [
            block(1, run * 11 + 1, [(asset, run) for asset in range(1, 11)]),
            block(2, run * 11 + 11, [(90, run)]),
        ]
        files.write_run(DAY, blocks, Seq(run * 11), Seq(run * 11 + 11))
    counted = Counted(monkeypatch)
    page, _ = files.read_after(OrgId(2), [DAY], Seq(0), Seq(55), 100)
    assert page.seqs.tolist() == [11, 22, 33, 44, 55]
    assert counted.chunks == 5
    page, _ = files.read_after(OrgId(2), [DAY], Seq(22), Seq(55), 2)
    assert page.seqs.tolist() == [33, 44]
    assert counted.chunks == 5


def test_what_is_remembered_stays_within_its_bounds_and_reads_stay_right(world, monkeypatch):
    for name in ("RUN_CACHE_BYTES", "SPAN_CACHE_BYTES"):
        monkeypatch.setattr(opened, name, 2000)
    monkeypatch.setattr(readers, "OPEN_DAYS", 1)
    small = DayFiles(world.files._directory, chunk_cache_bytes=2000)
    for _, asset in ASSETS:
        got = small.read_range(asset, DAYS, 0, 1 << 40, Seq(world.head), 10_000)
        assert got.tobytes() == together(world.of(asset))
    assert small._opened._chunks.held_bytes <= 2000
    assert len(small._opened._readers._open) == 1
    small.close()


# -- runs


def test_a_run_says_what_the_engine_must_know_of_it(files):
    blocks = [
        block(2, 1, [(4, 300), (5, 10)], received_ms=1000),
        block(1, 3, [(1, 50)], received_ms=2000),
        block(2, 4, [(4, 200)], received_ms=3000),
        block(1, 5, []),
    ]
    run = files.write_run(DAY, blocks, Seq(0), Seq(4))
    assert (run.day, run.after, run.last, run.rows) == (DAY, 0, 4, 4)
    assert [tuple(span) for span in run.spans] == [(1, 1, 50, 50), (2, 4, 200, 300), (2, 5, 10, 10)]
    assert [tuple(part) for part in run.orgs] == [(1, 3, 3, 1), (2, 1, 4, 3)]
    assert run.newest.fixes.tobytes() == made([(1, 50), (4, 300), (5, 10)]).tobytes()
    assert run.newest.seqs.tolist() == [3, 1, 2]
    assert run.newest.received_ms.tolist() == [2000, 3000, 1000]


def test_a_run_of_nothing_makes_no_file(files):
    run = files.write_run(DAY, [block(1, 1, [])], Seq(0), Seq(0))
    assert (run.rows, files.days()) == (0, [])
    assert len(run.newest.fixes) == 0


def test_a_long_run_of_one_asset_is_cut_evenly(files):
    rows = [(1, time) for time in range(runs.CHUNK_ROWS * 2 + 1)]
    files.write_run(DAY, [block(1, 1, rows)], Seq(0), Seq(len(rows)))
    lengths = files._opened.spans(AssetId(1), [DAY], 0, 1 << 40, Seq(len(rows)))[:, opened.ROWS].tolist()
    assert sum(lengths) == len(rows)
    assert max(lengths) - min(lengths) <= 1
    assert len(lengths) == 3


def test_a_run_that_was_written_but_never_became_official_is_written_again_once(files):
    official = block(1, 1, [(1, 10)])
    files.write_run(DAY, [official], Seq(0), Seq(1))
    files.write_run(DAY, [block(1, 2, [(1, 20), (1, 30)])], Seq(1), Seq(3))
    files.close()
    again = DayFiles(files._directory)
    longer = block(1, 2, [(1, 20), (1, 30), (1, 40)])
    again.write_run(DAY, [longer], Seq(1), Seq(4))
    page, last = again.read_after(OrgId(1), [DAY], Seq(0), Seq(4), 10)
    assert (page.seqs.tolist(), last) == ([1, 2, 3, 4], 4)
    assert again.read_range(AssetId(1), [DAY], 0, 99, Seq(4), 10)["time_ms"].tolist() == [10, 20, 30, 40]
    verify(again, DAY)
    again.close()


def test_readers_do_not_see_what_lies_behind_through(files):
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    files.write_run(DAY, [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    assert files.read_range(AssetId(1), [DAY], 0, 99, Seq(1), 10)["time_ms"].tolist() == [10]
    assert files.find(AssetId(1), [DAY], np.array([20]), Seq(1))[0].tolist() == [False]
    assert files.read_after(OrgId(1), [DAY], Seq(0), Seq(1), 10)[0].seqs.tolist() == [1]
    assert files.read_range(AssetId(1), [DAY], 0, 99, Seq(2), 10)["time_ms"].tolist() == [10, 20]


def test_what_a_crash_left_in_an_earlier_days_file_is_taken_out(files):
    files.write_run(DAYS[0], [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    files.write_run(DAYS[0], [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    files.discard_after(Seq(1))
    files.write_run(DAYS[1], [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    assert files.read_after(OrgId(1), DAYS, Seq(0), Seq(2), 10)[0].seqs.tolist() == [1, 2]
    files.discard_after(Seq(2))
    assert files.read_after(OrgId(1), DAYS, Seq(0), Seq(2), 10)[0].seqs.tolist() == [1, 2]


def test_a_run_that_fails_half_way_leaves_nothing(files, monkeypatch):
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    monkeypatch.setattr(DayWriter, "add_run", lambda writer, run: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        files.write_run(DAY, [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    monkeypatch.undo()
    assert files.read_range(AssetId(1), [DAY], 0, 99, Seq(2), 9)["time_ms"].tolist() == [10]
    files.write_run(DAY, [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    assert files.read_range(AssetId(1), [DAY], 0, 99, Seq(3), 9)["time_ms"].tolist() == [10, 20]


def test_a_full_disk_is_unavailable_and_the_run_succeeds_once_there_is_room(files):
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    assert files._writer is not None
    connection = files._writer[1]._connection
    connection.pragma("max_page_count", connection.pragma("page_count"))
    big = [(asset, asset * 7919 % 1000) for asset in range(1, 400)]
    with pytest.raises(Refusal) as refused:
        files.write_run(DAY, [block(1, 2, big)], Seq(1), Seq(400))
    assert refused.value.kind is Kind.UNAVAILABLE
    files.write_run(DAY, [block(1, 2, big)], Seq(1), Seq(400))
    assert len(files.read_after(OrgId(1), [DAY], Seq(0), Seq(400), 999)[0].seqs) == 400


def test_the_names_of_a_new_file_are_synced_before_the_run_is_answered(tmp_path, monkeypatch):
    synced: list[Path] = []
    monkeypatch.setattr(sealed, "sync_directory", synced.append)
    files = DayFiles(tmp_path / "sealed")
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    assert synced == [tmp_path / "sealed", tmp_path]
    files.drop(DAY)
    assert synced[2:] == [tmp_path / "sealed"]
    files.close()


def test_every_run_is_synced(files):
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    assert files._writer is not None
    connection = files._writer[1]._connection
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2


def test_every_file_is_opened_through_the_vfs_that_was_named(tmp_path):
    opened_names = []

    class Noting(apsw.VFS):
        def __init__(self):
            super().__init__("noting", "")

        def xOpen(self, name, flags):
            opened_names.append(Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name)
            return apsw.VFSFile("", name, flags)

    noting = Noting()
    files = DayFiles(tmp_path, "noting")
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    assert {f"{DAY}.db", f"{DAY}.db-wal"} <= set(opened_names)
    opened_names.clear()
    assert files.read_at(AssetId(1), [DAY], 10, Seq(1)) is not None
    assert opened_names[0] == f"{DAY}.db"
    files.close()
    noting.unregister()


# -- files at rest


def beside(files):
    """What lies in the directory beside day files."""
    return sorted(path.name for path in files._directory.iterdir() if path.suffix != ".db")


def test_days_that_are_over_are_read_without_any_other_file(world):
    world.files.close()
    assert beside(world.files) == []
    again = DayFiles(world.files._directory)
    for _, asset in ASSETS:
        again.read_range(asset, DAYS[:2], 0, 1 << 40, Seq(world.head), 9999)
    for day in DAYS[:2]:
        verify(again, day)
    assert beside(again) == []
    got = again.read_range(AssetId(1), DAYS, 0, 1 << 40, Seq(world.head), 9999)
    assert got.tobytes() == together(world.of(AssetId(1)))
    assert beside(again) == [f"{DAYS[2]}.db-shm", f"{DAYS[2]}.db-wal"], "of the newest, which may grow"
    again.close()


def test_a_day_that_an_earlier_version_left_with_a_wal_is_read_with_it(files):
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    other = apsw.Connection(str(files._path(DAY)))
    reading = other.execute("SELECT * FROM chunk UNION ALL SELECT * FROM chunk")
    next(reading)  # so that the next run stays in the WAL
    files.write_run(DAY, [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    left = {suffix: files._path(f"{DAY}").with_name(f"{DAY}.db{suffix}").read_bytes() for suffix in ("", "-wal")}
    assert left["-wal"]
    other.close(True)
    files.close()
    for suffix, data in left.items():
        files._path(DAY).with_name(f"{DAY}.db{suffix}").write_bytes(data)
    files._path(DAYS[1]).write_bytes(b"")
    again = DayFiles(files._directory)
    assert again.read_range(AssetId(1), [DAY], 0, 99, Seq(2), 9)["time_ms"].tolist() == [10, 20]
    again.close()


def test_no_file_is_begun_while_something_of_the_one_before_is_in_its_wal(files, monkeypatch):
    monkeypatch.setattr(dayfile, "WAIT_MS", 50)
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    other = apsw.Connection(str(files._path(DAY)))
    reading = other.execute("SELECT * FROM chunk UNION ALL SELECT * FROM chunk")
    next(reading)
    files.write_run(DAY, [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    with pytest.raises(Refusal, match="a reader is in the way") as refused:
        files.write_run(DAYS[1], [block(1, 3, [(1, 30)])], Seq(2), Seq(3))
    assert refused.value.kind is Kind.UNAVAILABLE
    assert files.days() == [DAY]
    other.close(True)
    files.write_run(DAYS[1], [block(1, 3, [(1, 30)])], Seq(2), Seq(3))
    assert files.read_range(AssetId(1), DAYS[:2], 0, 99, Seq(3), 9)["time_ms"].tolist() == [10, 20, 30]
    assert dayfile.is_settled(files._path(DAY))


def test_a_day_that_a_reader_holds_since_it_was_the_newest_goes_on_to_be_read_and_dropped(files):
    own = DayFiles(files._directory)
    for number, day in enumerate(DAYS):
        files.write_run(day, [block(1, number + 1, [(1, number)])], Seq(number), Seq(number + 1))
        got = own.read_range(AssetId(1), DAYS[: number + 1], 0, 99, Seq(number + 1), 9)
        assert got["time_ms"].tolist() == list(range(number + 1))
        assert beside(files) == [f"{day}.db-shm", f"{day}.db-wal"]
    files.drop(DAYS[0])
    assert own.read_range(AssetId(1), DAYS, 0, 99, Seq(3), 9)["time_ms"].tolist()[-2:] == [1, 2]
    own.close()


# -- readers beside the sealer


def test_readers_beside_the_sealer_see_whole_runs_and_hold_nobody_up(files):
    done = threading.Event()
    official, seen, failures = [0], [], []

    def read():
        own = DayFiles(files._directory)
        while True:
            is_last, through = done.is_set(), official[0]
            page, last = own.read_after(OrgId(1), [DAY], Seq(0), Seq(through), 1 << 20)
            if page.seqs.tolist() != list(range(1, through + 1)) or last != through:
                failures.append((through, len(page.seqs)))
            seen.append(through)
            if is_last:
                own.close()
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for run in range(40):
        rows = [(1 + step % 7, run * 1000 + step) for step in range(50)]
        files.write_run(DAY, [block(1, run * 50 + 1, rows)], Seq(run * 50), Seq(run * 50 + 50))
        official[0] = run * 50 + 50
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert max(seen) == 2000


def test_an_open_reading_keeps_the_sealer_waiting_for_no_lock(files):
    files.write_run(DAY, [block(1, 1, [(1, 10)])], Seq(0), Seq(1))
    other = apsw.Connection(str(files._path(DAY)))
    reading = other.execute("SELECT * FROM chunk UNION ALL SELECT * FROM chunk")
    next(reading)
    files.write_run(DAY, [block(1, 2, [(1, 20)])], Seq(1), Seq(2))
    other.close(True)
    assert files.read_range(AssetId(1), [DAY], 0, 99, Seq(2), 9)["time_ms"].tolist() == [10, 20]


def test_threads_may_share_the_files(world):
    want = {asset: together(world.of(asset)) for _, asset in ASSETS}
    failures = []

    def read(seed):
        random = np.random.default_rng(seed)
        for _ in range(30):
            _, asset = ASSETS[random.integers(len(ASSETS))]
            if world.files.read_range(asset, DAYS, 0, 1 << 40, Seq(world.head), 9999).tobytes() != want[asset]:
                failures.append(asset)
            if random.random() < 0.3:
                world.files.forget(DAYS[random.integers(3)])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# -- days that go


def test_a_dropped_day_reads_as_empty_and_leaves_no_file(world):
    for org in ORGS:
        world.files.read_after(org, DAYS, Seq(0), Seq(world.head), 99_999)
    world.files.drop(DAYS[0])
    assert world.files.days() == DAYS[1:]
    assert not [path for path in world.files._directory.iterdir() if path.name.startswith(DAYS[0])]
    kept = [(seq, fix) for seq, org, fix in world.rows() if org == 1 and seq > world.run_ends[2]]
    page, last = world.files.read_after(OrgId(1), DAYS, Seq(0), Seq(world.head), 99_999)
    assert page.seqs.tolist() == [seq for seq, _ in kept]
    assert last == world.head
    got = world.files.read_range(AssetId(1), DAYS, 0, 1 << 40, Seq(world.head), 99_999)
    assert len(got) == sum(fix["asset"] == 1 for _, fix in kept)
    world.files.drop(DAYS[0])


def test_a_reader_elsewhere_notices_that_a_day_was_dropped(world):
    elsewhere = DayFiles(world.files._directory)
    first = world.run_ends[2]
    assert len(elsewhere.read_after(OrgId(1), DAYS[:1], Seq(0), Seq(first), 5)[0].seqs) == 5
    world.files.drop(DAYS[0])
    assert elsewhere.read_after(OrgId(3), DAYS[:1], Seq(0), Seq(first), 5)[0].seqs.tolist() == []
    held = [str(handle.readlink()) for handle in Path("/proc/self/fd").iterdir() if handle.is_symlink()]
    assert not [name for name in held if f"{DAYS[0]}.db" in name]
    elsewhere.close()


def test_what_was_never_there_reads_as_empty(files):
    assert files.days() == []
    assert files.bytes_on_disk() == 0
    assert files.read_at(AssetId(1), [DAY], 9, Seq(9)) is None
    assert len(files.read_range(AssetId(1), [DAY], 0, 9, Seq(9), 9)) == 0
    verify(files, DAY)
    files.drop(DAY)


def test_a_file_whose_making_was_cut_short_reads_as_empty_and_is_made_whole(files):
    files._directory.mkdir()
    files._path(DAY).touch()
    assert files.read_at(AssetId(1), [DAY], 9, Seq(9)) is None
    files.write_run(DAY, [block(1, 1, [(1, 5)])], Seq(0), Seq(1))
    assert files.read_at(AssetId(1), [DAY], 9, Seq(1)) is not None


# -- damage, formats, copies, size


def test_a_later_format_is_refused_by_readers_and_the_sealer(files):
    files.write_run(DAY, [block(1, 1, [(1, 5)])], Seq(0), Seq(1))
    files.close()
    other = apsw.Connection(str(files._path(DAY)))
    other.pragma("user_version", 3)
    other.close()
    later = DayFiles(files._directory)
    with pytest.raises(NewerFormat, match=rf"{DAY}\.db: written in format 3; this version .* up to 2"):
        later.read_at(AssetId(1), [DAY], 9, Seq(1))
    with pytest.raises(NewerFormat):
        later.write_run(DAY, [block(1, 2, [(1, 6)])], Seq(1), Seq(2))


def test_another_programs_file_is_refused(files):
    files._directory.mkdir()
    other = apsw.Connection(str(files._path(DAY)))
    other.execute("CREATE TABLE chunk (id)")
    other.close()
    with pytest.raises(Corrupt, match="not a file of sealed fixes"):
        files.write_run(DAY, [block(1, 1, [(1, 5)])], Seq(0), Seq(1))


def test_a_flipped_bit_in_a_chunk_is_found_and_named(files):
    one_asset_in_many_chunks(files)
    verify(files, DAY)
    files.close()
    other = apsw.Connection(str(files._path(DAY)))
    pack, at, size = other.execute("SELECT pack, at, size FROM chunk WHERE id = 5").get
    data = bytearray(other.execute("SELECT data FROM pack WHERE id = ?", (pack,)).get)
    data[at + size // 2] ^= 4
    other.execute("UPDATE pack SET data = ? WHERE id = ?", (bytes(data), pack))
    other.close()
    damaged = DayFiles(files._directory)
    named = re.escape(f"{files._path(DAY)}: chunk 5: the checksum does not match")
    with pytest.raises(Corrupt, match=named):
        verify(damaged, DAY)
    with pytest.raises(Corrupt, match=named):
        damaged.read_range(AssetId(1), [DAY], 4000, 5000, Seq(2000), 10)
    with pytest.raises(Corrupt, match=named):
        damaged.read_after(OrgId(1), [DAY], Seq(400), Seq(2000), 10)
    assert len(damaged.read_range(AssetId(1), [DAY], 0, 4000, Seq(2000), 999)) == 400
    damaged.close()


@pytest.mark.parametrize("column", ["asset", "t0", "t1", "s0", "s1", "n", "pack", "at", "size", "crc"])
def test_a_change_in_any_column_of_a_chunk_is_found(files, column):
    one_asset_in_many_chunks(files)
    files.close()
    other = apsw.Connection(str(files._path(DAY)))
    other.execute(f"UPDATE chunk SET {column} = {column} + 1 WHERE id = 5")
    other.close()
    with pytest.raises(Corrupt, match="chunk 5"):
        verify(DayFiles(files._directory), DAY)


@pytest.mark.parametrize("column", ["org", "run"])
def test_a_pack_that_changed_hands_is_found(files, column):
    one_asset_in_many_chunks(files)
    files.close()
    other = apsw.Connection(str(files._path(DAY)))
    other.execute(f"UPDATE pack SET {column} = {column} + 1 WHERE id = 5")
    other.close()
    with pytest.raises(Corrupt, match="chunk 5"):
        verify(DayFiles(files._directory), DAY)


def test_a_run_that_changed_hands_is_not_read_by_the_other_org(files):
    one_asset_in_many_chunks(files)
    files.close()
    other = apsw.Connection(str(files._path(DAY)))
    other.execute("UPDATE org_run SET org = 2 WHERE run = 500")
    other.close()
    with pytest.raises(Corrupt, match="run 500 of org 2"):
        DayFiles(files._directory).read_after(OrgId(2), [DAY], Seq(0), Seq(2000), 10)


def test_bits_flipped_anywhere_in_the_file_are_found_or_change_nothing(files):
    random = np.random.default_rng(6)
    fixes = made([(asset, time) for asset in range(1, 33) for time in range(500)])
    fixes["lat_e7"] = random.integers(-900_000_000, 900_000_000, len(fixes))
    last = Seq(len(fixes))
    files.write_run(DAY, [Block(OrgId(1), np.arange(1, last + 1), fixes, 5)], Seq(0), last)
    files.close()
    path = files._path(DAY)
    whole = path.read_bytes()
    named = 0
    for _ in range(80):
        broken = bytearray(whole)
        broken[int(random.integers(4096, len(whole)))] ^= 1 << int(random.integers(8))
        path.write_bytes(broken)
        damaged = DayFiles(files._directory)
        try:
            verify(damaged, DAY)
        except Corrupt as error:
            named += str(path) in str(error)
        else:
            page, _ = damaged.read_after(OrgId(1), [DAY], Seq(0), last, 99_999)
            assert page.fixes.tobytes() == fixes.tobytes()
            named -= 1
        damaged.close()
    assert named > 40


def test_a_missing_run_is_found(files):
    one_asset_in_many_chunks(files)
    files.close()
    other = apsw.Connection(str(files._path(DAY)))
    other.execute("DELETE FROM chunk WHERE id = 7")
    other.close()
    damaged = DayFiles(files._directory)
    with pytest.raises(Corrupt, match="the chunks hold 1900 fixes, the runs 2000"):
        verify(damaged, DAY)
    with pytest.raises(Corrupt, match="do not hold 100 fixes"):
        damaged.read_after(OrgId(1), [DAY], Seq(600), Seq(2000), 10)
    damaged.close()


def test_a_copy_taken_beside_the_sealer_is_whole(world, tmp_path):
    (tmp_path / "copy").mkdir()
    for day in DAYS:
        copied = world.files.copy_to(day, tmp_path / "copy" / f"{day}.db")
        assert copied == (tmp_path / "copy" / f"{day}.db").stat().st_size
    assert world.files.copy_to("2020-01-01", tmp_path / "copy" / "none.db") == 0
    copy = DayFiles(tmp_path / "copy")
    assert copy.days() == DAYS
    for _, asset in ASSETS:
        verify(copy, DAYS[0])
        got = copy.read_range(asset, DAYS, 0, 1 << 40, Seq(world.head), 9999)
        assert got.tobytes() == together(world.of(asset))
    copy.close()


def test_a_sealed_hour_takes_at_most_nine_bytes_a_fix_everything_included(files):
    from tests.unit.test_chunks import drive

    vehicles = 60
    hours = [drive(720, seed) for seed in range(vehicles)]
    for asset, (fixes, _) in enumerate(hours, 1):
        fixes["asset"] = asset
    random = np.random.default_rng(7)
    order = np.concatenate([random.permutation(vehicles) * 720 + beat for beat in range(720)])
    fixes = np.concatenate([fixes for fixes, _ in hours])[order]
    seqs = np.arange(1, len(fixes) + 1)
    files.write_run(DAY, [Block(OrgId(1), seqs, fixes, 5)], Seq(0), Seq(len(fixes)))
    assert files.read_after(OrgId(1), [DAY], Seq(0), Seq(len(fixes)), 1 << 20)[0].fixes.tobytes() == fixes.tobytes()
    files.close()
    assert files.bytes_on_disk() / len(fixes) <= 9.0 < FIX_SIZE
