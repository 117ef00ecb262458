"""What was used lately, kept within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets what was used longest ago; safe to share between threads.

    It holds at most `limit_bytes`, but always the one newest value, however large.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """What is held now, as its givers measured it."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """The value, from now on the one used last."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        """Hold the value in place of an earlier one."""
        with self._lock:
            self._forget(key)
            self._held[key] = (value, size_bytes)
            self._bytes += size_bytes
            while self._bytes > self._limit_bytes and len(self._held) > 1:
                self._forget(next(iter(self._held)))

    def forget(self, is_stale: Callable[[K], bool]) -> None:
        """Let go of every value whose key is stale."""
        with self._lock:
            for key in [key for key in self._held if is_stale(key)]:
                self._forget(key)

    def _forget(self, key: K) -> None:
        found = self._held.pop(key, None)
        if found is not None:
            self._bytes -= found[1]
