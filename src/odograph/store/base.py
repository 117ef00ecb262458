"""The port that every storage engine fills: one append-only log of fixes, and one catalogue of records.

The promises, each proved for every engine by `tests/contract/test_every_store.py`:

Durable   When `append` or `write` returns, a power cut loses nothing of what it was given.
Ordered   Seqs grow in commit order: who has read up to N never meets a new seq <= N.
Once      A second fix of the same asset and millisecond is not stored, however late it comes.
Isolated  A read for one org touches only that org's fixes.
Exact     What is read equals, bit for bit, what was appended, before and after sealing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import Fixes
from odograph.model.ids import AssetId, OrgId, RecordId, Seq

INSTALL: OrgId = OrgId(0)
"""The org of records that belong to the whole install: orgs, tokens and the like."""


class Outcome(IntEnum):
    """What became of one appended fix."""

    STORED = 0
    KNOWN = 1
    """Stored before, equal in every field."""
    SAME_TIME_DIFFERENT = 2
    """The asset already has another fix of that millisecond; the first one stays."""
    UNJUDGED = 3
    """Not stored: what the asset has of that time can't be read now, so nobody can tell. To be sent again."""


@dataclass(frozen=True, slots=True)
class OrgFixes:
    """Fixes of one org to append; every row's asset belongs to that org."""

    org: OrgId
    fixes: Fixes


@dataclass(frozen=True, slots=True)
class Block:
    """Fixes of one org that one commit stored, in arrival order.

    `seqs` (int64) grows and is parallel to `fixes`; other orgs' fixes may lie between.
    """

    org: OrgId
    seqs: npt.NDArray[np.int64]
    fixes: Fixes
    received_ms: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest fix by time of each asset (its own seq beside it), and when anything last came from it.

    `seqs` and `received_ms` are int64, parallel to `fixes`; the latter is the asset's last arrival,
    which may be that of an older, late fix.
    """

    fixes: Fixes
    seqs: npt.NDArray[np.int64]
    received_ms: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Record:
    """One catalogue object: `body` is its JSON, None once deleted. `rev` orders all changes."""

    org: OrgId
    kind: str
    id: RecordId
    rev: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Change:
    """Put or delete one record.

    `id` None makes a new one. `expected_rev` refuses with CONFLICT when the record has moved on (None:
    whatever is there). `keys` are names that no other record of the same org may hold (an external id, a
    device's id, a key's hash in the org INSTALL); they replace the record's earlier keys.
    `body` None deletes.
    """

    org: OrgId
    kind: str
    id: RecordId | None
    body: bytes | None
    keys: tuple[str, ...] = ()
    expected_rev: int | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit made visible to followers, in commit order."""

    blocks: Sequence[Block] = ()
    records: Sequence[Record] = ()
    is_current: bool = True
    """False while `follow` still reads what was there before it began."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How far the store is, for /readyz, metrics and `odograph status`."""

    head: Seq
    sealed_through: Seq
    rev: int
    epoch: str
    """Of the feed: changes when the log was restored from a backup, so that old cursors are refused."""
    bytes_on_disk: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What one run of a server (`writer`) disclosed through one live share within one minute.

    `minute` counts from the epoch; `body` is JSON, of which engines know nothing.
    """

    org: OrgId
    share: RecordId
    minute: int
    writer: int
    body: bytes


class Store(Protocol):
    """One engine. All methods may raise Refusal(UNAVAILABLE); reads raise Corrupt on a bad checksum."""

    async def append(self, batch: Sequence[OrgFixes]) -> Sequence[npt.NDArray[np.uint8]]:
        """Store what is new, in one commit; an array of Outcome per part, parallel to its fixes.

        Returns after the commit is on disk and has been handed to this process's follower.
        UNAVAILABLE: nothing was stored, or nobody knows (the writer died): sending again is safe.
        """
        ...

    def follow(self) -> AsyncIterator[Committed]:
        """Every record, the newest stretch of the log, then each commit as it happens, without a gap.

        It begins with all living records, then the log from a place that the engine chooses (embedded: all
        that is not sealed), in items with `is_current` False; the first with True says that the follower
        has reached the head. A follower that falls behind is caught up from disk: nothing is skipped.
        """
        ...

    async def newest(self) -> Newest:
        """The newest fix by time, and the last contact, of every asset of every org.

        Covers at least all that lies before the place where `follow` begins.
        """
        ...

    async def read_after(
        self, org: OrgId, after: Seq, through: Seq, limit: int, assets: npt.NDArray[np.uint32] | None = None
    ) -> tuple[Block, Seq]:
        """Fixes of an org with after < seq <= through, oldest first, at most `limit` scanned (at least 1).

        With `assets` (sorted) only theirs. The second value is the last seq that was looked at: `through`
        when the end was reached. Refuses with INVALID when retention has dropped seqs after `after`.
        """
        ...

    async def read_range(
        self,
        org: OrgId,
        assets: Sequence[AssetId],
        starts_ms: Sequence[int],
        end_ms: int,
        through: Seq,
        limit: int,
    ) -> list[Fixes]:
        """For each of these distinct assets its fixes with start <= time < end and seq <= through, by time.

        The first `limit` of each. Whatever takes looking through is looked through once for all of them.
        """
        ...

    async def read_at(self, org: OrgId, assets: Sequence[AssetId], time_ms: int, through: Seq) -> Fixes:
        """The newest fix with time <= time_ms and seq <= through of each asset that has one."""
        ...

    async def write(self, changes: Sequence[Change]) -> Sequence[Record]:
        """Make all changes in one durable commit, or none: CONFLICT names the key or record."""
        ...

    async def note(self, entries: Sequence[LedgerEntry]) -> None:
        """Put ledger entries in one durable commit; one of the same share, minute and writer is replaced.

        They are kept for 400 days, whatever becomes of the share.
        """
        ...

    async def read_ledger(
        self, org: OrgId, share: RecordId, start_minute: int, end_minute: int, limit: int
    ) -> Sequence[LedgerEntry]:
        """Entries of one share with start <= minute < end, by minute and writer, the first `limit`."""
        ...

    async def status(self) -> StoreStatus:
        """How far the store is."""
        ...

    async def close(self) -> None:
        """Let go of every file; what was promised is on disk already."""
        ...
