"""What is damaged in a data directory that nobody writes to, and how to go on without the days concerned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from odograph.errors import Corrupt, invalid, unavailable
from odograph.store.sqlite.database import (
    FILE_NAME,
    LOG_COLUMNS,
    SEALED_NAME,
    LogRow,
    forget_day,
    open_for_reading,
    open_for_writing,
    read_state,
)
from odograph.store.sqlite.ledger import check_ledger
from odograph.store.sqlite.pages import NewerFormat, naming, wrong_page, wrong_pages
from odograph.store.sqlite.records import check_records
from odograph.store.sqlite.sealed import DayFiles, sync_directory

ASIDE_NAME: Final = "damaged"


class Damage(NamedTuple):
    """One thing that is wrong: in which file, and all that is said of it."""

    path: Path
    message: str


def find_damage(directory: Path) -> Iterator[Damage]:
    """Read everything, and compare it with its checksum. UNAVAILABLE: it can't be read now, or not by us."""
    if not (directory / FILE_NAME).exists():
        raise invalid(f"{directory} is neither a data directory nor a backup: it has no {FILE_NAME}.")
    told: set[Damage] = set()
    try:
        for damage in _damage(directory):
            if damage not in told:
                told.add(damage)
                yield damage
    except NewerFormat as error:
        raise unavailable(str(error)) from error


def set_aside(directory: Path, days: Sequence[Path]) -> Path:
    """Move the files of days, as far as there are any, and forget the days, as retention does; where they are now.

    The caller holds the directory's lock. Cut off, it is to be done again: a moved day counts as missing until it
    is forgotten, while a file that nobody knows would be cleared away.
    """
    aside = directory / ASIDE_NAME
    aside.mkdir(mode=0o700, exist_ok=True)
    place = next(path for path in (aside / str(number) for number in count(1)) if not path.exists())
    place.mkdir(mode=0o700)
    for path in days:
        for part in path.parent.glob(f"{path.name}*"):  # what SQLite keeps beside it, too
            part.rename(place / part.name)
    for changed in (place, aside, directory / SEALED_NAME, directory):
        sync_directory(changed)
    connection = open_for_writing(directory)
    try:
        with naming(directory / FILE_NAME), connection:
            for path in days:
                forget_day(connection, path.stem)
    finally:
        connection.close()
    return place


def _damage(directory: Path) -> Iterator[Damage]:
    path = directory / FILE_NAME
    days: set[str] = set()
    yield from _in_pages(path)
    try:
        connection = open_for_reading(directory)
    except Corrupt as error:
        yield Damage(path, str(error))
    else:
        try:
            with naming(path):
                yield from (Damage(path, message) for message in _in_database(connection, path))
                days = {str(day) for (day,) in connection.execute("SELECT day FROM day")}
        except Corrupt as error:
            yield Damage(path, str(error))
        finally:
            connection.close()
    files = DayFiles(directory / SEALED_NAME, is_known=days.__contains__, are_at_rest=True)
    try:
        for day in sorted({*days, *files.days()}):
            day_path = directory / SEALED_NAME / f"{day}.db"
            yield from _in_pages(day_path)
            yield from (Damage(day_path, message) for message in files.damage(day))
    finally:
        files.close()


def _in_pages(path: Path) -> Iterator[Damage]:
    """With a WAL beside it, pages may be half written that are read from there."""
    wal = path.with_name(f"{path.name}-wal")
    if path.exists() and not (wal.exists() and wal.stat().st_size):
        yield from (Damage(path, f"{path}: {wrong_page(offset)}") for offset in wrong_pages(path))


def _in_database(connection: apsw.Connection, path: Path) -> Iterator[str]:
    expected = read_state(connection)[0] + 1
    for values in connection.execute(f"SELECT {LOG_COLUMNS} FROM block ORDER BY seq"):  # noqa: S608 - our own words
        row = LogRow(*values)
        if not row.is_sound:
            yield f"{path}: block {row.seq}: the checksum does not match"
        if row.seq >= expected:
            if row.seq > expected:
                yield f"{path}: the log has no fixes between {expected - 1} and {row.seq}"
            expected = row.last + 1
    yield from check_records(connection)
    yield from check_ledger(connection)
    for (answer,) in connection.execute("PRAGMA integrity_check"):
        if answer != "ok":
            yield f"{path}: {' '.join(str(answer).split())}"
