"""Who made the map: read from HTML that others wrote, so that the page shows text and links and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Final

import msgspec

MAX_CHARACTERS: Final = 200  # of all the text: it stands in a corner of a phone's map

_SCHEMES: Final = ("https://", "http://")


class Credit(msgspec.Struct, frozen=True, rename="camel"):
    """One name, with where it leads."""

    text: str
    url: str | None = None


OPENSTREETMAP: Final = Credit("© OpenStreetMap contributors", "https://www.openstreetmap.org/copyright")
WORLD_CREDITS: Final = (
    Credit("Natural Earth", "https://www.naturalearthdata.com"),
    Credit("GeoNames (CC BY 4.0)", "https://www.geonames.org"),
)


def read_credits(html: str) -> Sequence[Credit]:
    """Text and links; plain text gives one credit, nothing gives none."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.end()
    return reader.found


class _Reader(HTMLParser):
    """Text up to a link is a credit, and so is the link; all other tags are passed over."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Credit] = []
        self._text = ""
        self._url: str | None = None
        self._left = MAX_CHARACTERS

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A link begins."""
        if tag == "a":
            self.end()
            url = dict(attrs).get("href") or ""
            self._url = url if url.startswith(_SCHEMES) else None

    def handle_endtag(self, tag: str) -> None:
        """A link ends."""
        if tag == "a":
            self.end()

    def handle_data(self, data: str) -> None:
        """Some text."""
        self._text += data

    def end(self) -> None:
        """What was read since the last one is a credit, if there is a letter in it."""
        text = " ".join(self._text.split()).strip("|,;· ")[: self._left]
        if text:
            self.found.append(Credit(text, self._url))
            self._left -= len(text)
        self._text, self._url = "", None
