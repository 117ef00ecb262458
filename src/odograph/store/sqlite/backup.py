"""Copies of a data directory: taken while others write, and put back as a new install."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import apsw

from odograph.errors import Corrupt, invalid, unavailable
from odograph.store.sqlite.database import (
    FILE_NAME,
    SEALED_NAME,
    new_epoch,
    open_for_reading,
    open_for_writing,
    read_state,
    write_state,
)
from odograph.store.sqlite.dayfile import NewerFormat, naming
from odograph.store.sqlite.engine import forget_day
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.sealed import DayFiles, sync_directory, sync_path

BESIDE: Final = ("server.key",)  # files of the data directory that are not the store's, but belong to the install


def back_up(directory: Path, to: Path) -> int:
    """Copy everything into `to`, a new or empty directory; returns the bytes copied. INVALID: it is not empty.

    The database is one consistent state; a day file may already hold more, which a reader of the copy does
    not see and the sealer throws away. The database is named last: a copy without it is not whole.
    """
    _make_empty(to)
    reader = LogReader(directory)
    part = to / f"{FILE_NAME}.part"
    try:
        with reader.snapshot() as snapshot, naming(part):
            _copy_database(snapshot.connection, part)
    finally:
        reader.close()
    _copy_days(directory, to, part)
    for name in BESIDE:
        if (directory / name).exists():
            shutil.copy2(directory / name, to / name)
            _sync(to / name)
    _name(part)
    return sum(path.stat().st_size for path in to.rglob("*") if path.is_file())


def restore(source: Path, to: Path) -> int:
    """Make a data directory of a backup after checking all of it; returns the fixes in it.

    It gets a new epoch, so that cursors from before, which may be ahead of it, are refused. INVALID: `source`
    is no backup or `to` not empty. UNAVAILABLE: it was made by a later version. Corrupt names what is damaged.
    """
    if not (source / FILE_NAME).exists():
        raise invalid(f"{source} is not a backup: it has no {FILE_NAME}.")
    try:
        _check(source)
    except NewerFormat as error:
        raise unavailable(str(error)) from error
    back_up(source, to)
    part = to / FILE_NAME
    connection = open_for_writing(to)
    try:
        with naming(part), connection:
            write_state(connection, read_state(connection)[0], new_epoch())
    finally:
        connection.close()
    reader = LogReader(to)
    try:
        return int(reader.status().head)
    finally:
        reader.close()


def _check(source: Path) -> None:
    """Read every page, checksum and chunk."""
    connection = open_for_reading(source)
    try:
        with naming(source / FILE_NAME):
            answer = connection.execute("PRAGMA integrity_check(1)").get
            days = [day for (day,) in connection.execute("SELECT day FROM day ORDER BY day")]
    finally:
        connection.close()
    if answer != "ok":
        raise Corrupt(f"{source / FILE_NAME}: {answer}")
    files = DayFiles(source / SEALED_NAME)
    missing = sorted(set(days) - set(files.days()))
    if missing:
        raise Corrupt(f"{source / SEALED_NAME}: {missing[0]}.db is missing")
    for day in days:
        files.verify(day)
    files.close()


def _copy_database(source: apsw.Connection, target: Path) -> None:
    copy = apsw.Connection(str(target))
    try:
        copy.pragma("synchronous", "FULL")
        with copy.backup("main", source, "main") as backup:
            backup.step(-1)
        copy.pragma("journal_mode", "DELETE")  # so that it is one file until it is opened for use
    finally:
        copy.close()


def _copy_days(directory: Path, to: Path, database: Path) -> None:
    """Every day that the copied database knows; those that retention has unlinked meanwhile are forgotten."""
    (to / SEALED_NAME).mkdir()
    files = DayFiles(directory / SEALED_NAME)
    copy = apsw.Connection(str(database))
    try:
        for (day,) in copy.execute("SELECT day FROM day ORDER BY day").fetchall():
            if not files.copy_to(str(day), to / SEALED_NAME / f"{day}.db"):
                with copy:
                    forget_day(copy, str(day))
    finally:
        copy.close()
        files.close()
    sync_directory(to / SEALED_NAME)


def _make_empty(to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(to.iterdir()):
        raise invalid(f"{to} is not empty.")


def _name(part: Path) -> None:
    part.chmod(0o600)
    _sync(part)
    part.rename(part.with_name(FILE_NAME))
    sync_path(part.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
