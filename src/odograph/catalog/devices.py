"""Devices: mounted on vehicles, let in by key, by network or, where the operator says so, by id alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog.assets import AssetFields, number_assets
from odograph.catalog.assets import get as get_asset
from odograph.catalog.assets import new_body as new_asset_body
from odograph.catalog.changes import Catalog, Plan, delete, found, put, written
from odograph.catalog.secrets import hex_digest, new_key
from odograph.errors import forbidden, invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Device
from odograph.model.ids import AssetId, OrgId, RecordId, TagId


class DeviceFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is (as it begins, for a new device), None empties it."""

    name: str | UnsetType | None = UNSET
    asset_id: AssetId | UnsetType | None = UNSET
    device_id: str | UnsetType | None = UNSET
    protocol: str | UnsetType | None = UNSET
    is_enabled: bool | UnsetType = UNSET
    is_forwarder: bool | UnsetType = UNSET
    networks: Sequence[str] | UnsetType | None = UNSET
    trust_id: bool | UnsetType = UNSET


async def add(
    catalog: Catalog,
    org: OrgId,
    fields: DeviceFields,
    *,
    with_key: bool = True,
    new_vehicle: str | None = None,
    tag_limit: frozenset[TagId] | None = None,
    is_operator: bool = False,
) -> tuple[Entity[Device], str | None]:
    """A new device and its key, which is shown this once and kept as a hash; None where it gets none.

    With the name of a new vehicle, that is made in the same commit, and the device is mounted on it. Without a key
    it needs a device id, by which a network, the operator's trust or a forwarder lets it in. `tag_limit` is the
    principal's `tag_ids`: nothing that it does not see is named in a refusal. NOT_FOUND for the vehicle; INVALID
    naming the field; FORBIDDEN as `check_ways_by_id` says.
    """
    key = new_key() if with_key else None

    def plan() -> Plan[tuple[Entity[Device], str | None]]:
        if new_vehicle is None:
            body = new_body(catalog, org, fields, key, tag_limit)
            check_ways_by_id(catalog.directory, org, None, body, is_operator=is_operator)
            return Plan([put(None, org, body)], lambda records: (written(records[0], body), key))
        numbers, counting = number_assets(catalog.directory, 1)
        asset = new_asset_body(catalog, org, numbers[0], AssetFields(name=new_vehicle))
        named = msgspec.structs.replace(fields, name=fields.name or asset.name)
        body = _sound(msgspec.structs.replace(new_body(catalog, org, named, key, tag_limit), asset_id=asset.number))
        check_ways_by_id(catalog.directory, org, None, body, is_operator=is_operator)
        changes = [put(None, org, body), put(None, org, asset), counting]
        return Plan(changes, lambda records: (written(records[0], body), key))

    return await catalog.change(plan)


