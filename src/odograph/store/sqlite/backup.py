"""Copies of a data directory: taken while others write, and put back as a new install."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from odograph.errors import Corrupt, conflict, invalid, unavailable
from odograph.store.sqlite.check import find_damage
from odograph.store.sqlite.database import (
    FILE_NAME,
    SEALED_NAME,
    forget_day,
    new_epoch,
    open_for_writing,
    read_state,
    write_state,
)
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.pages import PRIVATE, NewerFormat, connect, copy_pages, naming
from odograph.store.sqlite.sealed import DayFiles, sync_directory, sync_path
from odograph.store.sqlite.wire import LOCK_NAME

BESIDE: Final = ("server.key",)  # files of the data directory that are not the store's, but belong to the install


def back_up(directory: Path, to: Path) -> int:
    """Copy everything into `to`, a new or empty directory; returns the bytes copied.

    It asks nobody: SQLite gives one consistent state of the database to whoever may read its file; a day file may
    already hold more, which a reader of the copy does not see and the sealer throws away. The database is named
    last: a copy without it is not whole. INVALID: `directory` holds nothing, or `to` is not empty. UNAVAILABLE:
    something can't be read or written, or a later version wrote it. Corrupt: a page does not match its checksum, or
    a day is missing.
    """
    with _saying_what_fails():
        if not (directory / FILE_NAME).exists():
            raise invalid(f"There is nothing to back up: {directory} has no {FILE_NAME}.")
        return _copy(directory, to, is_backup=False)


def _copy(directory: Path, to: Path, *, is_backup: bool) -> int:
    _make_empty(to)
    reader = LogReader(directory)
    part = to / f"{FILE_NAME}.part"
    try:
        with reader.snapshot() as snapshot, naming(part):
            copy_pages(snapshot.connection, part)
        files = DayFiles(directory / SEALED_NAME, is_known=reader.knows_day, are_at_rest=is_backup)
        _copy_days(files, to, part)
    finally:
        reader.close()
    for name in BESIDE:
        if (directory / name).exists():
            _write(to / name, (directory / name).read_bytes())
    _name(part)
    return sum(path.stat().st_size for path in to.rglob("*") if path.is_file())


def restore(source: Path, to: Path) -> int:
    """Make a data directory of a backup after checking all of it; returns the fixes in it.

    It gets a new epoch, so that cursors from before, which may be ahead of it, are refused. INVALID: `source`
    is no backup or `to` not empty. CONFLICT: `source` is the data directory of a running server. UNAVAILABLE:
    something can't be read or written, or a later version wrote it. Corrupt names what is damaged.
    """
    with _saying_what_fails():
        if not (source / FILE_NAME).exists():
            raise invalid(f"{source} is not a backup: it has no {FILE_NAME}.")
        check_is_at_rest(source)
        for damage in find_damage(source):
            raise Corrupt(damage.message)
        _copy(source, to, is_backup=True)
        connection = open_for_writing(to)
        try:
            with naming(to / FILE_NAME), connection:
                write_state(connection, read_state(connection)[0], new_epoch())
            reader = LogReader(to)
            try:
                return int(reader.status().head)
            finally:
                reader.close()
        finally:
            connection.close()  # last, so that SQLite leaves one file behind


@contextmanager
def _saying_what_fails() -> Iterator[None]:
    """Whoever asked for it can mend a path, a permission or a full disk, once told which."""
    try:
        yield
    except NewerFormat as error:
        raise unavailable(str(error)) from error
    except OSError as error:
        where = error.filename2 or error.filename or "A file"
        raise unavailable(f"{where}: {error.strerror or error}.") from error


def check_is_at_rest(source: Path) -> None:
    """Its files are read as what does not change; a backup has no lock, a data directory keeps its own."""
    try:
        handle = os.open(source / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise conflict(
            f"A server runs on {source}: stop it, or make a backup first, with odograph backup."
        ) from None
    finally:
        os.close(handle)


def _copy_days(files: DayFiles, to: Path, database: Path) -> None:
    """Every day that the copied database knows; those that retention has unlinked meanwhile are forgotten."""
    (to / SEALED_NAME).mkdir(mode=0o700)
    copy = connect(database)
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


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _name(part: Path) -> None:
    _sync(part)
    part.rename(part.with_name(FILE_NAME))
    sync_path(part.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
