"""What a demo's server holds before the fleet starts: an org, vehicles, devices, keys and a token."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from typing import Any, Final

from odograph.cli.connect import Api, connect
from odograph.cli.demo_links import TIMEZONE, DemoLink, make_links
from odograph.protocols.base import Claim
from odograph.settings import Settings
from odograph.simulator.fleet import Member, VehicleSpec, demo_fleet, setting_out

ORG: Final = "Demo fleet"
PHONE: Final = "My phone"
_PHONE_ID: Final = "demo-phone"
_LOOPBACK: Final = ["127.0.0.0/8"]


@dataclass(frozen=True, slots=True)
class Furnished:
    """Who reports, and what others need to read and to join."""

    members: list[Member]
    token: str
    phone_key: str
    vehicle_id: str
    """Of a vehicle that is always on its way."""
    links: list[DemoLink]


async def furnish(settings: Settings) -> Furnished:
    """Make what is missing, through the control socket of the running server."""
    async with connect(settings, must_be_served=True) as api:
        if not await api.get("/odograph/orgs"):
            await api.post("/odograph/orgs", json={"name": ORG, "timezone": TIMEZONE})
        sets_out_s = (int(time.time()) // 60 + 1) * 60
        fleet = setting_out(demo_fleet(), sets_out_s)
        done = await api.ask(
            "POST",
            "/odograph/vehicles/import",
            params={"makeTags": "true"},
            content=_sheet(fleet),
            headers={"content-type": "text/csv"},
        )
        keys = {line["deviceId"]: line.get("key") for line in done["lines"]}
        ids = {line["deviceId"]: line["id"] for line in done["lines"]}
        members = [Member(spec, await _claim(api, spec, keys[spec.device_id])) for spec in fleet]
        token = await api.post("/odograph/tokens", json={"name": "demo"})
        phone_key = keys[_PHONE_ID] or await _new_key(api, _PHONE_ID)
        links = await make_links(api, fleet, ids, sets_out_s)
        return Furnished(members, token["token"], phone_key, ids[fleet[0].device_id], links)


async def _claim(api: Api, spec: VehicleSpec, key: str | None) -> Claim:
    """By a key where the protocol has a place for one; a Teltonika tracker by its IMEI from this machine."""
    if spec.protocol == "teltonika":
        await api.ask("PATCH", "/odograph/devices", f"deviceId:{spec.device_id}", json={"networks": _LOOPBACK})
        return Claim(spec.device_id, None)
    return Claim(spec.device_id, key or await _new_key(api, spec.device_id))


async def _new_key(api: Api, device_id: str) -> str:
    """Of a device that an earlier demo made: its key was shown once, to that demo."""
    made: Any = await api.ask("POST", "/odograph/devices", f"deviceId:{device_id}", "key")
    return str(made["key"])


def _sheet(fleet: list[VehicleSpec]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("name", "plate", "device_id", "tags"))
    for spec in fleet:
        writer.writerow((spec.name, spec.plate, spec.device_id, spec.name.split()[0] + "s"))
    writer.writerow((PHONE, "", _PHONE_ID, "Phones"))
    return out.getvalue().encode()
