"""`odograph serve`: the server in the foreground, every setting a flag."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import Field
from typing import Any, Final

import click
import uvloop

from odograph.cli.connect import connect, where
from odograph.cli.output import put
from odograph.errors import Refusal, invalid, unavailable
from odograph.settings import FIELDS, Settings, load_settings
from odograph.telemetry import configure_logging

GREET_WITHIN_S: Final = 10.0


def _setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """One flag for each setting, in the order of the settings."""
    for name, field in reversed(FIELDS.items()):
        command = _flag(name, field)(command)
    return command


def _flag(name: str, field: Field[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    flag, unit = f"--{name.replace('_', '-')}", field.metadata["unit"]
    text = field.metadata["help"]
    if isinstance(field.default, bool):
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    if field.default != "":
        text += f"  [{field.default}{' ' + unit if unit else ''}]"
    return click.option(flag, name, type=type(field.default), default=None, help=text)


@click.command()
@_setting_flags
@click.option("--config", metavar="FILE", envvar="ODOGRAPH_CONFIG", help="TOML file with any of these settings.")
def serve(config: str | None, **flags: Any) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Settings come from flags, else from ODOGRAPH_... in the environment, else from the file, else as shown. Says
    on stdout where it serves; logs go to stderr, a JSON object a line.
    """
    settings = load_settings(flags, config=config)
    _check_certificate(settings)
    configure_logging(settings.log_level)
    try:
        uvloop.run(_serve(settings))
    except OSError as error:
        raise unavailable(f"Cannot serve: {error}.") from error


def _check_certificate(settings: Settings) -> None:
    """Before anything is opened: what is wrong with it is told here more clearly than by the HTTP server."""
    if not settings.tls_cert:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:
        why = error.strerror or str(error)
        raise invalid(f"Cannot use the certificate {settings.tls_cert} with {settings.tls_key}: {why}.") from error


async def _serve(settings: Settings) -> None:
    from odograph import server  # noqa: PLC0415 - half a second that `serve --help` can spare

    ready = asyncio.Event()
    greeting = asyncio.create_task(_greet(settings, ready))
    try:
        await server.serve(settings, on_ready=ready)
    finally:
        greeting.cancel()
        await asyncio.gather(greeting, return_exceptions=True)


async def _greet(settings: Settings, ready: asyncio.Event) -> None:
    """Say where it serves and, while there is nothing yet, what to do next."""
    await ready.wait()
    put(f"Serving {settings.base_url} from {settings.data_dir}. Ctrl-C ends it.")
    if await _is_empty(settings):
        put(f"Nothing here yet. Next, in another terminal: odograph org create{where(settings)} 'My fleet'")


async def _is_empty(settings: Settings) -> bool:
    until_s = asyncio.get_running_loop().time() + GREET_WITHIN_S
    while True:
        try:
            async with connect(settings, must_be_served=True) as api:
                return bool((await api.get("/odograph/status"))["orgs"] == 0)
        except Refusal:  # its sockets are bound, and not yet listened on
            if asyncio.get_running_loop().time() > until_s:
                return False
            await asyncio.sleep(0.05)
