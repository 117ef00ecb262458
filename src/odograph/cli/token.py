"""`odograph token`: what programs show to read the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api, the_one
from odograph.cli.moments import rfc3339
from odograph.cli.output import put, put_json, put_table, say
from odograph.errors import invalid


@click.group()
def token() -> None:
    """API tokens for those who read."""


@token.command("create")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope", "scopes", multiple=True, help="Such as 'Read Vehicles'; may be repeated.  [all that only read]"
)
@click.option(
    "--tag", "tags", multiple=True, help="Limit it to vehicles with this tag (id or name); may be repeated."
)
@click.option(
    "--links-only", is_flag=True, help="It may make live sharing links and nothing else: for the page /links."
)
@click.option("--expires", metavar="WHEN", help="A span from now such as 90d, a date or an RFC 3339 time.  [never]")
@json_option
@with_api()
async def create(
    api: Api,
    name: str,
    scopes: Sequence[str],
    tags: Sequence[str],
    links_only: bool,
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a token and print it, this once."""
    body: dict[str, Any] = {"name": name}
    if links_only:
        if scopes:
            raise invalid("Give either --scope or --links-only, not both.")
        scopes = ["Write Live Sharing Links"]
    if scopes:
        body["scopes"] = list(scopes)
    if tags:
        body["tagIds"] = [(await api.find_tag(tag))["id"] for tag in tags]
    if expires is not None:
        body["expiresAtTime"] = rfc3339("--expires", expires, "UTC", datetime.now(UTC), is_future=True)
    made = await api.post("/odograph/tokens", json=body)
    if as_json:
        put_json(made)
    else:
        put(made["token"])
    say(f"Made token {made['name']!r} (id {made['id']}). It is shown this once. Try it:")
    if links_only:
        say(f"Open {await api.base_url()}/links and paste it there.")
        return
    say(f'curl -H "Authorization: Bearer $TOKEN" {await api.base_url()}/fleet/vehicles/locations')


@token.command("list")
@json_option
@with_api()
async def list_(api: Api, as_json: bool) -> None:
    """List tokens; of each, its last four characters are known."""
    found = [one async for one in api.every("/odograph/tokens")]
    if as_json:
        put_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            f"...{one['hint']}",
            ", ".join(tag["name"] for tag in one["tags"]),
            one.get("expiresAtTime", "never"),
            one.get("madeByTokenId"),
            ", ".join(one["scopes"]),
        )
        for one in found
    ]
    put_table(("ID", "NAME", "ENDS IN", "TAGS", "EXPIRES", "MADE BY", "SCOPES"), rows)


@token.command("revoke")
@click.argument("token")
@with_api()
async def revoke(api: Api, token: str) -> None:
    """End a token (id or name) at once, and those that it made."""
    found = [one async for one in api.every("/odograph/tokens") if token in {one["id"], one["name"]}]
    one = the_one(found, "token", token)
    _, *made = (await api.ask("DELETE", "/odograph/tokens", one["id"]))["ids"]
    them = f", and {len(made)} made with it: {', '.join(made)}" if made else ""
    say(f"Revoked token {one['name']!r} (id {one['id']}){them}.")
