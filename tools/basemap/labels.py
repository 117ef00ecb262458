"""Which names the map shows, where, and from which zoom on."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shapely.geometry.base import BaseGeometry

from tools.basemap.shapes import read_attributes, read_topojson

MIN_POPULATION = 1_000  # villages are named, hamlets are not; also what the source is complete for
FIRST_ZOOM, LAST_ZOOM = 2, 12  # at which a place may appear; the tiles end at 6 and are enlarged from there
CELL_PX = 48  # of a world of 512 px tiles: two cells are about the room that a name needs
RANKS = (5_000_000, 1_000_000, 500_000, 200_000, 50_000, 15_000, 5_000)  # people from which rank 0, 1, 2 ... is
RANK_ZOOMS = (2, 2, 3, 3, 4, 5, 6, 7)  # before which a rank is not shown, however empty the land around it is
LARGE = {
    "AR": "Argentina",
    "AU": "Australia",
    "BR": "Brazil",
    "CA": "Canada",
    "CN": "China",
    "IN": "India",
    "MX": "Mexico",
    "RU": "Russia",
    "US": "United States of America",
}
"""Countries, by code and by the atlas's name, whose states are as large as countries elsewhere."""
STATE_ZOOM = 3  # from which these states are shown

_STATE_CELLS = (60, 15)  # settled half degrees from which a state's name has room one zoom earlier
_SMALL_COUNTRY_DEG2 = (5.0, 0.5)  # area from which a country that 1:110m lacks appears at 4, 5, else at 6


class Label(NamedTuple):
    """`rank` 0 is the largest; `zoom` the first at which it has room."""

    lon: float
    lat: float
    name: str
    rank: int
    zoom: int


def places(cities: Iterable[dict[str, Any]]) -> Iterator[Label]:
    """Each at the first zoom at which no larger one that is shown is near, so that names are about as dense
    everywhere, and no larger one at all is very near, so that a suburb does not stand for its city.
    """
    ordered = [city for city in cities if city["population"] >= MIN_POPULATION]
    ordered.sort(key=lambda city: (-city["population"], city["geonameid"]))
    ranks = [rank_of(city["population"]) for city in ordered]
    zooms = [LAST_ZOOM] * len(ordered)
    for zoom in range(FIRST_ZOOM, LAST_ZOOM):
        shown: set[tuple[int, int]] = set()
        larger: set[tuple[int, int]] = set()
        for index, city in enumerate(ordered):
            if zoom < RANK_ZOOMS[ranks[index]]:
                break
            is_free = not _around(city, zoom) & shown and not _around(city, zoom + 1) & larger
            if is_free or zooms[index] < zoom:
                zooms[index] = min(zooms[index], zoom)
                shown.add(_cell(city, zoom))
            larger.add(_cell(city, zoom + 1))
    for city, rank, zoom in zip(ordered, ranks, zooms, strict=True):
        yield Label(city["longitude"], city["latitude"], city["name"], rank, zoom)


def rank_of(population: int) -> int:
    """0 for the largest."""
    return sum(population < limit for limit in RANKS)


def _cell(city: dict[str, Any], zoom: int) -> tuple[int, int]:
    x, y = mercator(city["longitude"], city["latitude"])
    cells = 512 * 2**zoom / CELL_PX
    return int(x * cells), int(y * cells)


def _around(city: dict[str, Any], zoom: int) -> set[tuple[int, int]]:
    column, row = _cell(city, zoom)
    return {(column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}


def mercator(lon: float, lat: float) -> tuple[float, float]:
    """Both from 0 to 1, from the upper left."""
    sine = min(max(math.sin(math.radians(lat)), -0.9999), 0.9999)
    return lon / 360 + 0.5, 0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)


def countries(attributes: Path, atlas: Path) -> Iterator[Label]:
    """Those of 1:110m where its makers put the name; the small ones that it lacks at a point inside them."""
    known = set()
    for row in read_attributes(attributes):
        known |= {row["NAME"], row["NAME_LONG"], row["ADMIN"]}
        zoom = max(int(float(row["MIN_LABEL"])), 1)
        name = row["NAME_LONG"] if "." in row["NAME"] else row["NAME"]  # which abbreviates some
        yield Label(float(row["LABEL_X"]), float(row["LABEL_Y"]), name, int(row["LABELRANK"]), zoom)
    for properties, geometry in read_topojson(atlas, "countries"):
        if properties["name"] not in known:
            point = _largest(geometry).representative_point()
            zoom = 4 + sum(geometry.area < limit for limit in _SMALL_COUNTRY_DEG2)
            yield Label(point.x, point.y, properties["name"], 7, zoom)


def _largest(geometry: BaseGeometry) -> BaseGeometry:
    return max(getattr(geometry, "geoms", [geometry]), key=lambda part: part.area)


def states(cities: Iterable[dict[str, Any]], names: Path) -> Iterator[Label]:
    """The states of the large countries, in the middle of where their people live."""
    name_of = {one["code"]: one["name"] for one in json.loads(names.read_text(encoding="utf-8"))}
    cells: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for city in cities:
        if city["countrycode"] in LARGE:
            half_degrees = (round(city["longitude"] * 2), round(city["latitude"] * 2))
            cells[f"{city['countrycode']}.{city['admin1code']}"].add(half_degrees)
    for code, settled in sorted(cells.items()):
        if code in name_of:
            lon = sum(x for x, _ in settled) / len(settled) / 2
            lat = sum(y for _, y in settled) / len(settled) / 2
            zoom = STATE_ZOOM + 1 + sum(len(settled) < limit for limit in _STATE_CELLS)
            yield Label(lon, lat, name_of[code], zoom, zoom)
