"""States that the page must be able to show, as simulated runs: every one a function of the seconds since it began."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from msgspec import UNSET

from odograph.sharing import page

MINUTE: Final = 60_000
WAY: Final = [  # a drive up the Portuguese coast, latitude and longitude
    (38.72, -9.14), (38.95, -8.99), (39.24, -8.69), (39.46, -8.54), (39.75, -8.80), (39.92, -8.63), (40.06, -8.60),
    (40.21, -8.43), (40.39, -8.46), (40.58, -8.56), (40.72, -8.55), (40.86, -8.57), (41.01, -8.60), (41.15, -8.61),
]  # fmt: skip
PORTO: Final = page.Place(
    name="Porto Distribution Centre", address="Rua da Alfândega 12, Porto", lat=41.1496, lon=-8.6109,
    fence=page.Fence(radius_m=3000),
)  # fmt: skip
STOPS: Final = [
    ("Braga depot", 41.545, -8.427, 0), ("Guimarães market", 41.444, -8.296, 39), ("Vizela clinic", 41.381, -8.308, 61),
    ("Paços de Ferreira", 41.277, -8.376, 88), ("Penafiel school", 41.208, -8.283, 123), ("Paredes", 41.207, -8.332, 138),
    ("Porto hub", 41.162, -8.583, 180),
]  # fmt: skip


@dataclass
class Scene:
    """`state(now_ms, seconds)`; `ends_after_s` and why; or an HTTP status in place of a page."""

    state: Callable[[int, float], page.State]
    every_s: float = 2.0
    ends_after_s: float = math.inf
    reason: str = "expired"
    sent: list[page.Asset] = field(default_factory=list)


def metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """In a straight line, near enough for a play."""
    return math.hypot(a[0] - b[0], (a[1] - b[1]) * math.cos(math.radians(a[0]))) * 111_200


def along(way: list[tuple[float, float]], share: float) -> tuple[float, float, float]:
    """Latitude, longitude and heading at a share of the way."""
    lengths = [metres(a, b) for a, b in pairwise(way)]
    left = max(0.0, min(0.9999, share)) * sum(lengths)
    for (a, b), length in zip(pairwise(way), lengths, strict=True):
        if left <= length:
            part = left / length
            east = (b[1] - a[1]) * math.cos(math.radians(a[0]))
            return (
                a[0] + part * (b[0] - a[0]),
                a[1] + part * (b[1] - a[1]),
                math.degrees(math.atan2(east, b[0] - a[0])) % 360,
            )
        left -= length
    raise AssertionError("a share beyond the way")


def truck(now: int, share: float, *, age_ms: int = 1500, moving: bool = True) -> page.Asset:
    """The truck on its way to Porto, with the trail so far."""
    lat, lon, heading = along(WAY, share)
    left = metres((lat, lon), (PORTO.lat, PORTO.lon))
    trail = []
    for step in range(160):
        at = share * (step / 160)
        trail.append((now - age_ms - int((share - at) * 220 * MINUTE), *along(WAY, at)[:2]))
    return page.Asset(
        key="truck214", name="Truck 214", plate="AA-41-RX",
        fix=page.Fix(time=now - age_ms, lat=lat, lon=lon, heading=heading, speed_kmh=84 if moving else 0,
                     near=f"{max(2, int(left / 9000))} km from Coimbra, PT"),
        motion="moving" if moving else "stopped",
        since=UNSET if moving else now - age_ms - 14 * MINUTE,
        distance_m=left, progress=share, trail=trail,
    )  # fmt: skip


def link(kind: str, name: str, **more: object) -> page.Link:
    """A link of Northline Freight."""
    fields = {"org": "Northline Freight", "time_zone": "Europe/Lisbon", **more}
    return page.Link(type=kind, name=name, **fields)  # type: ignore[arg-type]


def asset(now: int, t: float, **more: object) -> page.State:
    """One truck to Porto; `more`: eta, planned, age, hidden."""
    moving = bool(more.get("moving", True))
    it = truck(now, 0.62 + t / 12_000, age_ms=int(more.get("age", 1500)), moving=moving)  # type: ignore[call-overload]
    if more.get("eta"):
        at = now + 71 * MINUTE
        it.eta = page.Eta(at=at, earliest=at - 9 * MINUTE, latest=at + 12 * MINUTE)
    if more.get("planned"):
        it.planned = now + 60 * MINUTE
    if more.get("arrived"):
        it.arrived, it.distance_m, it.progress = now - 4 * MINUTE, 90.0, 1.0
    the_link = link("asset", "Order 4711 for Bakery Sol", ends=now + 4 * 60 * MINUTE)
    if more.get("hidden"):
        the_link.hidden = more["hidden"]  # type: ignore[assignment]
        it = page.Asset(key=it.key, name=it.name, plate=it.plate)
    if more.get("alone"):
        it.distance_m = it.progress = UNSET
        return page.State(now=now, link=link("asset", "Truck 214 today"), assets=[it])
    return page.State(now=now, link=the_link, assets=[] if more.get("hidden") == "nothing" else [it], place=PORTO)


def tagged(now: int, t: float) -> page.State:
    """Several vehicles of a tag, of all kinds of freshness."""
    assets = []
    for at in range(7):
        it = truck(now, 0.2 + at * 0.1 + t / 20_000, age_ms=[1500, 2500, 9 * MINUTE, 3000, 4 * 60 * MINUTE, 1000, 5000][at],
                   moving=at not in {1, 4})  # fmt: skip
        it.key, it.name, it.trail, it.progress, it.distance_m = f"v{at}", f"Van {at + 9}", UNSET, UNSET, UNSET
        it.plate = UNSET
        assets.append(it)
    return page.State(now=now, link=link("asset", "North team", description="All vans of the north team."), assets=assets)


def near_place(now: int, t: float) -> page.State:
    """Two inside, two coming, one of them with an arrival time; on the minute one goes in and out."""
    spots = [
        ("Truck 208", 41.157, -8.605, "inside"), ("Van 1087", 41.139, -8.628, "inside"),
        ("Truck 214", 41.09 + t / 4000, -8.585, "coming"), ("Truck 231", 41.178, -8.50 - t / 5000, "coming"),
        ("Van 1102", 41.204, -8.690, "coming"),
    ]  # fmt: skip
    assets = []
    for at, (name, lat, lon, where) in enumerate(spots):
        inside = where == "inside"
        it = page.Asset(
            key=f"p{at}", name=name, where=where, motion="stopped" if at in {0, 1, 4} else "moving",  # type: ignore[arg-type]
            fix=page.Fix(time=now - 2000 * (at + 1) - (18 * MINUTE if at == 4 else 0), lat=lat, lon=lon,
                         heading=[0, 0, 345, 262, 0][at], speed_kmh=[0, 0, 61, 74, 0][at], near="Porto, PT"),
            since=now - [47, 12][at] * MINUTE if inside else UNSET,
            distance_m=0.0 if inside else metres((lat, lon), (PORTO.lat, PORTO.lon)),
            planned=UNSET if inside else now + (20 + at) * MINUTE,
        )  # fmt: skip
        if at == 3:
            it.eta = page.Eta(at=now + 19 * MINUTE, earliest=now + 15 * MINUTE, latest=now + 26 * MINUTE)
        assets.append(it)
    return page.State(now=now, link=link("place", "Deliveries at Porto", ends=now + 300 * MINUTE), assets=assets, place=PORTO)


def route(now: int, t: float, state: str = "underway") -> page.State:
    """A run with three stops behind it, one skipped, and the van before the fourth."""
    start = now - 84 * MINUTE
    way = [(lat, lon) for _, lat, lon, _ in STOPS]
    stops = []
    for at, (name, lat, lon, minute) in enumerate(STOPS):
        planned = start + minute * MINUTE
        stop = page.Stop(name=name, lat=lat, lon=lon, state="todo", planned=planned)
        if state == "ended" or (state == "underway" and at < 3):
            stop.state = "done"
            stop.arrived, stop.departed = planned + (at * 2) * MINUTE, planned + (at * 2 + 3) * MINUTE
            stop.late_s = at * 120
        elif state == "underway" and at == 3:
            stop.state = "next"
        elif state == "underway" and at == 5:
            stop.state = "skipped"
        stops.append(stop)
    lat, lon, heading = along(way[2:4], 0.45 + t / 3000)
    van = page.Asset(
        key="van31", name="Van 31", plate="22-KD-90", motion="moving",
        fix=page.Fix(time=now - 1000, lat=lat, lon=lon, heading=heading, speed_kmh=58, near="2 km from Lousada, PT"),
        distance_m=metres((lat, lon), way[3]),
        trail=[(now - 1000 - (200 - s) * 25_000, *along(way[:4], (0.45 + t / 3000) * 0.27 * s / 200 + 0.62 * s / 200)[:2])
               for s in range(200)],
    )  # fmt: skip
    the_route = page.Route(name="Northern loop", state=state, starts=start, stops=stops)  # type: ignore[arg-type]
    if state == "underway":
        the_route.late_s, the_route.asset = 240, van.key
    if state == "none":
        the_route.stops = []
    if state == "planned":
        the_route.starts = now + 40 * MINUTE
    return page.State(
        now=now,
        link=link("route", "Northern loop", ends=now + 600 * MINUTE),
        assets=[van] if state == "underway" else [],
        route=the_route,
    )


def scenes() -> dict[str, Scene]:
    """All of them, by the last part of their path."""
    minute = MINUTE
    return {
        "asset": Scene(lambda now, t: asset(now, t)),
        "eta": Scene(lambda now, t: asset(now, t, eta=True, planned=True)),
        "planned": Scene(lambda now, t: asset(now, t, planned=True)),
        "alone": Scene(lambda now, t: asset(now, t, alone=True)),
        "arrived": Scene(lambda now, t: asset(now, t, arrived=True, moving=False)),
        "stopped": Scene(lambda now, t: asset(now, 0, moving=False)),
        "stale": Scene(lambda now, t: asset(now, 0, age=12 * minute), every_s=math.inf),
        "offline": Scene(lambda now, t: asset(now, 0, age=190 * minute), every_s=math.inf),
        "private": Scene(lambda now, t: asset(now, t, hidden="private")),
        "notyetnear": Scene(lambda now, t: asset(now, t, hidden="notYetNear")),
        "nothing": Scene(lambda now, t: asset(now, t, hidden="nothing")),
        "ends": Scene(lambda now, t: asset(now, t), ends_after_s=6),
        "revoked": Scene(lambda now, t: asset(now, t), ends_after_s=6, reason="gone"),
        "tag": Scene(tagged),
        "place": Scene(near_place),
        "route": Scene(route),
        "route-planned": Scene(lambda now, t: route(now, t, "planned")),
        "route-ended": Scene(lambda now, t: route(now, t, "ended")),
        "route-none": Scene(lambda now, t: route(now, t, "none")),
    }


def now_ms() -> int:
    """Of this machine."""
    return int(time.time() * 1000)
