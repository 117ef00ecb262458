"""The public paths: which of them are ours, and what a link's path says."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Form = Literal["page", "stream", "state", "geojson"]

LINKS: Final = "/links"
ASSETS: Final = "/viewer/assets/"
TILES: Final = "/tiles/"
_LINK: Final = re.compile(r"(?:/o/[^/]*)?/fleet/viewer/(?P<rest>.*)", re.DOTALL)
_FORMS: Final[dict[str, Form]] = {"stream": "stream", "state": "state", "geojson": "geojson"}


class LinkPath(NamedTuple):
    """A key, which may be any text, and the form in which the link is wanted."""

    key: str
    form: Form


def is_public(path: str) -> bool:
    """Whether the viewer answers this path."""
    return path == LINKS or path.startswith((ASSETS, TILES)) or _LINK.fullmatch(path) is not None


def read_link(path: str) -> LinkPath | None:
    """What a path of a link asks for; None for other paths.

    The org and the words between are not looked at: the key alone decides (contract.md D-3).
    """
    found = _LINK.fullmatch(path)
    if found is None:
        return None
    *before, last = found["rest"].split("/")
    form = _FORMS.get(last)
    if form is not None:
        return LinkPath(before[-1] if before else "", form)
    if last.endswith(".geojson"):
        return LinkPath(last.removesuffix(".geojson"), "geojson")
    return LinkPath(last, "page")
