"""A disk with a volatile write cache, and what is left on it when the power goes.

`WatchedDisk` is an SQLite VFS that passes everything on and keeps a journal of it; directories made and
names unlinked past SQLite are noticed as well. `Disk` plays the journal up to any place and says what a power
cut right there leaves: all that was synced, and of the rest whatever chance kept, sector by sector. A file's
name is part of its directory, and durable once that was synced.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple
from unittest import mock

import apsw

DIRECTORY: Final = -1  # stands where else the number of a file is
# Whose first sync SQLite's own unix VFS follows with one of the directory.
SYNCED_WITH_NAME: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL

_vfs_numbers = count()


class Write(NamedTuple):
    """Bytes put into a file."""

    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file's new size."""

    file: int
    size: int


class Sync(NamedTuple):
    """All that was written to the file is to be durable."""

    file: int


class Name(NamedTuple):
    """A path leads to a file or a directory from now on, or to nothing."""

    path: str
    file: int | None


class SyncDirectory(NamedTuple):
    """The names in the directory are to be durable."""

    path: str


Op = Write | Truncate | Sync | Name | SyncDirectory


class Luck(Enum):
    """What becomes of all that was not synced."""

    NOTHING = "nothing"
    """It is lost."""
    CHANCE = "chance"
    """Any sectors and names of it survive: torn, and in any order."""
    ALL = "all"
    """It survives, as it does when only the process dies."""


class WatchedDisk:
    """Within `with`, notes what is done to files below `root` by SQLite over `vfs`, and to names by anybody.

    It really syncs nothing, so it is fast. `journal` may be cut anywhere. `begin` says what is there already.
    """

    def __init__(self, root: Path, begin: Disk | None = None) -> None:
        self.root = root
        self.vfs = f"watched-{next(_vfs_numbers)}"
        self.journal: list[Op] = []
        self._files = dict(begin.now()) if begin is not None else {}
        self._numbers = count(1 + max(self._files.values(), default=0))
        self._stack = ExitStack()

    def __enter__(self) -> WatchedDisk:
        self._stack.callback(_Vfs(self).unregister)
        for name in ("unlink", "mkdir", "rename", "replace", "fsync"):
            self._stack.enter_context(mock.patch.object(os, name, getattr(self, f"_{name}")(getattr(os, name))))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        known = {path for path, file in self._files.items() if file != DIRECTORY}
        real = {str(path) for path in self.root.rglob("*") if path.is_file() and not path.name.endswith("-shm")}
        assert real <= known, f"written past the shim: {sorted(real - known)}"

    def opened(self, path: str) -> int:
        """The number of the file, which is made if there is none of that name."""
        if path not in self._files:
            assert not Path(path).exists(), f"{path} was made past the shim"
            self._name(path, next(self._numbers))
        return self._files[path]

    def gone(self, path: str) -> None:
        """The name leads nowhere now."""
        if path in self._files:
            self._name(path, None)

    def sync_directory(self, path: str) -> None:
        """The names in it are durable now."""
        self.journal.append(SyncDirectory(path))

    def is_ours(self, path: str) -> bool:
        """Whether the path lies below the root, or is the root."""
        return Path(path).is_relative_to(self.root)

    def _name(self, path: str, file: int | None) -> None:
        self.journal.append(Name(path, file))
        if file is None:
            del self._files[path]
        else:
            self._files[path] = file

    def _unlink(self, real: Any) -> Any:
        def unlink(path: Any, **options: Any) -> None:
            real(path, **options)
            self.gone(os.fspath(path))

        return unlink

    def _mkdir(self, real: Any) -> Any:
        def mkdir(path: Any, *args: Any, **options: Any) -> None:
            real(path, *args, **options)
            if self.is_ours(os.fspath(path)):
                self._name(os.fspath(path), DIRECTORY)

        return mkdir

    def _rename(self, real: Any) -> Any:
        def rename(source: Any, target: Any, **options: Any) -> None:
            assert not self.is_ours(os.fspath(target)), "the shim does not know how to rename yet"
            real(source, target, **options)

        return rename

    _replace = _rename

    def _fsync(self, real: Any) -> Any:
        def fsync(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink())
            if self.is_ours(path):
                assert Path(path).is_dir(), f"{path} was written past the shim"
                self.sync_directory(path)
            else:
                real(handle)

        return fsync


class _Vfs(apsw.VFS):
    """The default one, watched."""

    def __init__(self, disk: WatchedDisk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        is_there = path is not None and (flags[0] & apsw.SQLITE_OPEN_CREATE or Path(path).exists())
        if not is_there or not self._disk.is_ours(path):
            return apsw.VFSFile("", name, flags)
        number = self._disk.opened(path)
        return _File(self._disk, name, flags, path, number)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, False)
        self._disk.gone(filename)
        if syncdir and self._disk.is_ours(filename):
            self._disk.sync_directory(str(Path(filename).parent))


