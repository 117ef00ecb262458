"""`odograph address`: places with a geofence around them."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from odograph.catalog.sheets import Place, parse_places
from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, the_one
from odograph.cli.output import complain, count, put, put_json, put_table, say
from odograph.cli.words import number, pair, position
from odograph.errors import Refusal, invalid

RADIUS_M: Final = 100  # of a place of which nobody said how large it is: a yard with its gate


@click.group()
def address() -> None:
    """Addresses: places with a geofence, some of them private."""


@address.command("add")
@click.argument("name")
@click.option("--at", required=True, metavar="LAT,LON", help="Its centre, in degrees.")
@click.option("--radius", type=int, default=RADIUS_M, show_default=True, help="Of the circle around it, in metres.")
@click.option("--address", "formatted", metavar="TEXT", help="As it stands on a letter.  [NAME]")
@click.option("--external-id", "external_ids", multiple=True, metavar="KEY:VALUE", help="May be repeated.")
@click.option("--tag", "tags", multiple=True, help="Tag (id or name); may be repeated.")
@click.option("--notes", help="Anything else.")
@click.option("--private", is_flag=True, help="No public link ever shows anything inside.")
@json_option
@with_api()
async def add(
    api: Api,
    name: str,
    at: str,
    radius: int,
    formatted: str | None,
    external_ids: Sequence[str],
    tags: Sequence[str],
    notes: str | None,
    private: bool,
    as_json: bool,
) -> None:
    """Add an address with a circle around it and print its id."""
    lat, lon = position("--at", at)
    body: dict[str, Any] = {
        "name": name,
        "formattedAddress": formatted or name,
        "geofence": {"circle": {"latitude": lat, "longitude": lon, "radiusMeters": radius}},
        "externalIds": dict(pair("--external-id", text) for text in external_ids),
        "tagIds": [(await api.find_tag(tag))["id"] for tag in tags],
        "notes": notes,
    }
    if private:
        body["odograph"] = {"isPrivateZone": True}
    made = await api.post("/addresses", json=body)
    if as_json:
        put_json(made)
    else:
        put(made["id"])
    say(f"Added {'private zone' if private else 'address'} {made['name']!r}.")


@address.command("list")
@click.option("--tag", "tags", multiple=True, help="Only with this tag (id or name); may be repeated.")
@json_option
@with_api()
async def list_(api: Api, tags: Sequence[str], as_json: bool) -> None:
    """List addresses."""
    params = {"tagIds": await api.tag_ids(tags)} if tags else {}
    found = [one async for one in api.every("/addresses", **params)]
    if as_json:
        put_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one["formattedAddress"],
            f"{one['latitude']:.6f}, {one['longitude']:.6f}",
            _shape(one["geofence"]),
            "private" if "odograph" in one else None,
            ", ".join(tag["name"] for tag in one["tags"]),
            ", ".join(f"{key}:{value}" for key, value in one["externalIds"].items()),
        )
        for one in found
    ]
    put_table(("ID", "NAME", "ADDRESS", "AT", "GEOFENCE", "ZONE", "TAGS", "EXTERNAL IDS"), rows)


def _shape(fence: Any) -> str:
    if "circle" in fence:
        return f"{fence['circle']['radiusMeters']:,} m"
    return f"{len(fence['polygon']['vertices'])} corners"


@address.command("remove")
@click.argument("address")
@with_api()
async def remove(api: Api, address: str) -> None:
    """Remove an address (id, external id or name); stops at it stay where they are."""
    found = await api.find_address(address)
    await api.delete("/addresses", found["id"])
    say(f"Removed address {found['name']!r}.")


@address.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@with_api()
async def import_(api: Api, file: Path, dry_run: bool) -> None:
    """Add or change an address for each line of a CSV list (- for stdin).

    Columns: name, address, lat, lon, radius, notes, external_id, tags. A line finds its address by external id,
    else by name, or makes one. A line that can't be read stops it before anything is written; one that the server
    refuses is told, and the others are written.
    """
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    plan = await _plan(api, parse_places(data))
    if plan.errors:
        for error in plan.errors:
            complain(error)
        raise invalid(f"{count(len(plan.errors), 'line')} can't be read; nothing was written.")
    made = changed = kept = refused = 0
    for place, known, body in plan.writes:
        if dry_run:
            made, changed = made + (known is None), changed + (known is not None)
            continue
        try:
            if known is None:
                await api.post("/addresses", json=body)
                made += 1
            elif await api.ask("PATCH", "/addresses", known["id"], json=body) == known:
                kept += 1
            else:
                changed += 1
        except Refusal as refusal:
            complain(f"line {place.line}: {refusal.message}")
            refused += 1
    if dry_run:
        say(f"Would be: {made:,} made, {changed:,} changed or left as they are.")
        return
    say(f"{made:,} made, {changed:,} changed, {kept:,} left as they were.")
    if refused:
        raise invalid(f"{count(refused, 'line')} of {len(plan.writes):,} refused.")


@dataclass(slots=True)
class _Plan:
    """For each line the address that it means, None for a new one, and what to send."""

    writes: list[tuple[Place, Any, dict[str, Any]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def _plan(api: Api, places: Sequence[Place]) -> _Plan:
    by_pair: dict[str, Any] = {}
    by_name: dict[str, list[Any]] = defaultdict(list)
    async for one in api.every("/addresses"):
        by_name[one["name"].casefold()].append(one)
        by_pair.update((f"{key}:{value}", one) for key, value in one["externalIds"].items())
    tag_ids = {tag: "" for place in places for tag in place.tags}
    plan, taken = _Plan(), dict[str, int]()
    for place in places:
        try:
            if place.error:
                raise invalid(place.error)
            for tag in place.tags:
                tag_ids[tag] = tag_ids[tag] or (await api.find_tag(tag))["id"]
            known = _known(place, by_pair, by_name)
            _take(place, known, taken)
            body = _body(place, [tag_ids[tag] for tag in place.tags], is_new=known is None)
            plan.writes.append((place, known, body))
        except Refusal as refusal:
            plan.errors.append(f"line {place.line}: {refusal.message}")
    return plan


def _known(place: Place, by_pair: dict[str, Any], by_name: dict[str, list[Any]]) -> Any:
    """The address that a line means; None for a new one, INVALID where it means several."""
    meant = {by_pair[text]["id"]: by_pair[text] for text in place.external_ids if text in by_pair}
    if not meant and place.name:
        meant = {one["id"]: one for one in by_name[place.name.casefold()]}
    return the_one(list(meant.values()), "address", place.name) if meant else None


def _take(place: Place, known: Any, taken: dict[str, int]) -> None:
    texts = [f"external_id {text}" for text in place.external_ids] or [f"name {place.name.casefold()}"]
    if known is not None:
        texts.append(f"address {known['name']!r}")
    for text in texts:
        if text in taken:
            raise invalid(f"{text}: line {taken[text]} has it already; an address may stand in one line.")
    taken.update(dict.fromkeys(texts, place.line))


def _body(place: Place, tag_ids: list[str], *, is_new: bool) -> dict[str, Any]:
    """What to send: for a known address what the line says, for a new one with what it needs besides."""
    if is_new and not (place.name and place.lat and place.lon):
        raise invalid("name, lat and lon are required for a new address.")
    circle: dict[str, Any] = {}
    if place.lat or place.lon:
        circle |= {"latitude": number("lat", place.lat), "longitude": number("lon", place.lon)}
    if place.radius_m or is_new:
        circle["radiusMeters"] = number("radius", place.radius_m or str(RADIUS_M))
    known = {
        "name": place.name,
        "formattedAddress": place.formatted_address or (place.name if is_new else ""),
        "geofence": {"circle": circle} if circle else None,
        "notes": place.notes,
        "externalIds": dict(pair("external_id", text) for text in place.external_ids),
        "tagIds": tag_ids,
    }
    return {key: value for key, value in known.items() if value}
