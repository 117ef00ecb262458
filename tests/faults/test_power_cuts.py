"""What was answered yes survives a power cut at any moment, and nothing else is claimed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import apsw
import pytest

from odograph.model.ids import OrgId, RecordId
from odograph.store.base import Change, LedgerEntry
from odograph.store.sqlite import engine as engine_module
from odograph.store.sqlite import sealed
from odograph.store.sqlite.engine import Engine
from tests.faults.story import BEGIN_MS, DAY_MS, SHARE, Deed, Story, fixes_of, judge, observe, state_after
from tests.support.powercut import Disk, Luck, Op, WatchedDisk, room_for_images

CHUNKS = 4  # of the small run's cuts, for as many workers
LARGE_CHUNKS = 4
LARGE_CUTS = 200


class Recorded(NamedTuple):
    """A story that was told once, to be cut anywhere."""

    root: Path
    journal: Sequence[Op]
    deeds: Sequence[Deed]


def recorded(
    root: Path, tell: Callable[[Story], None], engine: Callable[..., Engine] = Engine, place: str = "data"
) -> Recorded:
    """Do it, watched."""
    with WatchedDisk(root) as disk:
        story = Story(root / place, disk.vfs, lambda: len(disk.journal), engine)
        with closing(story):
            tell(story)
    return Recorded(root, disk.journal, story.deeds)


def small(story: Story) -> None:
    """Appends, seals, merges late data into what is sealed, changes records, drops a day."""
    org = story.append(
        {1: fixes_of((1, 0), (1, 5), (2, 3))}, {2: fixes_of((3, 0))}, changes=[_change(None, b'{"a":1}', "key")]
    )
    record = org.committed.records[0].id
    story.append({1: fixes_of((1, 10), (1, 5), (2, 1))}, {1: fixes_of((1, 10, 7), (2, 8))})
    story.note(_entry(1, b"{}"), _entry(2, b'{"a":1}'))
    story.seal()
    story.append({1: fixes_of((1, 7), (1, 5), (2, 3, 9), (1, 12))}, changes=[_change(record, b'{"a":2}', "other")])
    story.seal()
    story.clock.at_ms += DAY_MS
    story.append({1: fixes_of((1, 6), (4, 2)), 2: fixes_of((3, 5), (3, 0))})
    story.append({}, changes=[_change(None, b'{"b":1}', "key")])
    story.close()
    story.open()
    story.note(_entry(2, b'{"a":2}'))
    story.append({2: fixes_of((3, 9), (3, 5, 1))}, {1: fixes_of((4, 2), (1, 8))})
    story.seal(max_rows=3)
    story.append({1: fixes_of((1, 11), (1, 6))}, changes=[_change(record, None)])
    story.drop(BEGIN_MS + DAY_MS // 2)
    story.append({1: fixes_of((1, 5), (1, 9))})
    story.seal_all()
    story.append({2: fixes_of((3, 7), (3, 9))}, {})
    story.checkpoint()
    story.append({1: fixes_of((1, 20))})


def large(story: Story) -> None:
    """Some thousand fixes in commits of all sizes; late ones, known ones; sealed and dropped as it goes."""
    chance = Random(7)
    record: RecordId | None = None
    for commit in range(160):
        rows = [
            (chance.randrange(1, 30), commit * 10 - int(chance.expovariate(1 / 200)))
            for _ in range(chance.choice((1, 2, 10, 60, 200)))
        ]
        parts = {org: fixes_of(*(row for row in rows if row[0] % 3 == org)) for org in range(3)}
        changes = [_change(record, b'{"at":%d}' % commit, "key")] if commit % 9 == 0 else []
        done = story.append(*({org + 1: part} for org, part in parts.items()), changes=changes)
        record = done.committed.records[0].id if changes else record
        story.clock.at_ms += DAY_MS // 40
        if commit % 25 == 24:
            story.seal(max_rows=2000)
        if commit % 60 == 59:
            story.drop(story.clock.at_ms - 2 * DAY_MS)
        if commit % 70 == 69:
            story.close()
            story.open()


def _entry(minute: int, body: bytes) -> LedgerEntry:
    return LedgerEntry(*SHARE, minute, 5, body)


def _change(record: RecordId | None, body: bytes | None, *keys: str) -> Change:
    return Change(OrgId(1), "vehicle", record, body, keys)


def cut_and_judge(
    story: Recorded, cuts: Sequence[int], lucks: Sequence[Luck], room: Path, place: str = "data"
) -> None:
    """At each of the places (ascending): what is left is right."""
    disk, at = Disk(story.root), 0
    for cut in cuts:
        disk.play(story.journal[at:cut])
        at = cut
        for luck in lucks:
            image = room / f"{cut}-{luck.value}"
            image.mkdir()
            disk.after_cut(image, luck, seed=cut)
            judge(image / place, story.deeds, cut)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return recorded(tmp_path_factory.mktemp("disk").resolve(), small)


@pytest.fixture(scope="module")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return recorded(tmp_path_factory.mktemp("disk").resolve(), large)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    with room_for_images(tmp_path) as place:
        yield place


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_cut_at_any_operation_loses_nothing_that_was_answered(
    small_run: Recorded, chunk: int, room: Path
) -> None:
    cuts = range(chunk, len(small_run.journal) + 1, CHUNKS)
    cut_and_judge(small_run, cuts, (Luck.NOTHING, Luck.CHANCE), room)


@pytest.mark.parametrize("place", ["new/data", "new/newer/newest/data"])
def test_a_data_directory_is_durable_with_its_first_fix_however_many_directories_were_made_for_it(
    place: str, tmp_path: Path, room: Path
) -> None:
    def appends(story: Story) -> None:
        story.append({1: fixes_of((1, 0))})

    story = recorded(tmp_path.resolve(), appends, place=place)
    cut_and_judge(story, range(len(story.journal) + 1), (Luck.NOTHING, Luck.CHANCE), room, place)


@pytest.mark.parametrize("chunk", range(LARGE_CHUNKS))
def test_a_cut_at_a_random_place_of_a_large_run_loses_nothing_that_was_answered(
    large_run: Recorded, chunk: int, room: Path
) -> None:
    cuts = sorted(Random(11).sample(range(len(large_run.journal) + 1), LARGE_CUTS))
    cut_and_judge(large_run, cuts[chunk::LARGE_CHUNKS], (Luck.CHANCE,), room)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_answered_after_a_kill_survives_a_power_cut_at_once(
    small_run: Recorded, chunk: int, room: Path
) -> None:
    """The writer dies with a commit in the page cache only; its successor must not call that known yet."""
    kill_and_cut(small_run, range(chunk, len(small_run.journal) + 1, 2 * CHUNKS), room)


def kill_and_cut(story: Recorded, kills: Sequence[int], room: Path) -> None:
    """Kill at each of the places, let a successor answer, and cut the power then."""
    disk, at = Disk(story.root), 0
    for kill in kills:
        disk.play(story.journal[at:kill])
        at = kill
        killed = room / f"{kill}-killed"
        killed.mkdir()
        disk.after_cut(killed, Luck.ALL, seed=kill)
        successor = _successor(story, disk, killed, kill)
        after = disk.moved(killed)
        after.play(successor.journal)
        image = room / f"{kill}-cut"
        image.mkdir()
        after.after_cut(image, Luck.NOTHING, seed=kill)
        judge(image / "data", successor.deeds, len(successor.journal))


def _successor(story: Recorded, disk: Disk, root: Path, cut: int) -> Recorded:
    """Who comes after a kill at `cut` is sent everything again, and answers."""
    begun = [deed for deed in story.deeds if deed.begin <= cut]
    with WatchedDisk(root, disk.moved(root)) as watched:
        successor = Story(root / "data", watched.vfs, lambda: len(watched.journal))
        with closing(successor):
            found = observe(successor)
            assert found.rows in (state_after(begun).rows, state_after(begun[:-1]).rows)
            successor.take_over(found)
            for deed in begun:
                if deed.sent:
                    successor.append(*({part.org: part.fixes for part in append} for append in deed.sent))
            told = Recorded(root, list(watched.journal), list(successor.deeds))
    return told


# -- the same with faults planted: each must be noticed


def _in_haste(module: object, name: str) -> AbstractContextManager[object]:
    """Whatever the module opens by `name` never waits for the disk."""
    real = getattr(module, name)

    def opened(*args: object) -> object:
        made = real(*args)
        connection = made if isinstance(made, apsw.Connection) else made._connection
        connection.pragma("synchronous", "OFF")
        return made

    return mock.patch.object(module, name, opened)


class _HastyEngine(Engine):
    """Answers each commit first, and makes it durable when it gets around to it."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")
        yield


