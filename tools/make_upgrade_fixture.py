"""Makes a small data directory of today's format, and what must be read from it, for `test_upgrades.py`.

Run once for each format that is released, with the target as argument: tests/contract/upgrades/sqlite/format-N.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from odograph.catalog.secrets import hex_digest
from odograph.model.catalog import Asset, Counter, Device, Org, Tag, Token
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL, Change, OrgFixes
from odograph.store.sqlite.database import SEALED_NAME
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.sealed import DayFiles
from odograph.store.sqlite.sealer import seal_once

BEGIN_MS = 1_750_000_000_000
DAY_MS = 86_400_000
ORGS = (OrgId(1), OrgId(2))


class Clock:
    """Stands where it was put."""

    def __init__(self) -> None:
        self.at_ms = BEGIN_MS

    def now_ms(self) -> int:
        return self.at_ms

    def steady_s(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


def fixes_of(asset: int, start_ms: int, count: int) -> Fixes:
    """A track with unknowns and extremes in it."""
    fixes = np.zeros(count, dtype=FIX_DTYPE)
    steps = np.arange(count)
    fixes["asset"] = asset
    fixes["time_ms"] = start_ms + 5000 * steps
    fixes["lat_e7"] = 525_000_000 + 400 * steps * asset
    fixes["lon_e7"] = -1_800_000_000 + 350 * steps
    fixes["heading_cdeg"] = np.where(steps % 7 == 0, UNKNOWN_HEADING, steps * 91 % 36000)
    fixes["speed_ckmh"] = np.where(steps % 5 == 0, UNKNOWN_SPEED, steps * 13 % 200_000)
    fixes["marks"] = steps % 4
    return fixes


def catalogue() -> list[Change]:
    """One record of each kind, in two orgs, and one that was deleted."""

    def put(org: int, kind: str, body: msgspec.Struct, *keys: str) -> Change:
        return Change(OrgId(org), kind, None, msgspec.json.encode(body), keys)

    return [
        put(INSTALL, "org", Org("First", BEGIN_MS, "Europe/Berlin")),
        put(INSTALL, "org", Org("Second", BEGIN_MS)),
        put(INSTALL, "counter", Counter("asset", 9)),
        *(put(1, "asset", Asset(n, f"Van {n}", BEGIN_MS, BEGIN_MS, tag_ids=(1,)), f"ext:n:{n}") for n in (1, 2)),
        put(2, "asset", Asset(8, "Truck", BEGIN_MS, BEGIN_MS, vin="WDB12345678901234")),
        put(1, "tag", Tag(1, "North")),
        put(1, "device", Device("Box", BEGIN_MS, asset_id=1, key_hash=hex_digest("fixture-key"))),
        put(1, "token", Token("T", BEGIN_MS, hex_digest("odo_fixture"), "ture", ("Read Vehicle Statistics",))),
        put(2, "tag", Tag(2, "To be deleted")),
    ]


def make(directory: Path) -> None:
    """Two sealed days with late data, an unsealed end, and the catalogue."""
    clock = Clock()
    engine = Engine(directory, clock)
    log, days = LogReader(directory), DayFiles(directory / SEALED_NAME)
    (written,) = engine.commit([], [catalogue()]).written
    assert isinstance(written, list)
    gone = written[-1]
    engine.commit([], [[Change(gone.org, gone.kind, gone.id, None)]])
    for day in range(3):
        start_ms = BEGIN_MS + day * DAY_MS
        clock.at_ms = start_ms + 600_000
        engine.commit([[OrgFixes(ORGS[0], fixes_of(asset, start_ms, 100))] for asset in (1, 2)])
        engine.commit([[OrgFixes(ORGS[1], fixes_of(8, start_ms, 60))]])
        late = fixes_of(1, start_ms - 3 * DAY_MS + 2500, 30)
        engine.commit([[OrgFixes(ORGS[0], late)]])
        if day < 2:
            while seal_once(log, days, engine, 1 << 30):
                pass
            while engine.trim():
                pass
    days.close()
    log.close()
    engine.checkpoint()
    engine.close()


def observed(directory: Path) -> dict[str, Any]:
    """What a reader finds: records, each org's log, and each asset's history."""
    log = LogReader(directory)
    try:
        status = log.status()
        with log.snapshot() as snapshot:
            rows = snapshot.connection.execute(
                "SELECT org, kind, id, rev, body FROM record ORDER BY rev"
            ).fetchall()
        logs = {org: log.read_after(org, status.sealed_through, status.head, 1 << 20, None)[0] for org in ORGS}
        return {
            "sealedThrough": status.sealed_through,
            "head": status.head,
            "rev": status.rev,
            "epoch": status.epoch,
            "records": [[*row[:4], None if row[4] is None else bytes(row[4]).decode()] for row in rows],
            "unsealed": {str(org): [block.seqs.tolist(), block.fixes.tolist()] for org, block in logs.items()},
            "histories": {
                str(asset): log.read_range(OrgId(org), asset, 0, 1 << 41, status.head, 1 << 20).tolist()
                for org, asset in ((1, 1), (1, 2), (2, 8))
            },
        }
    finally:
        log.close()


def main() -> None:
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    make(target / "data")
    found = observed(target / "data")
    for left in (*target.rglob("*-shm"), *target.rglob("*-wal"), *target.rglob("*.lock")):
        left.unlink()
    (target / "expected.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
