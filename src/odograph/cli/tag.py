"""`odograph tag`: labels in a tree."""

from __future__ import annotations

from typing import Any

import click

from odograph.cli.command import json_option, with_api
from odograph.cli.connect import Api
from odograph.cli.output import put, put_json, put_table, say


@click.group()
def tag() -> None:
    """Tags: labels in a tree, to select vehicles by."""


@tag.command("create")
@click.argument("name")
@click.option("--parent", metavar="TAG", help="The tag above it (id or name).")
@with_api()
async def create(api: Api, name: str, parent: str | None) -> None:
    """Make a tag and print its id."""
    body: dict[str, Any] = {"name": name}
    if parent is not None:
        body["parentTagId"] = (await api.find_tag(parent))["id"]
    made = await api.post("/tags", json=body)
    put(made["id"])
    say(f"Made tag {made['name']!r}.")


@tag.command("list")
@json_option
@with_api()
async def list_(api: Api, as_json: bool) -> None:
    """List tags."""
    found = [one async for one in api.every("/tags")]
    if as_json:
        put_json(found)
        return
    rows = [(one["id"], one["name"], one.get("parentTag", {}).get("name"), len(one["vehicles"])) for one in found]
    put_table(("ID", "NAME", "PARENT", "VEHICLES"), rows)


@tag.command("delete")
@click.argument("tag")
@with_api()
async def delete(api: Api, tag: str) -> None:
    """Delete a tag (id or name); what carried it stays."""
    found = await api.find_tag(tag)
    await api.delete("/tags", found["id"])
    say(f"Deleted tag {found['name']!r}.")
