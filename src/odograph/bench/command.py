"""The command: runs the scenarios one after the other, prints a line a figure, and writes them as JSON if asked."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NoReturn

import click
import msgspec
import uvloop

from odograph.bench.blasting import BATCH, CONNECTIONS
from odograph.bench.install import Options
from odograph.bench.load import Lost
from odograph.bench.readers import Unexpected
from odograph.bench.report import Rows, as_markdown, machine
from odograph.bench.scenarios.base import Scenario
from odograph.bench.scenarios.registry import SCENARIOS
from odograph.bench.scenarios.share import FULL, SHARE, Load, measure
from odograph.bench.served import CannotStart
from odograph.bench.waiting import NeverCame
from odograph.ingest.crowd import allow_descriptors

WITHIN_S: Final = 3_600
QUICK_WITHIN_S: Final = 300
_NAMES: Final = [scenario.name for scenario in SCENARIOS]
_TROUBLE: Final = (AssertionError, CannotStart, Lost, NeverCame, OSError, TimeoutError, Unexpected)


def _output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where figures go, and where the servers keep their data."""
    for option in reversed(_OUTPUT):
        command = option(command)
    return command


_OUTPUT: Final = (
    click.option(
        "--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Also write figures here."
    ),
    click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Also write a table here."),
    click.option(
        "--dir",
        "folder",
        default=None,
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the servers keep their data: on the disk that is to be measured. Everything is removed again.",
    ),
)


@click.group("bench", invoke_without_command=True)
@click.option("--quick", is_flag=True, help="Seconds a scenario, small fleets: to see that everything works.")
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="This scenario; may be given several times.")
@_output_options
@click.pass_context
def bench(
    context: click.Context,
    quick: bool,
    only: Sequence[str],
    as_json: Path | None,
    markdown: Path | None,
    folder: Path | None,
) -> None:
    """Measure the server on this machine beside its disk and SQLite: a line for each figure, with its goal.

    Starts servers of its own on loopback ports; touches no other data. Exits with 1 when a goal was missed.
    """
    if context.invoked_subcommand is None:
        chosen = [scenario for scenario in SCENARIOS if not only or scenario.name in only]
        _measure(chosen, quick, as_json, markdown, folder)


@bench.command("share")
@click.option("--viewers", type=click.IntRange(2), default=FULL.viewers, show_default=True, help="Open streams.")
@click.option(
    "--links",
    type=click.IntRange(1),
    default=FULL.links,
    show_default=True,
    help="Links that half of the viewers watch, one vehicle each; the other half watches one link.",
)
@click.option("--fleet", type=click.IntRange(2), default=FULL.fleet, show_default=True, help="Vehicles.")
@click.option("--rate", type=click.IntRange(1), default=FULL.rate, show_default=True, help="Fixes a second.")
@click.option(
    "--seconds", type=click.IntRange(1, 600), default=FULL.seconds, show_default=True, help="Of traffic a figure."
)
@click.option("--raise", "raises", is_flag=True, help="Then with more and more viewers, until p99 passes 250 ms.")
@_output_options
def share(
    viewers: int,
    links: int,
    fleet: int,
    rate: int,
    seconds: int,
    raises: bool,
    as_json: Path | None,
    markdown: Path | None,
    folder: Path | None,
) -> None:
    """Measure public links: memory a viewer, device to viewer, and how fast all go dark when links are revoked."""
    if links >= fleet:
        raise click.UsageError("--links must be below --fleet: each shows a vehicle of its own.")
    load = Load(viewers, links, fleet, rate, seconds, raises)
    _measure([Scenario("share", SHARE.about, partial(measure, load=load))], False, as_json, markdown, folder)


def _measure(
    chosen: Sequence[Scenario], quick: bool, as_json: Path | None, markdown: Path | None, folder: Path | None
) -> NoReturn:
    """Run these scenarios, write what was asked for, and exit."""
    recordings = os.environ.get("ODOGRAPH_RECORDINGS")
    base = folder or Path("/var/tmp")  # noqa: S108 - never memory, as /tmp may be
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="odograph-bench-", dir=base) as own:
        options = Options(Path(own), quick, Path(recordings) if recordings else None, click.echo)
        results = run(options, chosen)
    if as_json is not None:
        as_json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    if markdown is not None:
        markdown.write_text(as_markdown(results), encoding="utf-8")
    missed = sum(row["met"] is False for row in results["rows"])
    click.echo(f"{len(results['rows'])} figures, {missed} goals missed, {len(results['failed'])} scenarios failed.")
    sys.exit(1 if missed or results["failed"] else 0)


def run(options: Options, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Run these scenarios; what they were run on, their rows as JSON values, and why any failed."""
    allow_descriptors()
    results: dict[str, Any] = {
        "machine": machine(options.folder),
        "quick": options.is_quick,
        "batch": BATCH,
        "connections": CONNECTIONS,
        "rows": [],
        "failed": {},
    }
    options.say(" ".join(f"{name}={value}" for name, value in results["machine"].items()))
    if results["machine"]["file_system"] == "tmpfs":
        options.say("This folder is memory, not a disk: its figures say nothing about durability. Use --dir.")
    for scenario in scenarios:
        _run_one(options, scenario, results)
    return results


def _run_one(options: Options, scenario: Scenario, results: dict[str, Any]) -> None:
    began = perf_counter()
    options.say(f"\n{scenario.name}: {scenario.about}")
    rows = Rows(scenario.name, options.say)
    try:
        uvloop.run(_bounded(options, scenario, rows))
    except _TROUBLE as error:
        reason = f"{type(error).__name__}: {error}"
        results["failed"][scenario.name] = reason
        options.say(f"FAILED {scenario.name:9} {reason}")
    results["rows"] += [row.as_json() for row in rows.rows]
    options.say(f"       {scenario.name:9} took {perf_counter() - began:.0f} s")


async def _bounded(options: Options, scenario: Scenario, rows: Rows) -> None:
    async with asyncio.timeout(options.pick(WITHIN_S, QUICK_WITHIN_S)):
        await scenario.run(options, rows)
