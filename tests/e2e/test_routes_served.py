"""A route from a real server's point of view: devices report over HTTP, the server restarts on the way."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from odograph.cli.connect import Api, connect
from tests.support.driving import at_m
from tests.support.serving import Furnished, Serving, serving

WITHIN_S = 30.0


def iso(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def test_a_route_fills_over_a_restart_and_late_data_completes_it(tmp_path: Path) -> None:
    start_s = int(time.time()) - 1800
    with serving(tmp_path) as server:
        furnished = await server.furnish(["van"])
        async with connect(server.settings, must_be_served=True) as api:
            route = await api.post("/fleet/routes", json=tour(furnished.ids["van"], start_s))
        await send(server, furnished, [(start_s - 60, 0), (start_s + 60, 400)])
        async with connect(server.settings, must_be_served=True) as api:
            shown = await until(api, route["id"], "stops.1.enRouteTime")
            assert shown["actualRouteStartTime"] == iso(start_s + 60)
    with serving(tmp_path) as server:
        await send(server, furnished, [(start_s + 1200, 9000), (start_s + 1270, 9010)])
        async with connect(server.settings, must_be_served=True) as api:
            shown = await until(api, route["id"], "actualRouteEndTime")
            assert [stop["state"] for stop in shown["stops"]] == ["departed", "skipped", "arrived"]
            await send(server, furnished, [(start_s + 600, 5000), (start_s + 660, 5300)])
            shown = await until(api, route["id"], "stops.1.actualArrivalTime")
    assert [stop.get("actualArrivalTime") for stop in shown["stops"]] == [
        iso(start_s - 60),
        iso(start_s + 600),
        iso(start_s + 1200),
    ]
    assert shown["actualRouteEndTime"] == iso(start_s + 1200)


def tour(vehicle: str, start_s: float) -> dict[str, Any]:
    places = [{"latitude": 0.0, "longitude": at_m(metres)} for metres in (0, 5000, 9000)]
    return {
        "name": "Tour",
        "vehicleId": vehicle,
        "stops": [
            {"singleUseLocation": places[0], "scheduledDepartureTime": iso(start_s)},
            {
                "singleUseLocation": places[1],
                "scheduledArrivalTime": iso(start_s + 600),
                "scheduledDepartureTime": iso(start_s + 660),
            },
            {"singleUseLocation": places[2], "scheduledArrivalTime": iso(start_s + 1200)},
        ],
    }


async def send(server: Serving, furnished: Furnished, track: list[tuple[float, float]]) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        for epoch_s, metres in track:
            query: dict[str, str | float] = {
                "id": "van",
                "key": furnished.keys["van"],
                "lat": 0.0,
                "lon": at_m(metres),
                "timestamp": epoch_s,
            }
            answer = await client.get("/ingest/osmand", params=query)
            assert answer.status_code == 200


async def until(api: Api, route: str, path: str) -> Any:
    """The route as soon as it has something at a path such as `stops.1.enRouteTime`."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            shown = await api.get("/fleet/routes", route)
            found: Any = shown
            for part in path.split("."):
                found = found[int(part)] if isinstance(found, list) else found.get(part)
            if found is not None:
                return shown
