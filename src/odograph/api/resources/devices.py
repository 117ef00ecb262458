"""`/odograph/devices`: the boxes that report, and the keys that let them in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, parse_record_id, read_new, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination, Param
from odograph.api.resources.vehicles import asset_of
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import devices, knocks
from odograph.errors import forbidden, invalid, not_found
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Device, Knock
from odograph.model.ids import AssetId, OrgId, RecordId, render_asset_id

KIND: Final = "devices"
_SILENT: Final = Param(
    "silentForSeconds",
    "int",
    "Only devices that nothing came from for so long, or ever.",
    minimum=0,
    maximum=10**10,
)


WayIn = Literal["key", "network", "id", "forwarder", "enrolmentKey"]


class DeviceVehicle(msgspec.Struct):
    """The vehicle that a device is mounted on."""

    id: str
    name: str


class LastRefusal(msgspec.Struct, kw_only=True):
    """When and why this device, or something with its id, was turned away last."""

    time: Time
    reason: str
    protocol: str
    address: str


class LastRejection(msgspec.Struct, kw_only=True):
    """When and why a report of this device, which was let in, was not stored last, since the server started."""

    time: Time
    reason: str


class DeviceAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A device. `lastContactTime` is when it was last let in, whether or not what it said could be stored.

    Where it was not since the server started, that is when a fix of its vehicle was last stored, whichever device
    brought it: `lastContactOf` says so. `letInBy` is each way in that is open to it while it is enabled: its own
    key, its id from one of its networks, its id alone, a forwarder of the organisation that brings it, or the
    organisation's enrolment key.
    """

    id: str
    name: str
    created_at_time: Time
    vehicle: DeviceVehicle | UnsetType = UNSET
    device_id: str | UnsetType = UNSET
    protocol: str | UnsetType = UNSET
    is_enabled: bool
    is_forwarder: bool
    has_key: bool
    trust_id: bool
    networks: list[str]
    let_in_by: list[WayIn]
    last_contact_time: Time | UnsetType = UNSET
    last_contact_of: Literal["device", "vehicle"] | UnsetType = UNSET
    last_rejection: LastRejection | UnsetType = UNSET
    last_refusal: LastRefusal | UnsetType = UNSET


class DeviceWithKey(DeviceAnswer, kw_only=True):
    """A device with its new key, which is shown this once."""

    key: str | UnsetType = UNSET


class Devices(msgspec.Struct, kw_only=True):
    """A page of devices, by id."""

    data: list[DeviceAnswer]
    pagination: Pagination


class OneDevice(msgspec.Struct, kw_only=True):
    """One device."""

    data: DeviceAnswer


class OneDeviceWithKey(msgspec.Struct, kw_only=True):
    """One device with its new key."""

    data: DeviceWithKey


class DevicePatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties."""

    name: str | UnsetType | None = UNSET
    vehicle_id: str | UnsetType | None = UNSET
    device_id: str | UnsetType | None = UNSET
    protocol: str | UnsetType | None = UNSET
    is_enabled: bool | UnsetType = UNSET
    is_forwarder: bool | UnsetType = UNSET
    networks: list[str] | UnsetType | None = UNSET
    trust_id: bool | UnsetType = UNSET


class NewDevice(DevicePatch, kw_only=True):
    """A new device: with a key, or known by its id alone where a network or `trustId` allows that.

    `newVehicleName` makes the vehicle too, or neither of them; it needs the scope Write Assets.
    """

    with_key: bool = True
    new_vehicle_name: str | None = None


async def list_devices(call: Call) -> Answer:
    """A page of devices."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    silent_s = call.query.integer(_SILENT, -1)
    rest = _visible(call, started_after(call, KIND), silent_s)
    page, pagination = await take_page(call, KIND, size, rest, lambda one: one.id)
    refusals = _refusals(call)
    return Answer(to_json(Devices(data=[_device(call, one, refusals) for one in page], pagination=pagination)))


async def get_device(call: Call) -> Answer:
    """One device by its id, or as `deviceId:` and what it calls itself."""
    return Answer(to_json(OneDevice(data=_device(call, _asked(call), _refusals(call)))))


