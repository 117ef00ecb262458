"""`odograph org`: the tenants of an install."""

from __future__ import annotations

from typing import Any

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, where
from odograph.cli.output import count, put, put_json, put_table, say
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
    rows = [
        (
            one["id"],
            one["name"],
            one["timezone"],
            "on" if one["selfRegistration"] else "off",
            f"lets in {_devices(one)}" if one["hasEnrolmentKey"] else "none",
        )
        for one in found
    ]
    put_table(("ID", "NAME", "TIME ZONE", "SELF-REGISTRATION", "ENROLMENT KEY"), rows)


@org.command("set")
@click.argument("org")
@click.option("--name", help="Its new name.")
@click.option("--time-zone", help="IANA name, such as Europe/Berlin.")
@click.option(
    "--self-registration",
    type=click.Choice(["on", "off"]),
    help="Whether unknown devices that bring the enrolment key become vehicles. 'on' makes and prints the key where"
    " there is none; 'off' stops new devices alone.",
)
@click.option(
    "--enrolment-key",
    type=click.Choice(["new", "end"]),
    help="Make and print another enrolment key, or end it: locks out the devices that came with the one there is.",
)
@click.option("--yes", is_flag=True, help="Lock them out.")
@with_api(for_org=False)
async def set_(
    api: Api,
    org: str,
    name: str | None,
    time_zone: str | None,
    self_registration: str | None,
    enrolment_key: str | None,
    yes: bool,
) -> None:
    """Change an organisation (name or id)."""
    given = {"name": name, "timezone": time_zone}
    changes = {field: value for field, value in given.items() if value is not None}
    if not (changes or self_registration or enrolment_key):
        raise invalid(
            "There is nothing to change: give --name, --time-zone, --self-registration or --enrolment-key."
        )
    if enrolment_key == "end" and self_registration == "on":
        raise invalid("--self-registration on needs an enrolment key; make a new one, with --enrolment-key new.")
    found = await _find(api, org)
    if enrolment_key is not None and found["devicesOnEnrolmentKey"] and not yes:
        raise invalid(_warning(found))
    path = f"/odograph/orgs/{found['id']}"
    if changes:
        await api.patch(path, json=changes)
        say(f"Changed organisation {found['id']}.")
    if enrolment_key is not None:
        await _change_key(api, path, is_new=enrolment_key == "new")
    if self_registration is not None:
        await _register(api, path, is_open=self_registration == "on")


def _warning(one: Any) -> str:
    return (
        f"{_devices(one).capitalize()} of {one['name']!r} with no key and no network of their own came with the "
        "enrolment key: without it they are locked out, except those that a forwarder brings, until they have the "
        "new one, or a key of their own (odograph device rotate). To go on, add --yes."
    )


async def _change_key(api: Api, path: str, *, is_new: bool) -> None:
    if not is_new:
        await api.ask("DELETE", f"{path}/registration/key")
        say("The enrolment key has ended.")
        return
    made = await api.ask("POST", f"{path}/registration/key")
    put(made["key"])
    say("The enrolment key from before has ended. The new one is shown this once.")


async def _register(api: Api, path: str, *, is_open: bool) -> None:
    if not is_open:
        closed = await api.ask("DELETE", f"{path}/registration")
        say("New devices can't register themselves any more.")
        if closed["hasEnrolmentKey"]:
            say(f"The enrolment key goes on for those that came with it ({_devices(closed)}).")
        return
    opened: Any = await api.ask("POST", f"{path}/registration")
    say("Devices that send the enrolment key and their own id become vehicles.")
    if "key" in opened:
        put(opened["key"])
        say("The key is shown this once.")
    else:
        say("The key is the one that there was; --enrolment-key new makes another.")


def _devices(one: Any) -> str:
    return count(one["devicesOnEnrolmentKey"], "device")


async def _find(api: Api, text: str) -> Any:
    """An org by its name or id, so that names with a slash can be used."""
    for one in await api.get("/odograph/orgs"):
        if text == one["id"] or text.casefold() == one["name"].casefold():
            return one
    raise invalid(f"There is no organisation {text!r}.")
