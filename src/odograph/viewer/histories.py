"""Where assets were before a link was opened: read from the log once for each, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np

from odograph.clock import Clock
from odograph.live.view import Live
from odograph.model.fixes import Fixes
from odograph.model.ids import OrgId
from odograph.viewer.open_link import Held, OpenLink

LONGEST_MS: Final = 24 * 3_600_000  # a trail since the link's start goes back no further
OF_MANY_MS: Final = 3_600_000
MANY: Final = 50  # assets of one link: beyond, only what is in memory is looked at
_MOST_ROWS: Final = 100_000  # of one asset: more than a fix a second in LONGEST_MS
_AHEAD_MS: Final = 86_400_000  # a device's clock may go before ours

Loaded = tuple[OpenLink, Sequence[tuple[int, Fixes]]]


class Histories:
    """Wanted by the hub, which puts them in where it says that it has them."""

    def __init__(self, live: Live, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._wanted: list[tuple[OpenLink, list[int]]] = []
        self._is_wanted = asyncio.Event()

    def want(self, link: OpenLink, numbers: list[int]) -> None:
        """These assets are new to the link; from now on it keeps what comes of them meanwhile."""
        for number in numbers:
            link.held[number].meanwhile = []
        if numbers:
            link.unloaded += len(numbers)
            link.loaded.clear()
            self._wanted.append((link, numbers))
            self._is_wanted.set()
        elif not link.unloaded:
            link.loaded.set()

    def done(self, link: OpenLink) -> None:
        """What was read of it has been put in."""
        link.unloaded = sum(held.meanwhile is not None for held in link.held.values())
        if not link.unloaded:
            link.loaded.set()

    async def next(self) -> list[Loaded]:
        """Wait for wishes, and read all of them at once."""
        await self._is_wanted.wait()
        self._is_wanted.clear()
        wanted, self._wanted = self._wanted, []
        few = [(link, numbers) for link, numbers in wanted if len(numbers) <= MANY]
        loaded = [self._in_memory(link, numbers) for link, numbers in wanted if len(numbers) > MANY]
        orgs = dict.fromkeys(link.org for link, _ in few)
        for org in orgs:
            loaded += await self._read(org, [(link, numbers) for link, numbers in few if link.org == org])
        return loaded

    def _in_memory(self, link: OpenLink, numbers: list[int]) -> Loaded:
        now_ms, assets = self._clock.now_ms(), np.array(sorted(numbers), dtype=np.uint32)
        fixes = self._live.stretch.in_range(link.org, assets, now_ms - OF_MANY_MS, now_ms + _AHEAD_MS)
        return link, [(number, fixes[fixes["asset"] == number]) for number in numbers]

    async def _read(self, org: OrgId, wanted: list[tuple[OpenLink, list[int]]]) -> list[Loaded]:
        """One look at memory and disk for all links of an org; each gets what its own rules sort out."""
        begins: dict[int, int] = {}
        now_ms = self._clock.now_ms()
        for link, numbers in wanted:
            for number in numbers:
                held = link.held.get(number)
                begin_ms = now_ms if held is None else _begin_ms(held, now_ms)
                begins[number] = min(begin_ms, begins.get(number, begin_ms))
        assets = np.array(sorted(begins), dtype=np.uint32)
        ranges = await self._live.seam.read_range(
            org, assets, [begins[number] for number in assets.tolist()], now_ms + _AHEAD_MS, _MOST_ROWS
        )
        found = dict(zip(assets.tolist(), ranges, strict=True))
        return [(link, [(number, found[number]) for number in numbers]) for link, numbers in wanted]


def _begin_ms(held: Held, now_ms: int) -> int:
    return max(held.trace.rules.floor_ms, now_ms - LONGEST_MS)
