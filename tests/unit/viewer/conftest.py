"""The embedded map, and a folder for extracts."""

from pathlib import Path

import pytest

from odograph.tiles.archive import Archive
from odograph.tiles.extracts import Extracts
from odograph.tiles.world import open_world


@pytest.fixture(scope="session")
def world() -> Archive:
    return open_world()


@pytest.fixture
def extracts(tmp_path: Path) -> Extracts:
    return Extracts(tmp_path / "basemaps")
