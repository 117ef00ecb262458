"""Reading the store: each read in one snapshot of the database, so that every fix is met exactly once.

The snapshot says up to which seq fixes are sealed; those are read from day files, the others from the log rows
of that same snapshot, wherever the sealer stands by now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw
import numpy as np
import numpy.typing as npt

from odograph.errors import invalid
from odograph.model.fixes import FIX_SIZE, Fixes, empty_fixes, fixes_from_bytes
from odograph.model.ids import AssetId, OrgId, RecordId, Seq
from odograph.store.base import Block, LedgerEntry, Newest, Record, StoreStatus
from odograph.store.sqlite.database import (
    FILE_NAME,
    SEALED_NAME,
    LogRow,
    is_day_known,
    log_rows,
    open_for_reading,
    read_state,
)
from odograph.store.sqlite.ledger import entries_of
from odograph.store.sqlite.pages import naming
from odograph.store.sqlite.records import last_rev, records_after
from odograph.store.sqlite.sealed import DayFiles

STRETCH_ROWS: Final = 16_384  # read at a time by whoever catches up
STRETCH_RECORDS: Final = 1024  # half a megabyte: all of a catalogue at once would leave its size behind in pieces
SAME_MS: Final = 5_000  # commits this near to each other are handed on as one to whoever catches up


Assets = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as of one commit; valid within `LogReader.snapshot`."""

    connection: apsw.Connection
    sealed_through: Seq
    epoch: str

    def head(self) -> Seq:
        """The last seq."""
        row = self.connection.execute("SELECT seq + n - 1 FROM block ORDER BY seq DESC LIMIT 1").get
        return Seq(max(self.sealed_through, row or 0))


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a follower that was away reads next: records up to `rev`, then blocks up to `reached`."""

    records: list[Record]
    rev: int
    blocks: list[Block]
    reached: Seq | None
    """As it was asked for, where there are more records before the next block."""
    is_end: bool


class LogReader:
    """Reads a data directory from any number of threads. Raises Corrupt, NewerFormat, Refusal(UNAVAILABLE)."""

    def __init__(self, directory: Path, vfs: str = "") -> None:
        self._directory = directory
        self._vfs = vfs
        self._path = directory / FILE_NAME
        self._days = DayFiles(directory / SEALED_NAME, vfs, is_known=self.knows_day)
        self._idle: list[apsw.Connection] = []
        self._lock = threading.Lock()

    def read_after(
        self, org: OrgId, after: Seq, through: Seq, limit: int, assets: npt.NDArray[np.uint32] | None
    ) -> tuple[Block, Seq]:
        """As the port says. A page never crosses from sealed to unsealed: it ends there instead."""
        with self.snapshot() as snapshot:
            last = Seq(max(after, min(through, snapshot.head())))
            sealed = Seq(min(last, snapshot.sealed_through))
            days = _days_between(snapshot, org, after, sealed)
            if after < sealed and days:
                page = self._days.read_after(org, days, after, sealed, limit, assets)
            else:
                page = _page_of_log(snapshot, org, Seq(max(after, sealed)), last, limit, assets)
        self._check_kept(org, after)
        return page

    def read_range(
        self,
        org: OrgId,
        assets: Sequence[AssetId],
        starts_ms: Sequence[int],
        end_ms: int,
        through: Seq,
        limit: int,
    ) -> list[Fixes]:
        """As the port says."""
        with self.snapshot() as snapshot:
            sealed = Seq(min(through, snapshot.sealed_through))
            cold = []
            for asset, start_ms in zip(assets, starts_ms, strict=True):
                days = _days_in(snapshot, org, asset, start_ms, end_ms, sealed)
                cold.append(self._days.read_range(asset, days, start_ms, end_ms, sealed, limit))
            warm = _unsealed(snapshot, org, assets, end_ms, through)
        found = []
        for asset, start_ms, sealed_fixes in zip(assets, starts_ms, cold, strict=True):
            own = warm[(warm["asset"] == asset) & (warm["time_ms"] >= start_ms)]
            fixes = np.concatenate((sealed_fixes, own))
            found.append(fixes[np.argsort(fixes["time_ms"], kind="stable")][: max(limit, 0)])
        return found

    def read_at(self, org: OrgId, assets: Sequence[AssetId], time_ms: int, through: Seq) -> Fixes:
        """As the port says, by asset."""
        wanted = np.unique(np.array(assets, dtype=np.uint32))
        with self.snapshot() as snapshot:
            found = [_unsealed(snapshot, org, wanted, time_ms + 1, through)]
            sealed = Seq(min(through, snapshot.sealed_through))
            for asset in wanted.tolist():
                days = _days_at(snapshot, org, asset, time_ms, sealed)
                row = self._days.read_at(asset, days, time_ms, sealed) if days else None
                if row is not None:
                    found.append(row)
        fixes = np.concatenate(found)
        fixes = fixes[np.lexsort((fixes["time_ms"], fixes["asset"]))]
        is_last = np.ones(len(fixes), dtype=np.bool_)
        is_last[:-1] = fixes["asset"][1:] != fixes["asset"][:-1]
        return fixes[is_last]

    def newest(self) -> tuple[Newest, Seq]:
        """Of what is sealed, and up to which seq that is."""
        with self.snapshot() as snapshot:
            rows = snapshot.connection.execute("SELECT row, seq, received_ms FROM last ORDER BY asset").fetchall()
            through = snapshot.sealed_through
        columns: list[tuple[object, ...]] = list(zip(*rows, strict=True)) or [(), (), ()]
        fixes = fixes_from_bytes(b"".join(row for row in columns[0] if isinstance(row, bytes)))
        seqs, received_ms = (np.array(column, dtype=np.int64) for column in columns[1:])
        return Newest(fixes, seqs, received_ms), through

    def status(self) -> StoreStatus:
        """As the port says."""
        with self.snapshot() as snapshot:
            head, rev = snapshot.head(), last_rev(snapshot.connection)
        size = self._days.bytes_on_disk()
        for path in self._directory.glob(f"{FILE_NAME}*"):
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return StoreStatus(head, snapshot.sealed_through, rev, snapshot.epoch, size)

    def read_ledger(
        self, org: OrgId, share: RecordId, start_minute: int, end_minute: int, limit: int
    ) -> list[LedgerEntry]:
        """As the port says."""
        with self.snapshot() as snapshot:
            return entries_of(snapshot.connection, org, share, start_minute, end_minute, limit)

    def read_stretch(self, after: Seq | None, rev: int) -> Stretch:
        """The log's and the catalogue's next part for a follower; from the first unsealed fix without `after`.

        Blocks of one org that lie near each other are joined; `received_ms` is then the last one's.
        """
        with self.snapshot() as snapshot:
            records = list(records_after(snapshot.connection, rev, STRETCH_RECORDS))
            if len(records) == STRETCH_RECORDS:
                return Stretch(records, records[-1].rev, [], after, is_end=False)
            place = snapshot.sealed_through if after is None else after
            if place < snapshot.sealed_through:
                blocks, reached = self._sealed_stretch(snapshot, place)
            else:
                blocks, reached = _log_stretch(snapshot, place)
            is_end = reached >= snapshot.head()
            if is_end:
                snapshot.connection.execute("PRAGMA shrink_memory")  # what was read is not read again
            return Stretch(records, last_rev(snapshot.connection), blocks, reached, is_end)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One state of the database, for as long as the `with` lasts. It holds up nobody."""
        connection = self._borrowed()
        try:
            with naming(self._path):
                connection.execute("BEGIN")
                yield Snapshot(connection, *read_state(connection))
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._give_back(connection)

    def knows_day(self, day: str) -> bool:
        """Whether, by now, there should be a file of the day."""
        with self.snapshot() as snapshot:
            return is_day_known(snapshot.connection, day)

    def close(self) -> None:
        """Let go of every file."""
        self._days.close()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _borrowed(self) -> apsw.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return open_for_reading(self._directory, self._vfs)

    def _give_back(self, connection: apsw.Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _check_kept(self, org: OrgId, after: Seq) -> None:
        """After reading, in a later snapshot: if nothing is dropped by now, all files were there meanwhile."""
        with self.snapshot() as snapshot:
            through = snapshot.connection.execute("SELECT through FROM dropped WHERE org = ?", (org,)).get
        if through is not None and after < through:
            raise invalid(
                "Fixes after this place have been dropped, because they arrived longer ago than this server keeps"
                " them, or because their file was damaged. Start again without a cursor."
            )

    def _sealed_stretch(self, snapshot: Snapshot, after: Seq) -> tuple[list[Block], Seq]:
        through = Seq(min(after + STRETCH_ROWS, snapshot.sealed_through))
        orgs = snapshot.connection.execute(
            "SELECT DISTINCT org FROM org_day WHERE s1 > ? AND s0 <= ?", (after, through)
        ).fetchall()
        blocks = []
        for (org,) in orgs:
            days = _days_between(snapshot, OrgId(int(str(org))), after, through)
            block, _ = self._days.read_after(OrgId(int(str(org))), days, after, through, STRETCH_ROWS)
            if len(block.seqs):
                blocks.append(block)
        return sorted(blocks, key=lambda block: int(block.seqs[0])), through


def _days_between(snapshot: Snapshot, org: OrgId, after: Seq, through: Seq) -> list[str]:
    """The days that hold any of the org's fixes with after < seq <= through, in the order of seqs."""
    rows = snapshot.connection.execute(
        "SELECT day FROM org_day WHERE org = ? AND s1 > ? AND s0 <= ? ORDER BY s0", (org, after, through)
    )
    return [day for (day,) in rows]


def _days_in(snapshot: Snapshot, org: OrgId, asset: AssetId, start_ms: int, end_ms: int, through: Seq) -> list[str]:
    """The days that can hold any of the asset's fixes with start <= time < end and seq <= `through`."""
    rows = snapshot.connection.execute(
        "SELECT day FROM span JOIN org_day USING (org, day)"
        " WHERE asset = ? AND org = ? AND t0 < ? AND t1 >= ? AND s0 <= ? ORDER BY day",
        (asset, org, end_ms, start_ms, through),
    )
    return [day for (day,) in rows]


def _days_at(snapshot: Snapshot, org: OrgId, asset: int, time_ms: int, through: Seq) -> list[str]:
    """The days that can hold the asset's newest fix with time <= `time_ms` and seq <= `through`.

    Those whose span holds the time; of those whose span ends before, the last one. A day of which not all is
    visible may turn out to hold nothing, so it never stands in for another.
    """
    rows = snapshot.connection.execute(
        "SELECT day, t1, s1 FROM span JOIN org_day USING (org, day)"
        " WHERE asset = ? AND org = ? AND t0 <= ? AND s0 <= ? ORDER BY t1 DESC",
        (asset, org, time_ms, through),
    )
    days = []
    for day, t1, s1 in rows:
        days.append(day)
        if t1 <= time_ms and s1 <= through:
            break
    return days


def _page_of_log(
    snapshot: Snapshot, org: OrgId, after: Seq, through: Seq, limit: int, assets: npt.NDArray[np.uint32] | None
) -> tuple[Block, Seq]:
    """The org's unsealed fixes with after < seq <= through, at most `limit` looked at."""
    fixes, seqs = [empty_fixes()], [np.empty(0, dtype=np.int64)]
    room, reached, received_ms = limit, through, 0
    for row in _rows_between(snapshot, org, after, through):
        low = max(0, after + 1 - row.seq)
        high = min(row.n, through + 1 - row.seq, low + room)
        if high <= low:
            continue
        fixes.append(row.fixes[low:high])
        seqs.append(row.seqs[low:high])
        room, received_ms = room - (high - low), row.received_ms
        if not room:
            reached = Seq(row.seq + high - 1)
            break
    page, page_seqs = np.concatenate(fixes), np.concatenate(seqs)
    if assets is not None:
        is_wanted = np.isin(page["asset"], assets)
        page, page_seqs = page[is_wanted], page_seqs[is_wanted]
    return Block(org, page_seqs, page, received_ms), reached


def _rows_between(snapshot: Snapshot, org: OrgId, after: Seq, through: Seq) -> Iterator[LogRow]:
    """The org's unsealed rows that may hold a seq with after < seq <= through, by seq."""
    begins = snapshot.connection.execute(
        "SELECT max(seq) FROM block WHERE org = ? AND seq <= ?", (org, after + 1)
    ).get
    first = max(begins or 0, snapshot.sealed_through + 1)
    return log_rows(snapshot.connection, "org = ? AND seq BETWEEN ? AND ? ORDER BY seq", org, first, through)


def _unsealed(
    snapshot: Snapshot, org: OrgId, assets: Sequence[AssetId] | Assets, end_ms: int, through: Seq
) -> Fixes:
    """Unsealed fixes of these assets with time < end and seq <= through, in the order of seqs.

    They have no index: all of the org's are looked through, some at a time.
    """
    if through <= snapshot.sealed_through:
        return empty_fixes()
    wanted = np.asarray(assets, dtype=np.uint32)
    found, data = [empty_fixes()], bytearray()

    def look_through() -> None:
        fixes = fixes_from_bytes(bytes(data))
        found.append(fixes[(fixes["time_ms"] < end_ms) & np.isin(fixes["asset"], wanted)])
        data.clear()

    for row in _rows_between(snapshot, org, snapshot.sealed_through, through):
        data += row.data[: (through + 1 - row.seq) * FIX_SIZE]
        if len(data) > STRETCH_ROWS * FIX_SIZE:
            look_through()
    look_through()
    return np.concatenate(found)


def _log_stretch(snapshot: Snapshot, after: Seq) -> tuple[list[Block], Seq]:
    """Whole rows after `after`, near each other in time, joined by org; and the last seq of them."""
    orgs: dict[int, list[LogRow]] = {}
    begin_ms: int | None = None
    end: int = after
    for row in log_rows(snapshot.connection, "seq > ? ORDER BY seq", after):
        begin_ms = row.received_ms if begin_ms is None else begin_ms
        is_full = end - after + row.n > STRETCH_ROWS or abs(row.received_ms - begin_ms) > SAME_MS
        if is_full and end > after:
            break
        orgs.setdefault(row.org, []).append(row)
        end = row.last
    blocks = [
        Block(
            OrgId(org),
            np.concatenate([row.seqs for row in rows]),
            fixes_from_bytes(b"".join(row.data for row in rows)),
            rows[-1].received_ms,
        )
        for org, rows in orgs.items()
    ]
    return blocks, Seq(end)
