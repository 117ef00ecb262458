"""`odograph share`: public links that show where something is, until they should not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, the_one
from odograph.cli.moments import required_span_s, rfc3339
from odograph.cli.output import count, put, put_json, put_table, say
from odograph.cli.phone import qr_code
from odograph.errors import invalid

_SHARES: Final = "/odograph/live-shares"
_DISTANCE: Final = re.compile(r"(\d{1,7})\s*(km|m)")
_DURATION: Final = re.compile(r"(\d{1,5})\s*(?:min|h)")
_METRES: Final = {"m": 1, "km": 1000}

Command = Callable[..., Any]


@click.group()
def share() -> None:
    """Public links that show where something is."""


def _what(command: Command) -> Command:
    """Add the options that say what a link shows."""
    for option in reversed(
        (
            click.option("--vehicle", metavar="X", help="This vehicle (id, external id, name or plate)."),
            click.option("--tag", metavar="T", help="Every vehicle with this tag (id, external id or name)."),
            click.option("--near", metavar="ADDRESS", help="What is at this address, or on its way there."),
            click.option("--route", metavar="R", help="The run of this route, recurring or single."),
            click.option("--to", "to_address", metavar="ADDRESS", help="Where it is bound: an address."),
            click.option("--to-place", metavar="NAME,ADDRESS,LAT,LON", help="Where it is bound: any other place."),
        )
    ):
        command = option(command)
    return command


def _how(command: Command) -> Command:
    """Add the options that say how much of it, and until when."""
    for option in reversed(
        (
            click.option("--name", help="What the link is called on its page.  [what it shows]"),
            click.option("--for", "for_", metavar="SPAN", help="For so long, such as 4h.  [for ever]"),
            click.option("--until", metavar="TIME", help="Until then: a date or an RFC 3339 time."),
            click.option("--starts", metavar="TIME", help="Not before: a span from now, a date or a time."),
            click.option("--trail", metavar="none|start|30m", help="How much of the way so far.  [none]"),
            click.option("--end-on-arrival", is_flag=True, help="End when the vehicle is there."),
            click.option("--planned", metavar="TIME", help="When it is planned to be there."),
            click.option("--within", metavar="5km,20min", help="Only this near, or this long before arrival."),
            click.option("--show-as", metavar="NAME", help="In place of the vehicle's own name and plate."),
        )
    ):
        command = option(command)
    return command


@share.command("create")
@_what
@_how
@click.option("--qr", is_flag=True, help="Show the URL as a QR code too.")
@json_option
@with_api()
async def create(
    api: Api,
    vehicle: str | None,
    tag: str | None,
    near: str | None,
    route: str | None,
    to_address: str | None,
    to_place: str | None,
    qr: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Make a link and print its URL.

    It shows a vehicle, all that carry a tag, what is near an address, or the run of a route: say which one.
    """
    given = {"--vehicle": vehicle, "--tag": tag, "--near": near, "--route": route}
    named = [option for option, value in given.items() if value is not None]
    if len(named) != 1:
        raise invalid(f"Say what the link shows, with one of {', '.join(given)}.")
    if (to_address or to_place) and (near or route):
        raise invalid("--to and --to-place belong to --vehicle and --tag; --near and --route say where.")
    body, subject = await _view(api, vehicle, tag, near, route)
    if vehicle or tag:
        body["assetsLocationLinkConfig"] |= await _destination(api, to_address, to_place)
    body |= {"name": how["name"] or subject, **await _options(api, how)}
    body |= await _expiry(api, how["for_"], how["until"])
    made = await api.post("/live-shares", json=body)
    _show_url(made, as_json=as_json, qr=qr)
    say(f"Made link {made['name']!r} (id {made['id']}), {_until(made)}.")


@share.command("list")
@click.option("--expired", is_flag=True, help="Those that have expired, instead of those that are open.")
@json_option
@with_api()
async def list_(api: Api, expired: bool, as_json: bool) -> None:
    """List links."""
    found = [one async for one in _every(api, state="expired" if expired else "active")]
    if as_json:
        put_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one["type"],
            one["state"],
            one.get("expiresAtTime", "never"),
            one.get("liveSharingUrl", "(rotate it: the server key was replaced)"),
        )
        for one in found
    ]
    put_table(("ID", "NAME", "TYPE", "STATE", "EXPIRES", "URL"), rows)


@share.command("show")
@click.argument("link")
@click.option("--qr", is_flag=True, help="Show the URL as a QR code too.")
@with_api()
async def show(api: Api, link: str, qr: bool) -> None:
    """Print all about a link (id or name), as JSON."""
    _show_url(await _find(api, link), as_json=True, qr=qr)