async def create_device(call: Call) -> Answer:
    """A new device."""
    body = read_new(call.body, NewDevice)
    fields = _fields(call, body)
    _check_visible(call, fields, is_new=True)
    if body.new_vehicle_name is not None:
        _check_new_vehicle(call, body)
    principal = call.principal
    device, key = await devices.add(
        call.context.catalog,
        principal.org,
        fields,
        with_key=body.with_key,
        new_vehicle=body.new_vehicle_name,
        tag_limit=principal.tag_ids,
        is_operator=principal.is_operator,
    )
    return answer_with_key(call, device, key)


async def change_device(call: Call) -> Answer:
    """Change some fields."""
    device = _asked(call)
    fields = _fields(call, read_patch(call.body, DevicePatch))
    _check_visible(call, fields, is_new=False)
    principal = call.principal
    changed = await devices.update(
        call.context.catalog, principal.org, device.id, fields, principal.tag_ids, is_operator=principal.is_operator
    )
    return Answer(to_json(OneDevice(data=_device(call, changed, _refusals(call)))))


async def delete_device(call: Call) -> Answer:
    """Delete a device; its key ends at once."""
    await devices.remove(call.context.catalog, call.principal.org, _asked(call).id)
    return Answer(status=204)


async def rotate_key(call: Call) -> Answer:
    """Give a device a new key; the old one ends at once."""
    device, key = await devices.rotate_key(call.context.catalog, call.principal.org, _asked(call).id)
    return answer_with_key(call, device, key)


def _check_visible(call: Call, fields: devices.DeviceFields, *, is_new: bool) -> None:
    """A token that is limited to tags keeps devices on vehicles that it sees."""
    is_mounted = not isinstance(fields.asset_id, UnsetType) and fields.asset_id is not None
    is_moved_off = not isinstance(fields.asset_id, UnsetType) and fields.asset_id is None
    if call.principal.tag_ids is not None and (is_moved_off or (is_new and not is_mounted)):
        raise forbidden("Field 'vehicleId': this API token is limited to tags; name a vehicle that it sees.")


def _check_new_vehicle(call: Call, body: NewDevice) -> None:
    if isinstance(body.vehicle_id, str):
        raise invalid("Field 'newVehicleName': give either a vehicle or a new one's name, not both.")
    if not (body.new_vehicle_name or "").strip():
        raise invalid("Field 'newVehicleName': is empty; a new vehicle needs a name.")
    if Scope.WRITE_ASSETS not in call.principal.scopes:
        raise forbidden(
            f"This API token lacks the scope '{Scope.WRITE_ASSETS.label}', which a new vehicle needs too."
        )


def _visible(call: Call, after: int, silent_s: int) -> Iterator[Entity[Device]]:
    latest_ms = call.context.clock.now_ms() - silent_s * 1000
    for device in _from(call.context.live.directory, call.principal.org, after):
        if (silent_s < 0 or _is_silent(call, device, latest_ms)) and _sees(call, device):
            yield device


def _is_silent(call: Call, device: Entity[Device], since_ms: int) -> bool:
    """Of a forwarder nothing is known after a restart until it speaks: it is never called silent."""
    heard = call.context.presence.last_heard(device)
    return not device.body.is_forwarder and (heard is None or heard.time_ms <= since_ms)


def _from(directory: Directory, org: OrgId, after: int) -> Iterator[Entity[Device]]:
    """A page's worth at a time: reading a device costs ten times what looking at its id does."""
    while some := directory.devices.list_(org, after, MAX_PAGE):
        yield from some
        after = some[-1].id


def _sees(call: Call, device: Entity[Device]) -> bool:
    if call.principal.tag_ids is None:
        return True
    return call.context.live.directory.sees(call.principal, AssetId(device.body.asset_id))


def _asked(call: Call) -> Entity[Device]:
    directory, text = call.context.live.directory, call.path["id"]
    kind, _, device_id = text.partition(":")
    device = None
    if kind == "deviceId" and device_id:
        device = directory.devices.find_by_device_id(call.principal.org, device_id)
    elif (record_id := parse_record_id(text)) is not None:
        device = directory.devices.find(call.principal.org, record_id)
    if device is None or not _sees(call, device):
        raise not_found(f"There is no device {text[:80]!r}.")
    return device


