"""`odograph device`: the boxes that report, their keys, and strangers who knocked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, the_one
from odograph.cli.moments import age, required_span_s
from odograph.cli.output import put, put_json, put_table, say
from odograph.cli.phone import APPS, phone_settings, qr_code, qr_content
from odograph.errors import Kind, Refusal, invalid

_DEVICES = "/odograph/devices"
_NOTHING = "nothing since the server started"


@click.group()
def device() -> None:
    """Devices, their keys, and who knocked in vain."""


@device.command("add")
@click.argument("vehicle", required=False)
@click.option("--new-vehicle", metavar="NAME", help="Make the vehicle too.")
@click.option("--device-id", help="What the device calls itself: IMEI, unique id, OwnTracks user/device.")
@click.option("--name", help="Its name.  [the vehicle's]")
@click.option("--protocol", help="Only this protocol.  [any]")
@click.option(
    "--network", "networks", multiple=True, metavar="CIDR", help="From here its id is enough; repeatable."
)
@click.option("--trust-id", is_flag=True, help="Its id is enough from anywhere: whoever knows it can send for it.")
@click.option("--no-key", is_flag=True, help="Give it no key; it is known by its id.")
@click.option("--forwarder", is_flag=True, help="Its key delivers for other devices, by their ids; no vehicle.")
@click.option(
    "--qr",
    is_flag=False,
    flag_value="traccar",
    type=click.Choice(APPS),
    help="Show a QR code with the address for Traccar Client (the default) or a set-up link for OwnTracks.",
)
@json_option
@with_api()
async def add(
    api: Api,
    vehicle: str | None,
    new_vehicle: str | None,
    device_id: str | None,
    name: str | None,
    protocol: str | None,
    networks: Sequence[str],
    trust_id: bool,
    no_key: bool,
    forwarder: bool,
    qr: str | None,
    as_json: bool,
) -> None:
    """Add a device to a vehicle (id, external id, name or plate) and print its key, this once."""
    if sum((vehicle is not None, new_vehicle is not None, forwarder)) != 1:
        raise click.UsageError("Name a vehicle, or a new one with --new-vehicle, or say --forwarder.")
    if qr and (no_key or forwarder):
        raise click.UsageError("--qr shows a phone's key; leave out --no-key and --forwarder.")
    given = {"deviceId": device_id, "name": name, "protocol": protocol, "newVehicleName": new_vehicle}
    body: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    body |= {"networks": list(networks), "trustId": trust_id, "isForwarder": forwarder, "withKey": not no_key}
    if vehicle is not None:
        body["vehicleId"] = (await api.find_vehicle(vehicle))["id"]
    await _show_new(api, await api.post(_DEVICES, json=body), as_json=as_json, qr=qr)


@device.command("list")
@click.option("--silent", metavar="SPAN", help="Only those from which nothing came for so long, such as 1h or 7d.")
@json_option
@with_api()
async def list_(api: Api, silent: str | None, as_json: bool) -> None:
    """List devices with when each was last let in, and why it, or a report of it, was refused last.

    A contact of the vehicle is from before the server started, when it may have been another device on it.
    """
    params = {} if silent is None else {"silentForSeconds": str(required_span_s("--silent", silent))}
    found = [one async for one in api.every(_DEVICES, **params)]
    if as_json:
        put_json(found)
        return
    now = datetime.now(UTC)
    put_table(
        ("ID", "NAME", "VEHICLE", "DEVICE ID", "STATE", "LAST CONTACT", "LAST REFUSAL"),
        [_row(one, now) for one in found],
    )


@device.command("show")
@click.argument("device")
@json_option
@with_api()
async def show(api: Api, device: str, as_json: bool) -> None:
    """Show a device (id, device id, name, or its vehicle's name or id)."""
    found = await find_device(api, device)
    if as_json:
        put_json(found)
        return
    now = datetime.now(UTC)
    refusal, rejection = found.get("lastRefusal"), found.get("lastRejection")
    rows = [
        ("id", found["id"]),
        ("name", found["name"]),
        ("vehicle", "{name} ({id})".format(**found["vehicle"]) if "vehicle" in found else "none"),
        ("device id", found.get("deviceId")),
        ("state", _state(found)),
        ("let in by", _proof(found)),
        ("protocol", found.get("protocol", "any")),
        ("added", found["createdAtTime"]),
        ("last contact", _contact(found, now)),
        (
            "last refusal",
            f"{refusal['time']} ({age(refusal['time'], now)}): {refusal['reason']}, over {refusal['protocol']} "
            f"from {refusal['address']}"
            if refusal
            else "none",
        ),
        (
            "last not stored",
            f"{rejection['time']} ({age(rejection['time'], now)}): {rejection['reason']}"
            if rejection
            else _NOTHING,
        ),
    ]
    put_table(("FIELD", "VALUE"), rows)


@device.command("unknown")
@json_option
@with_api()
async def unknown(api: Api, as_json: bool) -> None:
    """List strangers who knocked and were turned away, the latest first; devices show it themselves."""
    found = await api.get("/odograph/knocks")
    if as_json:
        put_json(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            one["id"],
            one.get("deviceId"),
            one["protocol"],
            one["address"],
            one["reason"],
            one["count"],
            age(one["lastTime"], now),
        )
        for one in found
    ]
    put_table(("KNOCK", "DEVICE ID", "PROTOCOL", "ADDRESS", "REASON", "TIMES", "LAST"), rows)


