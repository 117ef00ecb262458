"""The map of the world that comes with the program: coasts, lakes, rivers, borders and places, no roads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from odograph.tiles.archive import Archive

WORLD: Final = "world"
PATH: Final = Path(__file__).parents[1] / "basemap" / "world.pmtiles"


def open_world() -> Archive:
    """INVALID, naming the file, where the install is damaged."""
    return Archive.open(PATH)
