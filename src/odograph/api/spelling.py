"""One fix, the vendor's several spellings: JSON fragments, encoded once and joined into pages.

Every fix gets its `reverseGeo` here, when it is shown, from the geocoder's cache of cells; the text is
never stored. A heading or speed that the device did not know is left out: 0 would mean north or standing.
`doubtful` is our extension: why a reader may want to leave this fix out. It is on doubtful fixes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from odograph.api.wire import degrees_texts, heading_degrees, mph, render_time
from odograph.geocoding.base import Geocoder
from odograph.model.fixes import MARK_NAMES, UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes

K = TypeVar("K", bound=Hashable)

MOST_TEXTS: Final = 40_000  # every heading, and the speeds of a busy day
_quote = msgspec.json.Encoder().encode
_DOUBTS: Final = {
    marks: ',"doubtful":[' + ",".join(f'"{name}"' for bit, name in MARK_NAMES.items() if marks & bit) + "]"
    if marks
    else ""
    for marks in range(sum(MARK_NAMES) + 1)
}


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
    """Whether the address that holds a fix is named; not with the fix's encoded form, which outlives addresses."""


LOCATIONS = Spelling("locations", one="location", many="locations", heading="heading", speed="speed", tail="")
STATS = Spelling(
    "stats",
    one="gps",
    many="gps",
    heading="headingDegrees",
    speed="speedMilesPerHour",
    tail=',"isEcuSpeed":false',
    names_address=True,
)


class _Texts(dict[K, str]):
    """Texts by what they say, made when first asked for: headings, speeds and places come again and again.

    Forgotten all at once when there are MOST_TEXTS, some 5 MB.
    """

    def __init__(self, make: Callable[[K], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> str:
        if len(self) >= MOST_TEXTS:
            self.clear()
        text = self[key] = self._make(key)
        return text


def encoder(spelling: Spelling, geocoder: Geocoder) -> Callable[[Fixes], list[bytes]]:
    """A function that encodes fixes in this spelling, one JSON object each."""
    heading_key, speed_key, tail = f',"{spelling.heading}":', f',"{spelling.speed}":', spelling.tail
    describe = geocoder.describe
    headings = _Texts[int](lambda cdeg: "" if cdeg == UNKNOWN_HEADING else f"{heading_key}{heading_degrees(cdeg)}")
    speeds = _Texts[int](lambda ckmh: "" if ckmh == UNKNOWN_SPEED else f"{speed_key}{mph(ckmh)}")
    quoted = _Texts[str](lambda text: str(_quote(text), "utf-8"))

    def encode(fixes: Fixes) -> list[bytes]:
        names = ("time_ms", "lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh", "marks")
        places = (degrees_texts(fixes["lat_e7"]), degrees_texts(fixes["lon_e7"]))
        rows = zip(*places, *(fixes[name].tolist() for name in names), strict=True)
        return [
            (
                f'{{"time":"{render_time(time_ms)}","latitude":{lat},"longitude":{lon}'
                f"{headings[heading_cdeg]}{speeds[speed_ckmh]}{tail}{_DOUBTS[marks]}"
                f',"reverseGeo":{{"formattedLocation":{quoted[describe(lat_e7, lon_e7)]}}}}}'
            ).encode()
            for lat, lon, time_ms, lat_e7, lon_e7, heading_cdeg, speed_ckmh, marks in rows
        ]

    return encode
