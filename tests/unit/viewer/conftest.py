"""The public side on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from odograph.model.ids import OrgId
from tests.support.viewing import Viewing, open_viewing


@pytest.fixture
async def viewing(tmp_path: Path) -> AsyncIterator[Viewing]:
    async with open_viewing(tmp_path) as made:
        yield made


@pytest.fixture
async def org(viewing: Viewing) -> OrgId:
    return await viewing.make_org()