@share.command("extend")
@click.argument("link")
@click.option("--for", "for_", metavar="SPAN", help="For so long from now, such as 2h.")
@click.option("--until", metavar="TIME", help="Until then: a date or an RFC 3339 time.")
@click.option("--for-ever", is_flag=True, help="It never expires.")
@with_api()
async def extend(api: Api, link: str, for_: str | None, until: str | None, for_ever: bool) -> None:
    """Let a link (id or name) expire at another time."""
    expiry: dict[str, Any] = await _expiry(api, for_, until)
    if bool(expiry) == for_ever:
        raise invalid("Say until when, with one of --for, --until and --for-ever.")
    found = await _find(api, link)
    body = {"name": found["name"], **(expiry or {"expiresAtTime": None})}
    changed = await api.ask("PATCH", "/live-shares", params={"id": found["id"]}, json=body)
    say(f"Link {changed['name']!r} (id {changed['id']}) is open {_until(changed)}.")


@share.command("revoke")
@click.argument("link")
@with_api()
async def revoke(api: Api, link: str) -> None:
    """Delete a link (id or name): its URL opens nothing from now on."""
    found = await _find(api, link)
    await api.delete(_SHARES, found["id"])
    say(f"Revoked link {found['name']!r} (id {found['id']}).")


@share.command("rotate")
@click.argument("link")
@click.option("--qr", is_flag=True, help="Show the URL as a QR code too.")
@json_option
@with_api()
async def rotate(api: Api, link: str, qr: bool, as_json: bool) -> None:
    """Give a link (id or name) another URL and print it: the one it had opens nothing from now on."""
    found = await _find(api, link)
    made = await api.ask("POST", _SHARES, found["id"], "rotate")
    _show_url(made, as_json=as_json, qr=qr)
    say(f"Link {made['name']!r} (id {made['id']}) has another URL, {_until(made)}.")


@share.command("reactivate")
@click.argument("link")
@click.option("--for", "for_", metavar="SPAN", help="For so long, such as 4h.  [for ever]")
@click.option("--until", metavar="TIME", help="Until then: a date or an RFC 3339 time.")
@json_option
@with_api()
async def reactivate(api: Api, link: str, for_: str | None, until: str | None, as_json: bool) -> None:
    """Open an expired link (id or name) again and print its URL, which is the one it had."""
    found = await _find(api, link)
    made = await api.ask("POST", _SHARES, found["id"], "reactivate", json=await _expiry(api, for_, until))
    _show_url(made, as_json=as_json, qr=False)
    say(f"Link {made['name']!r} (id {made['id']}) is open {_until(made)}.")


@share.command("ledger")
@click.argument("link")
@click.option("--start", metavar="TIME", help="From then on: a span back from now, a date or an RFC 3339 time.")
@click.option("--end", metavar="TIME", help="Until then.")
@json_option
@with_api()
async def ledger(api: Api, link: str, start: str | None, end: str | None, as_json: bool) -> None:
    """Say what a link (id or name) disclosed, minute by minute. Streams are counted, not persons."""
    found = await _find(api, link)
    zone, now = await api.time_zone(), datetime.now(UTC)
    params = {
        name: rfc3339(f"--{name[:-4]}", text, zone, now)
        for name, text in (("startTime", start), ("endTime", end))
        if text is not None
    }
    minutes = [one async for one in _minutes(api, found["id"], params)]
    if as_json:
        put_json(minutes)
        return
    rows = [
        (one["time"], one["pageLoads"], one["polls"], one["streamsHighest"], ", ".join(one["assetIds"]))
        for one in minutes
    ]
    put_table(("MINUTE", "PAGES", "POLLS", "STREAMS", "VEHICLES"), rows)
    say(f"{count(len(minutes), 'minute')} in which link {found['name']!r} showed anything.")


async def _minutes(api: Api, share_id: str, params: dict[str, str]) -> AsyncIterator[Any]:
    """Of the ledger, page by page."""
    while True:
        page = await api.page(_SHARES, share_id, "ledger", **params)
        for one in page["data"]:
            yield one
        if "nextStartTime" not in page:
            return
        params["startTime"] = page["nextStartTime"]


async def _view(
    api: Api, vehicle: str | None, tag: str | None, near: str | None, route: str | None
) -> tuple[dict[str, Any], str]:
    """Type and config of the link, and the name of what it shows."""
    if vehicle is not None:
        one = await api.find_vehicle(vehicle)
        return {"type": "assetsLocation", "assetsLocationLinkConfig": {"assetId": one["id"]}}, one["name"]
    if tag is not None:
        one = await api.find_tag(tag)
        return {"type": "assetsLocation", "assetsLocationLinkConfig": {"tagIds": [one["id"]]}}, one["name"]
    if near is not None:
        one = await _find_shareable(api, "address", near)
        config = {"addressId": one["id"]}
        return {"type": "assetsNearLocation", "assetsNearLocationLinkConfig": config}, one["name"]
    one = await _find_shareable(api, "route", route or "")
    config = {"recurringRouteId": one["id"]}
    return {"type": "assetsOnRoute", "assetsOnRouteLinkConfig": config}, one["name"]


