"""The main job on real recordings: through three protocols into a real server, out through the vendor's SDK."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import math
import os
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from samsara import Samsara

from odograph.clock import SystemClock
from odograph.model.fixes import MAX_SPEED_KMH, Report
from odograph.protocols.base import Claim
from odograph.protocols.batch import MAX_FIXES
from odograph.simulator.recordings import BadLine, Recording
from odograph.simulator.senders import Patience, Server, Tally, make_sender, open_client
from tests.support.serving import Furnished, Serving, free_port, serving
from tests.support.sets import Expected, Kept, expect, kept_of, kept_of_answer, reason_against, together

AUSTIN_DAYS = ("2015-03-07", "2016-11-25")
GEOLIFE = ("geolife-010", "geolife-065", "geolife-128")
GEOLIFE_EACH = 10_000
TWICE_SHARE = 0.05
SENDERS = 24
FLAGS = ("--seal-rows=20000",)  # most of it is sealed while it is read
FROM, UNTIL = "1990-01-01T00:00:00Z", "2030-01-01T00:00:00Z"


def read_subset(source: Path, target: Path, is_wanted: Callable[[dict[str, str]], bool]) -> dict[str, list[Report]]:
    """The wanted rows of a recording, by vehicle, as the replay reads them."""
    with gzip.open(source, "rt", newline="") as file, target.open("w", newline="") as out:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(out, rows.fieldnames or ())
        writer.writeheader()
        writer.writerows(row for row in rows if is_wanted(row))
    return read_all(target)


def read_all(path: Path) -> dict[str, list[Report]]:
    by_vehicle: dict[str, list[Report]] = defaultdict(list)
    bad: list[BadLine] = []
    for vehicle, report in Recording(path).read(bad.append):
        by_vehicle[vehicle].append(report)
    assert {line.reason for line in bad} <= {"lat or lon is empty"}  # no fix, as receivers without a position write
    return by_vehicle


def austin_and_geolife(recordings: Path, folder: Path) -> dict[str, list[Report]]:
    fixes = recordings / "fixes"
    austin = read_subset(
        fixes / "capmetro_austin" / "fixes_capmetro_austin.csv.gz",
        folder / "austin.csv",
        lambda row: row["t_raw"].startswith(AUSTIN_DAYS),
    )
    left = dict.fromkeys(GEOLIFE, GEOLIFE_EACH)

    def is_wanted(row: dict[str, str]) -> bool:
        left[row["vehicle_id"]] = left.get(row["vehicle_id"], 0) - 1
        return left[row["vehicle_id"]] >= 0

    drives = read_subset(
        fixes / "geolife_vehicles" / "fixes_geolife_vehicles.csv.gz", folder / "geolife.csv", is_wanted
    )
    return austin | drives


def shuffled_with_twins(by_vehicle: dict[str, list[Report]]) -> dict[str, list[Report]]:
    """Each vehicle's reports in random order, one in twenty of them twice."""
    chance = random.Random(7)
    for reports in by_vehicle.values():
        reports += [report for report in reports if chance.random() < TWICE_SHARE]
        chance.shuffle(reports)
    return by_vehicle


class Fleet:
    """The devices of the replay: which protocol each speaks, and how it is let in."""

    def __init__(self, by_vehicle: dict[str, list[Report]]) -> None:
        self.reports: dict[str, list[Report]] = {}
        self.protocol: dict[str, str] = {}
        for number, vehicle in enumerate(sorted(by_vehicle)):
            protocol = {0: "osmand", 5: "teltonika", 10: "teltonika"}.get(number % 15, "batch")
            if vehicle.startswith("geolife"):
                protocol = "teltonika" if vehicle == GEOLIFE[1] else "batch"
            device = f"3563070424{number:05}" if protocol == "teltonika" else vehicle
            self.reports[device] = by_vehicle[vehicle]
            self.protocol[device] = protocol

    def of(self, protocol: str) -> list[str]:
        return [device for device, spoken in self.protocol.items() if spoken == protocol]


