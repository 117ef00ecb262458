"""Devices: keys shown once, ids unique in an org, and no device that could never deliver."""

from __future__ import annotations

import msgspec
import pytest

from odograph.catalog import assets, devices, orgs
from odograph.catalog.assets import AssetFields
from odograph.catalog.devices import DeviceFields
from odograph.catalog.secrets import digest
from odograph.errors import Kind, Refusal
from odograph.model.ids import AssetId, OrgId


@pytest.fixture
async def van(catalog, org):
    return await assets.create(catalog, org, AssetFields(name="Van"))


async def test_a_key_leads_to_its_device_and_is_kept_nowhere(catalog, org, van):
    device, key = await devices.add(catalog, org, DeviceFields(asset_id=van.body.number))
    assert key is not None
    assert catalog.directory.devices.find_by_key(digest(key)) == device
    assert (device.body.name, device.body.asset_id) == ("Van", van.body.number)
    assert key.encode() not in msgspec.json.encode(device.body)


async def test_a_new_key_ends_the_old_one_at_once(catalog, org):
    device, old = await devices.add(catalog, org, DeviceFields())
    assert old is not None
    _, new = await devices.rotate_key(catalog, org, device.id)
    assert catalog.directory.devices.find_by_key(digest(old)) is None
    assert catalog.directory.devices.find_by_key(digest(new)).id == device.id
    await devices.remove(catalog, org, device.id)
    assert catalog.directory.devices.find_by_key(digest(new)) is None
    with pytest.raises(Refusal, match="no such device"):
        await devices.rotate_key(catalog, org, device.id)


async def test_a_device_is_mounted_moved_disabled_and_unmounted(catalog, org, van):
    bus = await assets.create(catalog, org, AssetFields(name="Bus"))
    device, _ = await devices.add(catalog, org, DeviceFields(name="box", asset_id=van.body.number))
    fields = DeviceFields(asset_id=AssetId(bus.body.number), is_enabled=False, protocol="osmand")
    moved = await devices.update(catalog, org, device.id, fields)
    assert (moved.body.asset_id, moved.body.is_enabled, moved.body.protocol) == (bus.body.number, False, "osmand")
    assert [one.id for one in catalog.directory.devices.list_of_asset(org, bus.body.number)] == [device.id]
    loose = await devices.update(catalog, org, device.id, DeviceFields(asset_id=None))
    assert loose.body.asset_id == 0
    assert (await devices.update(catalog, org, device.id, DeviceFields())).rev == loose.rev


async def test_networks_are_kept_as_cidrs(catalog, org):
    fields = DeviceFields(device_id="d", networks=["10.1.2.3/8", "2001:db8::1", "10.0.0.0/8"])
    device, key = await devices.add(catalog, org, fields, with_key=False)
    assert key is None
    assert device.body.networks == ("10.0.0.0/8", "2001:db8::1/128")


@pytest.mark.parametrize(
    ("fields", "with_key", "message"),
    [
        ({"networks": ["10.0.0.0/33"]}, True, "^networks: '10.0.0.0/33' is not a network"),
        ({"device_id": "x" * 201}, True, "^deviceId: has 201 characters; at most 200"),
        ({"device_id": "a\tb"}, True, "^deviceId: holds a control character"),
        ({"protocol": "Os Mand"}, True, "^protocol: "),
        ({}, False, "^deviceId: is empty; a device without a key"),
        ({"networks": ["10.0.0.0/8"]}, True, "^deviceId: is empty; networks and trustId"),
        ({"trust_id": True}, True, "^deviceId: is empty; networks and trustId"),
        ({"device_id": "d", "is_forwarder": True}, False, "^isForwarder: a forwarder needs a key"),
    ],
)
async def test_a_field_that_cannot_be_kept_is_named(catalog, org, fields, with_key, message):
    with pytest.raises(Refusal, match=message) as refused:
        await devices.add(catalog, org, DeviceFields(**fields), with_key=with_key)
    assert refused.value.kind is Kind.INVALID
    assert catalog.directory.devices.list_(org) == []


async def test_a_forwarder_cannot_be_mounted(catalog, org, van):
    forwarder, _ = await devices.add(catalog, org, DeviceFields(is_forwarder=True))
    with pytest.raises(Refusal, match=r"^assetId: a forwarder"):
        await devices.update(catalog, org, forwarder.id, DeviceFields(asset_id=van.body.number))


