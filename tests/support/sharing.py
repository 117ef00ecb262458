"""Vehicles that report, places, routes and public links, all through the real server's own doors."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from odograph.cli.connect import Api, connect
from tests.support.serving import Serving

METRES_A_DEGREE = 111_320.0
ORG = "Harbour Freight"


class Fix(NamedTuple):
    """What a device measured."""

    time_ms: int
    lat: float
    lon: float
    heading: float | None = None
    speed_kmh: float | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle and the key of its device."""

    id: str
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Link:
    """A public link."""

    id: str
    url: str


class House:
    """An org of a running server. Everything is done through its API and its devices' door."""

    def __init__(self, server: Serving, api: Api, devices: httpx.AsyncClient) -> None:
        self.server = server
        self.api = api
        self._devices = devices
        self.origin = server.settings.base_url.replace(":8080", f":{server.port}")

    async def vehicle(self, name: str, plate: str = "", tags: Sequence[str] = ()) -> Vehicle:
        """A vehicle with a device; tags are made as needed."""
        sheet = io.StringIO(newline="")
        csv.writer(sheet).writerows(
            [("name", "plate", "device_id", "tags"), (name, plate, f"device of {name}", ";".join(tags))]
        )
        done = await self.api.ask(
            "POST",
            "/odograph/vehicles/import",
            params={"makeTags": "true"},
            content=sheet.getvalue().encode(),
            headers={"content-type": "text/csv"},
        )
        line = done["lines"][0]
        return Vehicle(line["id"], line["key"], name)

    async def send(self, vehicle: Vehicle, *fixes: Fix) -> None:
        """Report; returns when the fixes are stored and everybody could see them."""
        answer = await self._devices.post(
            "/ingest/batch", json={"fixes": [list(fix) for fix in fixes]}, headers={"X-Device-Key": vehicle.key}
        )
        answer.raise_for_status()
        assert answer.json()["stored"] == len(fixes), answer.text

    async def address(self, name: str, at: tuple[float, float], radius_m: int = 200, **more: Any) -> str:
        """A place with a circle around it; its id."""
        circle = {"latitude": at[0], "longitude": at[1], "radiusMeters": radius_m}
        body = {"name": name, "formattedAddress": f"1 {name} Street", "geofence": {"circle": circle}, **more}
        return str((await self.api.post("/addresses", json=body))["id"])

    async def route(self, name: str, vehicle: Vehicle, stops: Sequence[dict[str, Any]], **more: Any) -> str:
        """A planned run; its id."""
        body = {"name": name, "vehicleId": vehicle.id, "stops": list(stops), **more}
        return str((await self.api.post("/fleet/routes", json=body))["id"])

    async def link_to(self, vehicle: Vehicle, name: str = "Your delivery", **more: Any) -> Link:
        """A link to one vehicle. `location` and `addressId` go into its config, the rest beside it."""
        config = {key: more.pop(key) for key in ("location", "addressId") if key in more}
        return await self.link(
            name=name, type="assetsLocation", assetsLocationLinkConfig={"assetId": vehicle.id, **config}, **more
        )

    async def link_near(self, address_id: str, name: str = "At the yard", **more: Any) -> Link:
        """A link to everything near a place."""
        config = {"addressId": address_id}
        return await self.link(name=name, type="assetsNearLocation", assetsNearLocationLinkConfig=config, **more)

    async def link_along(self, route_id: str, name: str = "The round", **more: Any) -> Link:
        """A link to whoever drives a route."""
        config = {"recurringRouteId": route_id}
        return await self.link(name=name, type="assetsOnRoute", assetsOnRouteLinkConfig=config, **more)

    async def link(self, **body: Any) -> Link:
        """A link as the API makes it."""
        made = await self.api.post("/live-shares", json=body)
        return Link(made["id"], self.origin + urlsplit(made["liveSharingUrl"]).path)

    async def revoke(self, link: Link) -> None:
        """Delete it."""
        await self.api.delete("/live-shares", id=link.id)


@asynccontextmanager
async def housed(server: Serving) -> AsyncIterator[House]:
    """A new org in a running server."""
    async with (
        connect(server.settings, must_be_served=True) as api,
        httpx.AsyncClient(base_url=server.url, timeout=30) as devices,
    ):
        await api.post("/odograph/orgs", json={"name": ORG, "timezone": "America/Chicago"})
        yield House(server, api, devices)


def now_ms() -> int:
    """The wall clock, which the server goes by."""
    return time.time_ns() // 1_000_000


def rfc3339(time_ms: float) -> str:
    """As the API takes it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moved(at: tuple[float, float], heading: float, metres: float) -> tuple[float, float]:
    """So far from there in this direction."""
    north, east = math.cos(math.radians(heading)), math.sin(math.radians(heading))
    lat = at[0] + metres * north / METRES_A_DEGREE
    return lat, at[1] + metres * east / (METRES_A_DEGREE * math.cos(math.radians(at[0])))


def drive(
    start: tuple[float, float],
    heading: float,
    count: int,
    *,
    metres: float = 40.0,
    step_ms: int = 100,
    speed_kmh: float = 50.0,
    in_s: float = 0.0,
) -> list[Fix]:
    """A straight drive that begins in so many seconds: a fix each `step_ms`, `metres` apart.

    A link shows nothing that was measured before it was made, and tests have no time to drive: they go faster than
    they say, though slower than what the server takes for a jump, and a little into the future, which it allows.
    """
    first_ms = now_ms() + round(in_s * 1000)
    places = (moved(start, heading, metres * number) for number in range(count))
    return [Fix(first_ms + step_ms * number, *place, heading, speed_kmh) for number, place in enumerate(places)]
