"""What the disk and SQLite do by themselves, in the same run: the server's figures are read against these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

import apsw
import numpy as np

from odograph.model.fixes import FIX_ROW, FIX_SIZE, Fixes

ROWS_A_COMMIT: Final = 1_000
PAGE: Final = 4_096
_COLUMNS: Final = ("asset", "time_ms", "lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh")
_PAGES: Final = 256  # overwritten in turn, as a write-ahead log is once it has been reused


class SyncRate(NamedTuple):
    """Durable single writes."""

    per_second: float
    p50_ms: float
    p99_ms: float


def sync_rate(folder: Path, seconds: float) -> SyncRate:
    """4 KiB overwrites, each followed by fdatasync."""
    path = folder / "yardstick.raw"
    page = os.urandom(PAGE)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.write(fd, page * _PAGES)
        os.fsync(fd)
        took: list[float] = []
        began = perf_counter()
        while perf_counter() - began < seconds:
            start = perf_counter()
            os.pwrite(fd, page, len(took) % _PAGES * PAGE)
            os.fdatasync(fd)
            took.append(perf_counter() - start)
        spent = perf_counter() - began
    finally:
        os.close(fd)
        path.unlink()
    p50, p99 = np.percentile(took, (50, 99)) * 1000
    return SyncRate(len(took) / spent, float(p50), float(p99))


def rows_rate(folder: Path, fixes: Fixes) -> float:
    """Fixes a second of `executemany` into a rowid log with UNIQUE(vehicle, time), 1,000 rows a commit, FULL."""
    rows = fixes[list(_COLUMNS)].tolist()
    with _database(folder) as db:
        db.execute(
            "CREATE TABLE log (seq INTEGER PRIMARY KEY, vehicle INTEGER, time INTEGER, lat INTEGER, lon INTEGER,"
            " heading INTEGER, speed INTEGER, UNIQUE (vehicle, time))"
        )
        began = perf_counter()
        for start in range(0, len(rows), ROWS_A_COMMIT):
            with db:
                db.executemany(
                    "INSERT INTO log (vehicle, time, lat, lon, heading, speed) VALUES (?, ?, ?, ?, ?, ?)",
                    rows[start : start + ROWS_A_COMMIT],
                )
        return len(rows) / (perf_counter() - began)


def blocks_rate(folder: Path, fixes: Fixes, rows_a_block: int) -> float:
    """Fixes a second as blocks of `rows_a_block`, packed beforehand, one row and one commit each, FULL."""
    blocks = [fixes[start : start + rows_a_block].tobytes() for start in range(0, len(fixes), rows_a_block)]
    return len(fixes) / _store_blocks(folder, iter(blocks))


def packing_rate(folder: Path, fixes: Fixes, rows_a_block: int) -> float:
    """The same, but from rows of Python numbers, packed on the way, which is what decoded requests are."""
    rows = fixes.tolist()
    runs = (rows[start : start + rows_a_block] for start in range(0, len(rows), rows_a_block))
    pack = FIX_ROW.pack
    return len(fixes) / _store_blocks(folder, (b"".join([pack(*row) for row in run]) for run in runs))


def _store_blocks(folder: Path, blocks: Iterator[bytes]) -> float:
    """Seconds to store them all."""
    with _database(folder) as db:
        db.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, n INTEGER, data BLOB)")
        began = perf_counter()
        for block in blocks:
            with db:
                db.execute("INSERT INTO log (n, data) VALUES (?, ?)", (len(block) // FIX_SIZE, block))
        return perf_counter() - began


@contextmanager
def _database(folder: Path) -> Iterator[apsw.Connection]:
    path = folder / "yardstick.db"
    db = apsw.Connection(str(path))
    try:
        db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").fetchall()
        yield db
    finally:
        db.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
