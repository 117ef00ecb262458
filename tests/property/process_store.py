"""The embedded store as it is served: a writer process that is killed, and a sealer process beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from odograph.store.registry import open_store
from odograph.store.sqlite.client import SqliteStore
from odograph.store.sqlite.link import WriterLink

WAIT_S = 60.0
PATIENCE = 1000  # turns of the event loop that a kill waits for somebody whom it hurts


class ProcessMachine:
    """Where a `SqliteStore` lives, and what can happen to it there."""

    def __init__(self) -> None:
        self.happened: Counter[str] = Counter()
        self.patience_s = WAIT_S
        self._is_sealing = asyncio.Lock()

    async def pause(self) -> None:
        await asyncio.sleep(0)

    async def open(self, directory: Path) -> SqliteStore:
        self.directory = directory
        store = await open_store("sqlite", directory)
        assert isinstance(store, SqliteStore)
        self.store = store
        return store

    async def kill(self, *, after_commit: bool) -> None:
        """kill -9, once something waits for the writer's answer or at once; until a new one serves."""
        link = self.store._link
        if not after_commit:
            await self._somebody_waits(link)
        is_back = asyncio.Event()
        before, link._on_gap = link._on_gap, is_back.set
        assert link._process is not None
        os.kill(link._process.pid, signal.SIGKILL)
        await asyncio.wait_for(is_back.wait(), WAIT_S)
        link._on_gap = before
        before()
        self.happened["kill"] += 1

    async def _somebody_waits(self, link: WriterLink) -> None:
        for _ in range(PATIENCE):
            if link._waiting:
                return
            await asyncio.sleep(0)

    async def lose(self) -> None:
        self.store._lost()

    async def seal(self, max_rows: int) -> None:
        """A sealer process, from beginning to end."""
        async with self._is_sealing:
            words = ["-m", "odograph.store.sqlite.sealer", str(self.directory), f"--seal-rows={max_rows}"]
            process = await asyncio.create_subprocess_exec(sys.executable, *words)
            code = await asyncio.wait_for(process.wait(), WAIT_S)
            sealed_through = (await self.store.status()).sealed_through
            self.happened["seqs sealed"] = max(self.happened["seqs sealed"], sealed_through)
            self.happened["sealer that failed"] += code != 0