@device.command("accept")
@click.argument("knock")
@click.option("--name", default="", help="What the vehicle is called.  [what the device calls itself]")
@click.option("--from-network", is_flag=True, help="Let it in by its id from the address that it knocked from.")
@click.option("--trust-id", is_flag=True, help="Let it in by its id from anywhere.")
@json_option
@with_api()
async def accept(api: Api, knock: str, name: str, from_network: bool, trust_id: bool, as_json: bool) -> None:
    """Let a device in that knocked (number or device id): make its vehicle, and print its key if it gets one."""
    knocks = await api.get("/odograph/knocks")
    found = [one for one in knocks if one["id"] == knock] or [one for one in knocks if one.get("deviceId") == knock]
    body = {"name": name, "fromNetwork": from_network, "trustId": trust_id}
    made = await api.ask("POST", "/odograph/knocks", the_one(found, "knock", knock)["id"], "accept", json=body)
    await _show_new(api, made, as_json=as_json, qr=None)


@device.command("bind")
@click.argument("device")
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="As for add.")
@click.option("--trust-id", is_flag=True, help="As for add.")
@with_api()
async def bind(api: Api, device: str, networks: Sequence[str], trust_id: bool) -> None:
    """Say anew from where a device is let in by its id; without options from nowhere."""
    found = await find_device(api, device)
    body = {"networks": list(networks), "trustId": trust_id}
    changed = await api.ask("PATCH", _DEVICES, found["id"], json=body)
    say(f"Device {changed['name']!r} (id {changed['id']}) is let in by {_proof(changed)}.")


@device.command("disable")
@click.argument("device")
@with_api()
async def disable(api: Api, device: str) -> None:
    """Let a device in no more, until it is enabled again."""
    await _enable(api, device, is_enabled=False)


@device.command("enable")
@click.argument("device")
@with_api()
async def enable(api: Api, device: str) -> None:
    """Let a disabled device in again."""
    await _enable(api, device, is_enabled=True)


@device.command("rotate")
@click.argument("device")
@click.option("--qr", is_flag=False, flag_value="traccar", type=click.Choice(APPS), help="As for add.")
@json_option
@with_api()
async def rotate(api: Api, device: str, qr: str | None, as_json: bool) -> None:
    """Give a device a new key and print it, this once; the old key ends at once."""
    found = await find_device(api, device)
    if qr and found["isForwarder"]:
        raise invalid("A forwarder's key is not for a phone; leave out --qr.")
    await _show_new(api, await api.ask("POST", _DEVICES, found["id"], "key"), as_json=as_json, qr=qr)