async def send_all(
    fleet: Fleet, furnished: Furnished, server: Server, on_answer: Callable[[], None]
) -> dict[str, Tally]:
    """Every device says all of its reports in order, many devices at once; what was answered, by protocol."""
    clock, slots = SystemClock(), asyncio.Semaphore(SENDERS)
    tallies: dict[str, Tally] = defaultdict(Tally)

    async def send(device: str, client: httpx.AsyncClient) -> None:
        protocol = fleet.protocol[device]
        claim = Claim(device, None if protocol == "teltonika" else furnished.keys[device])
        patience = Patience(clock, random.Random(device), patience_s=60)
        sender = make_sender(protocol, claim, server, client, patience, clock)
        reports = iter(fleet.reports[device])
        async with slots:
            while some := list(islice(reports, min(sender.max_reports, 400))):
                tallies[protocol].add(await sender.send(some))
                on_answer()
            await sender.close()

    async with open_client(server, SENDERS) as client, asyncio.TaskGroup() as group:
        for device in random.Random(3).sample(sorted(fleet.protocol), len(fleet.protocol)):
            group.create_task(send(device, client))
    return tallies


class Follower:
    """A consumer in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def page(self) -> int:
        """Wait for it to have kept one more page; how many fixes were on it."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the follower ended before its time"
        return int(line)

    async def page_with_fixes(self) -> None:
        while not await self.page():
            pass

    async def kill(self) -> None:
        self.process.kill()
        await self.process.communicate()

    async def end(self) -> None:
        """Let it read to the end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        _, errors = await self.process.communicate()
        assert self.process.returncode == 0, errors.decode()


@asynccontextmanager
async def following(url: str, token: str, path: Path) -> AsyncIterator[Follower]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.follower", url, token, str(path),
        stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 20,
        cwd=Path(__file__).parents[2], env=dict(os.environ),
    )  # fmt: skip
    try:
        yield Follower(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def fed(path: Path, names: dict[str, str]) -> list[Kept]:
    """Everything that a follower kept, in the order of its coming."""
    pages = [json.loads(line) for line in path.read_text().splitlines()]
    return [kept_of_answer(names[vehicle], *rest) for page in pages for vehicle, *rest in page["fixes"]]


def history(server: Serving, furnished: Furnished, vehicles: Sequence[str] | None = None) -> list[Kept]:
    """All of it, page by page, by the SDK."""
    client = Samsara(base_url=server.url, token=furnished.token)
    names = {number: device for device, number in furnished.ids.items()}
    found: list[Kept] = []
    after = None
    while True:
        page = client.vehicle_locations.get_vehicle_locations_history(
            start_time=FROM, end_time=UNTIL, after=after, vehicle_ids=vehicles
        )
        for one in page.data:
            found += [
                kept_of_answer(names[one.id], fix.time, fix.latitude, fix.longitude, fix.heading, fix.speed)
                for fix in one.locations
            ]
        if not page.pagination.has_next_page:
            return found
        after = page.pagination.end_cursor


def exported(server: Serving, furnished: Furnished) -> list[Kept]:
    """What the store holds, as one file."""
    params = {"startTime": FROM, "endTime": UNTIL, "format": "csv"}
    headers = {"Authorization": f"Bearer {furnished.token}"}
    names = {number: device for device, number in furnished.ids.items()}
    with httpx.stream("GET", server.url + "/odograph/export", params=params, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        rows = list(csv.DictReader(answer.iter_lines()))
    return [
        kept_of_answer(
            names[row["vehicle_id"]],
            row["time_iso"],
            float(row["lat"]),
            float(row["lon"]),
            float(row["heading_deg"]) if row["heading_deg"] else None,
            float(row["speed_mph"]) if row["speed_mph"] else None,
        )
        for row in rows
    ]


def counted(server: Serving) -> dict[str, dict[str, int]]:
    """The server's own counts of fixes, by protocol and outcome."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for line in httpx.get(server.url + "/metrics").text.splitlines():
        if line.startswith("odograph_fixes_total{"):
            labels, value = line.removeprefix("odograph_fixes_total{").split("} ")
            named = dict(pair.split("=") for pair in labels.split(","))
            counts[named["protocol"].strip('"')][named["outcome"].strip('"')] = int(float(value))
    return counts


