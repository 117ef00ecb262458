"""`odograph basemap`: street maps of a region, beside the map of the world that comes with the program.

These commands work on files and ask no server: a running one looks at the folder whenever it needs a map.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odograph.cli.command import directory_options, json_option
from odograph.cli.output import put, put_json, put_table, say
from odograph.errors import unavailable
from odograph.settings import Settings, load_settings

if TYPE_CHECKING:
    from odograph.tiles.extracts import Extract, Extracts


@click.group()
def basemap() -> None:
    """Maps under the vehicles: the world comes with the program, streets from PMTiles files that you add."""


def with_extracts(work: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose first arguments are the settings and the folder of extracts."""

    @wraps(work)
    def command(*args: Any, data_dir: str | None, config: str | None, **kwargs: Any) -> None:
        from odograph.tiles.extracts import FOLDER, Extracts  # noqa: PLC0415 - numpy, which --help can spare

        settings = load_settings({"data_dir": data_dir}, config=config)
        directory = Path(settings.data_dir)
        if not directory.is_dir():
            raise unavailable(f"There is no data directory {directory}. Name yours with --data-dir.")
        work(settings, Extracts(directory / FOLDER), *args, **kwargs)

    return directory_options(command)


@basemap.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What to call it; otherwise the file's name in lower case.")
@with_extracts
def add(settings: Settings, extracts: Extracts, file: Path, name: str | None) -> None:
    """Check FILE (PMTiles 3: vector tiles in the Protomaps schema, or PNG, JPEG, WebP) and keep a copy of it.

    A map of the same name is replaced. The page draws the map that was added last.
    """
    added = extracts.add(file, file.stem.lower() if name is None else name)
    put(added.name)
    say(f"Added {_size(added)}, {_coverage(added)}. A running server shows it from the next page on.")
    if settings.street_tiles:
        say("The setting street_tiles goes before it: the page goes on showing that.")


@basemap.command("list")
@json_option
@with_extracts
def list_(settings: Settings, extracts: Extracts, as_json: bool) -> None:
    """List the maps that were added, and which one the page draws."""
    from odograph.viewer.mapconfig import drawn  # noqa: PLC0415 - as above

    found = extracts.list_extracts()
    shown = None if settings.street_tiles else drawn(found)
    if as_json:
        put_json([_described(one, is_drawn=one is shown) for one in found])
        return
    rows = [
        (one.name, "yes" if one is shown else "no", _coverage(one), _size(one), _added(one), one.problem)
        for one in found
    ]
    put_table(("NAME", "DRAWN", "COVERS", "SIZE", "ADDED", "PROBLEM"), rows)


@basemap.command("remove")
@click.argument("name")
@with_extracts
def remove(settings: Settings, extracts: Extracts, name: str) -> None:
    """Remove the map NAME."""
    del settings
    extracts.remove(name)
    say(f"Removed {name}.")


def _described(extract: Extract, *, is_drawn: bool) -> dict[str, Any]:
    archive = extract.archive
    known = {} if archive is None else {
        "kind": archive.kind.name.lower(),
        "minZoom": archive.min_zoom,
        "maxZoom": archive.max_zoom,
        "bounds": list(archive.bounds),
    }  # fmt: skip
    problem = {"problem": extract.problem} if extract.problem else {}
    return {
        "name": extract.name,
        "isDrawn": is_drawn,
        "bytes": extract.size_bytes,
        "added": _added(extract),
        **known,
        **problem,
    }


def _coverage(extract: Extract) -> str:
    """`zoom 0 to 15, 13.00 52.30 to 13.80 52.70`: longitude before latitude, south-west before north-east."""
    archive = extract.archive
    if archive is None:
        return ""
    west, south, east, north = archive.bounds
    return f"zoom {archive.min_zoom} to {archive.max_zoom}, {west:.2f} {south:.2f} to {east:.2f} {north:.2f}"


def _size(extract: Extract) -> str:
    return f"{extract.size_bytes / 1e6:,.1f} MB"


def _added(extract: Extract) -> str:
    return datetime.fromtimestamp(extract.added_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
