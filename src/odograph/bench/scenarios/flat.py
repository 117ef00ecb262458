"""Whether the ten-millionth fix costs what the first did: rate, bytes written, and bytes kept once sealed."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from odograph.bench.blasting import batch_requests, blast, cut, taken
from odograph.bench.fleet import STEP_MS, Fleet
from odograph.bench.install import Install, Options, installed, now_ms, restarted
from odograph.bench.load import Blast
from odograph.bench.payloads import HOST
from odograph.bench.readers import Unexpected
from odograph.bench.report import Rows
from odograph.bench.scenarios.base import Scenario, shares_text

VEHICLES: Final = 1_000
CHUNK_STEPS: Final = 2_000
SEAL_AT_ONCE: Final = ("--seal-after-s", "1")
RECORDINGS: Final = {
    "Austin": "fixes/capmetro_austin/*.csv.gz",
    "WMATA": "fixes/wmata_bus/*.csv.gz",
    "GeoLife": "fixes/geolife_vehicles/*.csv.gz",
}
KMH_PER_MPH: Final = 1.609344
_BATCH: Final = 500


async def run(options: Options, rows: Rows) -> None:
    """50 million fixes in stretches of 2 million; then everything is sealed and weighed."""
    stretches, steps = options.pick(25, 4), options.pick(CHUNK_STEPS, 400)
    fleet = Fleet(VEHICLES, start_ms=now_ms() - (stretches * steps + 10) * STEP_MS)
    rates: list[float] = []
    total = VEHICLES * steps * stretches
    flags = () if not options.is_quick else ("--seal-rows", str(VEHICLES * steps // 2))
    async with installed(options, "flat", VEHICLES, *flags) as install:
        with install.server.watched() as watch:
            for number in range(stretches):
                fixes = fleet.advance(steps)
                blasted = await blast(install, batch_requests(install, cut(fixes)))
                assert taken(blasted).stored == fixes.size
                rates.append(fixes.size / blasted.seconds)
                if number % 5 == 4:
                    options.say(f"       flat      {(number + 1) * fixes.size:,} stored, {rates[-1]:,.0f} fixes/s")
        written = watch.written_bytes
        async with restarted(install, *SEAL_AT_ONCE) as server:
            with server.watched() as sealing:
                await install.until_sealed()
            written += sealing.written_bytes
        log, sealed = _parts_on_disk(install)
    rows.at_least(
        f"last stretch by the first, {total:,} fixes",
        rates[-1] / rates[0],
        "x",
        0.8,
        note=f"{rates[0]:,.0f} to {rates[-1]:,.0f} fixes/s; {shares_text(watch.shares())}",
    )
    rows.at_most("written a fix, sealing included", written / total, "bytes", 150)
    rows.at_most(
        "kept a fix once sealed, everything included",
        (log + sealed) / total,
        "bytes",
        9,
        note=f"{sealed / total:.2f} in sealed days, {log / total:.2f} in the emptied log and the catalogue",
    )
    await _weigh_recordings(options, rows)


async def _weigh_recordings(options: Options, rows: Rows) -> None:
    for name, pattern in RECORDINGS.items():
        paths = sorted(options.recordings.glob(pattern)) if options.recordings else []
        if not paths:
            options.say(f"       flat      {name}: skipped, ODOGRAPH_RECORDINGS holds no {pattern}")
            continue
        await _weigh(options, rows, name, paths[0])


async def _weigh(options: Options, rows: Rows, name: str, path: Path) -> None:
    """Stored as it comes, then sealed in one go, as the default would."""
    tracks = _read(path)
    async with installed(options, "weigh", len(tracks)) as install:
        load = Blast(install.server.address, 16)
        await load.open()
        blasted = await load.run(iter(_requests(install.keys, tracks)))
        load.close()
        if problems := blasted.problems():
            raise Unexpected("; ".join(problems[:3]))
        counts = taken(blasted)
        async with restarted(install, *SEAL_AT_ONCE):
            await install.until_sealed()
        log, sealed = _parts_on_disk(install)
    stored = counts.stored
    twice = counts.known + counts.same_time_different
    note = f"{stored:,} fixes of {len(tracks)} vehicles, {twice:,} known; emptied log {log / stored:.1f} more"
    rows.state(f"kept a fix once sealed, {name}", sealed / stored, "bytes", note=note)


def _parts_on_disk(install: Install) -> tuple[int, int]:
    """Bytes of the log with the catalogue, and of the sealed days."""
    sealed = sum(path.stat().st_size for path in (install.server.data_dir / "sealed").rglob("*") if path.is_file())
    return install.server.bytes_on_disk() - sealed, sealed


def _read(path: Path) -> list[list[list[object]]]:
    """Rows of the batch protocol, a list of them for each vehicle, by time."""
    tracks: dict[str, list[list[object]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for line in csv.DictReader(file):
            time_ms = round(datetime.fromisoformat(line["time_iso"]).timestamp() * 1000)
            heading = float(line["heading_deg"]) if line["heading_deg"] else None
            speed = float(line["speed_mph"]) * KMH_PER_MPH if line["speed_mph"] else None
            tracks[line["vehicle_id"]].append([time_ms, float(line["lat"]), float(line["lon"]), heading, speed])
    return [sorted(track, key=lambda row: row[0]) for track in tracks.values()]  # type: ignore[arg-type,return-value]  # times are ints


def _requests(keys: list[str], tracks: list[list[list[object]]]) -> list[bytes]:
    """Each vehicle's track in runs, in turn one of each vehicle, as devices that report together would."""
    runs: list[tuple[int, bytes]] = []
    for key, track in zip(keys, tracks, strict=True):
        for number, start in enumerate(range(0, len(track), _BATCH)):
            body = msgspec.json.encode({"fixes": track[start : start + _BATCH]})
            head = b"POST /ingest/batch HTTP/1.1\r\n%bX-Device-Key: %b\r\nContent-Length: %d\r\n\r\n"
            runs.append((number, head % (HOST, key.encode(), len(body)) + body))
    return [request for _, request in sorted(runs, key=lambda run: run[0])]


FLAT = Scenario("flat", "50 million fixes: rate, bytes written, bytes kept once sealed; recordings", run)
