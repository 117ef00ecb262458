"""How much one client address may ask of the public pages: against guessing keys, and against floods.

An address on this machine itself is not limited: it is the operator, or a proxy that is not in `trusted_proxies`,
behind which everybody would share one limit.
"""

from __future__ import annotations

from typing import Final

from odograph.clock import Clock

MISSES: Final = (30, 60.0)
"""Keys that open nothing, a minute. Beyond, keys that open something are refused as well."""
REQUESTS: Final = (200, 10.0)
STREAMS: Final = 200
"""Open at once: as many viewers behind one office's or carrier's address."""
MOST_ADDRESSES: Final = 20_000


class Guard:
    """Counts by address; an address that does nothing is forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._misses: dict[str, float] = {}
        self._requests: dict[str, float] = {}
        self._streams: dict[str, int] = {}

    def wait_s(self, client: str) -> float:
        """Count one request. Seconds to wait where it is one too many, else 0."""
        if not client:
            return 0.0
        now_s = self._clock.steady_s()
        wait_s = max(_wait_s(self._misses, client, MISSES, now_s), _wait_s(self._requests, client, REQUESTS, now_s))
        if wait_s <= 0:
            _charge(self._requests, client, REQUESTS, now_s)
        return max(wait_s, 0.0)

    def missed(self, client: str) -> None:
        """Its key opens nothing."""
        if client:
            _charge(self._misses, client, MISSES, self._clock.steady_s())

    def open_stream(self, client: str) -> bool:
        """Count an open stream; False where there are too many."""
        if not client:
            return True
        if self._streams.get(client, 0) >= STREAMS:
            return False
        self._streams[client] = self._streams.get(client, 0) + 1
        return True

    def close_stream(self, client: str) -> None:
        """One that was counted is over."""
        left = self._streams.get(client, 0) - 1
        if left > 0:
            self._streams[client] = left
        else:
            self._streams.pop(client, None)

    def __len__(self) -> int:
        return max(len(self._misses), len(self._requests), len(self._streams))


def _wait_s(full_at: dict[str, float], client: str, limit: tuple[int, float], now_s: float) -> float:
    calls, seconds = limit
    return full_at.get(client, now_s) - now_s - seconds * (1 - 1 / calls) - 1e-9


def _charge(full_at: dict[str, float], client: str, limit: tuple[int, float], now_s: float) -> None:
    calls, seconds = limit
    full_at[client] = max(full_at.pop(client, now_s), now_s) + seconds / calls
    if len(full_at) > MOST_ADDRESSES:
        for known in [known for known, full in full_at.items() if full <= now_s]:
            del full_at[known]
        for known in list(full_at)[: max(len(full_at) - MOST_ADDRESSES // 2, 0)]:
            del full_at[known]  # those that have asked for nothing for longest
