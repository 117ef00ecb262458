"""Waiting for something to come true, with an end to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

LOOK_S: Final = 0.05


class NeverCame(Exception):
    """What was waited for did not come true in its time."""


async def until(is_so: Callable[[], Awaitable[bool]], within_s: float, what: str) -> float:
    """Seconds until it was so. Raises NeverCame."""
    began = perf_counter()
    while not await is_so():
        if perf_counter() - began > within_s:
            raise NeverCame(f"After {within_s:g} s still not: {what}.")
        await asyncio.sleep(LOOK_S)
    return perf_counter() - began
