"""Whom a replay speaks as: one key, a list of keys, or devices made for it on the server beside us."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from odograph.cli.connect import Api
from odograph.errors import invalid
from odograph.protocols.base import Claim

ClaimOf = Callable[[str], Claim | None]

_DEVICES: Final = "/odograph/devices"
_LOOPBACK: Final = ["127.0.0.0/8", "::1/128"]
_WITHOUT_KEYS: Final = {"teltonika"}


def one_key(key: str, vehicles: Sequence[str]) -> ClaimOf:
    """The key of the only vehicle's device. INVALID where there are several, which would become one."""
    if len(vehicles) > 1:
        raise invalid(
            f"The recording has several vehicles, such as {vehicles[0]!r} and {vehicles[1]!r}, and --key is of "
            "one device: all of them would become one vehicle. Use --keys FILE for a key each, or --create, or "
            "--forwarder-key if it is a forwarder's or an enrolment key."
        )
    return shared_key(key)


def shared_key(key: str) -> ClaimOf:
    """Every vehicle by its id, with a key that speaks for all: a forwarder's or an enrolment key."""
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
async def made_devices(api: Api, vehicles: Mapping[str, str], protocol: str) -> AsyncIterator[ClaimOf]:
    """A vehicle with a device for each that is not there yet, and a key for all of them while this lasts.

    `vehicles` are ids in the recording, each with a name or none; of an export of this server they are known by
    their ids, and get a device for as long as this lasts. Where a protocol knows no keys, devices are let in by
    their ids from this machine.
    """
    is_keyless = protocol in _WITHOUT_KEYS
    ids = {vehicle: imei(vehicle) if is_keyless else vehicle for vehicle in vehicles}
    known = {one["deviceId"] async for one in api.every(_DEVICES) if "deviceId" in one}
    missing = {vehicle: name for vehicle, name in vehicles.items() if ids[vehicle] not in known}
    exported = await _exported(api, missing)
    await _import(api, {name or vehicle: ids[vehicle] for vehicle, name in _others(missing, exported).items()})
    async with AsyncExitStack() as made:
        for vehicle in exported:
            body = {"name": "replay", "vehicleId": vehicle, "deviceId": ids[vehicle], "withKey": False}
            await _while_open(made, api, body)
        if is_keyless:
            for device_id in ids.values():
                await api.ask("PATCH", _DEVICES, f"deviceId:{device_id}", json={"networks": _LOOPBACK})
            yield lambda vehicle: Claim(ids[vehicle], None)
        else:
            forwarder = await _while_open(made, api, {"name": "replay", "isForwarder": True})
            yield lambda vehicle: Claim(vehicle, forwarder["key"])


def imei(vehicle: str) -> str:
    """Fifteen digits of a test range that are always the same for this vehicle; the last is Luhn's check digit."""
    number = int.from_bytes(hashlib.sha256(vehicle.encode()).digest()[:8], "big") % 10**12
    digits = f"00{number:012}"
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(digits)]
    return digits + str(-sum(value // 10 + value % 10 for value in doubled) % 10)


async def _exported(api: Api, vehicles: Mapping[str, str]) -> set[str]:
    """Those that are vehicles of this server by id and name. INVALID where the id is another's here.

    Ids are counted up on every server alike: without the name, those of another server would be taken for ours.
    """
    named = {vehicle: name for vehicle, name in vehicles.items() if name}
    here = {one["id"]: one["name"] async for one in api.every("/fleet/vehicles")} if named else {}
    for vehicle, name in named.items():
        if here.get(vehicle, name).casefold() != name.casefold():
            raise invalid(
                f"Vehicle {vehicle} is {name!r} in the recording and {here[vehicle]!r} on this server. If it is "
                "the same, give it the same name; if not, put another vehicle_id into the recording."
            )
    return named.keys() & here.keys()


def _others(vehicles: Mapping[str, str], exported: set[str]) -> dict[str, str]:
    """Those to be made. INVALID where two have the same name: what they are called is all that tells them apart."""
    found = {vehicle: name for vehicle, name in vehicles.items() if vehicle not in exported}
    for name, times in Counter((name or vehicle).casefold() for vehicle, name in found.items()).most_common(1):
        if times > 1:
            raise invalid(f"{times} vehicles of the recording are called {name!r}; give each a name of its own.")
    return found


async def _while_open(stack: AsyncExitStack, api: Api, body: Mapping[str, Any]) -> Any:
    """A new device, deleted when the stack is closed."""
    device = await api.post(_DEVICES, json=body)
    stack.push_async_callback(api.delete, _DEVICES, device["id"])
    return device


async def _import(api: Api, device_ids: Mapping[str, str]) -> None:
    """Vehicles by name, each with the device of this id."""
    if not device_ids:
        return
    done = await api.ask(
        "POST",
        "/odograph/vehicles/import",
        content=_sheet(device_ids.items()),
        headers={"content-type": "text/csv"},
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
