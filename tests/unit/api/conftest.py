"""A whole API of one org, Acme, and a client that may do everything in it."""

from __future__ import annotations

import pytest_asyncio

from odograph.model.ids import OrgId
from tests.support.api import Client, World, open_world


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World) -> OrgId:
    return await world.make_org("Acme")


@pytest_asyncio.fixture
async def client(world: World, acme: OrgId) -> Client:
    return world.client(await world.make_token(acme))
