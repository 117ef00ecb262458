"""Which map the page draws, and what it may load to do so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from odograph.tiles.archive import Archive, Schema, TileKind
from odograph.tiles.extracts import Extract
from odograph.tiles.world import WORLD
from odograph.viewer.streets import kind_of, origin_of
from odograph.viewer.tiles import tiles_url

RASTER_MAX_ZOOM: Final = 19  # what servers of raster tiles draw; the map enlarges them from there

OPENSTREETMAP: Final = '<a href="https://www.openstreetmap.org/copyright">© OpenStreetMap contributors</a>'
WORLD_CREDITS: Final = (
    '<a href="https://www.naturalearthdata.com">Natural Earth</a>',
    '<a href="https://www.geonames.org">GeoNames</a>, '
    '<a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>',
)

Bounds: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


class WorldMap(msgspec.Struct, frozen=True, rename="camel"):
    """The embedded map; its layers are our own."""

    tiles: str
    max_zoom: int


class RasterStreets(msgspec.Struct, frozen=True, rename="camel", tag="raster", tag_field="kind"):
    """Pictures of 256 px, of an extract or of another server."""

    tiles: str
    min_zoom: int
    max_zoom: int
    bounds: Bounds | None
    attribution: str


class VectorStreets(msgspec.Struct, frozen=True, rename="camel", tag="vector", tag_field="kind"):
    """Vector tiles of an extract, whose layers the page knows how to draw."""

    tiles: str
    min_zoom: int
    max_zoom: int
    bounds: Bounds | None
    attribution: str
    schema: Schema


class StyleStreets(msgspec.Struct, frozen=True, rename="camel", tag="style", tag_field="kind"):
    """A whole MapLibre style of another server. What it must name, its own sources name on the map."""

    url: str
    attribution: str


Streets: TypeAlias = RasterStreets | VectorStreets | StyleStreets


class MapConfig(msgspec.Struct, frozen=True, rename="camel"):
    """What the page needs to know. Paths are from the root of this server."""

    world: WorldMap
    street: Streets | None
    attribution: Sequence[str]
    """All that must be named, the streets' first. Each is text, or text with links that others wrote: the page
    takes text and https links out of it, and shows nothing of it as it is.
    """


def map_config(
    street_tiles: str, street_attribution: str, world: Archive, extracts: Sequence[Extract]
) -> MapConfig:
    """The streets of the setting, else of the first extract that can be `drawn`, else none.

    Both texts as settings of that name; see `streets.problem` for what the first may be.
    """
    street = _configured(street_tiles, street_attribution) or _extracted(extracts, street_attribution)
    return MapConfig(
        WorldMap(tiles_url(WORLD, world), world.max_zoom),
        street,
        (*((street.attribution,) if street and street.attribution else ()), *WORLD_CREDITS),
    )


def drawn(extracts: Sequence[Extract]) -> Extract | None:
    """The first that the page can draw."""
    for extract in extracts:
        archive = extract.archive
        if archive is not None and (archive.kind is not TileKind.MVT or archive.schema is not None):
            return extract
    return None


def csp(config: MapConfig, frame_ancestors: Sequence[str]) -> str:
    """The Content-Security-Policy of the page, which holds for everything that it loads.

    `frame_ancestors` are origins that may frame it; ValueError where one of them is none. Inline scripts and
    styles are never allowed: the map sets styles from script alone, which no policy forbids.
    """
    for ancestor in frame_ancestors:
        if origin_of(ancestor) != ancestor:
            raise ValueError(f"{ancestor!r} is not an origin such as https://portal.example")
    streets = _foreign_origin(config)
    also = f" {streets}" if streets else ""
    framers = " ".join(frame_ancestors) or "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: blob:{also}",  # icons of the map's own stylesheet are data
            "font-src 'self'",
            "worker-src 'self'",
            f"connect-src 'self'{also}",  # tiles are fetched, pictures too
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {framers}",
        )
    )


def referrer_policy(config: MapConfig) -> str:
    """The link is a secret and part of the URL: nobody is told it. A tile server is told our origin, because
    tile.openstreetmap.org refuses who doesn't say where they come from.
    """
    return "strict-origin" if _foreign_origin(config) else "no-referrer"


def _foreign_origin(config: MapConfig) -> str | None:
    match config.street:
        case RasterStreets(tiles=url) | StyleStreets(url=url) if not url.startswith("/"):
            return origin_of(url)
    return None


def _configured(street_tiles: str, named: str) -> Streets | None:
    if not street_tiles:
        return None
    if kind_of(street_tiles) == "style":
        return StyleStreets(street_tiles, named)
    return RasterStreets(street_tiles, 0, RASTER_MAX_ZOOM, None, named)


def _extracted(extracts: Sequence[Extract], named: str) -> Streets | None:
    extract = drawn(extracts)
    archive = extract.archive if extract else None
    if extract is None or archive is None:
        return None
    url, zooms = tiles_url(extract.name, archive), (archive.min_zoom, archive.max_zoom)
    named = named or archive.attribution
    if archive.schema is None:
        return RasterStreets(url, *zooms, archive.bounds, named)
    return VectorStreets(url, *zooms, archive.bounds, named or OPENSTREETMAP, archive.schema)
