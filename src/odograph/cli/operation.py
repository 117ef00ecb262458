"""`odograph status`, `backup`, `restore`, `check` and `version`: the install itself."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

import click

from odograph.cli.command import directory_options, json_option, with_api
from odograph.cli.connect import Api
from odograph.cli.output import put, put_json, put_table, say
from odograph.errors import conflict, not_found
from odograph.settings import load_settings


@click.command()
@json_option
@with_api(for_org=False)
async def status(api: Api, as_json: bool) -> None:
    """Say how far the server is."""
    found = await api.get("/odograph/status")
    if as_json:
        put_json({"isServed": api.is_served, **found})
        return
    put_table(
        ("FIELD", "VALUE"),
        [
            ("server", f"runs, {await api.base_url()}" if api.is_served else "does not run"),
            ("version", found["version"]),
            ("data directory", Path(api.settings.data_dir).resolve()),
            ("on disk", f"{found['bytesOnDisk'] / 1e6:,.1f} MB"),
            ("fixes stored so far", f"{found['headSeq']:,}"),  # those that retention has dropped are among them
            ("of these sealed", f"{found['sealedSeq']:,}"),
            ("organisations", f"{found['orgs']:,}"),
            ("vehicles", f"{found['vehicles']:,}"),
            ("devices", f"{found['devices']:,}"),
        ],
    )


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@directory_options
def backup(directory: Path, data_dir: str | None, config: str | None) -> None:
    """Copy everything to a new or empty DIRECTORY, while the server goes on or without one; print its path.

    This command writes the copy, so DIRECTORY must be open to whoever runs it.
    """
    from odograph.store.sqlite.backup import back_up  # noqa: PLC0415 - the engine, for this alone

    settings = load_settings({"data_dir": data_dir}, config=config)
    copied_bytes = back_up(Path(settings.data_dir), directory)
    put(str(directory.absolute()))
    say(f"Copied {copied_bytes / 1e6:,.1f} MB.")


@click.command()
@click.argument("backup", type=click.Path(exists=True, file_okay=False, path_type=Path))
@directory_options
def restore(backup: Path, data_dir: str | None, config: str | None) -> None:
    """Make the data directory from a BACKUP; it must not exist or be empty, and no server may run on it."""
    from odograph.store.sqlite.backup import restore as restore_to  # noqa: PLC0415 - the engine, for this alone

    settings = load_settings({"data_dir": data_dir}, config=config)
    fixes = restore_to(backup, Path(settings.data_dir))
    put(str(Path(settings.data_dir).absolute()))
    say(f"Restored {fixes:,} fixes. Feed cursors from before are refused: their readers begin anew.")


@click.command()
@click.option(
    "--set-aside", is_flag=True, help="Move the files of damaged days away, and go on without those days."
)
@directory_options
def check(data_dir: str | None, config: str | None, *, set_aside: bool) -> None:
    """Read all of a data directory or a backup, and compare it with its checksums; no server may run on it.

    Prints each file and place that is damaged, and exits with 1 if there are any that were not set aside. What
    to do then is in the documentation, under operations.
    """
    from odograph.store.sqlite import check as checking  # noqa: PLC0415 - the engine, for this alone
    from odograph.store.sqlite.backup import check_is_at_rest  # noqa: PLC0415 - as above
    from odograph.store.sqlite.writer import lock  # noqa: PLC0415 - as above

    directory = Path(load_settings({"data_dir": data_dir}, config=config).data_dir)
    if not directory.is_dir():
        raise not_found(f"There is no directory {directory}.")
    if set_aside:
        lock(directory)
    else:
        check_is_at_rest(directory)  # which writes nothing: a backup may be on read-only media
    files: set[Path] = set()
    for damage in checking.find_damage(directory):
        files.add(damage.path)
        put(damage.message)
    if not files:
        say("Everything is as it was written.")
        return
    days = sorted(path for path in files if path.parent != directory)
    if not set_aside:
        sys.exit(1)
    if len(days) < len(files):
        raise conflict("Nothing was set aside: the database itself is damaged. Restore from a backup.")
    place = checking.set_aside(directory, days)
    say(f"Set aside what arrived on {', '.join(path.stem for path in days)}: {place}")


@click.command()
def version() -> None:
    """Print the version."""
    put(version_of("odograph"))
