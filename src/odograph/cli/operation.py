"""`odograph status`, `backup`, `restore` and `version`: the install itself."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path

import click

from odograph.cli.command import directory_options, json_option, with_api
from odograph.cli.connect import Api
from odograph.cli.output import put, put_json, put_table, say
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
            ("fixes stored", f"{found['headSeq']:,}"),
            ("sealed", f"{found['sealedSeq']:,}"),
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
def version() -> None:
    """Print the version."""
    put(version_of("odograph"))