def once(fixes: list[Kept]) -> set[Kept]:
    """As a set; nothing may be in it twice."""
    assert len(set(fixes)) == len(fixes)
    return set(fixes)


@pytest.mark.timeout(240)
async def test_what_was_sent_is_stored_fed_and_history_exactly_once_except_what_is_told_with_its_reason(
    recordings, tmp_path
):
    fleet = Fleet(shuffled_with_twins(await asyncio.to_thread(austin_and_geolife, recordings, tmp_path)))
    port = free_port()
    with serving(tmp_path, *FLAGS, f"--teltonika-port={port}") as server:
        furnished = await server.furnish(fleet.reports, fleet.of("teltonika"))
        names = {number: device for device, number in furnished.ids.items()}
        kept = [tmp_path / "steady.jsonl", tmp_path / "restarted.jsonl"]
        tallies = await replay_to_followers(fleet, furnished, server, port, kept)

        expected = {
            protocol: together(expect(one, fleet.reports[one], protocol) for one in fleet.of(protocol))
            for protocol in ("batch", "osmand", "teltonika")
        }
        sent = together(expected.values())
        stored = once(await asyncio.to_thread(exported, server, furnished))
        from_history = once(await asyncio.to_thread(history, server, furnished))
        feeds = [once(fed(path, names)) for path in kept]
        show(
            fleet,
            expected,
            {"stored": stored, "fed": feeds[0], "fed, restarted": feeds[1], "history": from_history},
        )
        counts = counted(server)

    assert stored == sent.kept
    assert from_history == sent.kept
    assert feeds[0] == sent.kept
    assert feeds[1] == sent.kept
    for protocol, one in expected.items():
        assert counts[protocol].get("stored", 0) == one.stored
        assert counts[protocol].get("known", 0) == one.known
        assert counts[protocol].get("same_time_different", 0) == one.same_time_different
        assert counts[protocol].get("rejected", 0) == one.refused.total()
        assert tallies[protocol].sent == one.sent
    for protocol in ("batch", "osmand"):
        tally, one = tallies[protocol], expected[protocol]
        assert (tally.stored, tally.known, tally.same_time_different) == (
            one.stored,
            one.known,
            one.same_time_different,
        )
        assert tally.refused == one.refused


