"""`/tiles/{name}/{version}/{z}/{x}/{y}`: tiles of the world and of street extracts, kept by browsers for good."""

from __future__ import annotations

import re
from typing import Final

from odograph.telemetry import ENDPOINT, Scope
from odograph.tiles.archive import Archive
from odograph.tiles.extracts import Extracts
from odograph.tiles.world import WORLD
from odograph.viewer.answers import Reply

PREFIX: Final = "/tiles/"
TEMPLATE: Final = "/tiles/{name}/{version}/{z}/{x}/{y}"

_PATH: Final = re.compile(
    r"/tiles/(?P<name>[a-z0-9_-]{1,40})/(?P<version>[0-9a-f]{1,64})/"
    r"(?P<z>[0-9]{1,2})/(?P<x>[0-9]{1,8})/(?P<y>[0-9]{1,8})"
)
_SAFE: Final = (b"x-content-type-options", b"nosniff")
_KEPT: Final = (
    (b"cache-control", b"public, max-age=31536000, immutable"),  # the version is in the URL
    _SAFE,
)
_NOT_FOUND: Final = Reply(
    404, b"There is no such tile.\n", "text/plain; charset=utf-8", ((b"cache-control", b"no-store"), _SAFE)
)
_ABSENT: Final = Reply(204, headers=_KEPT)


def tiles_url(name: str, archive: Archive) -> str:
    """The template of the archive's tiles, from the root of this server, as the map wants it."""
    return f"{PREFIX}{name}/{archive.version}/{{z}}/{{x}}/{{y}}"


class Tiles:
    """Answers every path under PREFIX."""

    def __init__(self, world: Archive, extracts: Extracts) -> None:
        self._world = world
        self._extracts = extracts

    async def __call__(self, scope: Scope) -> Reply:
        """A tile; 204 where the archive has none there; 404 for every path that was never given out, and for those
        of an archive that has been replaced. Corrupt where the archive is damaged.
        """
        scope[ENDPOINT] = TEMPLATE
        if scope["method"] not in {"GET", "HEAD"}:
            return Reply(405, headers=((b"allow", b"GET, HEAD"), _SAFE))
        asked = _PATH.fullmatch(scope["path"])
        archive = self._find(asked["name"]) if asked else None
        if asked is None or archive is None or asked["version"] != archive.version:
            return _NOT_FOUND
        z, x, y = int(asked["z"]), int(asked["x"]), int(asked["y"])
        if not archive.may_hold(z, x, y):
            return _NOT_FOUND
        tile = archive.get(z, x, y)
        if tile is None:
            return _ABSENT
        packed = ((b"content-encoding", b"gzip"),) if archive.is_gzipped else ()
        return Reply(200, tile, archive.kind.value, (*packed, *_KEPT))

    def _find(self, name: str) -> Archive | None:
        if name == WORLD:
            return self._world
        extract = self._extracts.find(name)
        return extract.archive if extract else None