async def _destination(api: Api, to_address: str | None, to_place: str | None) -> dict[str, Any]:
    if to_address is not None and to_place is not None:
        raise invalid("Give either --to or --to-place, not both.")
    if to_address is not None:
        return {"addressId": (await _find_shareable(api, "address", to_address))["id"]}
    return {} if to_place is None else {"location": _place(to_place)}


def _place(text: str) -> dict[str, Any]:
    """Of `NAME,ADDRESS,LAT,LON`; the address may hold commas."""
    name, _, rest = text.partition(",")
    parts = [part.strip() for part in rest.rsplit(",", 2)]
    try:
        address, lat, lon = parts[0], float(parts[1]), float(parts[2])
    except (IndexError, ValueError):
        raise invalid(f"--to-place must be NAME,ADDRESS,LAT,LON, not {text!r}.") from None
    return {"name": name.strip(), "formattedAddress": address, "latitude": lat, "longitude": lon}


async def _find_shareable(api: Api, what: str, text: str) -> Any:
    """The address or route of an id, an external id or a name. NOT_FOUND; INVALID for several."""
    kind = {"address": "addresses", "route": "routes"}[what]
    if ":" in text:
        return {"id": text, "name": text.partition(":")[2]}
    found = [one async for one in api.every("/odograph/shareable", type=kind)]
    same = [one for one in found if one["id"] == text]
    return the_one(same or [one for one in found if one["name"].casefold() == text.casefold()], what, text)


async def _find(api: Api, text: str) -> Any:
    """The link of an id or a name, expired or not. NOT_FOUND; INVALID for several."""
    found = [one async for one in _every(api, ids=text)] or [
        one async for one in _every(api) if one["name"].casefold() == text.casefold()
    ]
    return the_one(found, "link", text)


def _every(api: Api, **params: str) -> AsyncIterator[Any]:
    return api.every(_SHARES, limit="100", **params)


async def _expiry(api: Api, for_: str | None, until: str | None) -> dict[str, str]:
    if for_ is not None and until is not None:
        raise invalid("Give either --for or --until, not both.")
    if for_ is not None:
        required_span_s("--for", for_)
    text = for_ or until
    if text is None:
        return {}
    return {"expiresAtTime": await _ahead(api, "--for" if for_ else "--until", text)}


async def _ahead(api: Api, option: str, text: str) -> str:
    return rfc3339(option, text, await api.time_zone(), datetime.now(UTC), is_future=True)


async def _options(api: Api, how: dict[str, Any]) -> dict[str, Any]:
    """The extensions that the options mean."""
    options: dict[str, Any] = {}
    if how["starts"]:
        options["startsAtTime"] = await _ahead(api, "--starts", how["starts"])
    if how["trail"]:
        options["trail"] = _trail(how["trail"])
    if how["end_on_arrival"]:
        options["endsOnArrival"] = True
    if how["planned"]:
        options["plannedArrivalTime"] = await _ahead(api, "--planned", how["planned"])
    if how["within"]:
        options["discloseWithin"] = _within(how["within"])
    if how["show_as"]:
        options["shownName"] = how["show_as"]
    return {"odograph": options} if options else {}


def _trail(text: str) -> str:
    if text in {"none", "start"}:
        return {"none": "none", "start": "sinceStart"}[text]
    return f"minutes:{max(required_span_s('--trail', text) // 60, 1)}"


def _within(text: str) -> dict[str, int]:
    """Of `5km,20min`, or one of them."""
    found: dict[str, int] = {}
    for part in (part.strip().lower() for part in text.split(",")):
        distance, duration = _DISTANCE.fullmatch(part), _DURATION.fullmatch(part)
        if distance:
            found["meters"] = int(distance[1]) * _METRES[distance[2]]
        elif duration:
            found["minutes"] = int(duration[1]) * (60 if part.endswith("h") else 1)
        else:
            raise invalid(f"--within must be a distance, a time or both, such as 5km,20min, not {text!r}.")
    return found


def _show_url(made: Any, *, as_json: bool, qr: bool) -> None:
    """The URL on stdout, or all of the link as JSON; the QR code for who looks on."""
    if as_json:
        put_json(made)
    else:
        put(made["liveSharingUrl"])
    url = made.get("liveSharingUrl", "")
    if urlsplit(url).hostname in {"localhost", "127.0.0.1"}:
        say("From elsewhere this address is not reachable: set --public-url for one that is.")
    if qr and url:
        say(qr_code(url))


def _until(made: Any) -> str:
    return f"until {made['expiresAtTime']}" if "expiresAtTime" in made else "until it is revoked"
