"""The writer's engine: commits, failures that change nothing, starting again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.fixes import Fixes
from odograph.model.ids import OrgId, RecordId, Seq
from odograph.store.base import Change, LedgerEntry, OrgFixes, Outcome
from odograph.store.sqlite.engine import Done, Engine
from odograph.store.sqlite.ledger import FORGET_ROWS, KEEP_MINUTES
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.writer import lock
from tests.support.stores import HEAD, ORG, make_fixes, make_track

STORED, KNOWN, DIFFERENT, _ = Outcome


class SetClock:
    """Shows what it is told to."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000
        self.ahead_ms = 0  # of the time that passes, at_ms

    def now_ms(self) -> int:
        return self.at_ms + self.ahead_ms

    def steady_s(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the engine never sleeps")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def engine(tmp_path: Path, clock: SetClock) -> Iterator[Engine]:
    engine = Engine(tmp_path, clock)
    yield engine
    engine.close()


def commit(engine: Engine, *parts: Fixes, org: OrgId = ORG) -> list[list[int]]:
    done = engine.commit([[OrgFixes(org, part) for part in parts]])
    return outcomes_of(done)[0]


def outcomes_of(done: Done) -> list[list[list[int]]]:
    answers = []
    for answer in done.appended:
        assert not isinstance(answer, Refusal)
        answers.append([part.tolist() for part in answer])
    return answers


def test_a_commit_gives_dense_seqs_to_what_is_new_of_every_org(engine: Engine, clock: SetClock):
    first, second = OrgFixes(OrgId(1), make_track(1, 3)), OrgFixes(OrgId(2), make_track(2, 2))
    done = engine.commit([[first, second], [first], [OrgFixes(OrgId(1), make_track(3, 2))]])
    assert outcomes_of(done) == [[[STORED] * 3, [STORED] * 2], [[KNOWN] * 3], [[STORED] * 2]]
    assert [(block.org, block.seqs.tolist()) for block in done.committed.blocks] == [
        (1, [1, 2, 3, 4, 5]),
        (2, [6, 7]),
    ]
    assert {block.received_ms for block in done.committed.blocks} == {clock.at_ms}
    assert engine.head == 7
    done = engine.commit([[second]])
    assert not done.committed.blocks
    assert engine.head == 7


def test_an_impossible_fix_refuses_its_own_append_alone(engine: Engine):
    bad, good = OrgFixes(ORG, make_fixes([0], [0])), OrgFixes(ORG, make_track(1, 2))
    done = engine.commit([[good, bad], [good]])
    assert isinstance(done.appended[0], Refusal)
    assert done.appended[0].kind is Kind.INVALID
    assert not isinstance(done.appended[1], Refusal)
    assert done.appended[1][0].tolist() == [STORED] * 2


def test_a_full_disk_refuses_everything_and_leaves_nothing_behind(engine: Engine, tmp_path: Path):
    commit(engine, make_track(1, 10))
    pages = engine._connection.pragma("page_count")
    engine._connection.pragma("max_page_count", pages)
    big = make_track(1, 5_000, start_ms=100_000)
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            engine.commit([[OrgFixes(ORG, big)]], [[Change(ORG, "tag", None, b"{}", ("name",))]])
        assert refused.value.kind is Kind.UNAVAILABLE
        assert refused.value.retry_after_s
    assert (engine.head, engine.rev) == (10, 0)
    engine._connection.pragma("max_page_count", 1_000_000)
    done = engine.commit([[OrgFixes(ORG, big)]], [[Change(ORG, "tag", None, b"{}", ("name",))]])
    assert outcomes_of(done) == [[[STORED] * 5_000]]
    assert not isinstance(done.written[0], Refusal)
    reader = LogReader(tmp_path)
    block, reached = reader.read_after(ORG, Seq(0), HEAD, 10_000, None)
    reader.close()
    assert (len(block.fixes), reached) == (5_010, 5_010)


class _FailingFile(apsw.VFSFile):
    def __init__(self, vfs: FailingDisk, name, flags):
        self._vfs = vfs
        super().__init__("", name, flags)

    def xSync(self, flags):
        if self._vfs.is_failing:
            raise apsw.IOError("the disk says no")
        super().xSync(flags)


class FailingDisk(apsw.VFS):
    """A disk that can refuse to make anything durable."""

    def __init__(self) -> None:
        self.is_failing = False
        super().__init__("failing", "")

    def xOpen(self, name, flags):
        return _FailingFile(self, name, flags)


def test_a_commit_that_cannot_be_synced_is_refused_and_the_next_one_works(tmp_path: Path, clock: SetClock):
    disk = FailingDisk()
    engine = Engine(tmp_path, clock, "failing")
    commit(engine, make_track(1, 5))
    disk.is_failing = True
    for _ in range(3):
        with pytest.raises(Refusal) as refused:
            commit(engine, make_track(1, 10))
        assert refused.value.kind is Kind.UNAVAILABLE
    disk.is_failing = False
    assert commit(engine, make_track(1, 10)) == [[KNOWN] * 5 + [STORED] * 5]
    engine.close()
    engine = Engine(tmp_path, clock, "failing")
    assert engine.head == 10
    assert commit(engine, make_track(1, 11)) == [[KNOWN] * 10 + [STORED]]
    engine.close()
    disk.unregister()


def test_starting_again_finds_head_revs_ids_and_every_fix(tmp_path: Path, clock: SetClock):
    engine = Engine(tmp_path, clock)
    track = make_track(1, 400)
    for part in np.array_split(np.random.default_rng(1).permutation(track), 20):
        commit(engine, part)
    done = engine.commit([], [[Change(ORG, "tag", None, b"1"), Change(ORG, "tag", None, b"2")]])
    assert not isinstance(done.written[0], Refusal)
    engine.commit([], [[Change(ORG, "tag", done.written[0][1].id, None)]])
    epoch = engine.epoch
    engine.close()
    engine = Engine(tmp_path, clock)
    assert (engine.head, engine.rev, engine.epoch) == (400, 3, epoch)
    assert commit(engine, track) == [[KNOWN] * 400]
    done = engine.commit([], [[Change(ORG, "tag", None, b"3")]])
    assert not isinstance(done.written[0], Refusal)
    assert (done.written[0][0].id, done.written[0][0].rev) == (3, 4)
    engine.close()


def test_a_hole_in_the_log_is_found_when_starting(tmp_path: Path, clock: SetClock):
    engine = Engine(tmp_path, clock)
    for start in range(3):
        commit(engine, make_track(1, 10, start_ms=start * 1_000_000))
    engine._connection.execute("DELETE FROM block WHERE seq = 11")
    engine.close()
    with pytest.raises(Corrupt, match="between 10 and 21"):
        Engine(tmp_path, clock)


def test_a_directory_has_one_writer_and_a_second_is_told_which(tmp_path: Path):
    held = lock(tmp_path)
    with pytest.raises(Refusal, match=f"process {os.getpid()}") as refused:
        lock(tmp_path)
    assert refused.value.kind is Kind.CONFLICT
    os.close(held)
    os.close(lock(tmp_path))


def test_an_sqlite_that_can_lose_commits_is_refused(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(apsw, "SQLITE_VERSION_NUMBER", 3_051_002)
    with pytest.raises(Refusal, match=r"3\.51\.3"):
        Engine(tmp_path, clock)


def test_somebody_elses_database_is_not_touched(tmp_path: Path, clock: SetClock):
    other = apsw.Connection(str(tmp_path / "odograph.db"))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(Corrupt, match=r"odograph\.db"):
        Engine(tmp_path, clock)


def test_the_log_is_written_with_full_synchronisation(engine: Engine):
    assert engine._connection.pragma("synchronous") == 2
    assert engine._connection.pragma("journal_mode") == "wal"


# -- the ledger


def test_a_ledger_keeps_400_days_and_forgets_the_rest_a_few_at_a_time(
    engine: Engine, clock: SetClock, tmp_path: Path
):
    now = clock.at_ms // 60_000
    kept = [LedgerEntry(ORG, RecordId(1), now - KEEP_MINUTES + later, 1, b"{}") for later in range(3)]
    old = [
        LedgerEntry(ORG, RecordId(1), now - KEEP_MINUTES - 1 - early, 1, b"{}") for early in range(FORGET_ROWS + 2)
    ]
    engine.note([*kept, *old])
    assert engine.trim_ledger()
    assert not engine.trim_ledger()
    reader = LogReader(tmp_path)
    assert reader.read_ledger(ORG, RecordId(1), 0, now + 1, 1 << 30) == kept
    reader.close()


def test_a_ledger_is_added_to_a_database_that_has_none(tmp_path: Path, clock: SetClock):
    Engine(tmp_path, clock).close()
    database = apsw.Connection(str(tmp_path / "odograph.db"))
    database.execute("DROP TABLE ledger")
    database.close()
    engine = Engine(tmp_path, clock)
    engine.note([LedgerEntry(ORG, RecordId(1), 1, 1, b"{}")])
    engine.close()


def test_a_changed_byte_in_a_ledger_is_found_and_the_place_named(engine: Engine, tmp_path: Path):
    engine.note([LedgerEntry(ORG, RecordId(1), 7, 1, b"{}")])
    engine._connection.execute("UPDATE ledger SET body = ?", (b"[]",))
    reader = LogReader(tmp_path)
    with pytest.raises(Corrupt, match=r"share 1, minute 7"):
        reader.read_ledger(ORG, RecordId(1), 0, 10, 10)
    reader.close()


# -- plans of what is asked often


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT max(seq) FROM block WHERE org = 1 AND seq <= 5", "block_by_org"),
        ("SELECT data FROM block WHERE org = 1 AND seq BETWEEN 1 AND 5 ORDER BY seq", "block_by_org"),
        ("SELECT data FROM block WHERE seq > 5 ORDER BY seq", "PRIMARY KEY"),
        ("SELECT body FROM record WHERE rev > 5 ORDER BY rev", "record_by_rev"),
        ("SELECT day, t0, t1 FROM span WHERE asset = 1 ORDER BY day", "PRIMARY KEY"),
        ("DELETE FROM span WHERE day = 'x'", "span_by_day"),
        ("SELECT body FROM ledger WHERE org = 1 AND share = 2 AND minute >= 3 ORDER BY minute", "PRIMARY KEY"),
        ("SELECT org, share, minute, writer FROM ledger WHERE minute < 5 LIMIT 9", "ledger_by_minute"),
        ("DELETE FROM record_key WHERE id = 1", "record_key_by_id"),
        ("SELECT day FROM org_day WHERE org = 1 AND s1 > 2 AND s0 <= 5 ORDER BY s0", "PRIMARY KEY"),
    ],
)
def test_what_is_asked_often_is_found_by_an_index(engine: Engine, query: str, index: str):
    plan = [row[3] for row in engine._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert index in plan[0]
    assert plan[0].startswith("SEARCH")
