"""Makes a small data directory as a server of today leaves it, and what its users read: for `test_served_upgrades`.

Once for each format that is released: python -m tools.make_served_fixture tests/contract/served_upgrades/format-N
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx

from odograph.server import Core
from tests.support.kept_directory import client_of, read_everything, read_pages, reopened

BEGIN_MS = 1_750_000_000_000
AT_MS = BEGIN_MS + 10 * 86_400_000
ORGS = {"First": "Europe/Berlin", "Second": "UTC"}
FIXES = 270  # four vehicles of them are more than a server keeps unsealed here


def batch_of(number: int, start_ms: int, count: int) -> list[list[Any]]:
    """A track with unknowns in it."""
    return [
        [
            start_ms + 5000 * step,
            52.5 + number / 100 + step / 1e5,
            13.4 + step / 1e5,
            None if step % 7 == 0 else step * 0.91 % 360,
            None if step % 5 == 0 else step * 0.13,
        ]
        for step in range(count)
    ]


async def upload(core: Core, key: str, fixes: list[list[Any]]) -> dict[str, Any]:
    async with client_of(core, key) as device:
        answer = await device.post("/ingest/batch", json={"fixes": fixes})
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told


async def furnish(operator: httpx.AsyncClient, org: str) -> tuple[str, list[str]]:
    """The org's token and its devices' keys."""
    headers = {"X-Odograph-Org": org}
    made = await operator.post("/odograph/orgs", json={"name": org, "timezone": ORGS[org]})
    made.raise_for_status()
    sheet = "name,plate,device_id,tags,external_id\n" + "".join(
        f"{org} {number},{org[0]}-OD {number},{org}-{number},North,fleet:{number}\n" for number in (1, 2)
    )
    headers_csv = {**headers, "content-type": "text/csv"}
    done = await operator.post(
        "/odograph/vehicles/import", params={"makeTags": "true"}, content=sheet, headers=headers_csv
    )
    done.raise_for_status()
    token = await operator.post("/odograph/tokens", json={"name": "fixture"}, headers=headers)
    return token.json()["data"]["token"], [line["key"] for line in done.json()["data"]["lines"]]


async def until_sealed(core: Core) -> None:
    while not (await core.store.status()).sealed_through:  # noqa: ASYNC110 - the sealer tells nobody
        await asyncio.sleep(0.05)


async def make(directory: Path) -> dict[str, Any]:
    """Fixes before and after a cursor, sealed and not, some of them late."""
    async with reopened(directory, AT_MS) as core:
        async with client_of(core) as operator:
            doors = {org: await furnish(operator, org) for org in ORGS}
            for token, keys in doors.values():
                del token
                for number, key in enumerate(keys):
                    await upload(core, key, batch_of(number, BEGIN_MS, FIXES))
        await until_sealed(core)
        orgs: dict[str, dict[str, Any]] = {}
        for org, (token, keys) in doors.items():
            async with client_of(core, token) as reader:
                _, cursor = await read_pages(reader, "/fleet/vehicles/locations/feed")
            late, new = batch_of(0, BEGIN_MS + 2500, 60), batch_of(0, BEGIN_MS + 86_400_000, 40)
            await upload(core, keys[0], late + new)
            orgs[org] = {"token": token, "keys": keys, "cursor": cursor, "sent": new}
            orgs[org]["read"] = await read_everything(core, token, cursor)
    return {"atMs": AT_MS, "orgs": orgs}


def main() -> None:
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    expected = asyncio.run(make(target / "data"))
    shutil.rmtree(target / "data" / "cache", ignore_errors=True)
    for left in (*target.rglob("*-shm"), *target.rglob("*.lock"), *target.rglob("*.sock")):
        left.unlink()  # never a -wal: what is in it is data
    (target / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
