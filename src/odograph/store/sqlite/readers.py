"""The connections to day files that are open for reading, a bounded number of them, one a day."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from odograph.errors import Corrupt
from odograph.store.sqlite.dayfile import DayReader, open_reader

OPEN_DAYS: Final = 64  # some 100 kB each

IsKnown = Callable[[str], bool]
"""Whether the database says by now, rather than in an earlier snapshot, that there is such a day."""


class Readers:
    """Lends one thread at a time the connection to a day. Notices when the file was unlinked meanwhile.

    A file that is gone was dropped by retention, unless its day is still known: then it is missing, and Corrupt.
    """

    def __init__(self, directory: Path, vfs: str, is_known: IsKnown) -> None:
        self._directory = directory
        self._vfs = vfs
        self._is_known = is_known
        self._open: OrderedDict[str, DayReader] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def lent(self, day: str) -> Iterator[DayReader | None]:
        """The day's connection, for as long as the `with` lasts; None when there is no such day any more."""
        reader = self._held(day)
        while reader is not None:
            with reader.lock:
                if not reader.is_closed:
                    yield reader
                    return
            reader = self._held(day)
        if self._is_known(day):
            raise missing(self._directory / f"{day}.db")
        yield None

    def forget(self, day: str) -> None:
        """Close the day's connection, after whoever is at it."""
        with self._lock:
            reader = self._open.pop(day, None)
        if reader is not None:
            reader.close()

    def close(self) -> None:
        """Close all of them."""
        for day in list(self._open):
            self.forget(day)

    def _held(self, day: str) -> DayReader | None:
        unwanted: list[DayReader] = []
        with self._lock:
            reader = self._open.pop(day, None)
            if reader is not None and not reader.is_current():
                unwanted.append(reader)
                reader = None
            if reader is None:
                reader = open_reader(self._directory / f"{day}.db", self._vfs)
            if reader is not None:
                self._open[day] = reader
            while len(self._open) > OPEN_DAYS:
                unwanted.append(self._open.popitem(last=False)[1])
        for other in unwanted:
            other.close()
        return reader


def missing(path: Path) -> Corrupt:
    """There is nothing where a known day's fixes should be."""
    return Corrupt(f"{path} is missing or empty: what arrived on that day can't be read")
