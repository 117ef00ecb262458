"""Everything in memory that follows the log, and the one task that feeds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from odograph.live.directory import Directory
from odograph.live.seam import Seam
from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.store.base import Committed, Store


@dataclass(slots=True)
class Live:
    """Catalogue, newest fixes and newest stretch of the log, as of one seq.

    Only `apply` changes it, and never while a reader runs: both belong to one event loop.
    """

    directory: Directory
    snapshot: Snapshot
    stretch: Stretch
    seam: Seam
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: list[Callable[[Committed], None]] = field(default_factory=list)
    """Called after memory has a commit, in the same step: they look and take note, never wait and never raise."""

    def apply(self, committed: Committed) -> None:
        """Take in one commit: records first, so that no fix of an unknown asset is ever shown."""
        if committed.records:
            self.directory.apply(committed.records)
        for block in committed.blocks:
            self.stretch.append(block)
            self.snapshot.append(block)
        for watcher in self.watchers:
            watcher(committed)

    async def run(self, store: Store) -> None:
        """Follow the store until cancelled."""
        self.snapshot.load(await store.newest())
        self.stretch.start((await store.status()).head)
        async for committed in store.follow():
            self.apply(committed)
            if committed.is_current:
                self.ready.set()
