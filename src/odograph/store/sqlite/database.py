"""`odograph.db`: how it is opened, by the writer and by readers, and what one row of its log holds."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

import apsw
import numpy as np
import numpy.typing as npt

from odograph.errors import Corrupt, unavailable
from odograph.model.fixes import FIX_SIZE, Fixes, fixes_from_bytes
from odograph.model.ids import Seq
from odograph.store.sqlite.ledger import make_ledger
from odograph.store.sqlite.lived import make_lived
from odograph.store.sqlite.pages import (
    CREATE,
    FIRST,
    PRIVATE,
    READ_WRITE,
    check_format,
    connect,
    naming,
    reserve,
)
from odograph.store.sqlite.sealed import sync_directory, sync_path

APPLICATION_ID: Final = 0x4F446F67  # "ODog"
FORMAT: Final = 2  # 1 had no checksums of pages
OLDEST_SQLITE: Final = 3_051_003  # 3.7.0 to 3.51.2 can lose a commit when the WAL is reset
FILE_NAME: Final = "odograph.db"
SEALED_NAME: Final = "sealed"
WAIT_MS: Final = 10_000  # only a recovery after a crash makes a reader wait
READER_CACHE_KIB: Final = 1024
WAL_KEPT_BYTES: Final = 8 << 20  # what a burst made of it beyond this is given back

_CHECKED: Final = Struct("<4q")


class LogRow(NamedTuple):
    """One row of the table `block`."""

    seq: int
    org: int
    n: int
    received_ms: int
    crc: int
    data: bytes

    @property
    def last(self) -> int:
        """The seq of its last fix."""
        return self.seq + self.n - 1

    @property
    def seqs(self) -> npt.NDArray[np.int64]:
        """The seqs of its fixes."""
        return np.arange(self.seq, self.seq + self.n, dtype=np.int64)

    @property
    def fixes(self) -> Fixes:
        """Its fixes."""
        return fixes_from_bytes(self.data)

    @property
    def is_sound(self) -> bool:
        """Whether it is as it was written."""
        is_same = self.crc == _crc(self.seq, self.org, self.n, self.received_ms, self.data)
        return is_same and len(self.data) == self.n * FIX_SIZE

    @classmethod
    def of(cls, seq: int, org: int, received_ms: int, data: bytes) -> LogRow:
        """The row as it is to be stored."""
        n = len(data) // FIX_SIZE
        return cls(seq, org, n, received_ms, _crc(seq, org, n, received_ms, data), data)


LOG_COLUMNS: Final = ", ".join(LogRow._fields)


def log_rows(connection: apsw.Connection, condition: str, *given: int) -> Iterator[LogRow]:
    """The rows of the log that meet the condition, each one's checksum compared. Corrupt names the row."""
    found = connection.execute(f"SELECT {LOG_COLUMNS} FROM block WHERE {condition}", given)  # noqa: S608 - our own words
    for values in found:
        row = LogRow(*values)
        if not row.is_sound:
            raise Corrupt(f"{connection.filename}: block {row.seq}: the checksum does not match")
        yield row


def open_for_writing(directory: Path, vfs: str = "") -> apsw.Connection:
    """The writer's connection; makes what is not there. Corrupt, NewerFormat, UNAVAILABLE.

    Whatever is read through it is on disk: a predecessor that was killed may have left a commit in the page
    cache only, which the checkpoint makes durable first.
    """
    _check_sqlite()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / SEALED_NAME).mkdir(exist_ok=True, mode=0o700)
    path = directory / FILE_NAME
    with naming(path):
        connection = connect(path, vfs, flags=READ_WRITE | CREATE)
        try:
            connection.set_busy_timeout(WAIT_MS)
            found = _format_of(path, connection)
            if found == FIRST:
                _rewrite(path, connection, vfs)
                connection = connect(path, vfs)
                connection.set_busy_timeout(WAIT_MS)
            elif not found:
                reserve(connection)
            connection.pragma("synchronous", "FULL")
            connection.pragma("journal_mode", "WAL")
            connection.pragma("journal_size_limit", WAL_KEPT_BYTES)
            if not found:
                path.chmod(PRIVATE)
                _make(connection)
            make_ledger(connection)
            make_lived(connection)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            sync_path(directory)
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_reading(directory: Path, vfs: str = "") -> apsw.Connection:
    """A connection that never writes nor checkpoints. The writer must have opened the database before."""
    _check_sqlite()
    path = directory / FILE_NAME
    with naming(path):
        connection = connect(path, vfs)
        try:
            connection.set_busy_timeout(WAIT_MS)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("query_only", 1)
            connection.pragma("cache_size", -READER_CACHE_KIB)
            if not _format_of(path, connection):
                raise unavailable(f"{path} is empty: no writer has opened it yet.")
        except BaseException:
            connection.close()
            raise
    return connection


