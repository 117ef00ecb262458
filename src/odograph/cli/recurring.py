"""`odograph recurring`: patterns of routes."""

from __future__ import annotations

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api
from odograph.cli.output import put, put_json, put_table, read_json, say

PATH = "/odograph/recurring-routes"


@click.group()
def recurring() -> None:
    """Recurring routes: stops and a schedule, whose runs are routes."""


@recurring.command("add")
@click.argument("file", metavar="FILE.json")
@json_option
@with_api()
async def add(api: Api, file: str, as_json: bool) -> None:
    """Make a recurring route from a file (- is stdin) with the body of its POST, and print its id."""
    made = await api.post(PATH, json=read_json(file))
    if as_json:
        put_json(made)
    else:
        put(made["id"])
    say(f"Made recurring route {made['name']!r}: {', '.join(made['startTimes'])} in {made['timeZone']}.")


@recurring.command("list")
@json_option
@with_api()
async def list_(api: Api, as_json: bool) -> None:
    """List recurring routes."""
    found = [one async for one in api.every(PATH)]
    if as_json:
        put_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one.get("vehicle", one.get("driver", {})).get("name"),
            " ".join(one["startTimes"]),
            " ".join(day[:3] for day in one["weekdays"]),
            one["timeZone"],
            len(one["stops"]),
        )
        for one in found
    ]
    put_table(("ID", "NAME", "DRIVES", "STARTS", "DAYS", "TIME ZONE", "STOPS"), rows)


@recurring.command("remove")
@click.argument("recurring")
@with_api()
async def remove(api: Api, recurring: str) -> None:
    """Remove a recurring route (id, external id or name) and its runs to come."""
    found = await api.find_recurring(recurring)
    await api.delete(PATH, found["id"])
    say(f"Removed recurring route {found['name']!r} and its runs to come.")
