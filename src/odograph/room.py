"""Room in memory that many share, so that all of them together stay within it."""

from __future__ import annotations


class Room:
    """So many bytes and no more."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes more, which then are taken."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """So many bytes are free again."""
        self._left += size
