"""`odograph route`: planned trips, and how far they came."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api
from odograph.cli.moments import rfc3339
from odograph.cli.output import put, put_json, put_table, read_json, say


@click.group()
def route() -> None:
    """Routes: stops in order, when each is planned, and when it was reached."""


@route.command("add")
@click.argument("file", metavar="FILE.json")
@json_option
@with_api()
async def add(api: Api, file: str, as_json: bool) -> None:
    """Make a route from a file (- is stdin) that holds the body of POST /fleet/routes, and print its id."""
    made = await api.post("/fleet/routes", json=read_json(file))
    if as_json:
        put_json(made)
    else:
        put(made["id"])
    say(f"Made route {made['name']!r} with {len(made['stops'])} stops.")


@route.command("list")
@click.option("--from", "start", default="24h", show_default=True, help="A date, a time, 'now', or a span back.")
@click.option("--to", "end", default="7d", show_default=True, help="The same; a span counts ahead.")
@json_option
@with_api()
async def list_(api: Api, start: str, end: str, as_json: bool) -> None:
    """List the routes that are planned for some part of a range."""
    zone, now = await api.time_zone(), datetime.now(UTC)
    span = {
        "startTime": rfc3339("--from", start, zone, now),
        "endTime": rfc3339("--to", end, zone, now, is_future=True),
    }
    found = [one async for one in api.every("/fleet/routes", **span)]
    if as_json:
        put_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one.get("vehicle", one.get("driver", {})).get("name"),
            one.get("scheduledRouteStartTime"),
            one.get("actualRouteStartTime"),
            f"{sum(stop['state'] in {'arrived', 'departed'} for stop in one['stops'])}/{len(one['stops'])}",
            one.get("actualRouteEndTime"),
        )
        for one in found
    ]
    put_table(("ID", "NAME", "DRIVES", "PLANNED", "STARTED", "STOPS", "ENDED"), rows)


@route.command("show")
@click.argument("route")
@json_option
@with_api()
async def show(api: Api, route: str, as_json: bool) -> None:
    """Show a route (id or external id) stop by stop."""
    found = await api.get("/fleet/routes", route)
    if as_json:
        put_json(found)
        return
    say(
        f"{found['name']} (id {found['id']}), {found.get('vehicle', found.get('driver', {})).get('name', 'nobody')}"
    )
    rows = [
        (
            stop["name"],
            stop["state"],
            stop.get("scheduledArrivalTime", stop.get("scheduledDepartureTime")),
            stop.get("actualArrivalTime", stop.get("skippedTime")),
            stop.get("actualDepartureTime"),
            stop["liveSharingUrl"],
        )
        for stop in found["stops"]
    ]
    put_table(("STOP", "STATE", "PLANNED", "REACHED", "LEFT", "LIVE PAGE"), rows)


@route.command("remove")
@click.argument("route")
@click.option("--with-later", is_flag=True, help="End its recurring route here: later runs go too.")
@with_api()
async def remove(api: Api, route: str, with_later: bool) -> None:
    """Remove a route (id or external id)."""
    await api.ask("DELETE", "/v1/fleet/dispatch/routes", route, json={"apply_to_future_routes": with_later})
    say(f"Removed route {route}.")
