"""`odograph vehicle`: what devices are mounted on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from odograph.catalog.sheets import keys_csv
from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, where
from odograph.cli.output import complain, count, put, put_json, put_table, say
from odograph.cli.words import pair
from odograph.errors import invalid


@click.group()
def vehicle() -> None:
    """Vehicles: add, list, import from CSV."""


@vehicle.command("add")
@click.argument("name")
@click.option("--plate", help="Licence plate.")
@click.option("--vin", help="Vehicle identification number.")
@click.option("--serial", help="Serial number of what is mounted on it.")
@click.option("--external-id", "external_ids", multiple=True, metavar="KEY:VALUE", help="May be repeated.")
@click.option("--tag", "tags", multiple=True, help="Tag (id or name); may be repeated.")
@click.option("--notes", help="Anything else.")
@json_option
@with_api()
async def add(
    api: Api,
    name: str,
    plate: str | None,
    vin: str | None,
    serial: str | None,
    external_ids: Sequence[str],
    tags: Sequence[str],
    notes: str | None,
    as_json: bool,
) -> None:
    """Add a vehicle and print its id."""
    given = {"licensePlate": plate, "vin": vin, "serialNumber": serial, "notes": notes}
    body: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if external_ids:
        body["externalIds"] = dict(pair("--external-id", text) for text in external_ids)
    if tags:
        body["tagIds"] = [(await api.find_tag(tag))["id"] for tag in tags]
    made = await api.post("/assets", json={"type": "vehicle", "name": name, **body})
    if as_json:
        put_json(made)
    else:
        put(made["id"])
    say(f"Added vehicle {made['name']!r}. Next: odograph device add{where(api.settings)} {made['id']}")


@vehicle.command("list")
@click.option("--tag", "tags", multiple=True, help="Only with this tag (id or name); may be repeated.")
@json_option
@with_api()
async def list_(api: Api, tags: Sequence[str], as_json: bool) -> None:
    """List vehicles."""
    params = {"tagIds": await api.tag_ids(tags)} if tags else {}
    found = [one async for one in api.every("/fleet/vehicles", **params)]
    if as_json:
        put_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one.get("licensePlate"),
            one.get("vin"),
            ", ".join(tag["name"] for tag in one["tags"]),
            ", ".join(f"{key}:{value}" for key, value in one["externalIds"].items()),
        )
        for one in found
    ]
    put_table(("ID", "NAME", "PLATE", "VIN", "TAGS", "EXTERNAL IDS"), rows)


@vehicle.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--make-tags", is_flag=True, help="Make tags that don't exist, instead of refusing.")
@click.option("--keys", type=click.Path(dir_okay=False, path_type=Path), help="Write new keys here, not to stdout.")
@json_option
@with_api()
async def import_(api: Api, file: Path, dry_run: bool, make_tags: bool, keys: Path | None, as_json: bool) -> None:
    """Add or change a vehicle for each line of a CSV list (- for stdin); print the new devices' keys as CSV.

    Columns: name, plate, vin, serial, make, model, year, notes, external_id, device_id, tags. A line finds its
    vehicle by external id, VIN, serial, device id or plate, else by name, or makes one. With one line refused
    nothing is written.
    """
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    with _key_file(None if dry_run else keys) as out:
        done = await api.ask(
            "POST",
            "/odograph/vehicles/import",
            params={"dryRun": _truth(dry_run), "makeTags": _truth(make_tags)},
            content=data,
            headers={"content-type": "text/csv"},
        )
        made = [line for line in done["lines"] if line.get("key")]
        if made and (out or not as_json):
            text = keys_csv((one["id"], one["name"], one.get("deviceId", ""), one.pop("key")) for one in made)
            click.echo(text.replace("\r\n", "\n"), file=out, nl=False)
        if as_json:
            put_json(done)
    _report(done, is_dry=dry_run)


def _report(done: Any, *, is_dry: bool) -> None:
    """What became of the lines; ends the command with 1 where one was refused."""
    lines = done["lines"]
    refused = [line for line in lines if line["action"] == "refuse"]
    for line in refused:
        complain(f"line {line['line']}: {line['error']}")
    if refused:
        raise invalid(f"{count(len(refused), 'line')} of {len(lines):,} refused; nothing was written.")
    numbers = {action: sum(line["action"] == action for line in lines) for action in ("create", "update", "keep")}
    say(
        f"{'Would be: ' if is_dry else ''}{numbers['create']:,} made, {numbers['update']:,} changed, "
        f"{numbers['keep']:,} left as they were."
    )
    if done["newTags"]:
        say(f"New tags: {', '.join(done['newTags'])}.")


@contextmanager
def _key_file(path: Path | None) -> Iterator[IO[str] | None]:
    """A new file that only its owner can read, opened before anything is imported: keys are shown once.

    Whatever happens, one that stayed empty doesn't stay.
    """
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise invalid(f"Cannot make {path}: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
    finally:
        if not path.stat().st_size:
            path.unlink()


def _truth(value: bool) -> str:
    return "true" if value else "false"
