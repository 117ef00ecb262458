"""The newest fix of every asset, by the time it was measured: late data never moves it back."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import FIX_DTYPE, MAX_TIME_MS, Fixes
from odograph.model.ids import AssetId
from odograph.store.base import Block, Newest

_FIRST_ASSETS: Final = 256


class Snapshot:
    """A table by asset number: 35 bytes an asset."""

    def __init__(self) -> None:
        self._fixes = np.zeros(_FIRST_ASSETS, dtype=FIX_DTYPE)
        self._received_ms = np.zeros(_FIRST_ASSETS, dtype=np.int64)

    def load(self, newest: Newest) -> None:
        """Begin with what the store knows."""
        if len(newest.fixes):
            self._take(newest.fixes, newest.received_ms)

    def append(self, block: Block) -> None:
        """Take in one block, in any order of times."""
        fixes = block.fixes
        if len(fixes) > 1:
            assets = fixes["asset"].astype(np.int64)
            order = np.argsort(assets * MAX_TIME_MS + fixes["time_ms"])  # one key, which sorts faster than two
            assets = assets[order]
            fixes = fixes[order[np.append(assets[1:] != assets[:-1], True)]]
        self._take(fixes, np.full(len(fixes), block.received_ms, dtype=np.int64))

    def newest(self, assets: npt.NDArray[np.uint32]) -> Fixes:
        """The newest fix of each of these assets that has one, in their order."""
        fixes = self._fixes[assets[assets < len(self._fixes)]]
        return fixes[fixes["time_ms"] > 0]

    def received_ms(self, asset: AssetId) -> int:
        """When anything last came from this asset; 0: never."""
        return int(self._received_ms[asset]) if asset < len(self._received_ms) else 0

    def newest_time_ms(self, asset: AssetId) -> int:
        """When its newest fix was measured; 0: it has none."""
        return int(self._fixes["time_ms"][asset]) if asset < len(self._fixes) else 0

    def _take(self, fixes: Fixes, received_ms: npt.NDArray[np.int64]) -> None:
        assets = fixes["asset"]
        self._reach(int(assets.max()))
        np.maximum.at(self._received_ms, assets, received_ms)
        is_newer = fixes["time_ms"] > self._fixes["time_ms"][assets]
        self._fixes[assets[is_newer]] = fixes[is_newer]

    def _reach(self, asset: int) -> None:
        if asset >= len(self._fixes):
            room = max(asset + 1, 2 * len(self._fixes)) - len(self._fixes)
            self._fixes = np.concatenate((self._fixes, np.zeros(room, dtype=FIX_DTYPE)))
            self._received_ms = np.concatenate((self._received_ms, np.zeros(room, dtype=np.int64)))
