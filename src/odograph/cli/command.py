"""What all commands that use the API share: which data directory, which organisation, and `--json`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import click

from odograph.cli.connect import Api, connect
from odograph.errors import invalid, not_found
from odograph.settings import load_settings

Work = Callable[..., Coroutine[Any, Any, None]]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def with_api(
    *, for_org: bool = True, makes_directory: bool = False, must_be_served: bool = False
) -> Callable[[Work], Callable[..., None]]:
    """Make a command of an async function whose first argument is the API.

    Adds --data-dir and --config, and --org where it works within an organisation; without --org the only one
    there is, is meant.
    """

    def decorate(work: Work) -> Callable[..., None]:
        @functools.wraps(work)
        def command(
            *args: Any, data_dir: str | None, config: str | None, within_org: str | None = None, **kwargs: Any
        ) -> None:
            async def go() -> None:
                settings = load_settings({"data_dir": data_dir}, config=config)
                async with connect(
                    settings, within_org, makes_directory=makes_directory, must_be_served=must_be_served
                ) as api:
                    if for_org:
                        await _check_org(api, within_org)
                    await work(api, *args, **kwargs)

            asyncio.run(go())

        if for_org:
            # Not called `org`: a command's own argument may be, as that of `org set` is.
            option = click.option("--org", "within_org", metavar="ORG", help="The organisation, by name or id.")
            command = option(command)
        return directory_options(command)

    return decorate


def directory_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --data-dir and --config."""
    command = click.option(
        "--config", metavar="FILE", envvar="ODOGRAPH_CONFIG", help="TOML file with the server's settings."
    )(command)
    return click.option("--data-dir", metavar="DIR", help="The server's data directory.  [odograph-data]")(command)


async def _check_org(api: Api, org: str | None) -> None:
    """Say so early where there is no org, or where it is not clear which one is meant."""
    if org:
        return
    known = await api.get("/odograph/orgs")
    if not known:
        raise not_found("There is no organisation yet. Make one: odograph org create NAME.")
    if len(known) > 1:
        names = ", ".join(one["name"] for one in known[:8])
        raise invalid(f"There are {len(known)} organisations ({names}); say which one with --org.")