def new_epoch() -> str:
    """A name for the feed that none before had."""
    return secrets.token_hex(8)


def read_state(connection: apsw.Connection) -> tuple[Seq, str]:
    """`sealed_through` and the epoch. Corrupt when either is not what was written."""
    sealed_through, epoch, crc = connection.execute("SELECT sealed_through, epoch, crc FROM state").get
    if _state_crc(sealed_through, epoch) != crc:
        raise Corrupt(f"{connection.filename}: its state does not match its checksum")
    return Seq(sealed_through), str(epoch)


def write_state(connection: apsw.Connection, sealed_through: int, epoch: str) -> None:
    """Replace both, within the caller's transaction."""
    crc = _state_crc(sealed_through, epoch)
    connection.execute("UPDATE state SET sealed_through = ?, epoch = ?, crc = ?", (sealed_through, epoch, crc))


def is_day_known(connection: apsw.Connection, day: str) -> bool:
    """Whether there should be a file of the day."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM day WHERE day = ?)", (day,)).get)


def forget_day(connection: apsw.Connection, day: str) -> None:
    """Take out all that points to a day file, within a transaction; `last` keeps what it has."""
    connection.execute(
        "INSERT INTO dropped SELECT org, s1 FROM org_day WHERE day = ?"
        " ON CONFLICT DO UPDATE SET through = max(through, excluded.through)",
        (day,),
    )
    for table in ("org_day", "span", "day"):
        connection.execute(f"DELETE FROM {table} WHERE day = ?", (day,))  # noqa: S608 - our own words


def _state_crc(sealed_through: int, epoch: str) -> int:
    return zlib.crc32(f"{sealed_through} {epoch}".encode())


def _make(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
        connection.execute("INSERT INTO state VALUES (1, 0, '', 0)")
        write_state(connection, 0, new_epoch())
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", FORMAT)


def _rewrite(path: Path, old: apsw.Connection, vfs: str) -> None:
    """Put a copy with checksums in place of a database of the first format, and close that one.

    Row by row into a new file: in the old one, whatever was cut off would be undone by writing pages back, and
    those have no room for a checksum.
    """
    old.pragma("journal_mode", "DELETE")  # nothing beside the file, which is about to be another
    old.close()
    draft = path.with_name(f"{path.name}.new")
    for left in (draft, draft.with_name(f"{draft.name}-journal")):
        left.unlink(missing_ok=True)
    new = connect(draft, vfs, flags=READ_WRITE | CREATE)
    try:
        new.pragma("synchronous", "FULL")
        reserve(new)
        new.pragma("application_id", APPLICATION_ID)
        new.execute("ATTACH ? AS old", (str(path),))
        made = new.execute(
            "SELECT type, name, sql FROM old.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        with new:
            for kind, name, sql in sorted(made, key=lambda one: one[0] != "table"):
                new.execute(str(sql))
                if kind == "table":
                    new.execute(f"INSERT INTO main.{name} SELECT * FROM old.{name}")  # noqa: S608 - our own words
            new.pragma("user_version", FORMAT)
        new.execute("DETACH old")
    finally:
        new.close()
    draft.chmod(PRIVATE)
    draft.replace(path)
    sync_directory(path.parent)


def _format_of(path: Path, connection: apsw.Connection) -> int:
    """0 where no tables are made. Refuses any other file, and a later format."""
    return check_format(path, connection, APPLICATION_ID, FORMAT, "a database of Odograph's")


def _check_sqlite() -> None:
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise unavailable(f"SQLite {apsw.sqlite_lib_version()} can lose commits; 3.51.3 or later is needed.")


def _crc(seq: int, org: int, n: int, received_ms: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(_CHECKED.pack(seq, org, n, received_ms)))
