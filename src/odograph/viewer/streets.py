"""What the operator may set as a source of streets on another server."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import urlsplit

_MAX_URL: Final = 500
_PLACEHOLDERS: Final = ("{z}", "{x}", "{y}")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_URL_CHARACTERS: Final = re.compile(r"[!#$%&()*+,./0-9:;=?@A-Z\[\]_a-z{}~-]+")


def problem(street_tiles: str, street_attribution: str) -> tuple[str, str] | None:
    """What is wrong: which of the two settings, and what is allowed."""
    if not street_tiles:
        return None
    if origin_of(street_tiles) is None:
        return (
            "street_tiles",
            "empty, or a URL that begins with https:// or http://, without user and password: "
            "of raster tiles with {z}, {x} and {y}, or of a MapLibre style",
        )
    kind = kind_of(street_tiles)
    if kind is None:
        return "street_tiles", "a URL with each of {z}, {x} and {y} once and no others in braces, or with no braces"
    if kind == "raster" and not street_attribution:
        return "street_attribution", "who must be named for these tiles, as in '© OpenStreetMap contributors'"
    return None


def kind_of(url: str) -> Literal["raster", "style"] | None:
    """What a URL of the setting leads to; None where its braces make no template."""
    braces = re.findall(r"[{}]", url)
    if not braces:
        return "style"
    is_template = all(url.count(one) == 1 for one in _PLACEHOLDERS) and len(braces) == 2 * len(_PLACEHOLDERS)
    return "raster" if is_template else None


def origin_of(url: str) -> str | None:
    """`https://host[:port]` of a URL that may stand in a policy and in a page; None for every other text."""
    if len(url) > _MAX_URL or not _URL_CHARACTERS.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.scheme not in {"https", "http"} or not _HOST.fullmatch(host) or "@" in parts.netloc:
        return None
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
