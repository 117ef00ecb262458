"""Which map pages draw, what they may load for it, and who may frame them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from odograph.tiles.archive import Archive
from odograph.tiles.extracts import Extract, Extracts
from odograph.viewer import headers
from odograph.viewer.mapconfig import csp, map_config, referrer_policy


class Maps(NamedTuple):
    """The embedded map, and the operator's extracts."""

    world: Archive
    extracts: Extracts


class Dress(NamedTuple):
    """What a page needs of it."""

    map_json: bytes
    headers: headers.Headers


class Look:
    """Asked for each page, so that an extract that was added or removed counts from the next page on."""

    def __init__(self, maps: Maps, street_tiles: str, street_attribution: str, framers: Sequence[str]) -> None:
        self.maps = maps
        self._street_tiles = street_tiles
        self._street_attribution = street_attribution
        self._framers = framers
        self._extracts: list[Extract] | None = None
        self._dress = Dress(b"", ())

    def dress(self) -> Dress:
        """Made anew only when the extracts have changed."""
        extracts = self.maps.extracts.list_extracts()
        if extracts != self._extracts:
            config = map_config(self._street_tiles, self._street_attribution, self.maps.world, extracts)
            policy, referrer = csp(config, self._framers), referrer_policy(config)
            self._dress = Dress(msgspec.json.encode(config), headers.of_page(policy, referrer))
            self._extracts = extracts
        return self._dress
