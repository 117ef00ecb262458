"""A disk that is full, or fails to sync, from a certain operation on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import apsw

_numbers = count()


class BadDisk(apsw.VFS):
    """The default VFS, until `writes_left` or `syncs_left` is used up; None never is."""

    def __init__(self) -> None:
        self.name = f"bad-{next(_numbers)}"
        self.writes_left: int | None = None
        self.syncs_left: int | None = None
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def is_used_up(self) -> bool:
        """Whether the next operation would fail."""
        return 0 in (self.writes_left, self.syncs_left)

    def mend(self) -> None:
        """There is room again, and syncing works."""
        self.writes_left = self.syncs_left = None


class _File(apsw.VFSFile):
    def __init__(self, disk: BadDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.writes_left is not None:
            if not self._disk.writes_left:
                raise apsw.FullError("no room left")
            self._disk.writes_left -= 1
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.syncs_left is not None:
            if not self._disk.syncs_left:
                raise apsw.IOError("the disk does not answer")
            self._disk.syncs_left -= 1


@contextmanager
def bad_disk() -> Iterator[BadDisk]:
    """A good one, to begin with."""
    disk = BadDisk()
    try:
        yield disk
    finally:
        disk.unregister()
