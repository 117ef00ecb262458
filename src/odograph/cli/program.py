"""The command itself: which subcommands there are, each loaded when it is asked for, and what errors look like."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NamedTuple, NoReturn

import click

from odograph.cli.output import complain
from odograph.errors import Corrupt, Refusal

INTERRUPTED: Final = 130  # what a shell expects of a command that Ctrl-C ended


class _Place(NamedTuple):
    """Where a command is found, and its line in `odograph --help`."""

    module: str
    name: str
    summary: str


COMMANDS: Final = {
    "serve": _Place("odograph.cli.serve", "serve", "Run the server until Ctrl-C or SIGTERM."),
    "demo": _Place("odograph.cli.demo", "demo", "Show a server with a small fleet, in two minutes."),
    "org": _Place("odograph.cli.org", "org", "Organisations: each sees its own vehicles alone."),
    "vehicle": _Place("odograph.cli.vehicle", "vehicle", "Vehicles: add, list, import from CSV."),
    "device": _Place("odograph.cli.device", "device", "Devices, their keys, and who knocked in vain."),
    "address": _Place("odograph.cli.address", "address", "Addresses: places with geofences, private zones."),
    "tag": _Place("odograph.cli.tag", "tag", "Tags: labels in a tree, to select vehicles by."),
    "route": _Place("odograph.cli.route", "route", "Routes, their stops, and how far they came."),
    "recurring": _Place("odograph.cli.recurring", "recurring", "Recurring routes: stops and a schedule."),
    "token": _Place("odograph.cli.token", "token", "API tokens for those who read."),
    "share": _Place("odograph.cli.share", "share", "Public links that show where something is."),
    "basemap": _Place("odograph.cli.basemap", "basemap", "Street maps under the vehicles."),
    "replay": _Place("odograph.cli.replay", "replay", "Send recordings as their devices would."),
    "export": _Place("odograph.cli.export", "export", "Write fixes as CSV, GeoJSON or GPX."),
    "status": _Place("odograph.cli.operation", "status", "Say how far the server is."),
    "backup": _Place("odograph.cli.operation", "backup", "Copy everything to a new directory."),
    "restore": _Place("odograph.cli.operation", "restore", "Make a data directory from a backup."),
    "check": _Place("odograph.cli.operation", "check", "Find what is damaged in a data directory."),
    "bench": _Place("odograph.bench.command", "bench", "Measure the server on this machine."),
    "version": _Place("odograph.cli.operation", "version", "Print the version."),
}


class _Lazy(click.Group):
    """A group that imports a command when it runs or shows its own help: `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command: click.Command = getattr(import_module(place.module), place.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing what is listed."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def program() -> None:
    """Self-hosted fleet locations: where every vehicle is, was, and will arrive.

    Commands work beside a running server and without one. Say which data directory is meant with --data-dir
    or ODOGRAPH_DATA_DIR.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.

    SIGTERM counts as Ctrl-C, so that whatever was begun is finished or cleared away.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = program.main(
            args=None if arguments is None else list(arguments), prog_name="odograph", standalone_mode=False
        )
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Refusal as refusal:
        complain(refusal.message)
        return 1
    except Corrupt as error:
        complain(f"Damaged: {error}. See `odograph check --help`.")
        return 1
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0
