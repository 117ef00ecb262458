"""Full disks, failing ones, flipped bits, a clock that jumps, files of a later version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from types import SimpleNamespace

import apsw
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.ids import OrgId, Seq
from odograph.store.base import Change
from odograph.store.sqlite.database import FILE_NAME, SEALED_NAME
from odograph.store.sqlite.dayfile import NewerFormat
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.sealed import DayFiles
from tests.faults.baddisk import BadDisk, bad_disk
from tests.faults.story import DAY_MS, SetClock, State, Story, check_whole, fed, fixes_of, observe
from tests.support.powercut import room_for_images

DAY = "2024-06-01"
FLIPS = 200


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    with room_for_images(tmp_path) as place:
        yield place


# -- no room, no sync


@pytest.mark.parametrize("what", ["writes_left", "syncs_left"])
def test_a_disk_that_fails_anywhere_stores_nothing_by_halves_and_is_used_again_at_once(
    what: str, room: Path
) -> None:
    failed, operations = 0, 0
    while True:
        with bad_disk() as disk:
            story = _begun(room / f"{operations}", disk)
            setattr(disk, what, operations)
            with closing(story):
                refusals = _go_on(story)
                is_over = not disk.is_used_up()
                disk.mend()
                _check_it_goes_on(story)
        failed += refusals
        operations += 1
        if is_over:
            break
    assert operations > 5
    assert failed > operations // 2


def _begun(directory: Path, disk: BadDisk) -> Story:
    story = Story(directory, disk.name)
    story.append({1: fixes_of((1, 0), (1, 5))}, {2: fixes_of((2, 0))}, changes=[_vehicle(b"{}")])
    story.seal()
    story.append({1: fixes_of(*((1, 10 + second) for second in range(300)))})
    return story


def _go_on(story: Story) -> int:
    """Append, seal, append; how many of them were refused. Each leaves all or nothing."""
    refusals = 0
    steps: list[Callable[[], object]] = [
        lambda: story.append({1: fixes_of((1, 3), (1, 900))}, changes=[_vehicle(b'{"b":1}')]),
        story.seal_all,
        lambda: story.append({2: fixes_of(*((2, second) for second in range(400)))}),
    ]
    for step in steps:
        head = story.engine.head
        if _is_refused(step):
            assert story.engine.head == head
            refusals += 1
        found = observe(story)
        assert (found.rows, found.records) == (story.state.rows, story.state.records)
    return refusals


def _is_refused(step: Callable[[], object]) -> bool:
    try:
        step()
    except Refusal as refusal:
        if refusal.kind is Kind.UNAVAILABLE:
            return True
        raise
    return False


def _check_it_goes_on(story: Story) -> None:
    story.append({1: fixes_of((1, 3), (1, 900), (1, 901))})
    story.append({2: fixes_of(*((2, second) for second in range(401)))})
    story.seal_all()
    found = observe(story)
    assert (found.rows, found.records) == (story.state.rows, story.state.records)
    assert found.sealed_through == story.engine.head
    check_whole(story)


def _vehicle(body: bytes) -> Change:
    return Change(OrgId(1), "vehicle", None, body)


# -- flipped bits


@pytest.fixture
def kept(room: Path) -> SimpleNamespace:
    """A store at rest, half of it sealed; `where` says in which file which bytes lie."""
    directory = room / "data"
    story = Story(directory)
    story.append({1: fixes_of(*((1, second) for second in range(200))), 2: fixes_of((2, 1))})
    story.seal()
    data = story.append({1: fixes_of((1, 500), (1, 501)), 2: fixes_of((2, 2))}).committed.blocks[0].fixes.tobytes()
    story.close()
    with closing(apsw.Connection(str(directory / SEALED_NAME / f"{DAY}.db"))) as connection:
        pack = connection.execute("SELECT data FROM pack ORDER BY length(data) DESC LIMIT 1").get
    return SimpleNamespace(
        directory=directory,
        log=directory / FILE_NAME,
        day=directory / SEALED_NAME / f"{DAY}.db",
        block=data,
        pack=pack,
        state=story.state,
    )


def test_a_flipped_bit_in_a_block_is_named(kept: SimpleNamespace) -> None:
    _flip(kept.log, kept.log.read_bytes().index(kept.block) + len(kept.block) // 2)
    with closing(LogReader(kept.directory)) as reader, pytest.raises(Corrupt, match=r"odograph\.db: block 202"):
        reader.read_after(OrgId(1), Seq(201), Seq(204), 10, None)
    with pytest.raises(Corrupt, match=r"odograph\.db: block 202: the checksum"):
        Engine(kept.directory, SetClock())


def test_a_flipped_bit_in_a_chunk_is_named_and_its_fixes_are_not_answered(kept: SimpleNamespace) -> None:
    _flip(kept.day, kept.day.read_bytes().index(kept.pack) + len(kept.pack) // 2)
    with closing(DayFiles(kept.day.parent)) as days, pytest.raises(Corrupt, match=rf"{DAY}\.db: chunk 1"):
        days.verify(DAY)
    with closing(LogReader(kept.directory)) as reader, pytest.raises(Corrupt, match=rf"{DAY}\.db: chunk 1"):
        reader.read_after(OrgId(1), Seq(0), Seq(204), 1000, None)


@pytest.mark.parametrize("name", ["log", "day"])
def test_a_flipped_bit_in_a_page_is_named(kept: SimpleNamespace, name: str) -> None:
    path = getattr(kept, name)
    table = {"log": "block", "day": "chunk"}[name]
    with closing(apsw.Connection(str(path))) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    _flip(path, (page - 1) * 4096)
    with pytest.raises(Corrupt, match=path.name):
        _fed_rows(kept.directory)


@pytest.mark.parametrize("name", ["log", "day"])
def test_a_bit_flipped_anywhere_never_makes_another_fix(kept: SimpleNamespace, name: str) -> None:
    path, chance = getattr(kept, name), Random(5)
    whole = path.read_bytes()
    found = 0
    for _ in range(FLIPS):
        path.write_bytes(whole)
        _flip(path, chance.randrange(len(whole)), chance.randrange(8))
        try:
            rows = _fed_rows(kept.directory)
        except (Corrupt, Refusal, NewerFormat, apsw.SQLError):
            found += 1
        else:
            assert rows.items() <= kept.state.rows.items()
    assert found > 0


def _fed_rows(directory: Path) -> dict[int, tuple[int, bytes]]:
    state = State()
    with closing(LogReader(directory)) as reader:
        for org in (OrgId(1), OrgId(2)):
            state.take(fed(reader, org, Seq(0), Seq(204)))
    return state.rows


def _flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


# -- clocks and formats


def test_a_clock_that_jumps_back_and_forth_changes_neither_order_nor_content(room: Path) -> None:
    with closing(Story(room / "data")) as story:
        for number, jump_ms in enumerate((0, -3 * DAY_MS, 5 * DAY_MS, -1, -40 * DAY_MS, 90 * DAY_MS, -60 * DAY_MS)):
            story.clock.at_ms += jump_ms
            story.append({1: fixes_of((1, 10 * number), (1, 10 * number - 15)), 2: fixes_of((2, number))})
            if number % 2:
                story.seal()
            found = observe(story)
            assert (found.rows, found.sealed_through) == (story.state.rows, story.state.sealed_through)
        story.close()
        story.open()
        story.append({1: fixes_of((1, 10), (1, 45), (1, 77))})
        story.seal_all()
        assert observe(story).rows == story.state.rows
        check_whole(story)


@pytest.mark.parametrize("name", ["log", "day"])
def test_a_file_of_a_later_version_is_refused_and_left_alone(kept: SimpleNamespace, name: str) -> None:
    path = getattr(kept, name)
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("user_version", 2)
    before = path.read_bytes()
    with pytest.raises(NewerFormat, match=path.name):
        _fed_rows(kept.directory)
    with pytest.raises(NewerFormat, match=path.name):
        Story(kept.directory)
    assert path.read_bytes() == before
