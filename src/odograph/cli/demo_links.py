"""The demo's places, its recurring route, and three public links: to a delivery, near a depot, along the route."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from odograph.cli.connect import Api
from odograph.simulator.fleet import COLLECTION, DELIVERY, VehicleSpec
from odograph.simulator.routes import BLOCK_M, Call, Town, timetable

TIMEZONE: Final = "America/Chicago"
LINKS_END_AFTER: Final = timedelta(hours=12)
STOPS: Final = ("Demo depot", "Market hall", "Old library", "South clinic", "Garden centre", "West school")
CUSTOMER: Final = "North-east warehouse"
DEPOT_RADIUS_M: Final = 1200
_STOP_RADIUS_M: Final = 80
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class DemoLink(NamedTuple):
    """A public link and what one sees there."""

    url: str
    shows: str


async def make_links(api: Api, fleet: list[VehicleSpec], ids: dict[str, str], sets_out_s: int) -> list[DemoLink]:
    """Three links, one of each type, those that an earlier demo left included.

    `ids`: of vehicles, by device id; `sets_out_s`: the epoch second at which rounds begin.
    """
    town = fleet[0].town
    courier, collector = (
        next(spec for spec in fleet if spec.round_trip is not None and spec.round_trip.calls == trip.calls)
        for trip in (DELIVERY, COLLECTION)
    )
    shows = (
        f"{courier.name} on its way to {CUSTOMER}",
        f"everything within {DEPOT_RADIUS_M} m of the depot, coming and going",
        f"{collector.name} on its half-hourly round, stop by stop",
    )
    left = [str(one["liveSharingUrl"]) for one in await api.get("/live-shares")]
    if len(left) == len(shows):
        return [DemoLink(url, text) for url, text in zip(left, shows, strict=True)]
    places = [
        await _address(api, town, name, call, _STOP_RADIUS_M)
        for name, call in zip(STOPS, COLLECTION.calls, strict=True)
    ]
    customer = await _address(api, town, CUSTOMER, DELIVERY.calls[1], _STOP_RADIUS_M)
    depot = await _address(api, town, "Downtown depot", COLLECTION.calls[0], DEPOT_RADIUS_M)
    route = await _recurring(api, places, ids[collector.device_id], sets_out_s)
    urls = (
        await _link(
            api,
            name=f"{courier.name} to {CUSTOMER}",
            type="assetsLocation",
            assetsLocationLinkConfig={"assetId": ids[courier.device_id], "addressId": customer},
            odograph={"trail": "sinceStart"},
        ),
        await _link(
            api,
            name="Around the depot",
            type="assetsNearLocation",
            assetsNearLocationLinkConfig={"addressId": depot},
        ),
        await _link(
            api,
            name="Collection round",
            type="assetsOnRoute",
            assetsOnRouteLinkConfig={"recurringRouteId": route},
            odograph={"trail": "sinceStart"},
        ),
    )
    return [DemoLink(url, text) for url, text in zip(urls, shows, strict=True)]


async def _address(api: Api, town: Town, name: str, call: Call, radius_m: int) -> str:
    lat, lon = town.position(call.column * BLOCK_M, call.row * BLOCK_M)
    circle = {"latitude": lat, "longitude": lon, "radiusMeters": radius_m}
    made = await api.post(
        "/addresses",
        json={"name": name, "formattedAddress": f"{name}, Kansas City", "geofence": {"circle": circle}},
    )
    return str(made["id"])


async def _recurring(api: Api, places: list[str], vehicle_id: str, sets_out_s: int) -> str:
    stops: list[dict[str, Any]] = []
    last = len(places) - 1
    for at, (place, call, arrival_s) in enumerate(
        zip(places, COLLECTION.calls, timetable(COLLECTION), strict=True)
    ):
        stop: dict[str, Any] = {"addressId": place}
        if at:
            stop["arrivalAfterStartSeconds"] = arrival_s
        if at < last:
            stop["departureAfterStartSeconds"] = arrival_s + call.stands_s
        stops.append(stop)
    every_min = COLLECTION.every_s // 60
    first_min = datetime.fromtimestamp(sets_out_s, ZoneInfo(TIMEZONE)).minute % every_min
    starts = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(first_min, 24 * 60, every_min)]
    made = await api.post(
        "/odograph/recurring-routes",
        json={
            "name": "Collection round",
            "timeZone": TIMEZONE,
            "startTimes": starts,
            "weekdays": list(_DAYS),
            "stops": stops,
            "vehicleId": vehicle_id,
        },
    )
    return str(made["id"])


async def _link(api: Api, **body: Any) -> str:
    ends = (datetime.now(UTC) + LINKS_END_AFTER).isoformat(timespec="seconds")
    made = await api.post("/live-shares", json={**body, "expiresAtTime": ends})
    return str(made["liveSharingUrl"])
