"""The embedded map, opened once."""

import pytest

from odograph.tiles.archive import Archive
from odograph.tiles.world import open_world


@pytest.fixture(scope="session")
def world() -> Archive:
    return open_world()
