"""`odograph export`: fixes of a time range as a file, in pieces as they come."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import httpx

from odograph.cli.command import with_api
from odograph.cli.connect import Api, refusal_of
from odograph.cli.moments import FORMS, rfc3339
from odograph.cli.output import say
from odograph.errors import invalid, unavailable


@click.command()
@click.option(
    "--vehicle", "vehicles", multiple=True, help="Id, external id, name or plate; may be repeated.  [all]"
)
@click.option("--tag", "tags", multiple=True, help="Vehicles with this tag or one below it; may be repeated.")
@click.option("--from", "start", default="24h", show_default=True, help=f"Begin, included: {FORMS} ago.")
@click.option("--to", "end", default="now", show_default=True, help="End, not included.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "geojson", "gpx"]), help="[by the file's name, else csv]"
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write.  [stdout]")
@with_api()
async def export(
    api: Api,
    vehicles: Sequence[str],
    tags: Sequence[str],
    start: str,
    end: str,
    form: str | None,
    output: Path | None,
) -> None:
    """Write fixes by vehicle and time. CSV can be replayed again.

    Dates and times without a zone are those of the organisation's time zone.
    """
    zone, now = await api.time_zone(), datetime.now(UTC)
    params = {
        "format": form or _form_of(output),
        "startTime": rfc3339("--from", start, zone, now),
        "endTime": rfc3339("--to", end, zone, now),
    }
    if vehicles:
        params["vehicleIds"] = ",".join([(await api.find_vehicle(text))["id"] for text in vehicles])
    if tags:
        params["parentTagIds"] = await api.tag_ids(tags)
    pieces = _pieces(api, params)
    if output is None:
        written = await _write(pieces, sys.stdout.buffer)
    else:
        written = await _write_file(pieces, output)
    say(f"Wrote {written / 1e3:,.1f} kB: {params['startTime']} to {params['endTime']}.")


async def _pieces(api: Api, params: dict[str, str]) -> AsyncIterator[bytes]:
    """The file as the server makes it. UNAVAILABLE where it is cut short."""
    try:
        async with api.client.stream("GET", "/odograph/export", params=params) as response:
            if response.is_error:
                await response.aread()
                raise refusal_of(response)
            async for piece in response.aiter_bytes():
                yield piece
    except httpx.TransportError as error:
        raise unavailable(f"The export broke off: {error or type(error).__name__}. Try again.") from error


async def _write(pieces: AsyncIterator[bytes], file: IO[bytes]) -> int:
    written = 0
    async for piece in pieces:
        written += file.write(piece)
    file.flush()
    return written


async def _write_file(pieces: AsyncIterator[bytes], path: Path) -> int:
    """Under another name until it is whole: what bears the name is never half a file."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            written = await _write(pieces, file)
        part.replace(path)
    except OSError as error:
        raise invalid(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return written


def _form_of(path: Path | None) -> str:
    suffix = "" if path is None else path.suffix.lower().removeprefix(".")
    return {"geojson": "geojson", "json": "geojson", "gpx": "gpx"}.get(suffix, "csv")
