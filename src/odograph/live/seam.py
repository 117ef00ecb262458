"""The seam between memory and disk: every read takes each fix from exactly one side of it.

The floor of an org's stream is the seam: memory has every fix with a later seq, the store is asked for the
rest with `through` set to it. The floor is read in the same step as memory, before anything is awaited; what
was read is spelled afterwards, in slices, for fixes and the places they have never change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.live.stretch import Encode, Slice, Stretch, by_asset_and_time, newest_of_each
from odograph.live.turns import SLICE_FIXES, Turns
from odograph.model.fixes import Fixes, empty_fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Store

Assets = npt.NDArray[np.uint32]
"""Asset numbers, ascending, each once."""
FEW_OF_MANY: Final = 4  # who wants fewer than one in so many has those spelled alone, not all for others to come
Rows = npt.NDArray[np.intp]
"""Places in a slice, ascending."""


class Seam:
    """Reads of the log that do not care where it lies."""

    def __init__(self, store: Store, stretch: Stretch) -> None:
        self._store = store
        self._stretch = stretch
        self.turns = Turns()

    async def read_after(
        self, org: OrgId, after: Seq, wanted: Assets | None, page: int, scan: int, spelling: str, encode: Encode
    ) -> tuple[Fixes, list[bytes], Seq, bool]:
        """The org's next fixes after a seq: up to `page` that match, of at most `scan` looked at.

        Returns them in arrival order, each one encoded, the last seq looked at, and whether there is more.
        """
        limit = page if wanted is None else scan
        floor = self._stretch.floor(org)
        if after >= floor:
            found, reached = self._from_memory(org, after, wanted, page, limit)
            more = reached < self._stretch.head
            fixes = np.concatenate([empty_fixes(), *(part.fixes[rows] for part, rows in found)])
            unspelled = sum(self._stretch.unspelled(part, spelling) for part, _ in found)
            taken = await self.turns.take(self._spelled(found, spelling, encode), max(len(fixes), unspelled))
            pieces = list(chain.from_iterable(taken))
        else:
            block, reached = await self._store.read_after(org, after, floor, limit, wanted)
            fixes = block.fixes
            if len(fixes) > page:
                fixes, reached = fixes[:page], Seq(int(block.seqs[page - 1]))
            more = reached < self._stretch.head
            pieces = await self.spell(fixes, encode)
        return fixes, pieces, reached, more

    async def spell(self, fixes: Fixes, encode: Encode) -> list[bytes]:
        """Fixes from disk or of several places, encoded for this reader alone."""
        slices = (encode(fixes[at : at + SLICE_FIXES]) for at in range(0, len(fixes), SLICE_FIXES))
        return list(chain.from_iterable(await self.turns.take(slices, len(fixes))))

    async def read_fixes_after(self, org: OrgId, after: Seq, wanted: Assets, scan: int) -> tuple[Fixes, Seq, bool]:
        """The fixes of these assets among the org's next `scan` after a seq, in arrival order, as they are.

        Also the last seq looked at, and whether there is more.
        """
        floor = self._stretch.floor(org)
        if after < floor:
            block, reached = await self._store.read_after(org, after, floor, scan, wanted)
            return block.fixes, reached, reached < self._stretch.head
        slices, reached = self._stretch.read_after(org, after, scan)
        found = [part.fixes[np.isin(part.fixes["asset"], wanted)] for part in slices]
        return np.concatenate(found) if found else empty_fixes(), reached, reached < self._stretch.head

    async def read_range(
        self, org: OrgId, assets: Assets, begins_ms: Sequence[int], end_ms: int, limit: int
    ) -> list[Fixes]:
        """For each asset its fixes with begin <= time < end, by time, the first `limit` of them."""
        floor = self._stretch.floor(org)
        in_memory = self._stretch.in_range(org, assets, min(begins_ms, default=end_ms), end_ms)
        on_disk = await asyncio.gather(
            *(
                self._store.read_range(org, AssetId(asset), begin_ms, end_ms, floor, limit)
                for asset, begin_ms in zip(assets.tolist(), begins_ms, strict=True)
            )
        )
        # Where disk was cut at the limit, the joined rows up to the limit are still the first ones: each fix
        # that the cut left out is later than all that it let through.
        return [
            _joined(cold, in_memory[in_memory["asset"] == asset], begin_ms)[:limit]
            for asset, begin_ms, cold in zip(assets.tolist(), begins_ms, on_disk, strict=True)
        ]

    async def read_at(self, org: OrgId, assets: Assets, time_ms: int) -> Fixes:
        """The newest fix with time <= `time_ms` of each of these assets that has one, by asset."""
        floor = self._stretch.floor(org)
        in_memory = self._stretch.at(org, assets, time_ms)
        on_disk = await self._store.read_at(org, [AssetId(asset) for asset in assets.tolist()], time_ms, floor)
        return newest_of_each(by_asset_and_time([on_disk, in_memory]))

    def _from_memory(
        self, org: OrgId, after: Seq, wanted: Assets | None, page: int, limit: int
    ) -> tuple[list[tuple[Slice, Rows]], Seq]:
        """What the page shows, as rows of slices, and the last seq looked at."""
        slices, reached = self._stretch.read_after(org, after, limit)
        found: list[tuple[Slice, Rows]] = []
        room = page
        for part in slices:
            fixes = part.fixes
            rows = np.arange(len(fixes)) if wanted is None else np.flatnonzero(np.isin(fixes["asset"], wanted))
            if room and len(rows):
                found.append((part, rows[:room]))
            if len(rows) > room:
                # The cursor stays just before the first match that is not shown.
                reached = Seq(int(part.segment.seqs[part.start + int(rows[room])]) - 1)
                break
            room -= len(rows)
        return found, reached

    def _spelled(self, found: Sequence[tuple[Slice, Rows]], spelling: str, encode: Encode) -> Iterator[list[bytes]]:
        """The pieces of each part when all of it is encoded; nothing at the steps in between."""
        for part, rows in found:
            if FEW_OF_MANY * len(rows) < self._stretch.unspelled(part, spelling):
                fixes = part.fixes[rows]
                yield from (encode(fixes[at : at + SLICE_FIXES]) for at in range(0, len(fixes), SLICE_FIXES))
                continue
            encoded: list[bytes] = []
            for some in self._stretch.fragments(part, spelling, encode):
                encoded += some
                yield []
            yield [encoded[row] for row in rows.tolist()]


def _joined(cold: Fixes, warm: Fixes, begin_ms: int) -> Fixes:
    warm = warm[warm["time_ms"] >= begin_ms]
    return by_asset_and_time([cold, warm]) if len(warm) else cold