def _fields(call: Call, body: DevicePatch) -> devices.DeviceFields:
    asset: AssetId | UnsetType | None = UNSET
    if isinstance(body.vehicle_id, str):
        found = asset_of(call, body.vehicle_id)
        asset = AssetId(found.body.number)
    elif body.vehicle_id is None:
        asset = None
    if isinstance(body, NewDevice) and body.is_enabled is False:
        raise invalid("Field 'isEnabled': a new device is enabled; disable it afterwards.")
    return devices.DeviceFields(
        name=body.name,
        asset_id=asset,
        device_id=body.device_id,
        protocol=body.protocol,
        is_enabled=body.is_enabled,
        is_forwarder=body.is_forwarder,
        networks=body.networks,
        trust_id=body.trust_id,
    )


def _refusals(call: Call) -> dict[RecordId, Knock]:
    return knocks.last_refusals(call.context.live.directory, call.principal.org)


def answer_with_key(call: Call, device: Entity[Device], key: str | None) -> Answer:
    """One device with its new key, if it got one."""
    shown = msgspec.structs.asdict(_device(call, device, _refusals(call)))
    return Answer(to_json(OneDeviceWithKey(data=DeviceWithKey(key=key or UNSET, **shown))))


def _device(call: Call, device: Entity[Device], refusals: dict[RecordId, Knock]) -> DeviceAnswer:
    body, presence = device.body, call.context.presence
    asset = call.context.live.directory.assets.find_by_number(device.org, AssetId(body.asset_id))
    heard, rejection = presence.last_heard(device), presence.last_rejection(device)
    knock = refusals.get(device.id)
    return DeviceAnswer(
        id=str(device.id),
        name=body.name,
        created_at_time=render_time(body.created_ms),
        vehicle=DeviceVehicle(render_asset_id(AssetId(asset.body.number)), asset.body.name) if asset else UNSET,
        device_id=body.device_id or UNSET,
        protocol=body.protocol or UNSET,
        is_enabled=body.is_enabled,
        is_forwarder=body.is_forwarder,
        has_key=bool(body.key_hash),
        trust_id=body.trust_id,
        networks=list(body.networks),
        let_in_by=list(_ways_in(call.context.live.directory, device)),
        last_contact_time=render_time(heard.time_ms) if heard else UNSET,
        last_contact_of=("vehicle" if heard.is_of_vehicle else "device") if heard else UNSET,
        last_rejection=LastRejection(time=render_time(rejection.time_ms), reason=rejection.reason)
        if rejection
        else UNSET,
        last_refusal=_last_refusal(knock) if knock else UNSET,
    )


def _ways_in(directory: Directory, device: Entity[Device]) -> Iterator[WayIn]:
    """As the door sees it."""
    body = device.body
    if body.key_hash:
        yield "key"
    if not body.device_id or body.is_forwarder:
        return
    if body.networks:
        yield "network"
    if body.trust_id:
        yield "id"
    if directory.devices.has_forwarder(device.org):
        yield "forwarder"
    org = directory.orgs.find_org(device.org)
    if not body.key_hash and org is not None and org.body.enrolment_hash:
        yield "enrolmentKey"


def _last_refusal(knock: Knock) -> LastRefusal:
    return LastRefusal(
        time=render_time(knock.last_ms), reason=knock.reason, protocol=knock.protocol, address=knock.address
    )


class DevicesResource:
    """List, add, get, change, delete, new key."""

    name = "Devices"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write = Scope.READ_DEVICES, Scope.WRITE_DEVICES
        path, one = "/odograph/devices", "/odograph/devices/{id}"
        key = f"{one}/key"
        return (
            Endpoint(
                "GET", path, read, list_devices, "List devices",
                params=(LIMIT, AFTER, _SILENT), answers=Devices, is_extension=True,
            ),
            Endpoint(
                "POST", path, write, create_device, "Add a device",
                takes=NewDevice, answers=OneDeviceWithKey, is_extension=True,
            ),
            Endpoint("GET", one, read, get_device, "One device", answers=OneDevice, is_extension=True),
            Endpoint(
                "PATCH", one, write, change_device, "Change a device",
                takes=DevicePatch, answers=OneDevice, is_extension=True,
            ),
            Endpoint("DELETE", one, write, delete_device, "Delete a device", is_extension=True),
            Endpoint(
                "POST", key, write, rotate_key, "Give a device a new key",
                answers=OneDeviceWithKey, is_extension=True,
            ),
        )  # fmt: skip


RESOURCE = DevicesResource()
