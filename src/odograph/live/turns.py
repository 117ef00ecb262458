"""Long answers are made one at a time and a turn at a time, so that whoever asks for little waits for a turn.

A turn is measured in time, not in fixes: while devices replay what they kept, each turn of the event loop is long,
and pages of a few fixes a turn would come slower than fixes come in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter
from typing import Final, TypeVar

SLICE_FIXES: Final = 2048  # about a millisecond of spelling
TURN_S: Final = 0.002

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
            ends_s = perf_counter() + TURN_S
            for one in work:
                done.append(one)
                if perf_counter() >= ends_s:
                    await asyncio.sleep(0)
                    ends_s = perf_counter() + TURN_S
            return done
