"""A data directory as a server left it, and what its users read from it: for upgrades."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from odograph.cli.inprocess import InProcess
from odograph.clock import SystemClock
from odograph.server import Core, as_operator, opened
from odograph.settings import Settings

SEAL_ROWS = 1000  # the fewest that may be set
START, END = "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"


class FixedClock(SystemClock):
    """Stands still, so that cursors of the fixture do not get too old."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


@asynccontextmanager
async def reopened(directory: Path, at_ms: int) -> AsyncIterator[Core]:
    """The whole server on a directory, without its sockets."""
    async with opened(Settings(data_dir=str(directory), seal_rows=SEAL_ROWS), FixedClock(at_ms)) as core:
        yield core


def client_of(core: Core, secret: str = "") -> httpx.AsyncClient:
    """Who has this token or key; without one the operator."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    transport = InProcess(core.app if secret else as_operator(core))
    return httpx.AsyncClient(transport=transport, base_url="http://odograph", headers=headers)


async def read_pages(client: httpx.AsyncClient, path: str, **params: str) -> tuple[list[Any], str]:
    """All of `data`, and the last cursor."""
    found: list[Any] = []
    while True:
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["data"]
        params["after"] = page["pagination"]["endCursor"]
        if not page["pagination"]["hasNextPage"]:
            return found, params["after"]


async def read_fixes(client: httpx.AsyncClient, path: str, **params: str) -> dict[str, list[Any]]:
    """By vehicle, in their order; place names are left out, for they come from elsewhere."""
    fixes: dict[str, list[Any]] = {}
    for one in (await read_pages(client, path, **params))[0]:
        for fix in one["locations"]:
            fix.pop("reverseGeo", None)
            fixes.setdefault(one["id"], []).append(fix)
    return fixes


async def read_everything(core: Core, token: str, cursor: str) -> dict[str, Any]:
    """What a user with this token reads, and what comes after this cursor."""
    async with client_of(core, token) as client:
        newest, _ = await read_pages(client, "/fleet/vehicles/locations")
        for one in newest:
            one["location"].pop("reverseGeo", None)
        return {
            "me": (await client.get("/me")).json()["data"],
            "vehicles": (await read_pages(client, "/fleet/vehicles"))[0],
            "tags": (await read_pages(client, "/tags"))[0],
            "snapshot": newest,
            "history": await read_fixes(client, "/fleet/vehicles/locations/history", startTime=START, endTime=END),
            "feed": await read_fixes(client, "/fleet/vehicles/locations/feed", after=cursor),
        }