def _fails(story: Recorded, room: Path, match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        cut_and_judge(story, range(len(story.journal) + 1), (Luck.NOTHING,), room)


def test_a_log_that_is_not_synced_is_noticed(tmp_path: Path, room: Path) -> None:
    with _in_haste(engine_module, "open_for_writing"):
        story = recorded(tmp_path.resolve(), small)
    _fails(story, room, "answered yes and is not there")


def test_a_day_file_that_is_not_synced_is_noticed(tmp_path: Path, room: Path) -> None:
    with _in_haste(sealed, "open_writer"):
        story = recorded(tmp_path.resolve(), small)
    _fails(story, room, "answered yes and is not there|Corrupt")


def test_a_name_that_is_not_synced_is_noticed(tmp_path: Path, room: Path) -> None:
    with mock.patch.object(WatchedDisk, "sync_directory"):
        story = recorded(tmp_path.resolve(), small)
    _fails(story, room, "answered yes and is not there")


def test_an_answer_before_the_commit_is_noticed(tmp_path: Path, room: Path) -> None:
    def appends(story: Story) -> None:
        for second in range(4):
            story.append({1: fixes_of((1, second))})

    story = recorded(tmp_path.resolve(), appends, _HastyEngine)
    _fails(story, room, "answered yes and is not there")


class _Careless(apsw.Connection):
    """Believes what it finds to be on disk already."""

    def execute(self, statements: str, *args: Any, **options: Any) -> apsw.Cursor:
        return super().execute("SELECT 0" if "wal_checkpoint" in statements else statements, *args, **options)


def test_a_successor_that_does_not_sync_what_it_finds_is_noticed(small_run: Recorded, room: Path) -> None:
    with mock.patch.object(apsw, "Connection", _Careless), pytest.raises(AssertionError, match="answered yes"):
        kill_and_cut(small_run, range(len(small_run.journal) + 1), room)
