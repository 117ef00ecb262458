"""Checksums of pages: every file of the store is opened through SQLite's own checksum VFS, which APSW brings along.

The last 8 bytes of a page are its checksum, made when the page is written to its place in the file and compared
whenever it is read from there. So damage of any page is found, indexes and what SQLite keeps for itself included.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

import apsw
import apsw.sqlite_extra
import numpy as np

from odograph.errors import Corrupt, unavailable

PRIVATE: Final = 0o600  # where people were, whatever the umask of who writes it
RESERVED_BYTES: Final = 8  # of each page; the VFS knows by this number that there is a checksum
PAGE_BYTES: Final = 4096
PAGES_AT_ONCE: Final = 4096
RESERVED_AT: Final = 20  # the byte of SQLite's head that says how many are reserved
FIRST: Final = 1  # the one format without checksums of pages
READ_WRITE: Final = apsw.SQLITE_OPEN_READWRITE
CREATE: Final = apsw.SQLITE_OPEN_CREATE

_VFS: Final = "cksmvfs"
_FAULT: Final = re.compile(r"checksum fault offset (\d+) ")


class NewerFormat(Exception):
    """The file was written by a later version than this one, which must not touch it."""


class _Faults(threading.local):
    """Where the thread met a wrong page last: SQLite's error does not say it, only its log."""

    offset: int | None = None


_faults = _Faults()
_loading = threading.Lock()


def connect(path: Path | str, vfs: str = "", *, flags: int = READ_WRITE) -> apsw.Connection:
    """A connection to the file that compares pages. `vfs`: one over ours, for tests."""
    _load()
    return apsw.Connection(str(path), flags=flags, vfs=vfs or _VFS)


def reserve(connection: apsw.Connection) -> None:
    """Let the pages of a database that has none yet have checksums.

    The VFS knows that they do once it has met the first page: a large transaction must not come before that one.
    """
    connection.reserve_bytes("main", RESERVED_BYTES)
    if connection.pragma("page_count"):  # of whoever died before it made a table
        connection.pragma("journal_mode", "DELETE")
        connection.execute("VACUUM")


def copy_pages(source: apsw.Connection, target: Path) -> None:
    """Make a durable copy of the database as it is now: one new file for its owner alone, with none beside it.

    With checksums if it had them before. UNAVAILABLE: there is no room for it.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
    copy = connect(target, flags=READ_WRITE | CREATE)
    try:
        copy.pragma("synchronous", "FULL")
        if source.reserve_bytes("main") == RESERVED_BYTES:
            reserve(copy)
            copy.pragma("user_version", FIRST)  # which makes the first page
        try:
            with copy.backup("main", source, "main") as backup:
                backup.step(-1)
        except apsw.FullError as error:  # SQLite has no words of its own for it here
            raise unavailable(f"{target}: no room left on the disk.") from error
        copy.pragma("journal_mode", "DELETE")  # so that it is one file until it is opened for use
    finally:
        copy.close()


def check_format(path: Path, connection: apsw.Connection, application_id: int, newest: int, what: str) -> int:
    """The file's format, 0 where there are no tables in it yet. Refuses any other file, and a later format."""
    with connection:  # at one moment: somebody may be making it
        made_by, version = connection.pragma("application_id"), connection.pragma("user_version")
        is_blank = not (made_by or version or connection.pragma("schema_version"))
        has_checksums = connection.reserve_bytes("main") == RESERVED_BYTES
    if is_blank:
        return 0
    if made_by != application_id:
        raise Corrupt(f"{path}: not {what} (its application id is {made_by:#x})")
    if version > newest:
        raise NewerFormat(f"{path}: written in format {version}; this version of Odograph reads up to {newest}")
    if version < FIRST or (version > FIRST and not has_checksums):
        # Nothing would be compared: the bytes that say so are themselves among what can be damaged.
        raise Corrupt(f"{path}: its head is damaged: pages of format {version} without checksums")
    return int(version)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn SQLite's complaints about the file into ours, which name it."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, apsw.MismatchError) as error:
        # A schema that is damaged no longer has the columns that we ask for.
        raise Corrupt(f"{path}: {error}") from error
    except apsw.IOError as error:
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA:
            offset, _faults.offset = _faults.offset, None
            raise Corrupt(f"{path}: {wrong_page(offset)}") from error
        raise _unusable(path, error) from error
    except (apsw.FullError, apsw.BusyError, apsw.CantOpenError) as error:
        raise _unusable(path, error) from error


def wrong_pages(path: Path) -> Iterator[int]:
    """At which bytes the pages begin that do not match their checksums, of a file that nobody has open.

    SQLite stops at the first one that it meets, and meets none that it has no use for.
    """
    with path.open("rb") as file:
        if file.read(PAGE_BYTES)[RESERVED_AT : RESERVED_AT + 1] != bytes((RESERVED_BYTES,)):
            return
        file.seek(0)
        begin = 0
        while pages := file.read(PAGES_AT_ONCE * PAGE_BYTES):
            words = np.frombuffer(pages, dtype="<u4", count=len(pages) // PAGE_BYTES * PAGE_BYTES // 4)
            words = words.reshape(-1, PAGE_BYTES // 4)
            first, second = np.zeros((2, len(words)), dtype=np.uint32)
            columns = np.ascontiguousarray(words.T)
            for one, other in zip(columns[:-2:2], columns[1:-2:2], strict=True):
                first += one + second
                second += other + first
            is_wrong = (first != columns[-2]) | (second != columns[-1])
            yield from (begin + np.flatnonzero(is_wrong) * PAGE_BYTES).tolist()
            begin += len(pages)


def _unusable(path: Path, error: apsw.Error) -> Exception:
    return unavailable(f"{path.name} can't be read or written now: {error}")


def wrong_page(offset: int | None) -> str:
    """What is said of it."""
    place = "a page" if offset is None else f"the page at byte {offset}"
    return f"{place} does not match its checksum"


@cache
def _load() -> None:
    """Make the VFS known to this process, whose default it is then. UNAVAILABLE: this APSW lacks it."""
    with _loading:
        if _VFS not in apsw.vfs_names():
            _load_once()


def _load_once() -> None:
    with suppress(apsw.MisuseError):  # SQLite is in use already: faults are found all the same, only not where
        apsw.config(apsw.SQLITE_CONFIG_LOG, _note)
    connection = apsw.Connection(":memory:")
    try:
        apsw.sqlite_extra.load(connection, "cksumvfs")
    except (apsw.sqlite_extra.NotAvailable, LookupError, apsw.Error) as error:
        raise unavailable(
            f"This build of APSW lacks SQLite's checksum VFS ({error}); the one on PyPI has it: pip install apsw"
        ) from error
    finally:
        connection.close()


def _note(_: int, message: str) -> None:
    fault = _FAULT.match(message)
    if fault is not None:
        _faults.offset = int(fault[1])