async def update(
    catalog: Catalog,
    org: OrgId,
    device: RecordId,
    fields: DeviceFields,
    tag_limit: frozenset[TagId] | None = None,
    *,
    is_operator: bool = False,
) -> Entity[Device]:
    """Put the given fields in.

    NOT_FOUND for device or vehicle; INVALID naming the field; FORBIDDEN as `check_ways_by_id` says.
    """

    def plan() -> Plan[Entity[Device]]:
        old = get(catalog.directory, org, device)
        body = _checked(catalog.directory, org, old, old.body, fields, tag_limit)
        if body == old.body:
            return Plan([], lambda _: old)
        check_ways_by_id(catalog.directory, org, old.body, body, is_operator=is_operator)
        return Plan([put(old, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def rotate_key(catalog: Catalog, org: OrgId, device: RecordId) -> tuple[Entity[Device], str]:
    """Give a device a new key, shown this once; the old one ends at once. NOT_FOUND where there is no such."""
    key = new_key()

    def plan() -> Plan[tuple[Entity[Device], str]]:
        old = get(catalog.directory, org, device)
        body = msgspec.structs.replace(old.body, key_hash=hex_digest(key))
        return Plan([put(old, org, body)], lambda records: (written(records[0], body), key))

    return await catalog.change(plan)


async def remove(catalog: Catalog, org: OrgId, device: RecordId) -> None:
    """Delete a device, its key and how it was turned away. NOT_FOUND where there is no such."""

    def plan() -> Plan[None]:
        old = get(catalog.directory, org, device)
        refusals = [one for one in catalog.directory.knocks.list_(org) if one.body.device == device]
        return Plan([delete(old), *map(delete, refusals)], lambda _: None)

    await catalog.change(plan)


def get(directory: Directory, org: OrgId, device: RecordId) -> Entity[Device]:
    """A device by its id, or NOT_FOUND."""
    return found(directory.devices.find(org, device), "device")


def new_body(
    catalog: Catalog, org: OrgId, fields: DeviceFields, key: str | None, tag_limit: frozenset[TagId] | None = None
) -> Device:
    """The body of a device that doesn't exist yet, with the hash of its key if it gets one."""
    blank = Device(name="", created_ms=catalog.clock.now_ms(), key_hash="" if key is None else hex_digest(key))
    return _checked(catalog.directory, org, None, blank, fields, tag_limit)


def fresh_body(name: str, asset: int, now_ms: int, *, device_id: str = "", key: str | None = None) -> Device:
    """The body of a device for a vehicle that is made in the same commit; checked by whoever calls."""
    key_hash = "" if key is None else hex_digest(key)
    return Device(name=name, created_ms=now_ms, asset_id=asset, device_id=device_id, key_hash=key_hash)


def check_device_id(
    directory: Directory,
    org: OrgId,
    device_id: str | None,
    holder: RecordId | None = None,
    tag_limit: frozenset[TagId] | None = None,
) -> str:
    """A device id that no other device of the org has; INVALID else. `holder` is the device's own record id."""
    device_id = check.text("deviceId", device_id, check.MAX_DEVICE_ID)
    other = directory.devices.find_by_device_id(org, device_id) if device_id else None
    if other is not None and other.id != holder:
        asset = directory.assets.find_by_number(org, AssetId(other.body.asset_id))
        is_seen = tag_limit is None or check.visible(asset, tag_limit) is not None
        whose = f"device {other.body.name!r}" if is_seen else "another device of the organisation"
        raise invalid(f"deviceId: {device_id!r} already belongs to {whose}; it must be unique.")
    return device_id


def check_ways_by_id(
    directory: Directory, org: OrgId, old: Device | None, body: Device, *, is_operator: bool
) -> None:
    """Refuse a way in without a key that the device (None: a new one) doesn't have yet, where it could harm others.

    Whoever comes without a key says an id and nothing else, and ids can be guessed. So where there are several
    orgs, which of them an id belongs to is for the operator alone to say: FORBIDDEN else. And it belongs to one
    device of the install: INVALID where another org's is let in by it. Ways that it has may stay and be taken away.
    """
    had = frozenset() if old is None or old.device_id != body.device_id else old.ways_by_id()
    gained = body.ways_by_id() - had
    if not gained:
        return
    field = "trustId" if "" in gained else "networks"
    if not is_operator and len(directory.orgs) > 1:
        raise forbidden(
            f"{field}: lets a device in by its id without a key; on a server of several organisations that is for "
            "the server's operator to say, with the command 'odograph device'."
        )
    for other in directory.devices.list_by_device_id(body.device_id):
        if other.org != org and other.body.ways_by_id():
            raise invalid(
                f"{field}: a device of another organisation is let in by the id {body.device_id!r} without a key "
                "already; give this one a key."
            )


def _checked(
    directory: Directory,
    org: OrgId,
    old: Entity[Device] | None,
    body: Device,
    fields: DeviceFields,
    tag_limit: frozenset[TagId] | None,
) -> Device:
    if not isinstance(fields.asset_id, UnsetType):
        if fields.asset_id is not None:
            get_asset(directory, org, fields.asset_id)
        body = msgspec.structs.replace(body, asset_id=fields.asset_id or 0)
    if not isinstance(fields.device_id, UnsetType):
        holder = None if old is None else old.id
        device_id = check_device_id(directory, org, fields.device_id, holder, tag_limit)
        body = msgspec.structs.replace(body, device_id=device_id)
    if not isinstance(fields.protocol, UnsetType):
        body = msgspec.structs.replace(body, protocol=check.protocol(fields.protocol))
    if not isinstance(fields.networks, UnsetType):
        body = msgspec.structs.replace(body, networks=check.networks(fields.networks or ()))
    given = {
        field: value
        for field in ("is_enabled", "is_forwarder", "trust_id")
        if not isinstance(value := getattr(fields, field), UnsetType)
    }
    body = msgspec.structs.replace(body, **given)
    is_about_ids = any(field is not UNSET for field in (fields.device_id, fields.networks, fields.trust_id))
    if is_about_ids and not body.device_id and (body.networks or body.trust_id):
        raise invalid("deviceId: is empty; networks and trustId let a device in by its id, so it needs one.")
    return _sound(msgspec.structs.replace(body, name=_name(directory, org, fields.name, body)))


def _sound(body: Device) -> Device:
    """Refuse what could never deliver anything, or would deliver for the wrong vehicle."""
    if not body.key_hash and not body.device_id:
        raise invalid("deviceId: is empty; a device without a key needs one to be known by.")
    if body.is_forwarder and body.asset_id:
        raise invalid("assetId: a forwarder delivers for other devices; it can't be mounted on a vehicle itself.")
    if body.is_forwarder and not body.key_hash:
        raise invalid("isForwarder: a forwarder needs a key.")
    return body


def _name(directory: Directory, org: OrgId, asked: str | UnsetType | None, body: Device) -> str:
    """What was asked for, else what the vehicle is called, else what the device calls itself."""
    wanted = body.name if isinstance(asked, UnsetType) else (asked or "").strip()
    asset = directory.assets.find_by_number(org, AssetId(body.asset_id))
    return check.name("name", wanted or (asset.body.name if asset else "") or body.device_id or "device")
