"""How late it is as far as deleting goes: no clock is believed at once, for what a wrong one deletes is gone.

Lived time goes towards what the clock says, never back, and at most twice as fast as time passes while the writer
runs: of a clock that is a year ahead for an hour it is an hour ahead at the end, one that is right is followed
exactly, and after a standstill lived time catches up within as long as that took. It is kept in a table of one row,
made at opening where it is not there, without a new format: an older version never looks at it.
"""

from __future__ import annotations

import zlib
from typing import Final

import apsw

from odograph.clock import Clock
from odograph.errors import Corrupt

FASTEST: Final = 2  # times as fast as time passes
SAVE_EVERY_MS: Final = 3_600_000  # what a crash takes back of it

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS lived (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL        -- of the column above
) STRICT;
"""


class LivedTime:
    """Goes on from `at_ms`."""

    def __init__(self, at_ms: int, clock: Clock) -> None:
        self.at_ms = at_ms
        self._clock = clock
        self._looked_s = clock.steady_s()

    def look(self) -> None:
        """Go on by what has passed since the last look."""
        now_s = self._clock.steady_s()
        passed_ms = int((now_s - self._looked_s) * 1000)
        self._looked_s = now_s
        self.at_ms = max(self.at_ms, min(self._clock.now_ms(), self.at_ms + FASTEST * passed_ms))


def make_lived(connection: apsw.Connection) -> None:
    """Make the table where it is not there."""
    with connection:
        connection.execute(_SCHEMA)


def read_lived(connection: apsw.Connection) -> int | None:
    """What was saved last. Corrupt when it is not what was written."""
    row = connection.execute("SELECT at_ms, crc FROM lived").fetchone()
    if row is None:
        return None
    at_ms, crc = int(row[0]), row[1]
    if _crc(at_ms) != crc:
        raise Corrupt(f"{connection.filename}: its lived time does not match its checksum")
    return at_ms


def write_lived(connection: apsw.Connection, at_ms: int) -> None:
    """Save it, within the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO lived VALUES (1, ?, ?)", (at_ms, _crc(at_ms)))


def _crc(at_ms: int) -> int:
    return zlib.crc32(f"{at_ms}".encode())
