"""Backups: taken beside whoever writes, put back as a new install, for their owner's eyes alone."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.model.ids import RecordId
from odograph.store.base import INSTALL, Change, LedgerEntry, OrgFixes, Outcome, Store
from odograph.store.sqlite.backup import back_up, restore
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.sealed import DayFiles
from odograph.store.sqlite.sealer import seal_once
from tests.support.stores import ORG, Place, append, as_rows, make_track, read_feed, watching
from tests.unit.test_engine import SetClock

DAY_MS = 86_400_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("sqlite", tmp_path / "data")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A backup of two days of arrival and some unsealed fixes, made under a umask that hides nothing."""
    before = os.umask(0)
    try:
        make_data(tmp_path / "data")
        back_up(tmp_path / "data", tmp_path / "copy")
    finally:
        os.umask(before)
    return tmp_path / "copy"


def make_data(directory: Path) -> None:
    clock = SetClock()
    engine = Engine(directory, clock)
    log, days = LogReader(directory), DayFiles(directory / "sealed")
    for day in range(2):
        commit(engine, day)
        while seal_once(log, days, engine):
            pass
        clock.at_ms += DAY_MS
    commit(engine, 2)
    (directory / "server.key").write_bytes(b"k" * 32)
    for one in (days, log, engine):
        one.close()


def commit(engine: Engine, day: int) -> None:
    engine.commit([[OrgFixes(ORG, make_track(1, 100, start_ms=day * DAY_MS))]])


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in files_of(directory)}


def files_of(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def org_record(name: str) -> Change:
    return Change(INSTALL, "org", None, b"{}", (name,))


async def test_a_backup_taken_while_others_write_is_a_consistent_past(place: Place, tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def write(store: Store) -> None:
        start = 1000
        while not stop.is_set():
            await append(store, make_track(2, 10, start_ms=start * 100_000))
            start += 1

    entry = LedgerEntry(ORG, RecordId(1), 30_000_000, 1, b"{}")
    async with place.opened() as store:
        await store.write([org_record("a")])
        await store.note([entry])
        await append(store, make_track(1, 500))
        await place.seal()
        await append(store, make_track(1, 500, start_ms=9_000_000))
        writing = asyncio.create_task(write(store))
        assert await asyncio.to_thread(back_up, place.directory, tmp_path / "copy") > 0
        stop.set()
        await writing
        await place.seal()
        epoch = (await store.status()).epoch
        written = as_rows((await read_feed(store, limit=1000))[0])
    await asyncio.to_thread(restore, tmp_path / "copy", tmp_path / "restored")
    async with Place(place.engine, tmp_path / "restored").opened() as restored:
        fixes, seqs = await read_feed(restored, limit=1000)
        assert len(fixes) >= 1000
        assert as_rows(fixes) == written[: len(fixes)]
        assert seqs == list(range(1, len(fixes) + 1))
        assert (await restored.status()).epoch != epoch
        assert await append(restored, make_track(1, 500)) == [[Outcome.KNOWN] * 500]
        assert await restored.read_ledger(ORG, RecordId(1), 0, 1 << 40, 10) == [entry]
        async with watching(restored) as watcher:
            assert list(watcher.records.values()) == [b"{}"]


def test_a_backup_needs_no_server_and_restores_to_the_same(copy: Path, tmp_path: Path) -> None:
    assert restore(copy, tmp_path / "new") == 300
    names = {str(path.relative_to(copy)) for path in files_of(copy)}
    assert names == {"odograph.db", "server.key", "sealed/2027-01-15.db", "sealed/2027-01-16.db"}
    assert {str(path.relative_to(tmp_path / "new")) for path in files_of(tmp_path / "new")} == names


def test_whoever_shares_the_machine_can_read_neither_data_nor_backup_nor_what_was_restored(
    copy: Path, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        restore(copy, tmp_path / "new")
    finally:
        os.umask(before)
    (tmp_path / "data" / "server.key").chmod(0o600)  # the server's own to write, not the engine's
    for directory in (tmp_path / "data", copy, tmp_path / "new"):
        for path in (directory, *directory.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("is_old", [False, True])
def test_restoring_leaves_the_backup_as_it_was(copy: Path, tmp_path: Path, *, is_old: bool) -> None:
    if is_old:  # until lately the copies of day files were left in WAL mode
        for path in (copy / "sealed").glob("*.db"):
            shutil.copy2(tmp_path / "data" / "sealed" / path.name, path)
    before = everything(copy)
    restore(copy, tmp_path / "new")
    assert everything(copy) == before


def test_all_files_of_a_backup_are_read_without_any_file_beside_them(copy: Path) -> None:
    for path in copy.rglob("*.db"):
        connection = apsw.Connection(str(path))
        assert connection.pragma("journal_mode") == "delete"
        connection.close()


async def test_the_data_directory_of_a_running_server_is_not_restored_from(place: Place, tmp_path: Path) -> None:
    async with place.opened():
        with pytest.raises(Refusal, match="odograph backup") as refused:
            restore(place.directory, tmp_path / "new")
    assert refused.value.kind is Kind.CONFLICT
    assert restore(place.directory, tmp_path / "new") == 0


def test_what_is_in_the_way_of_a_backup_or_is_none_is_refused_with_its_path(copy: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for wrong, words in (
        (lambda: back_up(data, tmp_path / "full"), "full is not empty"),
        (lambda: back_up(data, tmp_path / "full" / "file"), "file: File exists"),
        (lambda: back_up(data, tmp_path / "full" / "file" / "copy"), "copy: Not a directory"),
        (lambda: back_up(data, Path("/proc/copy")), "/proc/copy: No such file"),
        (lambda: back_up(tmp_path / "none", tmp_path / "other"), "none has no odograph.db"),
        (lambda: restore(copy, tmp_path / "full"), "full is not empty"),
        (lambda: restore(copy, tmp_path / "full" / "file" / "new"), "new: Not a directory"),
        (lambda: restore(tmp_path / "full", tmp_path / "new"), "full is not a backup"),
    ):
        with pytest.raises(Refusal, match=words):
            wrong()
    assert not (tmp_path / "other").exists()


def test_restore_names_what_is_damaged(copy: Path, tmp_path: Path) -> None:
    connection = apsw.Connection(str(copy / "sealed" / "2027-01-15.db"))
    connection.execute("UPDATE chunk SET crc = crc + 1")
    connection.close()
    with pytest.raises(Corrupt, match=r"2027-01-15\.db: chunk 1"):
        restore(copy, tmp_path / "new")


def test_a_backup_of_a_later_format_is_refused(copy: Path, tmp_path: Path) -> None:
    connection = apsw.Connection(str(copy / "sealed" / "2027-01-15.db"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(Refusal, match="format 99"):
        restore(copy, tmp_path / "new")
