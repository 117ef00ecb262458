"""Full disks, failing ones, flipped bits, a clock that jumps, files of a later version."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from types import SimpleNamespace

import apsw
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Change, LedgerEntry, Record
from odograph.store.sqlite.backup import back_up
from odograph.store.sqlite.check import Damage, find_damage
from odograph.store.sqlite.database import FILE_NAME, FORMAT, SEALED_NAME, LogRow
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.pages import PAGE_BYTES, RESERVED_AT, RESERVED_BYTES, NewerFormat
from tests.faults.baddisk import BadDisk, bad_disk
from tests.faults.story import BEGIN_MS, DAY_MS, SHARE, SetClock, State, Story, check_whole, fed, fixes_of, observe
from tests.support.powercut import room_for_images

DAY = "2024-06-01"
FORMAT_1 = Path(__file__).parents[1] / "contract/upgrades/sqlite/format-1/data"
FLIPS = 300
ASSETS = ((OrgId(1), AssetId(1)), (OrgId(1), AssetId(3)), (OrgId(2), AssetId(2)))


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
    """A store at rest, most of it sealed, with a catalogue and a ledger; `state` is what was stored."""
    directory = room / "data"
    story = Story(directory)
    story.append(
        {1: fixes_of(*((1, second) for second in range(200))), 2: fixes_of((2, 1))}, changes=[_vehicle(b"{}")]
    )
    story.seal()
    story.append({1: fixes_of(*((3, second) for second in range(100)))})
    story.seal()
    story.append({1: fixes_of((1, 500), (1, 501)), 2: fixes_of((2, 2))})
    story.note(LedgerEntry(*SHARE, 1, 1, b"{}"))
    story.close()
    return SimpleNamespace(
        directory=directory,
        log=directory / FILE_NAME,
        day=directory / SEALED_NAME / f"{DAY}.db",
        state=story.state,
    )


@pytest.mark.parametrize("name", ["log", "day"])
def test_a_bit_flipped_anywhere_is_named_or_changes_no_answer_of_any_read(kept: SimpleNamespace, name: str) -> None:
    path, chance = getattr(kept, name), Random(5)
    whole = path.read_bytes()
    written = [at for at, byte in enumerate(whole) if byte]  # what is empty matters to nobody
    places = [*range(100), *chance.sample(written, FLIPS)]  # SQLite's own head, and the rest
    stored = _everything_read(kept.directory)
    assert stored["feed"] == kept.state.rows
    found: list[str] = []
    for at in places:
        path.write_bytes(whole)
        _flip(path, at, chance.randrange(8))
        for what, read in _reads().items():
            try:
                answer = _read(kept.directory, read)
            except (Corrupt, NewerFormat) as error:
                found.append(str(error))
            else:
                assert answer == stored[what], f"{what} is another with byte {at} changed"
    assert all(path.name in message for message in found), found
    assert len(found) > FLIPS
    assert sum("does not match its checksum" in message for message in found) > FLIPS


@pytest.mark.parametrize("name", ["log", "day"])
def test_a_wrong_page_is_named_by_its_place_whatever_it_holds(kept: SimpleNamespace, name: str) -> None:
    path = getattr(kept, name)
    whole = path.read_bytes()
    with closing(apsw.Connection(str(path))) as connection:
        roots = connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall()
    for what, page in roots:
        begin = (int(str(page)) - 1) * PAGE_BYTES
        path.write_bytes(whole)
        _flip(path, begin + 3)  # how many rows SQLite believes to be there
        place = f"{path}: the page at byte {begin} does not match its checksum"
        assert Damage(path, place) in list(find_damage(kept.directory)), what
    path.write_bytes(whole)
    assert not list(find_damage(kept.directory))


def test_a_bit_that_was_wrong_before_its_page_was_written_is_named_by_the_row(kept: SimpleNamespace) -> None:
    for path, change, place in (
        (kept.log, "UPDATE block SET data = zeroblob(length(data)) WHERE seq = 302", "block 302"),
        (kept.log, "UPDATE record SET body = X'7B20'", "record 1"),
        (kept.day, "UPDATE chunk SET t1 = t1 + 1 WHERE id = 1", "chunk 1"),
        (kept.day, "UPDATE pack SET data = zeroblob(length(data)) WHERE id = 1", "chunk 1"),
    ):
        whole = path.read_bytes()
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute(change)
        with pytest.raises(Corrupt, match=rf"{path.name}: {place}"):
            _everything_read(kept.directory)
        assert any(damage.message.startswith(f"{path}: {place}") for damage in find_damage(kept.directory))
        path.write_bytes(whole)


def test_a_damaged_directory_is_not_copied_into_a_backup(kept: SimpleNamespace, room: Path) -> None:
    for path in (kept.log, kept.day):
        whole = path.read_bytes()
        _flip(path, len(whole) // 2)
        with pytest.raises(Corrupt, match=path.name):
            back_up(kept.directory, room / f"copy of {path.name}")
        path.write_bytes(whole)
    kept.day.unlink()
    with pytest.raises(Corrupt, match=f"{DAY}.db is missing"):
        back_up(kept.directory, room / "copy of less")


Read = Callable[[LogReader], object]


def _reads() -> dict[str, Read]:
    """Each way to read the store, for what it answers."""
    head = Seq(304)

    def feed(reader: LogReader) -> dict[int, tuple[int, bytes]]:
        state = State()
        for org in (OrgId(1), OrgId(2)):
            state.take(fed(reader, org, Seq(0), head))
        return state.rows

    def history(reader: LogReader) -> list[bytes]:
        return [reader.read_range(org, [asset], [0], 1 << 41, head, 999)[0].tobytes() for org, asset in ASSETS]

    def then(reader: LogReader) -> list[bytes]:
        return [reader.read_at(org, [asset], BEGIN_MS + 150_000, head).tobytes() for org, asset in ASSETS]

    def newest(reader: LogReader) -> tuple[bytes, list[int], list[int]]:
        found, _ = reader.newest()
        return found.fixes.tobytes(), found.seqs.tolist(), found.received_ms.tolist()

    def follower(reader: LogReader) -> tuple[list[Record], list[tuple[list[int], bytes]]]:
        stretch = reader.read_stretch(Seq(0), 0)
        return stretch.records, [(block.seqs.tolist(), block.fixes.tobytes()) for block in stretch.blocks]

    return {
        "feed": feed,
        "history": history,
        "then": then,
        "newest": newest,
        "follower": follower,
        "ledger": lambda reader: reader.read_ledger(*SHARE, 0, 1 << 40, 9),
        "head": lambda reader: reader.status().head,
    }


def _read(directory: Path, read: Read) -> object:
    with closing(LogReader(directory)) as reader:
        return read(reader)


def _everything_read(directory: Path) -> dict[str, object]:
    return {what: _read(directory, read) for what, read in _reads().items()}


def _flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


# -- clocks and formats


def test_a_database_of_the_first_format_gets_its_checksums_wherever_the_disk_fails_meanwhile(room: Path) -> None:
    shutil.copytree(FORMAT_1, room / "data")
    Engine(room / "data", SetClock()).close()
    before = _everything_read(room / "data")
    operations, refused = 0, True
    while refused:
        directory = room / str(operations)
        shutil.copytree(FORMAT_1, directory)
        (directory / FILE_NAME).chmod(0o600)
        with bad_disk() as disk:
            disk.writes_left = operations
            refused = _is_refused(lambda: Engine(directory, SetClock(), disk.name).close())  # noqa: B023 - called at once
            disk.mend()
            Engine(directory, SetClock(), disk.name).close()
        assert _everything_read(directory) == before
        assert not list(find_damage(directory))
        assert (directory / FILE_NAME).stat().st_mode & 0o777 == 0o600
        database = (directory / FILE_NAME).read_bytes()
        assert database[20] == RESERVED_BYTES
        assert int.from_bytes(database[60:64], "big") == FORMAT  # SQLite's user_version
        shutil.rmtree(directory)
        operations += 1
    assert operations > 10


def test_all_pages_get_their_checksums_however_much_is_written_at_once(room: Path) -> None:
    many = fixes_of(*((1, second) for second in range(20_000)))
    shutil.copytree(FORMAT_1, room / "old")
    with closing(apsw.Connection(str(room / "old" / FILE_NAME))) as connection:
        first = connection.execute("SELECT max(seq + n) FROM block").get
        for _ in range(20):  # 10 MB, of which SQLite keeps 2 in memory
            row = LogRow.of(first, 1, BEGIN_MS, many.tobytes())
            connection.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", row)
            first += len(many)
            many["time_ms"] += DAY_MS
    with closing(Engine(room / "old", SetClock())) as engine:
        assert engine.head == first - 1
        back_up(room / "old", room / "backup")
    assert not list(find_damage(room / "old"))
    with closing(Story(room / "new")) as story:
        for start in range(0, 200_000, 20_000):
            story.append({1: fixes_of(*((1, start + second) for second in range(20_000)))})
        back_up(room / "new", room / "copy")  # most of it comes from the write-ahead log
        story.seal()
        back_up(room / "new", room / "copy of days")
    for name in ("backup", "copy", "new", "copy of days"):
        assert not list(find_damage(room / name)), name
        for path in (room / name).rglob("*.db"):
            assert path.read_bytes()[RESERVED_AT] == RESERVED_BYTES or name == "backup"


def test_files_that_an_earlier_version_began_and_left_without_tables_get_checksums_too(room: Path) -> None:
    (room / "data" / SEALED_NAME).mkdir(parents=True)
    for path in (room / "data" / FILE_NAME, room / "data" / SEALED_NAME / f"{DAY}.db"):
        with closing(apsw.Connection(str(path))) as connection:
            connection.pragma("journal_mode", "WAL")
        assert path.stat().st_size == PAGE_BYTES
    with closing(Story(room / "data")) as story:
        for path in (room / "data" / SEALED_NAME).glob("*"):
            path.unlink()  # nobody knows it, so it was cleared away: here it is again
        with closing(apsw.Connection(str(room / "data" / SEALED_NAME / f"{DAY}.db"))) as connection:
            connection.pragma("journal_mode", "WAL")
        story.append({1: fixes_of((1, 0))})
        story.seal()
        assert observe(story).rows == story.state.rows
    for path in (room / "data").rglob("*.db"):
        assert path.read_bytes()[RESERVED_AT] == RESERVED_BYTES
    assert not list(find_damage(room / "data"))


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
        connection.pragma("user_version", 3)
    before = path.read_bytes()
    with pytest.raises(NewerFormat, match=path.name):
        _everything_read(kept.directory)
    with pytest.raises(NewerFormat, match=path.name):
        Story(kept.directory)
    assert path.read_bytes() == before
