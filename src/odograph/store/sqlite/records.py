"""The catalogue's table: changes within the writer's transaction, and what followers read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import apsw

from odograph.errors import Corrupt, conflict, invalid
from odograph.model.ids import OrgId, RecordId
from odograph.store.base import Change, Record


def apply_changes(connection: apsw.Connection, changes: Sequence[Change], rev: int) -> list[Record]:
    """Make the changes, with the revs after `rev`. CONFLICT and INVALID leave them half done: roll back.

    Keys are taken from all of the records before any is given, so that they may change hands.
    """
    records = [_put(connection, change, place) for place, change in enumerate(changes, rev + 1)]
    for record in records:
        connection.execute("DELETE FROM record_key WHERE id = ?", (record.id,))
    for change, record in zip(changes, records, strict=True):
        for name in change.keys if change.body is not None else ():
            _give_key(connection, record, name)
    return records


def records_after(connection: apsw.Connection, rev: int, limit: int) -> Iterator[Record]:
    """What changed after `rev`, in that order, the first `limit`; deleted ones too, unless `rev` is 0."""
    living = "body IS NOT NULL AND" if rev == 0 else ""
    rows = connection.execute(
        f"SELECT org, kind, id, rev, body, crc FROM record WHERE {living} rev > ? ORDER BY rev LIMIT ?",  # noqa: S608 - ours
        (rev, limit),
    )
    return (_checked(connection, *row) for row in rows)


def check_records(connection: apsw.Connection) -> Iterator[str]:
    """What is wrong with which rows, of all."""
    for row in connection.execute("SELECT org, kind, id, rev, body, crc FROM record ORDER BY id"):
        try:
            _checked(connection, *row)
        except Corrupt as error:
            yield str(error)


def last_rev(connection: apsw.Connection) -> int:
    """The greatest rev ever given, 0 before the first."""
    return int(connection.execute("SELECT max(rev) FROM record").get or 0)


def _put(connection: apsw.Connection, change: Change, rev: int) -> Record:
    if change.id is None:
        if change.body is None:
            raise invalid("A record that was never made can't be deleted.")
        record_id = RecordId(int(connection.execute("SELECT max(id) FROM record").get or 0) + 1)
        record = Record(change.org, change.kind, record_id, rev, change.body)
        connection.execute(
            "INSERT INTO record (org, kind, id, rev, body, crc) VALUES (?, ?, ?, ?, ?, ?)",
            (record.org, record.kind, record.id, rev, record.body, _crc(record)),
        )
        return record
    _check_present(connection, change, change.id)
    record = Record(change.org, change.kind, change.id, rev, change.body)
    connection.execute(
        "UPDATE record SET rev = ?, body = ?, crc = ? WHERE id = ?", (rev, record.body, _crc(record), record.id)
    )
    return record


def _crc(record: Record) -> int:
    head = f"{record.org} {record.kind} {record.id} {record.rev} {record.body is None}".encode()
    return zlib.crc32(record.body or b"", zlib.crc32(head))


def _checked(
    connection: apsw.Connection, org: OrgId, kind: str, record_id: RecordId, rev: int, body: bytes | None, crc: int
) -> Record:
    record = Record(org, kind, record_id, rev, body)
    if _crc(record) != crc:
        raise Corrupt(f"{connection.filename}: record {record_id} does not match its checksum")
    return record


def _check_present(connection: apsw.Connection, change: Change, record_id: RecordId) -> None:
    found = connection.execute(
        "SELECT rev FROM record WHERE id = ? AND org = ? AND kind = ? AND body IS NOT NULL",
        (record_id, change.org, change.kind),
    ).get
    if found is None:
        raise conflict(f"The {change.kind} {record_id} is gone.")
    if change.expected_rev is not None and found != change.expected_rev:
        raise conflict(f"Somebody else changed the {change.kind} {record_id} meanwhile.")


def _give_key(connection: apsw.Connection, record: Record, name: str) -> None:
    holder = connection.execute("SELECT id FROM record_key WHERE org = ? AND name = ?", (record.org, name)).get
    if holder == record.id:
        return
    if holder is not None:
        raise conflict(f"'{name}' belongs to another object already.")
    connection.execute("INSERT INTO record_key VALUES (?, ?, ?)", (OrgId(record.org), name, record.id))
