"""Long answers are made one at a time and a slice at a time, so that whoever asks for little waits for a slice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, TypeVar

SLICE_FIXES: Final = 256  # about a millisecond of spelling

T = TypeVar("T")


class Turns:
    """The one lane of all long work on the event loop: what waits in it costs others nothing."""

    def __init__(self) -> None:
        self._lane = asyncio.Lock()

    async def take(self, work: Iterable[T], count: int) -> list[T]:
        """What `work` yields, at each step a slice's worth; at once where no more than SLICE_FIXES are asked for.

        Between two slices anything may change that others may change: what is to be of one moment is read before.
        """
        if count <= SLICE_FIXES:
            return list(work)
        async with self._lane:
            done = []
            for one in work:
                done.append(one)
                await asyncio.sleep(0)
            return done
