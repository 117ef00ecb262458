"""Sealing and dropping, step by step, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np
import pytest

from odograph.errors import Corrupt, Kind, Refusal, unavailable
from odograph.model.fixes import Fixes
from odograph.model.ids import AssetId, OrgId, RecordId, Seq
from odograph.store.base import LedgerEntry, OrgFixes, Outcome
from odograph.store.sqlite import engine as engine_module
from odograph.store.sqlite.dayfile import DayReader
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.housekeeping import DAY_MS, Rule
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.pages import NewerFormat
from odograph.store.sqlite.sealed import DayFiles
from odograph.store.sqlite.sealer import day_after, drop_old, keep_house, seal_once
from tests.support.stores import BASE_MS, HEAD, ORG, as_rows, make_fixes, make_track
from tests.unit.test_engine import SetClock

STORED, KNOWN, DIFFERENT, UNJUDGED = Outcome
NOON_MS = 1_799_971_200_000 + 43_200_000  # of 2027-01-15


@dataclass
class House:
    """An engine, a reader and the day files of one directory."""

    directory: Path
    clock: SetClock

    def __post_init__(self) -> None:
        self.clock.at_ms = NOON_MS
        self.open()

    def open(self) -> None:
        self.engine = Engine(self.directory, self.clock)
        self.log = LogReader(self.directory)
        self.days = DayFiles(self.directory / "sealed", is_known=self.log.knows_day)

    def close(self) -> None:
        for one in (self.days, self.log, self.engine):
            one.close()

    def append(self, *parts: Fixes, org: OrgId = ORG) -> list[list[int]]:
        (answer,) = self.engine.commit([[OrgFixes(org, part) for part in parts]]).appended
        assert not isinstance(answer, Refusal)
        return [part.tolist() for part in answer]

    def seal(self, max_rows: int = 1 << 30) -> int:
        return seal_once(self.log, self.days, self.engine, max_rows)

    def feed(self, after: int = 0, org: OrgId = ORG) -> tuple[list[tuple[int, ...]], list[int]]:
        rows, seqs, at = [], [], Seq(after)
        while at < self.engine.head:
            block, at = self.log.read_after(org, at, self.engine.head, 100, None)
            rows += as_rows(block.fixes)
            seqs += block.seqs.tolist()
        return rows, seqs

    def known_days(self) -> list[str]:
        with self.log.snapshot() as snapshot:
            return [day for (day,) in snapshot.connection.execute("SELECT day FROM day ORDER BY day")]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, SetClock())
    yield house
    house.close()


def test_a_run_ends_at_midnight_and_at_its_limit(house: House):
    house.append(make_track(1, 30))
    house.append(make_track(2, 30))
    house.clock.at_ms += DAY_MS
    house.append(make_track(1, 30, start_ms=1_000_000))
    assert [house.seal(max_rows=40) for _ in range(4)] == [30, 30, 30, 0]
    assert house.known_days() == ["2027-01-15", "2027-01-16"]
    assert house.engine.unsealed_rows == 0
    assert house.feed()[1] == list(range(1, 91))


def test_a_commit_larger_than_a_run_is_sealed_whole(house: House):
    house.append(make_track(1, 100))
    assert house.seal(max_rows=10) == 100


def test_days_follow_each_other_when_the_clock_is_set_back(house: House):
    for place, step in enumerate((DAY_MS, -3 * DAY_MS, 2 * DAY_MS, 3 * DAY_MS)):
        house.append(make_track(1, 5, start_ms=place * 100_000))
        while house.seal():
            pass
        house.clock.at_ms += step
    assert house.feed()[1] == list(range(1, 21))
    assert house.known_days() == ["2027-01-15", "2027-01-16", "2027-01-16.2027-01-13", "2027-01-16.2027-01-15"]


def test_names_of_days_sort_in_the_order_in_which_they_follow_each_other_whatever_the_clock_says():
    random, names = np.random.default_rng(2), [""]
    for _ in range(2000):
        at_ms = NOON_MS + int(random.integers(-6, 6)) * DAY_MS // 2
        names.append(day_after(names[-1], at_ms))
    assert names == sorted(names)
    assert max(map(len, names)) < 200


def test_a_clock_that_is_a_little_behind_at_midnight_makes_no_file():
    midnight_ms = NOON_MS + DAY_MS // 2
    assert day_after("2027-01-16", midnight_ms - 1) == "2027-01-16"
    assert day_after("2027-01-16", midnight_ms - DAY_MS - 1) == "2027-01-16.2027-01-14"
    assert day_after("2027-01-16.2027-01-14", midnight_ms - DAY_MS) == "2027-01-16.2027-01-15"
    assert day_after("2027-01-16.2027-01-15", midnight_ms + DAY_MS) == "2027-01-17"


def test_what_is_sealed_is_deleted_from_the_log_some_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine_module, "TRIM_BLOCKS", 10)
    for start in range(25):
        house.append(make_track(1, 2, start_ms=start * 100_000))
    house.seal()
    count = "SELECT count(*) FROM block"
    left = []
    while house.engine.trim():
        left.append(house.engine._connection.execute(count).get)
        assert house.feed()[1] == list(range(1, 51))
    assert left == [15, 5]
    assert house.engine._connection.execute(count).get == 0
    assert not house.engine.trim()


def test_leftovers_of_a_killed_writer_are_not_read_twice_and_go(house: House):
    house.append(make_track(1, 50))
    house.seal()
    house.close()
    house.open()
    assert house.feed()[1] == list(range(1, 51))
    assert house.engine.head == 50
    assert not house.engine.trim()
    assert house.engine._connection.execute("SELECT count(*) FROM block").get == 0


class Dying:
    """Asks the engine for some things, then dies."""

    def __init__(self, engine: Engine, steps: int) -> None:
        self._engine = engine
        self._steps = steps

    def __getattr__(self, name: str):
        self._steps -= 1
        if self._steps < 0:
            raise unavailable("killed")
        return getattr(self._engine, name)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_sealer_may_die_between_any_two_steps(house: House, steps: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("odograph.store.sqlite.sealer.WIDEN_ASSETS", 1)
    house.append(make_track(1, 40), make_track(2, 40))
    with pytest.raises(Refusal):
        seal_once(house.log, house.days, Dying(house.engine, steps), 1 << 30)
    assert house.feed()[1] == list(range(1, 81))
    late = make_track(1, 3, start_ms=1)
    assert house.append(make_track(1, 40), late) == [[KNOWN] * 40, [STORED] * 3]
    keep_house(house.log, house.days, house.engine, Rule(seal_after_s=-1), house.clock)
    assert house.engine.sealed_through == 83
    assert house.feed()[1] == list(range(1, 84))
    assert house.append(make_track(2, 40), late) == [[KNOWN] * 40, [KNOWN] * 3]


def test_two_sealers_cannot_seal_the_same(house: House):
    house.append(make_track(1, 10))
    house.seal()
    with pytest.raises(Refusal, match="does not follow"):
        house.engine.seal("2027-01-15", Seq(0), Seq(10), [], NOON_MS)


def test_newest_keeps_the_latest_time_and_the_last_arrival(house: House):
    house.append(make_track(1, 10))
    house.clock.at_ms += 60_000
    house.append(make_track(2, 1))
    house.seal()
    house.clock.at_ms += 60_000
    house.append(make_fixes([1], [-5_000]))
    house.append(make_fixes([3], [0]))
    house.seal()
    newest, through = house.log.newest()
    assert newest.fixes["asset"].tolist() == [1, 2, 3]
    assert newest.fixes["time_ms"].tolist() == [BASE_MS + 45_000, BASE_MS, BASE_MS]
    assert newest.seqs.tolist() == [10, 11, 13]
    assert newest.received_ms.tolist() == [NOON_MS + 120_000, NOON_MS + 60_000, NOON_MS + 120_000]
    assert through == 13


def test_sealing_is_due_by_length_or_by_age():
    rule = Rule(seal_rows=100, seal_after_s=60)
    assert not rule.is_seal_due(0, None, NOON_MS)
    assert not rule.is_seal_due(99, NOON_MS - 59_999, NOON_MS)
    assert rule.is_seal_due(100, NOON_MS, NOON_MS)
    assert not rule.is_seal_due(1, NOON_MS - 60_000, NOON_MS), "a short end waits for more"
    assert rule.is_seal_due(1, NOON_MS - 24 * 60_000, NOON_MS)
    assert Rule(seal_rows=1_000_000, seal_after_s=60).is_seal_due(100_000, NOON_MS - 60_000, NOON_MS)
    assert rule.is_seal_due(1, NOON_MS + 400 * DAY_MS, NOON_MS), (
        "what came under a clock that was ahead waits too long"
    )


def test_keeping_house_seals_only_what_is_due(house: House):
    house.append(make_track(1, 100))
    keep_house(house.log, house.days, house.engine, Rule(seal_rows=101, seal_after_s=10), house.clock)
    assert house.engine.sealed_through == 0
    house.clock.at_ms += 240_000
    keep_house(house.log, house.days, house.engine, Rule(seal_rows=101, seal_after_s=10), house.clock)
    assert house.engine.sealed_through == 100


# -- looking up what is sealed


@pytest.mark.parametrize("error", [unavailable("not now"), Corrupt("damaged"), NewerFormat("format 9")])
@pytest.mark.parametrize("count", [3, 100])
def test_late_fixes_that_cannot_be_compared_wait_and_all_others_are_stored(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception, count: int
):
    house.append(make_track(1, 5000), make_track(2, 10))
    house.seal()
    with monkeypatch.context() as broken:
        broken.setattr(DayReader, "spans", lambda *_: (_ for _ in ()).throw(error))
        for start_ms in (50_000_000, 60_000_000):  # what was stored beside them stays so when they come again
            answers = house.append(
                make_track(1, count), make_track(1, 5, start_ms=start_ms), make_track(3, 5, start_ms=start_ms)
            )
            assert answers == [[UNJUDGED] * count, [STORED] * 5, [STORED] * 5]
        assert house.append(make_track(1, count), make_track(1, 5, start_ms=60_000_000)) == [
            [UNJUDGED] * count,
            [KNOWN] * 5,
        ]
    assert house.append(make_track(1, 5000)) == [[KNOWN] * 5000]
    assert len(house.feed()[1]) == 5030


def test_a_missing_day_is_named_by_reads_starts_and_the_sealer(house: House, caplog: pytest.LogCaptureFixture):
    house.append(make_track(1, 100))
    house.seal()
    house.append(make_track(1, 10, start_ms=10_000_000))
    (path,) = (house.directory / "sealed").glob("*.db")
    kept = path.read_bytes()
    for content in (None, b""):  # as when a folder was cleared, and as some file systems leave a file
        house.close()
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        caplog.clear()
        house.open()
        assert (f"{path} is missing or empty" in caplog.text) == (content is None)
        with pytest.raises(Corrupt, match=rf"{path.name} is missing"):
            house.feed()
        with pytest.raises(Corrupt, match=rf"{path.name} is missing"):
            house.log.read_range(ORG, [AssetId(1)], [0], 1 << 41, HEAD, 10)
        with pytest.raises(Corrupt, match=rf"{path.name} is missing"):
            house.log.read_at(ORG, [AssetId(1)], BASE_MS + 5000, HEAD)
        assert house.append(make_track(1, 3)) == [[UNJUDGED] * 3]
        with pytest.raises(Corrupt, match=rf"{path.name} is missing"):
            house.seal()
        assert path.exists() == (content is not None)
        assert house.feed(after=100)[1] == list(range(101, 111))
    house.close()
    path.write_bytes(kept)
    house.open()
    house.seal()
    assert house.feed()[1] == list(range(1, 111))


def test_a_damaged_chunk_lets_what_it_held_be_sent_again_and_everything_else_be_known(house: House):
    house.append(make_track(1, 100), make_track(2, 100))
    house.seal()
    house.close()
    day = apsw.Connection(str(next((house.directory / "sealed").glob("*.db"))))
    day.execute("UPDATE chunk SET crc = crc + 1 WHERE asset = 1")
    day.close()
    house.open()
    assert house.append(make_track(1, 100), make_track(2, 100)) == [[STORED] * 100, [KNOWN] * 100]
    assert house.append(make_track(1, 100)) == [[KNOWN] * 100]


def test_what_is_sealed_later_the_same_day_is_found_too(house: House):
    for start in range(4):
        house.append(make_track(1, 50, start_ms=start * 60_000))
        house.seal()
        assert house.append(make_track(1, 12 * start + 50)) == [[KNOWN] * (12 * start + 50)]


# -- retention


def days_of_fixes(house: House, days: int, first: int = 0) -> None:
    for day in range(first, first + days):
        house.append(make_track(1, 10, start_ms=day * DAY_MS), make_track(2, 1, start_ms=day * DAY_MS))
        while house.seal():
            pass
        house.clock.at_ms += DAY_MS
    house.engine.pass_time()


def keep(house: House) -> list[str]:
    """What the writer and the sealer do while nobody sends; which days are left."""
    house.engine.pass_time()
    keep_house(house.log, house.days, house.engine, Rule(seal_rows=1, retention_days=31), house.clock)
    assert house.days.days() == house.known_days()
    return house.known_days()


def test_what_came_too_long_ago_is_dropped_and_readers_are_told(house: House):
    days_of_fixes(house, 40)
    files = set(house.days.days())
    rule = Rule(retention_days=31)
    keep_house(house.log, house.days, house.engine, rule, house.clock)
    assert house.known_days() == sorted(files)[-31:]
    assert house.days.days() == sorted(files)[-31:]
    for after in (0, 98):
        with pytest.raises(Refusal, match="dropped") as refused:
            house.feed(after)
        assert refused.value.kind is Kind.INVALID
    assert house.feed(99)[1] == list(range(100, 441))
    assert not house.feed(0, OrgId(9))[1]
    (kept,) = house.log.read_range(ORG, [AssetId(1)], [BASE_MS], BASE_MS + 50 * DAY_MS, HEAD, 1000)
    assert kept["time_ms"].tolist()[0] == BASE_MS + 9 * DAY_MS
    assert not len(house.log.read_at(ORG, [AssetId(1)], BASE_MS + 9 * DAY_MS - 1, HEAD))
    assert house.append(make_track(1, 10, start_ms=20 * DAY_MS)) == [[KNOWN] * 10]


def test_the_newest_fix_outlives_its_day(house: House):
    days_of_fixes(house, 1)
    house.clock.at_ms += 100 * DAY_MS
    assert drop_old(house.log, house.days, house.engine, house.clock.at_ms - 31 * DAY_MS) == ["2027-01-15"]
    newest, _ = house.log.newest()
    assert newest.fixes["time_ms"].tolist() == [BASE_MS + 45_000, BASE_MS]
    house.close()
    house.open()
    assert house.engine.head == 11
    house.append(make_track(1, 1, start_ms=DAY_MS))
    assert house.feed(11)[1] == [12]


def test_a_file_that_nobody_knows_is_cleared_away(house: House):
    days_of_fixes(house, 2)
    (first, _) = house.known_days()
    house.engine.drop(first)  # and then killed, before the file went
    assert len(house.days.days()) == 2
    drop_old(house.log, house.days, house.engine, 0)
    assert house.days.days() == house.known_days()


@pytest.mark.parametrize("hours", [0, 1, 30])
def test_a_clock_that_is_a_year_ahead_for_a_while_drops_no_more_than_that_while_explains(house: House, hours: int):
    days_of_fixes(house, 40)
    before = keep(house)
    house.clock.ahead_ms = 365 * DAY_MS
    house.append(make_track(1, 10, start_ms=50 * DAY_MS))
    for _ in range(hours):
        house.clock.at_ms += 3_600_000
        keep(house)
    assert [day for day in keep(house) if day in before] == before[-(-2 * hours // 24) :]
    house.clock.ahead_ms = 0
    left = keep(house)
    house.close()
    house.open()
    assert keep(house) == left


def test_what_came_while_the_clock_was_a_year_ahead_swallows_nothing_and_goes_when_it_is_old(house: House):
    days_of_fixes(house, 3)
    house.clock.ahead_ms = 365 * DAY_MS
    house.append(make_track(1, 10, start_ms=30 * DAY_MS))
    keep(house)
    house.clock.ahead_ms = 0
    days_of_fixes(house, 3, first=40)
    assert keep(house) == [
        "2027-01-15",
        "2027-01-16",
        "2027-01-17",
        "2028-01-18",
        "2028-01-18.2027-01-18",
        "2028-01-18.2027-01-19",
        "2028-01-18.2027-01-20",
    ]
    house.clock.at_ms += 29 * DAY_MS
    assert keep(house) == ["2028-01-18.2027-01-19", "2028-01-18.2027-01-20"]
    house.clock.at_ms += 3 * DAY_MS
    assert keep(house) == []


def test_a_clock_that_goes_back_to_1970_makes_nothing_look_old_once_it_is_right(house: House):
    days_of_fixes(house, 5)
    house.clock.ahead_ms = -house.clock.at_ms
    house.append(make_track(1, 10, start_ms=30 * DAY_MS))
    house.clock.at_ms += DAY_MS
    keep(house)
    house.clock.ahead_ms = 0
    house.append(make_track(1, 10, start_ms=40 * DAY_MS))
    assert len(keep(house)) == 7
    for left in (7, 6, 5, 4, 3, 2):
        house.clock.at_ms += 25 * DAY_MS if left == 7 else DAY_MS
        assert len(keep(house)) == left


def test_after_a_standstill_dropping_waits_as_long_at_most_and_then_catches_up(house: House):
    days_of_fixes(house, 3)
    house.close()
    house.clock.at_ms += 100 * DAY_MS
    house.open()
    house.append(make_track(1, 10, start_ms=50 * DAY_MS))
    assert len(keep(house)) == 4
    house.clock.at_ms += 12 * DAY_MS
    assert len(keep(house)) == 4
    house.clock.at_ms += 10 * DAY_MS
    assert keep(house) == ["2027-04-28"], "which is not old by the clock"
    house.clock.at_ms += 43 * DAY_MS
    assert keep(house) == ["2027-04-28"], "which is, and lived time is not there yet"
    house.clock.at_ms += DAY_MS
    assert keep(house) == []


def test_a_directory_of_before_lived_time_was_kept_goes_on_from_its_last_arrival(house: House):
    days_of_fixes(house, 40)
    house.engine._connection.execute("DELETE FROM lived")
    house.close()
    house.clock.ahead_ms = 365 * DAY_MS
    house.open()
    assert len(keep(house)) == 32


def test_a_flipped_bit_in_lived_time_is_named(house: House):
    days_of_fixes(house, 1)
    house.engine._connection.execute("UPDATE lived SET at_ms = at_ms + 4096")
    house.close()
    with pytest.raises(Corrupt, match=r"odograph\.db: its lived time"):
        Engine(house.directory, house.clock)
    house.days.close()


def test_the_ledger_is_not_forgotten_because_of_a_clock_that_is_years_ahead(house: House):
    entry = LedgerEntry(ORG, RecordId(1), house.clock.at_ms // 60_000, 1, b"{}")
    house.append(make_track(1, 10))
    house.engine.note([entry])
    house.clock.ahead_ms = 1000 * DAY_MS
    house.engine.trim_ledger()
    assert house.log.read_ledger(ORG, RecordId(1), 0, 1 << 40, 10) == [entry]


def test_fixes_are_never_kept_for_less_than_a_month():
    with pytest.raises(Refusal, match="31 days"):
        Rule(retention_days=30)


def test_fixes_of_many_orgs_and_commits_seal_exactly(house: House):
    random = np.random.default_rng(5)
    for _ in range(60):
        org = OrgId(int(random.integers(1, 4)))
        assets = random.integers(1, 6, 20) + 10 * org
        house.append(make_fixes(assets.tolist(), (random.integers(0, 5000, 20) * 1000).tolist()), org=org)
    before = {org: house.feed(org=OrgId(org)) for org in (1, 2, 3)}
    while house.seal(max_rows=333):
        pass
    assert {org: house.feed(org=OrgId(org)) for org in (1, 2, 3)} == before


def test_the_newest_day_can_be_opened_when_the_disk_has_no_room_left_for_files_beside_it(house: House):
    days_of_fixes(house, 2)
    beside = sorted(path.name for path in (house.directory / "sealed").iterdir() if path.suffix != ".db")
    house.days.close()
    house.log.close()
    assert sorted(path.name for path in (house.directory / "sealed").iterdir() if path.suffix != ".db") == beside
    assert beside == ["2027-01-16.db-shm", "2027-01-16.db-wal"]
    house.engine.drop("2027-01-16")
    house.engine.close()
    house.open()
    assert house.engine._sealed._newest is not None
    assert house.engine._sealed._newest.path.stem == "2027-01-15"
