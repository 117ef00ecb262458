"""A link's state as GeoJSON (RFC 7946): the same structs as the page's, so that nothing else can be in it."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
from msgspec import UNSET

from odograph.model.place import EARTH_RADIUS_M
from odograph.sharing import page

_CORNERS: Final = 64  # of a circle: within 0.13 % of its radius


def geojson(state: page.State) -> bytes:
    """A FeatureCollection of assets, trails, place, fence and stops; times as in the state, in epoch ms."""
    features = []
    for asset in state.assets:
        features += _asset(asset)
    if isinstance(state.place, page.Place):
        features += _place(state.place)
    if isinstance(state.route, page.Route):
        features += [_stop(number, stop) for number, stop in enumerate(state.route.stops)]
    link = msgspec.to_builtins(state.link)
    return msgspec.json.encode({"type": "FeatureCollection", "link": link, "now": state.now, "features": features})


def _asset(asset: page.Asset) -> list[dict[str, Any]]:
    """Where it is, and its trail; an asset without a shown position has a null geometry, as the RFC has it."""
    properties = {"kind": "asset", **msgspec.to_builtins(asset)}
    properties.pop("trail", None)
    fix = properties.pop("fix", None)
    geometry = None
    if isinstance(asset.fix, page.Fix):
        geometry = {"type": "Point", "coordinates": [asset.fix.lon, asset.fix.lat]}
        properties |= {name: value for name, value in fix.items() if name not in {"lat", "lon"}}
    features = [_feature(asset.key, geometry, properties)]
    if asset.trail is not UNSET and len(asset.trail) > 1:
        line = {"type": "LineString", "coordinates": [[lon, lat] for _, lat, lon in asset.trail]}
        times = [time for time, _, _ in asset.trail]
        features.append(_feature(f"{asset.key}-trail", line, {"kind": "trail", "asset": asset.key, "times": times}))
    return features


def _place(place: page.Place) -> list[dict[str, Any]]:
    names = {"name": place.name} | ({} if place.address is UNSET else {"address": place.address})
    point = {"type": "Point", "coordinates": [place.lon, place.lat]}
    features = [_feature("place", point, {"kind": "place", **names})]
    if isinstance(place.fence, page.Fence):
        ring = _ring(place, place.fence)
        polygon = {"type": "Polygon", "coordinates": [ring]}
        features.append(_feature("fence", polygon, {"kind": "fence", "name": place.name}))
    return features


def _stop(number: int, stop: page.Stop) -> dict[str, Any]:
    properties = {"kind": "stop", "number": number, **msgspec.to_builtins(stop)}
    point = {"type": "Point", "coordinates": [properties.pop("lon"), properties.pop("lat")]}
    return _feature(f"stop-{number}", point, properties)


def _feature(id_: str, geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "id": id_, "geometry": geometry, "properties": properties}


def _ring(place: page.Place, fence: page.Fence) -> list[list[float]]:
    """Closed, anticlockwise; a polygon as it is, a circle with corners."""
    if fence.vertices is not UNSET:
        ring = [[lon, lat] for lat, lon in fence.vertices]
        area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
        ring = ring if area >= 0 else ring[::-1]
    else:
        radius_m = 0.0 if fence.radius_m is UNSET else fence.radius_m
        ring = [_corner(place, radius_m, 2 * math.pi * corner / _CORNERS) for corner in range(_CORNERS)]
    return [*ring, ring[0]]


def _corner(place: page.Place, radius_m: float, angle: float) -> list[float]:
    """On the great circle that leaves the centre at this angle, anticlockwise from east."""
    reach, lat = radius_m / EARTH_RADIUS_M, math.radians(place.lat)
    sine = math.sin(lat) * math.cos(reach) + math.cos(lat) * math.sin(reach) * math.sin(angle)
    across = math.cos(angle) * math.sin(reach) * math.cos(lat)
    lon = place.lon + math.degrees(math.atan2(across, math.cos(reach) - math.sin(lat) * sine))
    return [round((lon + 180) % 360 - 180, 6), round(math.degrees(math.asin(sine)), 6)]
