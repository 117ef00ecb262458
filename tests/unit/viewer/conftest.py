"""The public side on a real engine; the embedded map, and a folder for extracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from odograph.model.ids import OrgId
from odograph.tiles.archive import Archive
from odograph.tiles.extracts import Extracts
from odograph.tiles.world import open_world
from tests.support.viewing import Viewing, open_viewing


@pytest.fixture
async def viewing(tmp_path: Path) -> AsyncIterator[Viewing]:
    async with open_viewing(tmp_path) as made:
        yield made


@pytest.fixture
async def org(viewing: Viewing) -> OrgId:
    return await viewing.make_org()


@pytest.fixture(scope="session")
def world() -> Archive:
    return open_world()


@pytest.fixture
def extracts(tmp_path: Path) -> Extracts:
    return Extracts(tmp_path / "basemaps")
