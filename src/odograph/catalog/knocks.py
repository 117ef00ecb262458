"""Who was turned away: strangers, to be let in with one command, and devices of ours, to be shown beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from odograph.catalog.assets import AssetFields, new_body, number_assets
from odograph.catalog.changes import Catalog, Plan, added, delete, found, knock_key, put, written
from odograph.catalog.devices import check_device_id, check_ways_by_id, fresh_body
from odograph.catalog.fields import networks
from odograph.catalog.secrets import new_key
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Asset, Device, Knock
from odograph.model.ids import OrgId, RecordId
from odograph.printable import printable
from odograph.store.base import INSTALL, Change

MAX_KNOCKS: Final = 500
"""Kept of each org, and of nobody's (INSTALL): the ones that came longest ago make room."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """A new vehicle with its device, and the device's key (shown this once; None where it got none)."""

    asset: Entity[Asset]
    device: Entity[Device]
    key: str | None


async def record(catalog: Catalog, noted: Sequence[tuple[OrgId, Knock]]) -> None:
    """Add refusals, each with the org in whose list it belongs, to what is known of these senders: one commit."""

    def plan() -> Plan[None]:
        changes = [
            change
            for org in sorted({org for org, _ in noted})
            for change in _merged(catalog.directory, org, [knock for one, knock in noted if one == org])
        ]
        return Plan(changes, lambda _: None)

    if noted:
        await catalog.change(plan)


async def accept(
    catalog: Catalog,
    org: OrgId,
    knock: RecordId,
    fields: AssetFields | None = None,
    *,
    from_network: bool = False,
    trust_id: bool = False,
    is_operator: bool = False,
) -> Mounted:
    """Make a vehicle and a device of a knock on this org's list, or on nobody's, and strike it off: one commit.

    The device gets a key, unless the address it knocked from (`from_network`) or its id alone (`trust_id`) is
    to be enough. NOT_FOUND for the knock; INVALID for one that named no id, or that was a device of the org;
    FORBIDDEN as `devices.check_ways_by_id` says.
    """

    def plan() -> Plan[Mounted]:
        directory = catalog.directory
        old = found(directory.knocks.find(org, knock) or directory.knocks.find(INSTALL, knock), "knock")
        ours = _device_of(directory, old)
        if ours is not None and ours.org == org:
            raise invalid(
                f"This was no stranger but device {ours.body.name!r} (id {ours.id}), turned away for the reason "
                f"{old.body.reason!r}: change that device."
            )
        if not old.body.device_id:
            raise invalid("deviceId: this sender named none; add a device with a key and give it that key.")
        device_id = check_device_id(directory, org, old.body.device_id)
        numbers, counting = number_assets(directory, 1)
        asset = new_body(catalog, org, numbers[0], _named(fields, device_id))
        key = None if from_network or trust_id else new_key()
        device = fresh_body(asset.name, asset.number, asset.created_ms, device_id=device_id, key=key)
        allowed = networks([old.body.address]) if from_network else ()
        device = msgspec.structs.replace(device, networks=allowed, trust_id=trust_id)
        check_ways_by_id(directory, org, None, device, is_operator=is_operator)
        changes = [put(None, org, asset), put(None, org, device), counting, delete(old)]
        return Plan(changes, lambda records: Mounted(written(records[0], asset), written(records[1], device), key))

    return await catalog.change(plan)


async def dismiss(catalog: Catalog, org: OrgId, knock: RecordId) -> None:
    """Strike a knock off the list; it comes back when the sender does. NOT_FOUND where there is no such."""

    def plan() -> Plan[None]:
        return Plan([delete(found(catalog.directory.knocks.find(org, knock), "knock"))], lambda _: None)

    await catalog.change(plan)


def list_(directory: Directory, org: OrgId) -> list[Entity[Knock]]:
    """Strangers who were turned away, the latest first."""
    found = [
        one for one in directory.knocks.list_(org) if not one.body.device and _namesake(directory, one) is None
    ]
    return sorted(found, key=lambda one: one.body.last_ms, reverse=True)


def last_refusals(directory: Directory, org: OrgId) -> dict[RecordId, Knock]:
    """How each device of an org was turned away last."""
    found: dict[RecordId, Knock] = {}
    knocks = [*directory.knocks.list_(org), *directory.knocks.list_(INSTALL)]
    for knock in sorted(knocks, key=lambda one: one.body.last_ms):
        if knock.body.device:
            found[RecordId(knock.body.device)] = knock.body
        elif (device := _namesake(directory, knock)) is not None and device.org == org:
            found[device.id] = knock.body
    return found


def _device_of(directory: Directory, knock: Entity[Knock]) -> Entity[Device] | None:
    """The device that was turned away; None for a stranger."""
    if knock.body.device:
        return directory.devices.find(knock.org, RecordId(knock.body.device))
    return _namesake(directory, knock)


def _namesake(directory: Directory, knock: Entity[Knock]) -> Entity[Device] | None:
    """The one device that has the id by now which somebody named when no device, or none for sure, had it."""
    device_id = knock.body.device_id
    found = directory.devices.list_by_device_id(device_id) if device_id else []
    found = [one for one in found if knock.org in {INSTALL, one.org}]
    return found[0] if len(found) == 1 else None


def _named(fields: AssetFields | None, device_id: str) -> AssetFields:
    return AssetFields(serial=device_id) if fields is None else fields


def _merged(directory: Directory, org: OrgId, fresh: Sequence[Knock]) -> list[Change]:
    known = {knock_key(one.body): one for one in directory.knocks.list_(org)}
    bodies: dict[str, Knock] = {}
    for knock in map(_clean, fresh):
        if knock.device and directory.devices.find(org, RecordId(knock.device)) is None:
            continue  # deleted meanwhile: nobody would ever see it
        key = knock_key(knock)
        before = bodies.get(key) or (known[key].body if key in known else None)
        bodies[key] = knock if before is None else added(before, knock)
    newest = sorted(bodies, key=lambda key: bodies[key].last_ms, reverse=True)[:MAX_KNOCKS]
    others = sorted((one for key, one in known.items() if key not in newest), key=lambda one: one.body.last_ms)
    changes, room = [], MAX_KNOCKS - len(known)
    for key in newest:
        held = known.get(key)
        if held is None and room <= 0:
            held = others.pop(0)  # its record is written over: deleted ones would pile up under a flood
        elif held is None:
            room -= 1
        changes.append(put(held, org, bodies[key]))
    return changes


def _clean(knock: Knock) -> Knock:
    """Without what is no sign, sent by nobody with good intentions: the operator will look at it on a terminal."""
    return msgspec.structs.replace(knock, device_id=printable(knock.device_id))
