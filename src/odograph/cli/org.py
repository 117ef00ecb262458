"""`odograph org`: the tenants of an install."""

from __future__ import annotations

from typing import Any

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, where
from odograph.cli.output import put, put_json, put_table, say
from odograph.errors import invalid


@click.group()
def org() -> None:
    """Organisations: each sees its own vehicles alone."""


@org.command("create")
@click.argument("name")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name, such as Europe/Berlin.")
@with_api(for_org=False, makes_directory=True)
async def create(api: Api, name: str, time_zone: str) -> None:
    """Make an organisation and print its id."""
    made = await api.post("/odograph/orgs", json={"name": name, "timezone": time_zone})
    put(made["id"])
    say(f"Made organisation {made['name']!r} ({made['timezone']}).")
    say(f"Next: odograph device add{where(api.settings)} --new-vehicle 'Van 1'")


@org.command("list")
@json_option
@with_api(for_org=False)
async def list_(api: Api, as_json: bool) -> None:
    """List organisations."""
    found = await api.get("/odograph/orgs")
    if as_json:
        put_json(found)
        return
    rows = [(one["id"], one["name"], one["timezone"], "on" if one["selfRegistration"] else "off") for one in found]
    put_table(("ID", "NAME", "TIME ZONE", "SELF-REGISTRATION"), rows)


@org.command("set")
@click.argument("org")
@click.option("--name", help="Its new name.")
@click.option("--time-zone", help="IANA name, such as Europe/Berlin.")
@click.option(
    "--self-registration",
    type=click.Choice(["on", "off"]),
    help="Whether unknown devices that bring the enrolment key become vehicles. 'on' makes and prints a new key.",
)
@with_api(for_org=False)
async def set_(api: Api, org: str, name: str | None, time_zone: str | None, self_registration: str | None) -> None:
    """Change an organisation (name or id)."""
    if name is None and time_zone is None and self_registration is None:
        raise invalid("There is nothing to change: give --name, --time-zone or --self-registration.")
    given = {"name": name, "timezone": time_zone}
    changes = {field: value for field, value in given.items() if value is not None}
    id_ = org
    if changes:
        id_ = (await api.patch(f"/odograph/orgs/{await _id(api, org)}", json=changes))["id"]
        say(f"Changed organisation {id_}.")
    if self_registration is not None:
        await _register(api, await _id(api, id_), is_open=self_registration == "on")


async def _register(api: Api, id_: str, *, is_open: bool) -> None:
    path = f"/odograph/orgs/{id_}/registration"
    if not is_open:
        await api.ask("DELETE", path)
        say("Devices can't register themselves any more; the enrolment key has ended.")
        return
    opened: Any = await api.ask("POST", path)
    put(opened["key"])
    say("Devices that send this enrolment key and their own id become vehicles. It is shown this once.")


async def _id(api: Api, text: str) -> str:
    """The id of an org, so that names with a slash can be used in paths."""
    for one in await api.get("/odograph/orgs"):
        if text == one["id"] or text.casefold() == one["name"].casefold():
            return str(one["id"])
    raise invalid(f"There is no organisation {text!r}.")
