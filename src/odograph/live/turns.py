"""Long answers are made one at a time and a slice at a time, so that whoever asks for little waits for a slice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, TypeVar

FEW_FIXES: Final = 512  # no more are made at once: less than a millisecond

T = TypeVar("T")


class Turns:
    """The one lane of all long work on the event loop: what waits in it costs others nothing."""

    def __init__(self) -> None:
        self._lane = asyncio.Lock()

    async def take(self, work: Iterable[T], count: int) -> list[T]:
        """What `work` yields, at each step a slice's worth; at once where no more than FEW_FIXES are asked for.

        Between two slices anything may change that others may change: what is to be of one moment is read before.
        """
        if count <= FEW_FIXES:
            return list(work)
        async with self._lane:
            done = []
            for one in work:
                done.append(one)
                await asyncio.sleep(0)
            return done
