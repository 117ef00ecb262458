"""A damaged page or a missing day beside a running writer: what needs it is refused, everything else goes on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.ids import AssetId
from odograph.store.base import Outcome, Store
from odograph.store.sqlite.check import find_damage, set_aside
from odograph.store.sqlite.housekeeping import LONGEST_RETRY_S, RETRY_S, Housekeeping, Rule
from odograph.store.sqlite.pages import PAGE_BYTES
from odograph.store.sqlite.wire import LOCK_NAME
from tests.support.stores import HEAD, ORG, Place, append, as_rows, make_track, read_feed
from tests.unit.test_engine import SetClock

STORED, KNOWN, _, UNJUDGED = Outcome
LATER_MS = 100_000_000


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    """A directory with a sealed day of two vehicles."""
    place = Place("sqlite", tmp_path / "data")
    async with place.opened() as store:
        await append(store, make_track(1, 3000), make_track(2, 3000))
        await place.seal()
    return place


def flip_in_page_of(path: Path, table: str) -> None:
    """One bit of the head of the first page of the table or index."""
    connection = apsw.Connection(str(path))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    connection.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * PAGE_BYTES + 3] ^= 1
    path.write_bytes(data)


def writer_of(place: Place) -> int:
    return int((place.directory / LOCK_NAME).read_text(encoding="ascii"))


def day_of(place: Place) -> Path:
    (path,) = (place.directory / "sealed").glob("*.db")
    return path


async def check_live_fixes_are_taken(store: Store, start_ms: int = LATER_MS) -> None:
    for vehicle in (1, 2, 3):
        assert await append(store, make_track(vehicle, 5, start_ms=start_ms)) == [[STORED] * 5]


async def test_a_damaged_page_of_the_database_refuses_the_sealer_and_the_writer_lives(place: Place) -> None:
    flip_in_page_of(place.directory / "odograph.db", "span")
    async with place.opened() as store:
        writer = writer_of(place)
        await check_live_fixes_are_taken(store)
        for _ in range(2):
            with pytest.raises((Refusal, Corrupt)):
                await place.seal()
        assert await append(store, make_track(1, 3), make_track(2, 5, start_ms=LATER_MS)) == [
            [UNJUDGED] * 3,
            [KNOWN] * 5,
        ]
        await check_live_fixes_are_taken(store, start_ms=2 * LATER_MS)
        assert writer_of(place) == writer
        assert (await store.status()).sealed_through == 6000


async def test_what_is_refused_for_damage_says_nothing_of_files(place: Place) -> None:
    flip_in_page_of(place.directory / "odograph.db", "block")
    with pytest.raises(Refusal, match=r"odograph\.db: the page at byte \d+ .* `odograph check`"):
        await place.open()  # the operator hears where it is
    flip_in_page_of(place.directory / "odograph.db", "block")
    flip_in_page_of(place.directory / "odograph.db", "record_by_rev")
    with pytest.raises(Refusal, match=r"odograph\.db"):
        await place.open()


@pytest.mark.parametrize("what", ["chunk_by_asset", "chunk"])
async def test_a_damaged_day_leaves_ingest_and_everything_newer_as_they_are(place: Place, what: str) -> None:
    flip_in_page_of(day_of(place), what)
    async with place.opened() as store:
        await check_live_fixes_are_taken(store)
        answers = await append(store, make_track(1, 3), make_track(2, 5, start_ms=LATER_MS))
        # What nobody can read is taken again; where it may only be hidden from us, the device keeps it.
        assert answers == [[UNJUDGED] * 3 if what == "chunk_by_asset" else [STORED] * 3, [KNOWN] * 5]
        fixes, _ = await read_feed(store, after=6000)
        assert as_rows(fixes)[:5] == as_rows(make_track(1, 5, start_ms=LATER_MS))
        with pytest.raises(Corrupt, match=day_of(place).name):
            await store.read_range(ORG, [AssetId(1)], [0], 1 << 41, HEAD, 10)


async def test_a_day_that_is_set_aside_ends_cursors_before_it_and_all_else_goes_on(place: Place) -> None:
    path = day_of(place)
    flip_in_page_of(path, "org_run")
    [damage] = find_damage(place.directory)
    assert damage.path == path
    aside = set_aside(place.directory, [damage.path])
    assert path.name in {part.name for part in aside.iterdir()}
    assert not list(path.parent.iterdir())
    assert not list(find_damage(place.directory))
    async with place.opened() as store:
        with pytest.raises(Refusal, match=r"have been dropped.* file was damaged") as refused:
            await read_feed(store, after=10)
        assert refused.value.kind is Kind.INVALID
        assert await append(store, make_track(1, 3)) == [[STORED] * 3]  # sent again, it is there again
        await check_live_fixes_are_taken(store)
        await place.seal()
        assert len(await as_fed(store)) == 18
    path.unlink()
    assert [damage.message for damage in find_damage(place.directory)] == [
        f"{path} is missing or empty: what arrived on that day can't be read"
    ]
    assert set_aside(place.directory, [path]) != aside
    assert not list(find_damage(place.directory))


async def as_fed(store: Store) -> list[tuple[int, ...]]:
    fixes, _ = await read_feed(store, after=6000)
    return as_rows(fixes)


def test_a_sealer_that_fails_is_started_again_ever_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[float] = []

    class Ended:
        """A process that has failed by the time that somebody looks."""

        def __init__(self, *_: object, **__: object) -> None:
            started.append(clock.steady_s())
            self.returncode = 1

        def poll(self) -> int:
            return self.returncode

        def terminate(self) -> None:
            """It is over."""

        def wait(self, _: float) -> None:
            """It is over."""

    monkeypatch.setattr("subprocess.Popen", Ended)
    clock = SetClock()
    housekeeping = Housekeeping(tmp_path, Rule(seal_rows=1000), clock)
    for _ in range(3 * 3600):
        housekeeping.look(unsealed_rows=5000, oldest_unsealed_ms=0, oldest_day_ms=None, lived_ms=0)
        clock.at_ms += 1000
    waits = [later - earlier for earlier, later in pairwise(started)]
    assert waits[0] == pytest.approx(RETRY_S, abs=2)
    assert waits[1] == pytest.approx(2 * RETRY_S, abs=2)
    assert waits[-1] == pytest.approx(LONGEST_RETRY_S, abs=2)
    housekeeping.stop()
