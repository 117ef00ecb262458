"""The seam between memory and disk: every read takes each fix from exactly one side of it.

The floor of an org's stream is the seam: memory has every fix with a later seq, the store is asked for the
rest with `through` set to it. The floor is read in the same step as memory, before anything is awaited.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from odograph.live.stretch import Stretch, by_asset_and_time, newest_of_each
from odograph.live.turns import Turns
from odograph.model.fixes import Fixes, empty_fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Store

Assets = npt.NDArray[np.uint32]
"""Asset numbers, ascending, each once."""


class Seam:
    """Reads of the log that do not care where it lies."""

    def __init__(self, store: Store, stretch: Stretch) -> None:
        self._store = store
        self._stretch = stretch
        self.turns = Turns()

    async def read_after(
        self, org: OrgId, after: Seq, wanted: Assets | None, page: int, scan: int
    ) -> tuple[Fixes, Seq, bool]:
        """The org's next fixes after a seq: up to `page` that match, of at most `scan` looked at.

        Returns them in arrival order, the last seq looked at, and whether there is more.
        """
        limit = page if wanted is None else scan
        floor = self._stretch.floor(org)
        if after >= floor:
            fixes, seqs, reached = self._from_memory(org, after, wanted, limit)
        else:
            block, reached = await self._store.read_after(org, after, floor, limit, wanted)
            fixes, seqs = block.fixes, block.seqs
        if len(fixes) > page:
            # The cursor stays at the last one that is shown.
            fixes, reached = fixes[:page], Seq(int(seqs[page - 1]))
        return fixes, reached, reached < self._stretch.head

    async def read_range(
        self, org: OrgId, assets: Assets, begins_ms: Sequence[int], end_ms: int, limit: int
    ) -> list[Fixes]:
        """For each asset its fixes with begin <= time < end, by time, the first `limit` of them."""
        floor = self._stretch.floor(org)
        in_memory = self._stretch.in_range(org, assets, min(begins_ms, default=end_ms), end_ms)
        numbers = [AssetId(asset) for asset in assets.tolist()]
        on_disk = await self._store.read_range(org, numbers, begins_ms, end_ms, floor, limit)
        # Where disk was cut at the limit, the joined rows up to the limit are still the first ones: each fix
        # that the cut left out is later than all that it let through.
        return [
            _joined(cold, in_memory[in_memory["asset"] == asset], begin_ms)[:limit]
            for asset, begin_ms, cold in zip(numbers, begins_ms, on_disk, strict=True)
        ]

    async def read_at(self, org: OrgId, assets: Assets, time_ms: int) -> Fixes:
        """The newest fix with time <= `time_ms` of each of these assets that has one, by asset."""
        floor = self._stretch.floor(org)
        in_memory = self._stretch.at(org, assets, time_ms)
        on_disk = await self._store.read_at(org, [AssetId(asset) for asset in assets.tolist()], time_ms, floor)
        return newest_of_each(by_asset_and_time([on_disk, in_memory]))

    def _from_memory(
        self, org: OrgId, after: Seq, wanted: Assets | None, limit: int
    ) -> tuple[Fixes, npt.NDArray[np.int64], Seq]:
        """What is wanted among the next `limit` fixes, their seqs, and the last seq looked at."""
        slices, reached = self._stretch.read_after(org, after, limit)
        if len(slices) == 1 and wanted is None:
            return slices[0].fixes, slices[0].seqs, reached
        fixes, seqs = [empty_fixes()], [np.empty(0, dtype=np.int64)]
        for part in slices:
            is_wanted = slice(None) if wanted is None else np.isin(part.fixes["asset"], wanted)
            fixes.append(part.fixes[is_wanted])
            seqs.append(part.seqs[is_wanted])
        return np.concatenate(fixes), np.concatenate(seqs), reached


def _joined(cold: Fixes, warm: Fixes, begin_ms: int) -> Fixes:
    warm = warm[warm["time_ms"] >= begin_ms]
    return by_asset_and_time([cold, warm]) if len(warm) else cold
