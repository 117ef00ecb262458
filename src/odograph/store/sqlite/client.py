"""The embedded engine as the rest of the house sees it: reads here in threads, writes in the writer process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from odograph.errors import unavailable
from odograph.model.fixes import Fixes
from odograph.model.ids import AssetId, OrgId, RecordId, Seq
from odograph.store.base import Block, Change, Committed, LedgerEntry, Newest, OrgFixes, Record, Store, StoreStatus
from odograph.store.sqlite import wire
from odograph.store.sqlite.followers import Follower, Gap
from odograph.store.sqlite.housekeeping import SEAL_AFTER_S, SEAL_ROWS, Rule
from odograph.store.sqlite.link import WriterLink
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.pages import NewerFormat

READERS: Final = 4  # at once; decompressing and SQLite let other threads run meanwhile

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """A data directory, ours alone while it is open. `open` makes one."""

    def __init__(self, directory: Path, rule: Rule) -> None:
        self._directory = directory
        self._link = WriterLink(directory, rule, self._pushed, self._lost)
        self._log = LogReader(directory)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store")
        self._followers: set[Follower] = set()
        self._newest_through: Seq | None = None

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        seal_rows: int = SEAL_ROWS,
        seal_after_s: float = SEAL_AFTER_S,
        retention_days: int = 0,
    ) -> SqliteStore:
        """Open the directory, made if it is not there, and start its writer.

        UNAVAILABLE: another process has it, or its files can't be used; the message says which.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = cls(directory, Rule(seal_rows, seal_after_s, retention_days))
        try:
            await store._link.open()
        except BaseException:
            await store.close()
            raise
        return store

    async def append(self, batch: Sequence[OrgFixes]) -> Sequence[npt.NDArray[np.uint8]]:
        """As the port says."""
        parts = [(part.org, len(part.fixes)) for part in batch]
        _, body = await self._link.ask(
            lambda number: wire.Append(number, parts), *(part.fixes.tobytes() for part in batch)
        )
        outcomes = np.frombuffer(body, dtype=np.uint8)
        ends = accumulate(rows for _, rows in parts)
        return [outcomes[end - rows : end] for (_, rows), end in zip(parts, ends, strict=True)]

    async def write(self, changes: Sequence[Change]) -> Sequence[Record]:
        """As the port says."""
        if not changes:
            return []
        reply, _ = await self._link.ask(lambda number: wire.Write(number, list(changes)))
        assert isinstance(reply, wire.Written)
        return reply.records

    async def note(self, entries: Sequence[LedgerEntry]) -> None:
        """As the port says."""
        if entries:
            await self._link.ask(lambda number: wire.Note(number, list(entries)))

    async def read_ledger(
        self, org: OrgId, share: RecordId, start_minute: int, end_minute: int, limit: int
    ) -> Sequence[LedgerEntry]:
        """As the port says."""
        return await self._in_thread(self._log.read_ledger, org, share, start_minute, end_minute, limit)

    async def follow(self) -> AsyncIterator[Committed]:
        """As the port says. Where it begins: behind what `newest` covered last, or what is sealed."""
        follower = Follower(self._newest_through)
        self._followers.add(follower)
        is_current = False
        try:
            while True:
                follower.listen()
                async for committed in self._from_disk(follower, is_current=is_current):
                    yield committed
                if not is_current:
                    is_current = True
                    committed = Committed()  # which lets go of the last part that was read from disk
                    yield committed
                try:
                    while True:
                        committed = await follower.next()
                        if committed.blocks or committed.records:
                            yield committed
                except Gap:
                    continue
        finally:
            self._followers.discard(follower)

    async def newest(self) -> Newest:
        """As the port says: of what is sealed."""
        newest, self._newest_through = await self._in_thread(self._log.newest)
        return newest

    async def read_after(
        self, org: OrgId, after: Seq, through: Seq, limit: int, assets: npt.NDArray[np.uint32] | None = None
    ) -> tuple[Block, Seq]:
        """As the port says."""
        return await self._in_thread(self._log.read_after, org, after, through, limit, assets)

    async def read_range(
        self,
        org: OrgId,
        assets: Sequence[AssetId],
        starts_ms: Sequence[int],
        end_ms: int,
        through: Seq,
        limit: int,
    ) -> list[Fixes]:
        """As the port says."""
        return await self._in_thread(self._log.read_range, org, assets, starts_ms, end_ms, through, limit)

    async def read_at(self, org: OrgId, assets: Sequence[AssetId], time_ms: int, through: Seq) -> Fixes:
        """As the port says, by asset."""
        return await self._in_thread(self._log.read_at, org, assets, time_ms, through)

    async def status(self) -> StoreStatus:
        """As the port says."""
        return await self._in_thread(self._log.status)

    async def close(self) -> None:
        """As the port says; the writer process ends."""
        await asyncio.to_thread(self._threads.shutdown)
        self._log.close()
        await self._link.close()  # last, so that SQLite leaves one file behind, without a WAL beside it

    def _pushed(self, push: wire.Push, body: bytes) -> None:
        for follower in self._followers:
            follower.push(push, body)

    def _lost(self) -> None:
        for follower in self._followers:
            follower.lose()

    async def _from_disk(self, follower: Follower, *, is_current: bool) -> AsyncIterator[Committed]:
        """All that the follower has not been handed."""
        is_end = False
        while not is_end:
            stretch = await self._in_thread(self._log.read_stretch, follower.after, follower.rev)
            follower.after, follower.rev, is_end = stretch.reached, stretch.rev, stretch.is_end
            if stretch.blocks or stretch.records:
                yield Committed(stretch.blocks, stretch.records, is_current=is_current)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def call() -> T:
            return function(*args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except NewerFormat as error:
            raise unavailable(str(error)) from error


_: type[Store] = SqliteStore
