"""The ledger's table: what live shares disclosed, a row for each share, minute and run of the server.

It is made at opening where it is not there, without a new format: an older version never looks at it, reads all
else as before, and leaves its rows as they are, so that going back a version loses nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import apsw

from odograph.errors import Corrupt
from odograph.model.ids import OrgId, RecordId
from odograph.store.base import LedgerEntry

KEEP_MINUTES: Final = 400 * 24 * 60  # a year, and time to ask about its first day
FORGET_ROWS: Final = 5000  # deleted at a time: some milliseconds

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ledger (
    org INTEGER NOT NULL,
    share INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (org, share, minute, writer)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_by_minute ON ledger (minute);
"""


def make_ledger(connection: apsw.Connection) -> None:
    """Make the table where it is not there."""
    with connection:
        connection.execute(_SCHEMA)


def put_entries(connection: apsw.Connection, entries: Sequence[LedgerEntry]) -> None:
    """Put these, each in place of an earlier one of the same key, within the caller's transaction."""
    connection.executemany(
        "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET body = excluded.body, crc = excluded.crc",
        [(one.org, one.share, one.minute, one.writer, one.body, _crc(one)) for one in entries],
    )


def entries_of(
    connection: apsw.Connection, org: OrgId, share: RecordId, start_minute: int, end_minute: int, limit: int
) -> list[LedgerEntry]:
    """Of one share with start <= minute < end, by minute and writer, the first `limit`. Corrupt names the row."""
    rows = connection.execute(
        "SELECT minute, writer, body, crc FROM ledger WHERE org = ? AND share = ? AND minute >= ? AND minute < ?"
        " ORDER BY minute, writer LIMIT ?",
        (org, share, start_minute, end_minute, limit),
    )
    return [_checked(connection, org, share, *row) for row in rows]


def check_ledger(connection: apsw.Connection) -> Iterator[str]:
    """What is wrong with which rows, of all; a backup of an early version has none."""
    if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'ledger'").get:
        return
    for row in connection.execute("SELECT org, share, minute, writer, body, crc FROM ledger"):
        try:
            _checked(connection, *row)
        except Corrupt as error:
            yield str(error)


def forget_before(connection: apsw.Connection, now_ms: int) -> bool:
    """Delete some entries that are too old, within the caller's transaction; whether any may be left.

    A share that was deleted gets no new entries, so that its last one goes 400 days after it at the latest.
    """
    connection.execute(
        "DELETE FROM ledger WHERE (org, share, minute, writer) IN"
        " (SELECT org, share, minute, writer FROM ledger WHERE minute < ? LIMIT ?)",
        (now_ms // 60_000 - KEEP_MINUTES, FORGET_ROWS),
    )
    return connection.changes() == FORGET_ROWS


def _checked(
    connection: apsw.Connection, org: OrgId, share: RecordId, minute: int, writer: int, body: bytes, crc: int
) -> LedgerEntry:
    entry = LedgerEntry(org, share, minute, writer, body)
    if _crc(entry) != crc:
        raise Corrupt(f"{connection.filename}: ledger of share {share}, minute {minute}: the checksum differs")
    return entry


def _crc(entry: LedgerEntry) -> int:
    head = f"{entry.org} {entry.share} {entry.minute} {entry.writer}".encode()
    return zlib.crc32(entry.body, zlib.crc32(head))