@device.command("delete")
@click.argument("device")
@with_api()
async def delete(api: Api, device: str) -> None:
    """Delete a device; its key ends at once, its vehicle and fixes stay."""
    found = await find_device(api, device)
    await api.delete(_DEVICES, found["id"])
    say(f"Deleted device {found['name']!r} (id {found['id']}).")


async def find_device(api: Api, text: str) -> Any:
    """The device of an id, a device id, a name, or its vehicle's id or name. NOT_FOUND; INVALID for several."""
    asked = ([text] if text.isdigit() else []) + [f"deviceId:{text}"]
    for path in asked:
        try:
            return await api.get(_DEVICES, path)
        except Refusal as refusal:
            if refusal.kind is not Kind.NOT_FOUND:
                raise
    wanted = text.casefold()
    found = [one async for one in api.every(_DEVICES) if wanted in _names(one)]
    return the_one(found, "device", text)


def _names(one: Any) -> set[str]:
    vehicle = one.get("vehicle", {})
    return {one["name"].casefold(), vehicle.get("id"), vehicle.get("name", "").casefold()}


async def _enable(api: Api, text: str, *, is_enabled: bool) -> None:
    found = await find_device(api, text)
    changed = await api.ask("PATCH", _DEVICES, found["id"], json={"isEnabled": is_enabled})
    say(f"Device {changed['name']!r} (id {changed['id']}) is {_state(changed)}.")


async def _show_new(api: Api, made: Any, *, as_json: bool, qr: str | None) -> None:
    """The key on stdout; on stderr how to use it."""
    key, base_url = made.get("key", ""), await api.base_url()
    if as_json:
        put_json(made)
    elif key:
        put(key)
    where = f" of vehicle {made['vehicle']['name']!r} ({made['vehicle']['id']})" if "vehicle" in made else ""
    say(f"Device {made['name']!r} (id {made['id']}){where}, let in by {_proof(made)}.")
    if not key:
        return
    say("The key is shown this once.")
    if made["isForwarder"]:
        return
    say("")
    for line in phone_settings(base_url, key):
        say(line)
    if urlsplit(base_url).hostname in {"localhost", "127.0.0.1"}:
        say("From elsewhere this address is not reachable: set --public-url for one that is.")
    if qr:
        say("")
        say(qr_code(qr_content(qr, base_url, key)))


def _row(one: Any, now: datetime) -> tuple[object, ...]:
    contact = one.get("lastContactTime")
    of_vehicle = ", of vehicle" if one.get("lastContactOf") == "vehicle" else ""
    refusals = [one[kind] for kind in ("lastRejection", "lastRefusal") if kind in one]
    refusal = max(refusals, key=lambda refusal: refusal["time"], default=None)
    return (
        one["id"],
        one["name"],
        one["vehicle"]["name"] if "vehicle" in one else None,
        one.get("deviceId"),
        _state(one),
        f"{age(contact, now)}{of_vehicle}" if contact else _NOTHING if one["isForwarder"] else "never",
        f"{refusal['reason']}, {age(refusal['time'], now)}" if refusal else None,
    )


def _contact(one: Any, now: datetime) -> str:
    """When it was last let in, or what is known instead."""
    contact = one.get("lastContactTime")
    if not contact:
        return _NOTHING if one["isForwarder"] else "never, as far as is known"
    shown = f"{contact} ({age(contact, now)})"
    if one["lastContactOf"] == "device":
        return shown
    return f"{shown}, of its vehicle; of the device itself {_NOTHING}"


def _state(one: Any) -> str:
    return "enabled" if one["isEnabled"] else "disabled"


def _proof(one: Any) -> str:
    """What it must bring to be let in."""
    words = {
        "key": "its key",
        "network": f"its id from {', '.join(one['networks'])}",
        "id": "its id alone",
        "forwarder": "a forwarder",
        "enrolmentKey": "the organisation's enrolment key",
    }
    return " or ".join(words[way] for way in one["letInBy"]) or "nothing: give it a key with device rotate"
