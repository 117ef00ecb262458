"""The street extracts that an operator added: one archive each in a folder of the data directory.

The folder is the only truth. A running server looks at a file when it is asked for it, so that what a command adds
or removes counts from the next request on.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from odograph.errors import Refusal, invalid, not_found, unavailable
from odograph.tiles.archive import Archive, TileKind
from odograph.tiles.check import check
from odograph.tiles.world import WORLD

FOLDER: Final = "basemaps"
SUFFIX: Final = ".pmtiles"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # goes into URLs and file names as it is
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Extract:
    """One file of the folder; `archive` is None where it can't be served, and `problem` says why."""

    name: str
    size_bytes: int
    added_ms: int
    archive: Archive | None
    problem: str = ""


_Seen = tuple[int, int, int]
"""When a file was written, its size and its inode: another one where it was replaced."""


class Extracts:
    """The archives of one folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[_Seen, Extract]] = {}

    def list_extracts(self) -> list[Extract]:
        """All of them, the one that was added last first."""
        try:
            paths = [path for path in self._folder.iterdir() if path.suffix == SUFFIX]
        except FileNotFoundError:
            return []
        found = [one for path in paths if is_name(path.stem) and (one := self.find(path.stem)) is not None]
        return sorted(found, key=lambda one: (-one.added_ms, one.name))

    def find(self, name: str) -> Extract | None:
        """The one of that name as it is now; opened once for each time that it was written."""
        path = self._path(name)
        try:
            stat = path.stat()
        except FileNotFoundError:
            self._known.pop(name, None)
            return None
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._known.get(name)
        if known is None or known[0] != seen:
            known = (seen, _open(name, path, stat))
            self._known[name] = known
        return known[1]

    def add(self, source: Path, name: str) -> Extract:
        """Check a file and keep a copy that is on disk, whole or not at all; takes the place of one of that name.

        INVALID where its name or what is in it won't do, UNAVAILABLE where it can't be read or copied.
        """
        if not is_name(name):
            raise invalid(
                f"{name!r} can't be the name of a map: up to 40 of a-z, 0-9, _ and -, and not {WORLD!r}. "
                "Give one with --name."
            )
        try:
            archive = Archive.open(source)
            check(archive)
            _check_can_be_drawn(archive)
            self._keep(source, self._path(name))
        except OSError as error:
            raise unavailable(f"Cannot keep {source} in {self._folder}: {error.strerror or error}.") from error
        added = self.find(name)
        if added is None:
            raise unavailable(f"{self._path(name)} went away while it was added.")
        return added

    def remove(self, name: str) -> None:
        """NOT_FOUND where there is none. Whoever is being sent a tile of it still gets it."""
        try:
            if not is_name(name):
                raise FileNotFoundError
            self._path(name).unlink()
        except FileNotFoundError:
            raise not_found(f"There is no map {name!r}.") from None
        _sync(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def _keep(self, source: Path, target: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _draft(target) as draft, source.open("rb") as given:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as copy:
                shutil.copyfileobj(given, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            draft.replace(target)
        _sync(self._folder)


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A name for the unfinished copy, which is gone afterwards whatever happens."""
    draft = target.with_name(f"{target.name}.new")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def is_name(name: str) -> bool:
    """Whether an extract may be called so."""
    return _NAME.fullmatch(name) is not None and name != WORLD


def _open(name: str, path: Path, stat: os.stat_result) -> Extract:
    added_ms = stat.st_mtime_ns // 1_000_000
    try:
        return Extract(name, stat.st_size, added_ms, Archive.open(path))
    except (Refusal, OSError) as error:
        problem = error.message if isinstance(error, Refusal) else f"{path} can't be read: {error.strerror}."
        _log.warning("a map is not served", extra={"map": name, "problem": problem})
        return Extract(name, stat.st_size, added_ms, None, problem)


def _check_can_be_drawn(archive: Archive) -> None:
    if archive.kind is TileKind.MVT and archive.schema is None:
        layers = ", ".join(sorted(archive.layers)) or "without a name"
        raise invalid(
            f"{archive.path} can't be drawn: its layers are {layers}. Vector maps must follow the Protomaps "
            "schema, whose layers are earth, water, roads and others; raster maps of any origin will do."
        )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