async def replay_to_followers(
    fleet: Fleet, furnished: Furnished, server: Serving, port: int, kept: Sequence[Path]
) -> dict[str, Tally]:
    """Send everything while two clients follow from before the first fix; the second is killed midway."""
    answers, halfway = 0, asyncio.Event()
    half = sum(-(-len(fleet.reports[device]) // 400) for device in fleet.of("batch")) // 2

    def on_answer() -> None:
        nonlocal answers
        answers += 1
        if answers == half:
            halfway.set()

    url, token = server.url, furnished.token
    async with following(url, token, kept[0]) as steady:
        async with following(url, token, kept[1]) as first:
            await steady.page()
            await first.page()
            sending = asyncio.create_task(send_all(fleet, furnished, Server(url, {"teltonika": port}), on_answer))
            await asyncio.wait(
                {sending, waiting := asyncio.create_task(halfway.wait())}, return_when="FIRST_COMPLETED"
            )
            assert waiting.done(), await sending  # else sending failed, and says why
            await first.page_with_fixes()
            await first.kill()
        async with following(url, token, kept[1]) as second:
            tallies = await sending
            await asyncio.gather(steady.end(), second.end())
    return tallies


def show(fleet: Fleet, expected: dict[str, Expected], sets: dict[str, set[Kept]]) -> None:
    """The table that `pytest -s` prints."""
    out = sys.stdout
    out.write(f"\n{'':<16}{'vehicles':>10}{'sent':>10}{'stored':>10}{'known':>10}{'other':>10}{'refused':>10}\n")
    for protocol, one in expected.items():
        numbers = (len(fleet.of(protocol)), one.sent, one.stored, one.known, one.same_time_different)
        out.write(f"{protocol:<16}" + "".join(f"{number:>10,}" for number in numbers))
        out.write(f"{one.refused.total():>10,}\n")
    whole = together(expected.values()).kept
    for name, fixes in sets.items():
        out.write(f"{name:<16}{len(fixes):>10,} fixes, missing {len(whole - fixes)}, more {len(fixes - whole)}\n")


# Recordings of what goes wrong.

EDGES = (
    "adsb_noisy_ground",
    "adsb_noisy_spoofing",
    "adsb_zurich_airport",
    "capmetro_dst_spring_2015-03-08",
    "capmetro_speed_255_sentinel",
    "capmetro_zero_island",
    "geolife_antimeridian_128_20090222093321",
    "geolife_antimeridian_142_20080507025309",
    "geolife_clock_2000_163",
    "geolife_lat_out_of_range",
    "geolife_same_file_two_accounts",
    "geolife_same_second_065",
    "geolife_teleports",
    "icebergs_antimeridian",
)


class Edges:
    """One server with the vehicles of every edge recording, each named after its file too."""

    def __init__(self, server: Serving, furnished: Furnished, reports: dict[str, dict[str, list[Report]]]) -> None:
        self.server = server
        self.furnished = furnished
        self.reports = reports
        self.client = httpx.Client(base_url=server.url, timeout=60)

    def send(self, name: str) -> Iterator[tuple[str, list[Report], dict[str, Any]]]:
        """Each vehicle of a file: its reports in the order of the file, and the server's answer to them."""
        for device, reports in self.reports[name].items():
            yield device, reports, self.upload(device, reports)

    def upload(self, device: str, reports: Iterable[Report]) -> dict[str, Any]:
        rows = [list(report) for report in reports]
        headers = {"Authorization": f"Bearer {self.furnished.keys[device]}"}
        whole: dict[str, Any] = {"stored": 0, "known": 0, "sameTimeDifferent": 0, "rejected": []}
        for first in range(0, len(rows), MAX_FIXES):
            body = {"fixes": rows[first : first + MAX_FIXES]}
            answer = self.client.post("/ingest/batch", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            told = answer.json()
            for name in ("stored", "known", "sameTimeDifferent"):
                whole[name] += told[name]
            whole["rejected"] += [{**one, "index": first + one["index"]} for one in told["rejected"]]
        return whole

    def ask(self, path: str, device: str, **params: str) -> list[dict[str, Any]]:
        """The vehicle's own part of an answer, of every page; as JSON, for the SDK drops keys it does not know."""
        headers = {"Authorization": f"Bearer {self.furnished.token}"}
        params["vehicleIds"] = self.furnished.ids[device]
        found: list[dict[str, Any]] = []
        while True:
            answer = self.client.get(path, params=params, headers=headers)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["data"]
            if not page["pagination"]["hasNextPage"]:
                return found
            params["after"] = page["pagination"]["endCursor"]

    def doubts(self, device: str) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
        """Every location of a vehicle's history with its marks."""
        pages = self.ask("/fleet/vehicles/locations/history", device, startTime=FROM, endTime=UNTIL)
        return [(fix, tuple(fix.get("doubtful", ()))) for one in pages for fix in one["locations"]]


@pytest.fixture(scope="module")
def edges(recordings, tmp_path_factory) -> Iterator[Edges]:
    home = tmp_path_factory.mktemp("edges")
    reports = {
        name: {
            f"{name[:30]}.{vehicle}": found
            for vehicle, found in read_all(recordings / "edge" / f"{name}.csv.gz").items()
        }
        for name in EDGES
    }
    with serving(home, *FLAGS) as server:
        devices = [device for by_vehicle in reports.values() for device in by_vehicle]
        edges = Edges(server, asyncio.run(server.furnish(devices)), reports)
        with edges.client:
            yield edges


@pytest.mark.parametrize("name", EDGES)
def test_every_edge_recording_comes_back_exactly_or_with_its_reason(edges, name):
    kept: set[Kept] = set()
    for device, reports, answer in edges.send(name):
        expected = expect(device, reports)
        assert answer["stored"] == expected.stored
        assert answer["known"] == expected.known
        assert answer["sameTimeDifferent"] == expected.same_time_different
        refused = [(index, reason) for index, report in enumerate(reports) if (reason := reason_against(report))]
        told = [(one["index"], one["reason"]) for one in answer["rejected"]]
        assert [one for one in told if one[1] != "same_time_different"] == refused
        kept |= expected.kept
    ids = [edges.furnished.ids[device] for device in edges.reports[name]]
    assert once(history(edges.server, edges.furnished, ids)) == kept


def test_a_latitude_of_400_is_refused_and_its_neighbours_are_kept(edges):
    ((device, reports, answer),) = edges.send("geolife_lat_out_of_range")
    (bad,) = [index for index, report in enumerate(reports) if report.lat > 90]
    assert answer["rejected"] == [{"index": bad, "reason": "latitude_out_of_range"}]
    kept = set(history(edges.server, edges.furnished, [edges.furnished.ids[device]]))
    assert {kept_of(device, reports[bad - 1]), kept_of(device, reports[bad + 1])} <= kept
    assert len(kept) == len(reports) - 1


def haversine_km(one: Kept, other: Kept) -> float:
    lat_1, lon_1, lat_2, lon_2 = (
        math.radians(number / 1e7) for number in (one.lat_e7, one.lon_e7, other.lat_e7, other.lon_e7)
    )
    half = (
        math.sin((lat_2 - lat_1) / 2) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    )
    return 2 * 6371.0 * math.asin(math.sqrt(half))


@pytest.mark.parametrize("name", ["geolife_teleports", "adsb_noisy_spoofing"])
def test_a_teleport_is_kept_and_marked_and_nothing_else_is(edges, name):
    marked = 0
    for device, reports, _ in edges.send(name):
        track = sorted(expect(device, reports).kept, key=lambda fix: fix.time_ms)
        jumps = {
            at.time_ms
            for before, at in pairwise(track)
            if haversine_km(before, at) > MAX_SPEED_KMH * (at.time_ms - before.time_ms) / 3_600_000
        }
        doubts = edges.doubts(device)
        assert len(doubts) == len(track)
        told = {
            kept_of_answer(device, fix["time"], 0, 0, None, None).time_ms
            for fix, marks in doubts
            if "jump" in marks
        }
        assert told == jumps
        marked += len(jumps)
    assert marked


def test_zero_island_and_the_speed_sentinel_are_kept_and_marked_and_nothing_else_is(edges):
    islands = sentinels = 0
    for name in ("capmetro_zero_island", "capmetro_speed_255_sentinel"):
        for device, _, _ in edges.send(name):
            for fix, marks in edges.doubts(device):
                assert ("zeroIsland" in marks) == (fix["latitude"] == 0 and fix["longitude"] == 0)
                assert ("speedSentinel" in marks) == (abs(fix["speed"] - 255) < 0.01)
                islands += "zeroIsland" in marks
                sentinels += "speedSentinel" in marks
    assert islands >= 25
    assert sentinels >= 51


def test_a_clock_of_2000_does_not_become_the_last_known_place(edges):
    ((device, reports, _),) = edges.send("geolife_clock_2000_163")
    old = min(reports)
    assert old.time_ms < 946_800_000_000  # 2000-01-02
    assert edges.upload(device, [old._replace(time_ms=old.time_ms + 1)])["stored"] == 1
    (shown,) = edges.ask("/fleet/vehicles/locations", device)
    newest = max(kept_of(device, report) for report in reports)
    at = shown["location"]
    assert (
        kept_of_answer(device, at["time"], at["latitude"], at["longitude"], at.get("heading"), at.get("speed"))
        == newest
    )


def test_the_local_day_of_23_hours_is_all_there_when_asked_for_in_local_time(edges):
    for device, reports, _ in edges.send("capmetro_dst_spring_2015-03-08"):
        pages = edges.ask(
            "/fleet/vehicles/locations/history",
            device,
            startTime="2015-03-08T00:00:00-06:00",
            endTime="2015-03-09T00:00:00-05:00",
        )
        times = {fix["time"] for one in pages for fix in one["locations"]}
        assert len(times) == len({report.time_ms for report in reports})
