"""Fixes in the vendor's several spellings: JSON objects, a page's at a time.

Every fix gets its `reverseGeo` here, when it is shown, from the geocoder's cache of cells; the text is
never stored. A heading or speed that the device did not know is left out: 0 would mean north or standing.
`doubtful` is our extension: why a reader may want to leave this fix out. It is on doubtful fixes alone.

Many fixes are spelled by columns: each field's bytes for all of them at once, in a matrix of one row a fix whose
unused bytes are thrown out at the end. That costs a third of spelling one by one, and as little as handing
out a text that was kept, so that none is kept (record 16). FEW and less are spelled one by one, to the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from odograph.api import columns
from odograph.api.columns import Column, Numbers
from odograph.api.wire import degrees_text, heading_degrees, mph, render_time
from odograph.geocoding.base import Geocoder
from odograph.model.fixes import MARK_NAMES, UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes

FEW: Final = 64  # fixes; of more, columns are spelled faster than rows
_MOST_TEXTS: Final = 40_000
_quote = msgspec.json.Encoder().encode
_DOUBTS: Final = [
    ',"doubtful":[' + ",".join(f'"{name}"' for bit, name in MARK_NAMES.items() if marks & bit) + "]"
    if marks
    else ""
    for marks in range(sum(MARK_NAMES) + 1)
]
_DOUBT_TEXTS: Final = columns.table(_DOUBTS)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one family of endpoints writes a fix, and under which keys."""

    name: str
    one: str
    """Key of a single fix, in the snapshot."""
    many: str
    """Key of an array of fixes, in feed and history."""
    heading: str
    speed: str
    tail: str
    names_address: bool = False
    """Whether the address that holds a fix is named."""
    names_external_ids: bool = False
    """Whether each vehicle's external ids are."""


LOCATIONS = Spelling("locations", one="location", many="locations", heading="heading", speed="speed", tail="")
STATS = Spelling(
    "stats",
    one="gps",
    many="gps",
    heading="headingDegrees",
    speed="speedMilesPerHour",
    tail=',"isEcuSpeed":false',
    names_address=True,
    names_external_ids=True,
)

Piece = bytes | memoryview
Rows = npt.NDArray[np.intp]
Endings = tuple[Sequence[str], Rows]
"""Some texts, and which of them each fix ends with."""


class Groups(NamedTuple):
    """How fixes stand together: each group from one of `starts` on, the first of which is 0, to the next.

    A group is written as its text of `openings`, its fixes with commas between them, and `ending`.
    """

    starts: Rows
    openings: Sequence[bytes]
    ending: bytes


class _Texts(dict[str, bytes]):
    """What a place's line looks like in an object, made when first asked for: places come again and again.

    Forgotten all at once when there are _MOST_TEXTS, some 10 MB.
    """

    def __init__(self, before: str) -> None:
        super().__init__()
        self._before = before.encode()

    def __missing__(self, line: str) -> bytes:
        if len(self) >= _MOST_TEXTS:
            self.clear()
        text = self[line] = b"%b%b}" % (self._before, _quote(line))
        return text


class Speller:
    """Spells fixes of any org in one spelling."""

    def __init__(self, spelling: Spelling, geocoder: Geocoder) -> None:
        heading, speed = f',"{spelling.heading}":', f',"{spelling.speed}":'
        self._headings = Numbers(heading, heading_degrees, UNKNOWN_HEADING)
        self._speeds = Numbers(speed, mph, UNKNOWN_SPEED)
        self._places = _Texts(f'{spelling.tail},"reverseGeo":{{"formattedLocation":')
        self.geocoder = geocoder
        self._paper = columns.Paper()

    def spell(self, fixes: Fixes, groups: Groups, endings: Endings | None = None) -> Iterator[Piece]:
        """All groups, piece by piece, the work of less than a millisecond each; some pieces are empty.

        Each fix's object ends with its text of `endings`, further members, where these are given.
        """
        if len(fixes) <= FEW:
            yield self._by_row(fixes, groups, endings)
            return
        made = self._columns(fixes, groups, endings)
        yield b""  # the columns are about as much work as laying them out
        yield from self._paper.written(made, len(fixes))

    def _by_row(self, fixes: Fixes, groups: Groups, endings: Endings | None) -> bytes:
        names = ("time_ms", "lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh", "marks")
        rows = zip(*(fixes[name].tolist() for name in names), strict=True)
        texts, which = ([""], np.zeros(len(fixes), dtype=np.intp)) if endings is None else endings
        objects = [
            f'{{"time":"{render_time(time_ms)}","latitude":{degrees_text(lat_e7)},"longitude":{degrees_text(lon_e7)}'
            f"{self._headings.text(heading_cdeg)}{self._speeds.text(speed_ckmh)}{_DOUBTS[marks]}"
            f"{self._places[self.geocoder.describe(lat_e7, lon_e7)].decode()}{texts[ending]}}}"
            for (time_ms, lat_e7, lon_e7, heading_cdeg, speed_ckmh, marks), ending in zip(
                rows, which.tolist(), strict=True
            )
        ]
        bounds = pairwise((*groups.starts.tolist(), len(fixes)))
        return b"".join(
            b"%b%b%b" % (opening, ",".join(objects[start:stop]).encode(), groups.ending)
            for opening, (start, stop) in zip(groups.openings, bounds, strict=True)
        )

    def _columns(self, fixes: Fixes, groups: Groups, endings: Endings | None) -> list[Column]:
        lat_e7, lon_e7 = (np.ascontiguousarray(fixes[name]) for name in ("lat_e7", "lon_e7"))
        lines, which = self.geocoder.describe_all(lat_e7, lon_e7)
        before, behind = np.zeros(len(fixes), dtype=np.intp), np.zeros(len(fixes), dtype=np.intp)
        before[groups.starts] = np.arange(1, len(groups.starts) + 1)
        behind[groups.starts - 1] = 1  # the first group's -1 is the last row of all
        made = [
            (columns.table_of([b",", *groups.openings]), before),
            *columns.times('{"time":"', fixes["time_ms"]),
            *columns.degrees('","latitude":', lat_e7),
            *columns.degrees(',"longitude":', lon_e7),
            self._headings.column(fixes["heading_cdeg"]),
            self._speeds.column(fixes["speed_ckmh"]),
        ]
        if fixes["marks"].any():
            made.append((_DOUBT_TEXTS, fixes["marks"]))
        made.append((columns.table_of([self._places[line] for line in lines]), which))
        if endings is not None:
            made.append((columns.table(endings[0]), endings[1]))
        made.append((columns.table_of((b"}", b"}" + groups.ending)), behind))
        return made
