"""Reads shapefiles (.shp, .dbf) and TopoJSON: as much of the two formats as the basemap's sources use."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from shapely import STRtree, line_merge, union_all
from shapely.geometry import LineString, Polygon, shape
from shapely.geometry.base import BaseGeometry

Ring = list[tuple[float, float]]

_HEADER_BYTES = 100
_NOTHING, _KINDS = 0, {3, 5}  # an empty record; polyline, polygon


def read_lines(path: Path) -> list[Ring]:
    """Lines, longitude before latitude, in degrees. The file has them in pieces, which are joined: a joined line
    keeps its shape when it is simplified.
    """
    parts = [LineString(part) for record in _records(path) for part in record]
    joined = line_merge(union_all(parts)).normalize()
    return [list(line.coords) for line in joined.geoms]


def read_polygons(path: Path) -> list[Polygon]:
    """Each outer ring with the holes that lie in it. The outer ones run clockwise, as the format says."""
    rings = [Polygon(ring) for record in _records(path) for ring in record]
    outer = [ring for ring in rings if not ring.exterior.is_ccw]
    holes: dict[int, list[Any]] = {}
    tree = STRtree(outer)
    for hole in (ring for ring in rings if ring.exterior.is_ccw):
        around = tree.query(hole.representative_point(), predicate="within")
        smallest = min(around, key=lambda index: outer[index].area)
        holes.setdefault(int(smallest), []).append(hole.exterior)
    return [Polygon(ring.exterior, holes.get(index)) for index, ring in enumerate(outer)]


def _records(path: Path) -> Iterator[list[Ring]]:
    data = path.read_bytes()
    at = _HEADER_BYTES
    while at < len(data):
        words = struct.unpack_from(">i", data, at + 4)[0]
        at += 8
        (kind,) = struct.unpack_from("<i", data, at)
        if kind in _KINDS:
            yield list(_parts(data, at))
        elif kind != _NOTHING:
            raise SystemExit(f"{path.name}: shapes of kind {kind} are not expected at byte {at}.")
        at += words * 2


def _parts(data: bytes, at: int) -> Iterator[Ring]:
    parts, points = struct.unpack_from("<ii", data, at + 36)  # behind the kind and four doubles of bounds
    starts = [*struct.unpack_from(f"<{parts}i", data, at + 44), points]
    numbers = struct.unpack_from(f"<{points * 2}d", data, at + 44 + parts * 4)
    for start, end in pairwise(starts):
        yield list(zip(numbers[start * 2 : end * 2 : 2], numbers[start * 2 + 1 : end * 2 : 2], strict=True))


def read_attributes(path: Path) -> list[dict[str, str]]:
    """Each row of a .dbf as text without the blanks around it."""
    data = path.read_bytes()
    rows, head, width = struct.unpack_from("<IHH", data, 4)
    fields: list[tuple[str, int]] = []
    at = 32
    while data[at] != 0x0D:
        fields.append((data[at : at + 11].split(b"\0")[0].decode(), data[at + 16]))
        at += 32
    return [_row(data[head + width * row + 1 :], fields) for row in range(rows)]


def _row(data: bytes, fields: list[tuple[str, int]]) -> dict[str, str]:
    row = {}
    at = 0
    for name, width in fields:
        row[name] = data[at : at + width].decode("utf-8", "replace").strip(" \0")
        at += width
    return row


def read_topojson(path: Path, name: str) -> list[tuple[dict[str, Any], BaseGeometry]]:
    """Properties and geometry of each member of an object."""
    topology = json.loads(path.read_text(encoding="utf-8"))
    arcs = [_absolute(arc, topology["transform"]) for arc in topology["arcs"]]
    members = topology["objects"][name]["geometries"]
    return [(one.get("properties", {}), _geometry(one, arcs)) for one in members if one["type"]]


def _absolute(arc: list[list[int]], transform: dict[str, Any]) -> Ring:
    (scale_x, scale_y), (left, bottom) = transform["scale"], transform["translate"]
    x = y = 0
    ring = []
    for step in arc:
        x, y = x + step[0], y + step[1]
        ring.append((x * scale_x + left, y * scale_y + bottom))
    return ring


def _geometry(member: dict[str, Any], arcs: list[Ring]) -> BaseGeometry:
    def ring(indices: list[int]) -> Ring:
        joined: Ring = []
        for index in indices:
            arc = arcs[index] if index >= 0 else arcs[~index][::-1]
            joined += arc[1:] if joined else arc
        return joined

    polygons = member["arcs"] if member["type"] == "MultiPolygon" else [member["arcs"]]
    coordinates = [[ring(indices) for indices in polygon] for polygon in polygons]
    return shape({"type": "MultiPolygon", "coordinates": coordinates}).buffer(0)
