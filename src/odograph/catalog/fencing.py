"""What is asked of a geofence, and where that puts the address and its fence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from odograph.errors import invalid
from odograph.model.place import MAX_VERTICES, MIN_VERTICES, Geofence, Position, polygon

MAX_RADIUS_M: Final = 20_000_000
"""Half the way round the globe: a circle that holds everything."""
_FLAT_DEG2: Final = 1e-12  # twice the area in square degrees below which three points lie on one line: 1 cm2


class CircleFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a circle; UNSET keeps, None puts its centre where the address is.

    Its radius is in whole metres, which some clients write as 80.0.
    """

    radius_m: float | UnsetType | None = UNSET
    lat: float | UnsetType | None = UNSET
    lon: float | UnsetType | None = UNSET


class FenceFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a geofence. One shape takes the other's place; UNSET keeps, None takes the shape away."""

    circle: CircleFields | UnsetType | None = UNSET
    vertices: Sequence[tuple[float, float]] | UnsetType | None = UNSET


class Ground(NamedTuple):
    """A geofence, and where the address that it belongs to is, in degrees."""

    fence: Geofence
    lat: float
    lon: float


def grounded(
    old: Ground | None,
    fence: FenceFields | UnsetType | None,
    lat: float | UnsetType | None,
    lon: float | UnsetType | None,
) -> Ground:
    """Where an address and its geofence are after a change; `old` is None for a new one.

    A circle without a centre of its own lies around the address, an address without a place of its own in the
    centre of its fence; what lay together moves together. INVALID names the field that can't be kept.
    """
    own = None
    if not (lat is UNSET and lon is UNSET):
        own = _place("", lat, lon, None if old is None else Position(old.lat, old.lon))
    shape = _shape(old, fence, own)
    if own is None and old is not None and lat is UNSET and lon is UNSET and not _is_together(old):
        own = Position(old.lat, old.lon)
    place = own or shape.center
    return Ground(shape, place.lat, place.lon)


def _shape(old: Ground | None, fence: FenceFields | UnsetType | None, own: Position | None) -> Geofence:
    """The fence; `own` is the place that is asked for the address, None where none is."""
    asked = FenceFields() if isinstance(fence, UnsetType) else fence or FenceFields(circle=None, vertices=None)
    vertices = asked.vertices
    if vertices is not None and not isinstance(vertices, UnsetType):
        if isinstance(asked.circle, CircleFields):
            raise invalid("geofence: has a circle and a polygon; give one of them.")
        return _polygon(vertices)
    if isinstance(asked.circle, CircleFields):
        return _circle(old, asked.circle, own)
    if old is None or (vertices if old.fence.vertices else asked.circle) is None:
        raise invalid("geofence: is required, with either a circle or a polygon.")
    if own is not None and not old.fence.vertices and _is_together(old):
        return Geofence(own.lat, own.lon, old.fence.radius_m)
    return old.fence


def _circle(old: Ground | None, asked: CircleFields, own: Position | None) -> Geofence:
    before = old.fence if old is not None and not old.fence.vertices else None
    radius_m = before.radius_m if before is not None and isinstance(asked.radius_m, UnsetType) else asked.radius_m
    if radius_m is None or isinstance(radius_m, UnsetType):
        raise invalid("geofence.circle.radiusMeters: is required.")
    if not (1 <= radius_m <= MAX_RADIUS_M and radius_m == int(radius_m)):
        raise invalid(
            f"geofence.circle.radiusMeters: {radius_m} is not a whole number between 1 and {MAX_RADIUS_M}."
        )
    is_moved_along = own is not None and old is not None and _is_together(old)
    center = None
    if not (asked.lat is UNSET and asked.lon is UNSET):
        center = _place("geofence.circle.", asked.lat, asked.lon, None if before is None else before.center)
    elif before is not None and not is_moved_along:
        center = before.center
    if center is None:
        center = own or (None if old is None else Position(old.lat, old.lon))
    if center is None:
        raise invalid(
            "geofence.circle.latitude: is missing, and addresses are not looked up here; give latitude and "
            "longitude of the circle, or of the address."
        )
    return Geofence(center.lat, center.lon, radius_m)


def _polygon(vertices: Sequence[tuple[float, float]]) -> Geofence:
    field = "geofence.polygon.vertices"
    if not MIN_VERTICES <= len(vertices) <= MAX_VERTICES:
        raise invalid(f"{field}: {len(vertices)} are given; {MIN_VERTICES} to {MAX_VERTICES} are allowed.")
    for at, (lat, lon) in enumerate(vertices):
        _position(f"{field}[{at}].", lat, lon)
    fence = polygon(tuple(vertices))
    if fence.goes_round_a_pole():
        raise invalid(f"{field}: lead round the globe; a polygon can't hold a pole, a circle can.")
    if _is_flat(fence):
        raise invalid(f"{field}: lie on one line, so that nothing is inside.")
    return fence


def _is_flat(fence: Geofence) -> bool:
    """Whether all vertices lie on one line; that a polygon crosses itself is no matter."""
    ring = list(zip(*fence.ring(), strict=True))
    lat, lon = ring[0]
    far_lat, far_lon = max(ring, key=lambda vertex: abs(vertex[0] - lat) + abs(vertex[1] - lon))
    return all(
        abs((far_lat - lat) * (one_lon - lon) - (far_lon - lon) * (one_lat - lat)) < _FLAT_DEG2
        for one_lat, one_lon in ring
    )


def _place(
    field: str, lat: float | UnsetType | None, lon: float | UnsetType | None, before: Position | None
) -> Position | None:
    """The place that is asked for, a coordinate that is UNSET taken from `before`; None where both are None."""
    if isinstance(lat, UnsetType):
        lat = None if before is None else before.lat
    if isinstance(lon, UnsetType):
        lon = None if before is None else before.lon
    return None if lat is None and lon is None else _position(field, lat, lon)


def _position(field: str, lat: float | None, lon: float | None) -> Position:
    if lat is None or lon is None:
        missing, given = ("latitude", "longitude") if lat is None else ("longitude", "latitude")
        raise invalid(f"{field}{missing}: is required where {given} is given.")
    if not -90 <= lat <= 90:
        raise invalid(f"{field}latitude: {lat} is not between -90 and 90.")
    if not -180 <= lon <= 180:
        raise invalid(f"{field}longitude: {lon} is not between -180 and 180.")
    return Position(lat, lon)


def _is_together(old: Ground) -> bool:
    return old.fence.center == (old.lat, old.lon)
