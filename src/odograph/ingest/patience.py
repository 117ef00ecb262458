"""How long a connection may keep a request unfinished: memory and descriptors belong to those who speak."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PATIENCE_S: Final = 60.0  # a phone in a lift; whoever says nothing for so long has gone
LOOK_EVERY_S: Final = 15.0


class Speaker(Protocol):
    """A connection."""

    heard_s: float
    """When it last said something, by the event loop's clock."""

    @property
    def is_midway(self) -> bool:
        """Whether it has not ended what it says."""
        ...

    def is_our_turn(self) -> bool:
        """Whether it waits for us, and not we for it."""
        ...

    def hang_up(self) -> None:
        """It has said nothing for PATIENCE_S."""
        ...


class Patience:
    """Those connections that may owe the rest of a request, looked at now and then.

    Most requests are whole when they are read: then nobody is added, and nothing is to be taken away.
    """

    def __init__(self) -> None:
        self._speakers: set[Speaker] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, speaker: Speaker) -> None:
        """It has begun and not ended a request, or has not said anything yet."""
        loop = asyncio.get_running_loop()
        speaker.heard_s = loop.time()
        self._speakers.add(speaker)
        if self._timer is None:
            self._timer = loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        silent_since_s = loop.time() - PATIENCE_S
        self._speakers = {one for one in self._speakers if one.is_midway}
        for speaker in [one for one in self._speakers if one.heard_s <= silent_since_s and not one.is_our_turn()]:
            self._speakers.discard(speaker)
            speaker.hang_up()
        self._timer = loop.call_later(LOOK_EVERY_S, self._look) if self._speakers else None
