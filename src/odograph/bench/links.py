"""Public links of a fleet's vehicles: made through the API, and revoked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import msgspec

from odograph.bench.install import Install
from odograph.bench.load import Asker
from odograph.bench.readers import Unexpected, checked
from odograph.model.ids import AssetId, render_asset_id

AT_ONCE: Final = 8


class Link(msgspec.Struct, rename="camel", kw_only=True):
    """What we need of a link; `revoked_s` is when its deletion was asked for."""

    id: str
    live_sharing_url: str
    revoked_s: float = 0.0

    @property
    def stream(self) -> str:
        """Path of its event stream."""
        return urlsplit(self.live_sharing_url).path + "/stream"


class _One(msgspec.Struct):
    data: Link


async def make_links(install: Install, vehicles: Sequence[int]) -> list[Link]:
    """A link for each of these vehicles of the fleet, in this order."""
    links: list[Link | None] = [None] * len(vehicles)

    async def make(operator: Asker, place: int) -> None:
        asset = render_asset_id(AssetId(install.assets[vehicles[place]]))
        config = {"assetId": asset}
        wish = {"name": f"Link {place}", "type": "assetsLocation", "assetsLocationLinkConfig": config}
        answer = checked(await operator.send("POST", "/live-shares", msgspec.json.encode(wish)))
        links[place] = msgspec.json.decode(answer.body, type=_One).data

    await _together(install, len(vehicles), make)
    return [link for link in links if link is not None]


async def revoke_links(install: Install, links: Sequence[Link]) -> None:
    """Delete these links, and note in each when that was asked for."""

    async def revoke(operator: Asker, place: int) -> None:
        links[place].revoked_s = perf_counter()
        answer = await operator.send("DELETE", f"/live-shares?id={links[place].id}", b"")
        if answer.status != 204:
            raise Unexpected(f"DELETE of a link: {answer.status} {answer.body[:200]!r}")

    await _together(install, len(links), revoke)


async def _together(install: Install, count: int, do: Callable[[Asker, int], Awaitable[None]]) -> None:
    """Do it for each place up to `count`, several at a time."""
    places = iter(range(count))

    async def work() -> None:
        operator = install.operator()
        for place in places:
            await do(operator, place)
        operator.close()

    await asyncio.gather(*(work() for _ in range(min(count, AT_ONCE))))
