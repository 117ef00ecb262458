"""docs/cli.md, line by line: every command that it shows is run as it stands there, and it shows every command."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest

from odograph.cli.program import program
from tests.support.archives import make_archive
from tests.support.documents import Shell, blocks, command_lines, shell, spelled_out
from tests.support.serving import Serving, serving

ELSEWHERE = {"serve", "demo", "bench"}
"""Commands that run until they are told to end, or measure for minutes: test_cli.py and the bench's own tests."""

RECORDING = """vehicle_id,time_iso,lat,lon,heading_deg,speed_mph
bus 1,2025-03-30T10:00:00Z,48.1,11.5,90,10
bus 1,2025-03-30T10:00:01Z,48.2,11.5,90,10
"""
TRACK = """<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>
<trkpt lat="48.1" lon="11.5"><time>2025-03-30T10:00:00Z</time></trkpt></trkseg></trk></gpx>
"""


pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as server:
        yield server


def test_every_command_line_of_the_reference_works(served: Serving) -> None:
    make_files(served.home)
    ran = 0
    with shell(served.home, served.port) as bash:
        for block in blocks("docs/cli.md"):
            prepare(block.heading, bash, served)
            for line in command_lines(block.text):
                for one in spelled_out(line):
                    if one != "odograph serve":  # it runs
                        bash.done(filled_in(one, block.heading, bash, served))
                        ran += 1
    assert ran > 60


def test_the_reference_shows_every_command() -> None:
    shown = {
        tuple(shlex.split(one)[1:])
        for block in blocks("docs/cli.md")
        for line in command_lines(block.text)
        for one in spelled_out(re.sub(r"^\w+=\$\((.*)\)$", r"\1", line))
        if one.startswith("odograph ")
    }
    for command in leaves(program):
        assert any(words[: len(command)] == command for words in shown), f"no example of {' '.join(command)}"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, as the words that name it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if name in ELSEWHERE and not path:
            continue
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name)


def make_files(home: Path) -> None:
    """The files that the examples name."""
    (home / "fleet.csv").write_text("name,device_id,tags\nbus 1,bus 1,North\nbus 2,bus 2,North\n")
    (home / "places.csv").write_text("name,lat,lon\nQuay,52.1,4.3\n")
    (home / "day.csv").write_text(RECORDING)
    (home / "tour.gpx").write_text(TRACK)
    make_archive(home / "berlin.pmtiles")
    places = [{"latitude": 52.0 + step, "longitude": 4.0} for step in (0, 1)]
    now_s = time.time()
    leave, reach = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s + later)) for later in (3600, 7200))
    tour = [
        {"singleUseLocation": places[0], "scheduledDepartureTime": leave},
        {"singleUseLocation": places[1], "scheduledArrivalTime": reach},
    ]
    (home / "tour.json").write_text(json.dumps({"name": "Tour", "stops": tour, "vehicleId": "fms:7"}))
    line = [
        {"singleUseLocation": places[0], "departureAfterStartSeconds": 0},
        {"singleUseLocation": places[1], "arrivalAfterStartSeconds": 600},
    ]
    (home / "line4.json").write_text(json.dumps({"name": "Line 4", "startTimes": ["06:30"], "stops": line}))


def prepare(heading: str, bash: Shell, server: Serving) -> None:
    """What the section takes for granted."""
    if heading == "device":
        bash.done('for n in 8 9; do odograph vehicle add "Van $n"; done')
        knock = f"{server.url}/ingest/osmand?id=352093086403655&lat=1&lon=2&timestamp=1714557600"
        assert httpx.get(knock).status_code == 401
        wait_for("352093086403655", "odograph device unknown", bash)
    if heading == "share":
        bash.done("odograph address add 'Customer 17' --at 52.1,4.3")
        bash.done("odograph recurring add line4.json")


def filled_in(line: str, heading: str, bash: Shell, server: Serving) -> str:
    """With what a reader would put in place of the names and numbers of the examples."""
    line = line.replace("localhost:8080", f"127.0.0.1:{server.port}").replace("https://fleet.example", server.url)
    line = line.replace("/mnt/backup", "copies").replace("/var/lib/odograph", "restored")
    if heading == "share":
        line = line.replace("LINK", "'Deliveries today'")
    if "share reactivate" in line:
        bash.done("odograph share extend 'Deliveries today' --for 1s")
        wait_for("Deliveries", "odograph share list --expired", bash)
    if " KEY" in line:
        key = bash.done("odograph device rotate 'bus 2'")
        line = line.replace(" KEY", f" {key}")
    for example, name in (("42", "Tour"), ("43", "Line 4")):
        if f" {example}" in line:
            routes = json.loads(bash.done("odograph route list --json"))
            line = line.replace(f" {example}", f" {next(one['id'] for one in routes if one['name'] == name)}")
    return line


def wait_for(wanted: str, command: str, bash: Shell) -> None:
    """Ask until it is told."""
    until = time.monotonic() + 20
    while wanted not in bash.done(command):
        assert time.monotonic() < until, wanted