class _File(apsw.VFSFile):
    """A watched file."""

    def __init__(self, disk: WatchedDisk, name: Any, flags: list[int], path: str, number: int) -> None:
        self._disk = disk
        self._number = number
        is_new = flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & SYNCED_WITH_NAME
        self._directory = str(Path(path).parent) if is_new else None
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        written = super().xRead(len(data), offset)  # with the page's checksum, which comes in below us
        self._disk.journal.append(Write(self._number, offset, bytes(written)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.journal.append(Truncate(self._number, newsize))

    def xSync(self, flags: int) -> None:
        self._disk.journal.append(Sync(self._number))
        if self._directory is not None:
            self._disk.sync_directory(self._directory)
            self._directory = None


@dataclass(slots=True)
class _Content:
    """What a file holds for sure, and what was done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.pending:
            _apply(self.durable, op)
        self.pending = []

    def left(self, luck: Luck, chance: Random) -> bytes:
        data = bytearray(self.durable)
        if luck is Luck.ALL:
            for op in self.pending:
                _apply(data, op)
        elif luck is Luck.CHANCE:
            sector = chance.choice((512, 4096))
            survives = chance.choice((0.1, 0.5, 0.9))
            for op in self.pending:
                for piece in _sectors(op, sector):
                    if chance.random() < survives:
                        _apply(data, piece, chance.choice((b"\0", b"\xa5")))
        return bytes(data)


class Disk:
    """The disk at one moment. Paths are absolute; the root is there and durable from the beginning."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._contents: dict[int, _Content] = {}
        # What each name led to since its directory was synced: first what is durable, last what is so now.
        self._names: dict[str, list[int | None]] = {}

    def play(self, ops: Sequence[Op]) -> None:
        """Go on by so many operations."""
        for op in ops:
            match op:
                case Write(file) | Truncate(file):
                    self._content(file).pending.append(op)
                case Sync(file):
                    self._content(file).sync()
                case Name(path, known):
                    self._names.setdefault(path, [None]).append(known)
                case SyncDirectory(directory):
                    for path, history in self._names.items():
                        if os.path.dirname(path) == directory:  # noqa: PTH120 - a hundred thousand times
                            del history[:-1]

    def now(self) -> Iterator[tuple[str, int]]:
        """The names as whoever is running sees them."""
        return ((path, history[-1]) for path, history in self._names.items() if history[-1] is not None)

    def moved(self, root: Path) -> Disk:
        """The same below another root, to go on from here."""
        disk = Disk(root)
        disk._contents = deepcopy(self._contents)
        for path, history in self._names.items():
            disk._names[str(root / Path(path).relative_to(self._root))] = list(history)
        return disk

    def after_cut(self, target: Path, luck: Luck, seed: int) -> Path:
        """Make, below `target`, what is there when the power is back. The same seed leaves the same."""
        chance = Random(seed)
        for path in sorted(self._names):
            history = self._names[path]
            found = {Luck.NOTHING: history[0], Luck.ALL: history[-1], Luck.CHANCE: chance.choice(history)}[luck]
            copy = target / Path(path).relative_to(self._root)
            if found is None or not copy.parent.is_dir():
                continue
            if found == DIRECTORY:
                copy.mkdir()
            else:
                copy.write_bytes(self._content(found).left(luck, chance))
        return target

    def _content(self, file: int) -> _Content:
        return self._contents.setdefault(file, _Content())


@contextmanager
def room_for_images(given: Path) -> Iterator[Path]:
    """A place where syncing costs nothing, if the machine has one; what is put there goes away."""
    shared = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="odograph-", dir=shared if os.access(shared, os.W_OK) else given))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def _apply(data: bytearray, op: Write | Truncate, filler: bytes = b"\0") -> None:
    end = op.size if isinstance(op, Truncate) else op.offset
    if len(data) < end:
        data.extend(filler * (end - len(data)))
    if isinstance(op, Truncate):
        del data[op.size :]
    else:
        data[op.offset : op.offset + len(op.data)] = op.data


def _sectors(op: Write | Truncate, sector: int) -> Iterator[Write | Truncate]:
    """The parts of it that a disk keeps or loses each for itself."""
    if isinstance(op, Truncate):
        yield op
        return
    at = op.offset
    end = op.offset + len(op.data)
    while at < end:
        stop = min(end, at - at % sector + sector)
        yield Write(op.file, at, op.data[at - op.offset : stop - op.offset])
        at = stop
