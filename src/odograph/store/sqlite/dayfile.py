"""One SQLite file of sealed chunks: those that arrived on one day.

Journal: WAL. The sealer's transactions are long (they compress as they go) and a look-up for dedupe stands
before somebody's receipt, so neither may wait for the other, which a rollback journal would ask of both.
The price is each page written twice, some 8 bytes a fix. After every run the sealer copies the WAL back
and cuts it to nothing as soon as no reader is in its way; readers never do.

A file at rest is read as what never changes: without locks, and without the files that SQLite keeps beside one in
WAL mode, which a full disk or a read-only one has no room for. That is each but the newest of a directory, for the
sealer makes a file only when nothing is left in the WALs of those before it; and all of a backup.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, cast
from urllib.parse import quote

import apsw
import numpy as np
import numpy.typing as npt

from odograph.errors import Corrupt
from odograph.model.fixes import Fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.sqlite.chunks import Seqs, decode_chunk
from odograph.store.sqlite.pages import (
    CREATE,
    PAGE_BYTES,
    PRIVATE,
    READ_WRITE,
    check_format,
    connect,
    copy_pages,
    naming,
    reserve,
)

APPLICATION_ID: Final = 0x4F446179  # "ODay"
FORMAT: Final = 2  # 1 had no checksums of pages; such a file stays as it is
WAIT_MS: Final = 10_000  # only a recovery after a crash, or a checkpoint's last step, makes anybody wait
CHECKPOINT_WAIT_MS: Final = 50  # for readers to leave the WAL; whatever stays is copied after the next run
READER_CACHE_KIB: Final = 256  # the kernel caches the file; many days are open at once

SCHEMA: Final = f"""
-- compressed chunks of one org and run, end to end: one by one they would leave half of many pages empty
CREATE TABLE pack (
    id INTEGER PRIMARY KEY,   -- grows in the order of runs
    org INTEGER NOT NULL,
    run INTEGER NOT NULL,     -- the last seq of the run that brought it
    data BLOB NOT NULL
) STRICT;
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,   -- grows in the order of runs, and within one by org, asset and time
    asset INTEGER NOT NULL,
    t0 INTEGER NOT NULL, t1 INTEGER NOT NULL,   -- first and last time_ms
    s0 INTEGER NOT NULL, s1 INTEGER NOT NULL,   -- least and greatest seq
    n INTEGER NOT NULL,
    pack INTEGER NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL,   -- where its bytes are
    crc INTEGER NOT NULL      -- of those bytes, the columns id to n, org and run
) STRICT;
-- all that is asked before a chunk is opened: it is asked for every asset and day, so it lies close together
CREATE INDEX chunk_by_asset ON chunk (asset, t0, t1, s0, s1, n);
-- an org's part of a run is the chunks chunk0 to chunk1, side by side in the file
CREATE TABLE org_run (
    org INTEGER NOT NULL, run INTEGER NOT NULL,
    s0 INTEGER NOT NULL, s1 INTEGER NOT NULL,
    n INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    chunk0 INTEGER NOT NULL, chunk1 INTEGER NOT NULL,
    PRIMARY KEY (org, run)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""
PACK_BYTES: Final = 32 << 10
"""Of a pack: what pages leave empty is then under 5 %. To open one chunk reads its whole pack, some 10 us."""
FETCH_CHUNKS: Final = 64  # of a run at a time: some 300 kB, a millisecond

Spans = npt.NDArray[np.int64]
"""One row per chunk of an asset, by t0: id, t0, t1, s0, s1, n."""

_CHECKED: Final = struct.Struct("<9q")


class Chunk(NamedTuple):
    """One chunk as the file holds it."""

    id: int
    asset: int
    t0: int
    t1: int
    s0: int
    s1: int
    n: int
    org: int
    run: int
    data: bytes
    crc: int = 0


class OrgRun(NamedTuple):
    """What one run holds of one org: n fixes with s0 <= seq <= s1, in the chunks chunk0 to chunk1."""

    org: int
    run: int
    s0: int
    s1: int
    n: int
    received_ms: int
    chunk0: int
    chunk1: int


def chunk_crc(chunk: Chunk) -> int:
    """The checksum over all of the row but itself."""
    return zlib.crc32(chunk.data, zlib.crc32(_CHECKED.pack(*chunk[: _CHECKED.size // 8])))


class DayReader:
    """One read-only connection. Its user holds `lock`; `is_closed` may turn true until it is held."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.is_closed = False
        self._inode = path.stat().st_ino
        self._connection = connection

    def spans(self, asset: AssetId, through: Seq) -> Spans:
        """The chunks of the asset that hold any seq <= through."""
        with naming(self.path):
            rows = self._connection.execute(
                "SELECT id, t0, t1, s0, s1, n FROM chunk WHERE asset = ? AND s0 <= ? ORDER BY t0", (asset, through)
            ).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1, 6)

    def is_current(self) -> bool:
        """Whether the path still leads to the file that is open."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def chunk(self, chunk_id: int) -> Chunk:
        """One chunk, as it lies there. Corrupt names the file and the chunk."""
        for chunk in self._chunks("id = ?", chunk_id):
            return chunk
        raise Corrupt(f"{self.path}: chunk {chunk_id} is in the index and not in the table")

    def chunks(self, first: int, last: int) -> list[Chunk]:
        """The first FETCH_CHUNKS of those with first <= id <= last, as they lie there."""
        return self._chunks("id BETWEEN ? AND ? ORDER BY id LIMIT ?", first, last, FETCH_CHUNKS)

    def next_run(self, org: OrgId, after: Seq, through: Seq) -> OrgRun | None:
        """The first run that holds a seq of the org with after < seq <= through."""
        with naming(self.path):
            row = self._connection.execute(
                "SELECT org, run, s0, s1, n, received_ms, chunk0, chunk1 FROM org_run"
                " WHERE org = ? AND run > ? AND s1 > ? AND s0 <= ? ORDER BY run LIMIT 1",
                (org, after, after, through),
            ).fetchone()
        return None if row is None else OrgRun(*row)

    def last_run(self) -> int:
        """The last seq of the last run in the file, 0 when there is none."""
        with naming(self.path):
            return _last_run(self._connection)

    def opened(self, chunk: Chunk) -> tuple[Fixes, Seqs]:
        """The chunk's fixes, by time, and their seqs, its checksum compared. Needs no lock."""
        place = f"{self.path}: chunk {chunk.id}"
        if chunk_crc(chunk) != chunk.crc:
            raise Corrupt(f"{place}: the checksum does not match")
        try:
            fixes, seqs = decode_chunk(chunk.data, AssetId(chunk.asset))
        except Corrupt as error:
            raise Corrupt(f"{place}: {error}") from None
        if len(fixes) != chunk.n:
            raise Corrupt(f"{place}: {len(fixes)} rows where {chunk.n} should be")
        return fixes, seqs

    def damage(self) -> Iterator[str]:
        """Read everything, as far as that goes; whatever is wrong, with the file and the place."""
        try:
            rows, held = 0, 0
            while chunks := self.chunks(held + 1, (1 << 63) - 1):
                for chunk in chunks:
                    try:
                        self.opened(chunk)
                    except Corrupt as error:
                        yield str(error)
                    rows, held = rows + chunk.n, chunk.id
            with naming(self.path):
                answers = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
                listed = self._connection.execute("SELECT coalesce(sum(n), 0) FROM org_run").get
            yield from (f"{self.path}: {' '.join(answer.split())}" for answer in answers if answer != "ok")
            if listed != rows:
                yield f"{self.path}: the chunks hold {rows} fixes, the runs {listed}"
        except Corrupt as error:
            yield str(error)

    def copy_to(self, target: Path) -> None:
        """Write a durable copy of the file as it is now; runs may be added meanwhile."""
        with naming(self.path):
            copy_pages(self._connection, target)

    def close(self) -> None:
        """Let go of the file once its user is done; again is fine."""
        with self.lock:
            self.is_closed = True
            self._connection.close()

    def _chunks(self, where: str, *given: int) -> list[Chunk]:
        with naming(self.path):
            rows = cast(
                "list[tuple[int, ...]]",
                self._connection.execute(
                    f"SELECT pack, at, size, crc, id, asset, t0, t1, s0, s1, n FROM chunk WHERE {where}",  # noqa: S608 - ours
                    given,
                ).fetchall(),
            )
            packs = {number: self._pack(number) for number in {row[0] for row in rows}}
        chunks = []
        for pack, at, size, crc, number, asset, t0, t1, s0, s1, n in rows:
            org, run, data = packs[pack]
            own = data[at : at + size] if at + size <= len(data) else b""
            chunks.append(Chunk(number, asset, t0, t1, s0, s1, n, org, run, own, crc))
        return chunks

    def _pack(self, number: int) -> tuple[int, int, bytes]:
        """The pack's org, run and data; where there is none, what no checksum matches."""
        row = self._connection.execute("SELECT org, run, data FROM pack WHERE id = ?", (number,)).fetchone()
        return (0, 0, b"") if row is None else cast("tuple[int, int, bytes]", row)


class DayWriter:
    """The sealer's one connection to the file that it adds to. Made durable by `commit`."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path = path
        self._connection = connection
        self._next = 1

    @contextmanager
    def run(self, after: Seq) -> Iterator[None]:
        """One durable transaction; of an earlier attempt, whatever lies behind `after` is taken out first."""
        with naming(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._discard(after)
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        self._checkpoint()

    def add_pack(self, chunks: list[Chunk]) -> tuple[int, int]:
        """Add chunks of one org and run, whose ids and checksums are given here; the first id and the last."""
        first, self._next = self._next, self._next + len(chunks)
        self._connection.execute(
            "INSERT INTO pack (org, run, data) VALUES (?, ?, ?)",
            (chunks[0].org, chunks[0].run, b"".join(chunk.data for chunk in chunks)),
        )
        pack, at, rows = self._connection.last_insert_rowid(), 0, []
        for number, chunk in enumerate(chunks, first):
            crc = chunk_crc(chunk._replace(id=number))
            rows.append((number, *chunk[1:7], pack, at, len(chunk.data), crc))
            at += len(chunk.data)
        self._connection.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return first, self._next - 1

    def add_run(self, run: OrgRun) -> None:
        """Add what readers of the org find its chunks by."""
        self._connection.execute("INSERT INTO org_run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", run)

    def settle(self) -> None:
        """Leave nothing in the WAL. UNAVAILABLE: a reader is in the way, or the disk is full."""
        with naming(self.path):
            is_blocked, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
            if is_blocked:
                raise apsw.BusyError("a reader is in the way")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _discard(self, after: Seq) -> None:
        if _last_run(self._connection) > after:
            first = self._connection.execute("SELECT min(chunk0) FROM org_run WHERE run > ?", (after,)).get
            pack = self._connection.execute("SELECT pack FROM chunk WHERE id = ?", (first,)).get
            self._connection.execute("DELETE FROM pack WHERE id >= ?", (pack,))
            self._connection.execute("DELETE FROM chunk WHERE id >= ?", (first,))
            self._connection.execute("DELETE FROM org_run WHERE run > ?", (after,))
        self._next = 1 + int(self._connection.execute("SELECT max(id) FROM chunk").get or 0)

    def _checkpoint(self) -> None:
        """Move the run from the WAL to its place: it is durable in either, so no failure here matters."""
        self._connection.set_busy_timeout(CHECKPOINT_WAIT_MS)
        with suppress(apsw.BusyError, apsw.FullError, apsw.IOError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.set_busy_timeout(WAIT_MS)


def is_settled(path: Path) -> bool:
    """Whether nothing of the file lies in a file beside it."""
    return not any(_size_of(path.with_name(path.name + suffix)) for suffix in ("-wal", "-journal"))


def open_reader(path: Path, vfs: str, *, is_at_rest: bool = False) -> DayReader | None:
    """A connection that only reads; None when there is no such file, or nothing in it yet.

    `is_at_rest`: nobody writes to the file, even if it is the newest.
    """
    if not path.exists():
        return None
    with naming(path):
        name, flags = str(path), apsw.SQLITE_OPEN_READWRITE
        if (is_at_rest or not _is_newest(path)) and is_settled(path):
            name, flags = f"file:{quote(name)}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        try:
            connection = connect(name, vfs, flags=flags)
        except apsw.CantOpenError:
            if path.exists():
                raise
            return None  # dropped since we looked
    with naming(path), _closing(connection, only_on_error=True):
        connection.set_busy_timeout(WAIT_MS)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.pragma("query_only", 1)
        connection.pragma("cache_size", -READER_CACHE_KIB)
        if _is_ready(path, connection):
            return DayReader(path, connection)
    connection.close()
    return None


def open_writer(path: Path, vfs: str) -> DayWriter:
    """The connection that adds to the file, which is made when it is not there."""
    with naming(path):
        connection = connect(path, vfs, flags=READ_WRITE | CREATE)
    with naming(path), _closing(connection, only_on_error=True):
        connection.set_busy_timeout(WAIT_MS)
        is_ready = _is_ready(path, connection)
        if not is_ready:
            path.chmod(PRIVATE)
            reserve(connection)
        connection.pragma("synchronous", "FULL")
        connection.pragma("page_size", PAGE_BYTES)
        connection.pragma("journal_mode", "WAL")
        connection.pragma("wal_autocheckpoint", 0)
        if not is_ready:
            with connection:
                connection.execute(SCHEMA)
        return DayWriter(path, connection)


@contextmanager
def _closing(connection: apsw.Connection, *, only_on_error: bool = False) -> Iterator[apsw.Connection]:
    done = False
    try:
        yield connection
        done = True
    finally:
        if not (done and only_on_error):
            connection.close()


def _is_newest(path: Path) -> bool:
    """Whether no file of the directory is of a later day."""
    with os.scandir(path.parent) as entries:
        return not any(entry.name.endswith(".db") and entry.name[:-3] > path.stem for entry in entries)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _last_run(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT run FROM pack ORDER BY id DESC LIMIT 1").get or 0)


def _is_ready(path: Path, connection: apsw.Connection) -> bool:
    """Whether the file is a day file with its tables made. Refuses any other file, and a later format."""
    return bool(check_format(path, connection, APPLICATION_ID, FORMAT, "a file of sealed fixes"))
