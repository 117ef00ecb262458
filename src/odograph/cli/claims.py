"""Whom a replay speaks as: one key, a list of keys, or devices made for it on the server beside us."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from odograph.cli.connect import Api
from odograph.errors import invalid
from odograph.protocols.base import Claim

ClaimOf = Callable[[str], Claim | None]

_LOOPBACK: Final = ["127.0.0.0/8", "::1/128"]
_WITHOUT_KEYS: Final = {"teltonika"}


def one_key(key: str) -> ClaimOf:
    """Every vehicle with the same key: a forwarder's, an enrolment key, or that of the only vehicle there is."""
    return lambda vehicle: Claim(vehicle, key)


def own_ids() -> ClaimOf:
    """Every vehicle by its id alone, for servers that let it in so."""
    return lambda vehicle: Claim(vehicle, None)


def listed_keys(path: Path) -> ClaimOf:
    """From a CSV as `odograph vehicle import` prints it: id, name, device_id, key. INVALID where it is another.

    A vehicle of the recording is looked for by its device id, then by its name, then by its id.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise invalid(f"Cannot read the keys in {path}: {error}.") from error
    if not rows or "key" not in rows[0]:
        raise invalid(f"{path} holds no keys: it must be CSV with the columns id, name, device_id, key.")
    by_name: dict[str, Claim] = {}
    for column in ("id", "name", "device_id"):
        for row in rows:
            if name := row.get(column):
                by_name[name] = Claim(row.get("device_id") or name, row["key"])
    return by_name.get


@asynccontextmanager
async def made_devices(api: Api, vehicles: Sequence[str], protocol: str) -> AsyncIterator[ClaimOf]:
    """A vehicle with a device for each that is not there yet, and a key for all of them while this lasts.

    Where a protocol knows no keys, devices are let in by their ids from this machine.
    """
    if protocol in _WITHOUT_KEYS:
        ids = {vehicle: imei(vehicle) for vehicle in vehicles}
        await _import(api, ids)
        for device_id in ids.values():
            await api.ask("PATCH", "/odograph/devices", f"deviceId:{device_id}", json={"networks": _LOOPBACK})
        yield lambda vehicle: Claim(ids[vehicle], None)
        return
    await _import(api, {vehicle: vehicle for vehicle in vehicles})
    body = {"name": "replay", "isForwarder": True}
    forwarder = await api.post("/odograph/devices", json=body)
    try:
        yield lambda vehicle: Claim(vehicle, forwarder["key"])
    finally:
        await api.delete("/odograph/devices", forwarder["id"])


def imei(vehicle: str) -> str:
    """Fifteen digits of a test range that are always the same for this vehicle; the last is Luhn's check digit."""
    number = int.from_bytes(hashlib.sha256(vehicle.encode()).digest()[:8], "big") % 10**12
    digits = f"00{number:012}"
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(digits)]
    return digits + str(-sum(value // 10 + value % 10 for value in doubled) % 10)


async def _import(api: Api, device_ids: Mapping[str, str]) -> Any:
    """Vehicles named as in the recording; those whose device is there are left as they are."""
    known = {one["deviceId"] async for one in api.every("/odograph/devices") if "deviceId" in one}
    missing = {vehicle: device_id for vehicle, device_id in device_ids.items() if device_id not in known}
    if not missing:
        return
    done = await api.ask(
        "POST", "/odograph/vehicles/import", content=_sheet(missing.items()), headers={"content-type": "text/csv"}
    )
    for line in done["lines"]:
        if line["action"] == "refuse":
            raise invalid(f"Vehicle {line.get('name', '')!r} can't be made: {line['error']}")


def _sheet(pairs: Iterable[tuple[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("name", "device_id"))
    writer.writerows(pairs)
    return out.getvalue().encode()
