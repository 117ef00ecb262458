"""`odograph replay`: recordings sent as their devices would send them."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from odograph.cli.claims import ClaimOf, listed_keys, made_devices, one_key, own_ids, shared_key
from odograph.cli.command import directory_options
from odograph.cli.connect import connect
from odograph.cli.output import count, say
from odograph.errors import Refusal, invalid
from odograph.settings import Settings, load_settings
from odograph.simulator.recordings import Recording
from odograph.simulator.replay import Progress, ReplayPlan, Summary
from odograph.simulator.replay import replay as send
from odograph.simulator.senders import Server

_PROTOCOLS: Final = ("batch", "osmand", "owntracks", "gpslogger", "traccar", "teltonika")
_SHOW_BAD: Final = 5  # lines of the recording that could not be read; all are counted


@dataclass(frozen=True, slots=True)
class _Identity:
    """How the replay is let in, as asked for; exactly one of these, or none for ids alone."""

    key: str | None
    forwarder_key: str | None
    keys: Path | None
    creates: bool
    org: str | None


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", help="Server to send to.  [the one of the data directory]")
@click.option("--protocol", type=click.Choice(_PROTOCOLS), default="batch", show_default=True)
@click.option(
    "--speed", default="1", show_default=True, help="Times its own pace, or 'max': as fast as it is taken."
)
@click.option("--now", is_flag=True, help="Shift all times alike, so that the recording happens now.")
@click.option("--key", envvar="ODOGRAPH_DEVICE_KEY", help="Key of the device of the only vehicle.")
@click.option(
    "--forwarder-key", help="Key that delivers for many, by their ids: a forwarder's or an enrolment key."
)
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with device_id and key, as 'vehicle import' prints it.",
)
@click.option(
    "--create", "creates", is_flag=True, help="Make missing vehicles on the server beside us; needs no key."
)
@click.option("--vehicle", help="Name of the vehicle of GPX and NMEA files.  [the file's name]")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="First day of NMEA files that tell none.")
@click.option("--teltonika-port", type=int, help="TCP port of teltonika.  [the server's setting]")
@click.option("--connections", type=click.IntRange(1, 256), default=16, show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option(
    "--patience", "patience_s", type=float, default=900.0, show_default=True, help="Seconds without answer."
)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Where to note how far it came.")
@click.option("--restart", is_flag=True, help="Begin anew where an earlier run was interrupted.")
@click.option("--org", metavar="ORG", help="With --create: the organisation, by name or id.")
@directory_options
def replay(
    files: Sequence[Path],
    url: str | None,
    protocol: str,
    speed: str,
    now: bool,
    key: str | None,
    forwarder_key: str | None,
    keys: Path | None,
    creates: bool,
    vehicle: str | None,
    day: datetime | None,
    teltonika_port: int | None,
    connections: int,
    batch_size: int,
    patience_s: float,
    state: Path | None,
    restart: bool,
    org: str | None,
    data_dir: str | None,
    config: str | None,
) -> None:
    """Send recordings (CSV, GPX, NMEA; gzipped too) to a server, in order, until each fix is answered for.

    Ctrl-C interrupts it; the same command goes on from there. Exits with 1 when something remains unsent.
    """
    if sum((key is not None, forwarder_key is not None, keys is not None, creates)) > 1:
        raise click.UsageError("Give only one of --key, --forwarder-key, --keys and --create.")
    settings = load_settings({"data_dir": data_dir}, config=config)
    port = settings.teltonika_port if teltonika_port is None else teltonika_port
    base_url = (url or asyncio.run(_served_url(settings))).rstrip("/")
    plan = ReplayPlan(
        files=files,
        server=Server(base_url, {"teltonika": port}),
        protocol=protocol,
        claim_of=_nobody,
        speed=_speed(speed),
        now=now,
        state_path=state or _state_path(files, base_url, protocol),
        concurrency=connections,
        batch_size=batch_size,
        patience_s=patience_s,
        vehicle=vehicle,
        day=None if day is None else day.date(),
    )
    say(f"Sending to {base_url}.")
    if restart and plan.state_path is not None:
        plan.state_path.unlink(missing_ok=True)
    try:
        summary = asyncio.run(_replay(plan, settings, _Identity(key, forwarder_key, keys, creates, org)))
    except KeyboardInterrupt:
        say("\nInterrupted. The same command goes on from here; --restart begins anew.")
        raise
    _report(summary)
    if summary.unsent:
        sys.exit(1)
    if plan.state_path is not None:
        plan.state_path.unlink(missing_ok=True)


async def _served_url(settings: Settings) -> str:
    """Of the server beside us, as it says itself, else as the settings have it."""
    try:
        async with connect(settings, must_be_served=True) as api:
            return await api.base_url()
    except Refusal:
        return settings.base_url


async def _replay(plan: ReplayPlan, settings: Settings, who: _Identity) -> Summary:
    async with _claims(plan, settings, who) as claim_of:
        with _progress() as show:
            return await send(replace(plan, claim_of=claim_of), show)


@asynccontextmanager
async def _claims(plan: ReplayPlan, settings: Settings, who: _Identity) -> AsyncIterator[ClaimOf]:
    if who.key:
        yield one_key(who.key, list(await asyncio.to_thread(_vehicles_in, plan, 2)))
        return
    if not who.creates:
        key = who.forwarder_key
        yield shared_key(key) if key else listed_keys(who.keys) if who.keys else own_ids()
        return
    say("Looking which vehicles there are in the recording ...")
    vehicles = await asyncio.to_thread(_vehicles_in, plan)
    async with (
        connect(settings, who.org, must_be_served=True) as api,
        made_devices(api, vehicles, plan.protocol) as claim_of,
    ):
        yield claim_of


def _vehicles_in(plan: ReplayPlan, most: int | None = None) -> dict[str, str]:
    """The ids of the vehicles of which there is anything, the first `most` of them, and what they are called."""
    found: dict[str, str] = {}
    for path in plan.files:
        recording = Recording(path, vehicle=plan.vehicle, day=plan.day)
        for heard in recording.read(lambda _: None):
            if heard.vehicle not in found:
                found[heard.vehicle] = recording.names.get(heard.vehicle, "")
                if len(found) == most:
                    return found
    return found


def _nobody(vehicle: str) -> None:
    """The claim of a plan before it is known who speaks."""
    del vehicle


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        raise click.UsageError(f"--speed must be a number such as 60, or max, not {text!r}.") from None
    if not speed > 0:
        raise click.UsageError("--speed must be above 0.")
    return speed


def _state_path(files: Sequence[Path], base_url: str, protocol: str) -> Path:
    """The same for the same recordings sent to the same server in the same way, wherever it is called from."""
    folder = Path.home() / ".local" / "state" / "odograph"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise invalid(f"Cannot keep the state in {folder}: {error.strerror}. Name a file with --state.") from error
    what = "\n".join([base_url, protocol, *(str(path.absolute()) for path in files)])
    return folder / f"replay-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"


class Standstills:
    """Says on stderr why nothing goes on, once for each time that it stands still."""

    def __init__(self) -> None:
        self._stands = False

    def __call__(self, progress: Progress) -> None:
        """Take in how far it is."""
        if progress.waiting and not self._stands:
            say(f"Waiting: {progress.waiting}")
        self._stands = bool(progress.waiting)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; elsewhere only why it stands still, when it begins to: the summary says the rest."""
    if not sys.stderr.isatty():
        yield Standstills()
        return
    columns: tuple[Any, ...] = (
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def show(progress: Progress) -> None:
            text = progress.waiting or f"{progress.tally.taken:,} taken"
            bar.update(task, completed=progress.done, total=progress.total, description=text[:60])

        yield show


def _report(summary: Summary) -> None:
    """What became of everything."""
    tally = summary.tally
    say(f"Sent     {tally.sent:,} of {count(summary.vehicles, 'vehicle')}")
    say(f"Taken    {tally.taken:,}")
    told = tally.stored + tally.known + tally.same_time_different
    if told:
        say(f"  stored           {tally.stored:,}")
        say(f"  already known    {tally.known:,}")
        say(f"  same time, other {tally.same_time_different:,}")
    for reason, number in tally.refused.most_common():
        say(f"Refused  {number:,}: {reason}")
    for reason, number in summary.unsent.most_common():
        say(f"Unsent   {number:,}: {reason}")
    if summary.resumed:
        say(f"Resumed  after {summary.resumed:,} that an earlier run had sent")
    if summary.bad_lines:
        say(f"Unread   {count(summary.bad_lines, 'line')} of the recording, such as")
        for bad in summary.bad[:_SHOW_BAD]:
            say(f"  {bad.path.name} line {bad.line}: {bad.reason}")