async def test_a_device_id_is_unique_in_its_org_only(catalog, org):
    first, _ = await devices.add(catalog, org, DeviceFields(device_id="356307042441013"))
    with pytest.raises(Refusal, match=r"^deviceId: '356307042441013' already belongs"):
        await devices.add(catalog, org, DeviceFields(device_id="356307042441013"))
    await devices.update(catalog, org, first.id, DeviceFields(device_id="356307042441013", trust_id=True))
    other = OrgId((await orgs.create(catalog, "Other")).id)
    await devices.add(catalog, other, DeviceFields(device_id="356307042441013"))
    assert len(catalog.directory.devices.list_by_device_id("356307042441013")) == 2
    with pytest.raises(Refusal, match="no such device"):
        await devices.remove(catalog, other, first.id)


@pytest.fixture
async def other(catalog, org):
    return OrgId((await orgs.create(catalog, "Other")).id)


@pytest.mark.parametrize(
    ("field", "way"), [("trustId", {"trust_id": True}), ("networks", {"networks": ["10.0.0.0/8"]})]
)
async def test_among_several_orgs_the_operator_alone_lets_an_id_in_without_a_key(catalog, org, other, field, way):
    fields = DeviceFields(device_id="352", **way)
    for attempt in (
        devices.add(catalog, other, fields),
        devices.add(catalog, other, fields, new_vehicle="Van", with_key=False),
    ):
        with pytest.raises(Refusal, match=f"^{field}: .*operator") as refused:
            await attempt
        assert refused.value.kind is Kind.FORBIDDEN
    known, _ = await devices.add(catalog, other, DeviceFields(device_id="352"))
    with pytest.raises(Refusal, match=f"^{field}: .*operator"):
        await devices.update(catalog, other, known.id, DeviceFields(**way))
    bound = await devices.update(catalog, other, known.id, DeviceFields(**way), is_operator=True)
    assert bound.body.ways_by_id()


async def test_what_the_operator_allowed_one_id_is_not_moved_to_another(catalog, org, other):
    allowed = DeviceFields(device_id="352", networks=["10.0.0.0/8", "10.0.0.0/9"], trust_id=True)
    device, _ = await devices.add(catalog, org, allowed, is_operator=True)
    with pytest.raises(Refusal, match="operator"):
        await devices.update(catalog, org, device.id, DeviceFields(device_id="353"))
    with pytest.raises(Refusal, match="operator"):
        await devices.update(catalog, org, device.id, DeviceFields(networks=["10.0.0.0/7"]))
    less = DeviceFields(name="Box", networks=["10.0.0.0/9"], trust_id=False)
    assert (await devices.update(catalog, org, device.id, less)).body.ways_by_id() == {"10.0.0.0/9"}
    with pytest.raises(Refusal, match="operator"):
        await devices.update(catalog, org, device.id, DeviceFields(trust_id=True))
    forwarder, _ = await devices.add(
        catalog, org, DeviceFields(device_id="354", is_forwarder=True, trust_id=True), is_operator=False
    )
    with pytest.raises(Refusal, match="operator"):
        await devices.update(catalog, org, forwarder.id, DeviceFields(is_forwarder=False))


async def test_an_id_that_is_let_in_without_a_key_belongs_to_one_device_of_the_install(catalog, org, other):
    bound = DeviceFields(device_id="352", networks=["10.0.0.0/8"])
    first, _ = await devices.add(catalog, org, bound, is_operator=True)
    message = "a device of another organisation is let in by the id '352' without a key already"
    for way in ({"trust_id": True}, {"networks": ["192.0.2.0/24"]}):
        with pytest.raises(Refusal, match=message) as refused:
            await devices.add(catalog, other, DeviceFields(device_id="352", **way), is_operator=True)
        assert refused.value.kind is Kind.INVALID
    second, _ = await devices.add(catalog, other, DeviceFields(device_id="352"))
    with pytest.raises(Refusal, match=message):
        await devices.update(catalog, other, second.id, DeviceFields(trust_id=True), is_operator=True)
    await devices.update(catalog, org, first.id, DeviceFields(networks=None, device_id="353"))
    await devices.update(catalog, other, second.id, DeviceFields(trust_id=True), is_operator=True)


async def test_a_device_cannot_be_mounted_on_another_orgs_vehicle(catalog, org, van):
    other = OrgId((await orgs.create(catalog, "Other")).id)
    with pytest.raises(Refusal, match="no such vehicle"):
        await devices.add(catalog, other, DeviceFields(asset_id=van.body.number))
