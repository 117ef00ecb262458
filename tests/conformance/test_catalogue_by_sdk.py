"""The vendor's own Python SDK, told nothing but a base URL and a token, on the catalogue and /me."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from samsara import AsyncSamsara
from samsara.core.api_error import ApiError
from samsara.types import (
    AddressGeofenceCircle,
    AddressGeofencePolygon,
    AddressGeofencePolygonVertices,
    CreateAddressRequestGeofence,
    GrossVehicleWeight,
)

from odograph.api.resources import assets as assets_resource
from tests.support.api import Checker, World, open_world, public_id


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World):
    return await world.make_org("Acme")


def sdk(world: World, token: str) -> AsyncSamsara:
    async def check(response: httpx.Response) -> None:
        await response.aread()
        Checker(world.document).check(response)

    transport = httpx.ASGITransport(app=cast("Any", world.app))
    client = httpx.AsyncClient(transport=transport, event_hooks={"response": [check]})
    return AsyncSamsara(base_url="http://testserver", token=token, httpx_client=client)


@pytest_asyncio.fixture
async def samsara(world, acme) -> AsyncSamsara:
    return sdk(world, await world.make_token(acme))


async def test_the_pager_lists_every_vehicle_once_and_stops(world, acme, samsara):
    made = [public_id(await world.make_vehicle(acme, name=f"Van {number}")) for number in range(7)]
    pager = await samsara.vehicles.list(limit=3)
    vehicles = [vehicle async for vehicle in pager]
    assert [vehicle.id for vehicle in vehicles] == made
    assert vehicles[0].name == "Van 0"
    assert vehicles[0].created_at_time.isoformat() == "2024-05-01T10:00:00+00:00"


async def test_an_empty_fleet_is_an_empty_list(samsara):
    assert [vehicle async for vehicle in await samsara.vehicles.list()] == []


async def test_a_vehicle_is_read_and_changed_by_id_and_external_id(world, acme, samsara):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "7"}, vin="1FTBW2CM5GKA12345")
    found = await samsara.vehicles.get("erp:7")
    assert found.data.id == public_id(van)
    assert found.data.external_ids == {
        "erp": "7",
        "samsara.vin": "1FTBW2CM5GKA12345",
    }
    changed = await samsara.vehicles.update(public_id(van), name="Van B", external_ids={"maintenance": "250020"})
    assert changed.data.name == "Van B"
    assert (await samsara.vehicles.get("maintenance:250020")).data.name == "Van B"
    assert (await samsara.vehicles.update(public_id(van))).data.name == "Van B"


async def test_an_asset_without_a_type_is_uncategorized_and_cannot_be_followed(samsara):
    for given in ({}, {"type": None}, {"type": "uncategorized"}):
        with pytest.raises(ApiError) as caught:
            await samsara.assets.create_asset(name="A", **given)
        assert caught.value.body["message"] == "type: 'uncategorized' can't be followed yet; allowed: vehicle."


async def test_what_is_said_of_a_vehicle_is_kept_shown_and_taken_back(world, acme, samsara):
    van = public_id(await world.make_vehicle(acme, name="Van"))
    said = {
        "vehicle_regulation_mode": "mixed",
        "harsh_acceleration_setting_type": "heavyDuty",
        "vehicle_type": "truck",
        "gross_vehicle_weight": GrossVehicleWeight(unit="lb", weight=33_000),
        "aux_input_type_1": "door",
        "aux_input_type_13": "plow",
    }
    changed = (await samsara.vehicles.update(van, **said)).data
    assert {field: getattr(changed, field) for field in said} == said
    assert (await samsara.vehicles.update(van, name="B")).data.vehicle_type == "truck", "what is not given stays"
    (listed,) = [vehicle async for vehicle in await samsara.vehicles.list()]
    assert (listed.vehicle_regulation_mode, listed.aux_input_type_13) == ("mixed", "plow")
    assert (
        await samsara.assets.update_asset(id=van, regulation_mode="regulated")
    ).data.regulation_mode == "regulated"
    gone = (await samsara.vehicles.update(van, **dict.fromkeys(said))).data
    assert [getattr(gone, field) for field in said] == [None] * len(said)
    ignored = await samsara.vehicles.update(
        van, odometer_meters=5, engine_hours=1, gateway_serial="G", attributes=[]
    )
    assert ignored.data.name == "B"
    made = await samsara.assets.create_asset(
        type="vehicle", regulation_mode="unregulated", readings_ingestion_enabled=True, attributes=[]
    )
    assert made.data.regulation_mode == "unregulated"
    assert (await samsara.vehicles.get(made.data.id)).data.vehicle_regulation_mode == "unregulated"


async def test_what_was_read_can_be_sent_back_as_it_is(world, acme, samsara):
    van = public_id(await world.make_vehicle(acme, external_ids={"erp": "7"}, vin="1FTBW2CM5GKA12345", serial="S1"))
    read = (await samsara.vehicles.get(van)).data
    changed = (await samsara.vehicles.update(van, notes="x", external_ids=read.external_ids)).data
    assert (changed.notes, changed.external_ids) == ("x", read.external_ids)
    other = "1FTBW2CM5GKA54321"
    moved = (await samsara.vehicles.update(van, vin=other, external_ids=read.external_ids)).data
    assert moved.external_ids == {**read.external_ids, "samsara.vin": other}, "the VIN decides"
    await samsara.vehicles.update(van, vin=read.vin, external_ids=read.external_ids)
    assert (await samsara.assets.update_asset(id=van, external_ids=read.external_ids)).data.vin == read.vin
    for pairs in ({"samsara.vin": other}, {"samsara.serial": ""}, {"samsara.name": "x"}):
        with pytest.raises(ApiError) as caught:
            await samsara.vehicles.update(van, external_ids=pairs)
        assert caught.value.status_code == 400
        (key,) = pairs
        assert f"externalIds: '{key}'" in caught.value.body["message"]
    assert (await samsara.vehicles.get(van)).data.external_ids == read.external_ids
    tag = (await samsara.tags.create_tag(name="North", external_ids={"crm": "1"})).data
    renamed = (await samsara.tags.patch_tag(tag.id, name="N", external_ids=tag.external_ids)).data
    assert renamed.external_ids.dict() == {"crm": "1", "samsara.name": "N"}
    with pytest.raises(ApiError):
        await samsara.tags.patch_tag(tag.id, external_ids={"samsara.name": "other"})


async def test_assets_are_made_listed_changed_and_deleted(world, samsara, monkeypatch):
    monkeypatch.setattr(assets_resource, "PAGE", 2)
    made = [
        (
            await samsara.assets.create_asset(type="vehicle", name=f"Van {number}", external_ids={"n": str(number)})
        ).data
        for number in range(5)
    ]
    listed = [asset async for asset in await samsara.assets.list(include_external_ids=True, include_tags=True)]
    assert [asset.id for asset in listed] == [asset.id for asset in made]
    assert listed[3].external_ids == {"n": "3"}
    some = [asset async for asset in await samsara.assets.list(ids=[made[0].id, "n:4"])]
    assert [asset.name for asset in some] == ["Van 0", "Van 4"]
    changed = await samsara.assets.update_asset(id="n:1", name="Van X", year=2020, tag_ids=[])
    assert (changed.data.name, changed.data.year) == ("Van X", 2020)
    await samsara.assets.delete_asset(id=made[2].id)
    assert made[2].id not in {vehicle.id async for vehicle in await samsara.vehicles.list()}


async def test_tags_are_made_listed_changed_replaced_and_deleted(world, acme, samsara):
    van = await world.make_vehicle(acme, name="Van")
    parent = (await samsara.tags.create_tag(name="All")).data
    made = await samsara.tags.create_tag(
        name="North", parent_tag_id=parent.id, vehicles=[public_id(van)], external_ids={"crmId": "abc123"}
    )
    tag = made.data
    assert [vehicle.id for vehicle in tag.vehicles] == [public_id(van)]
    assert tag.parent_tag.name == "All"
    listed = await samsara.tags.list_tags(limit=1)
    assert [one.id for one in listed.data] == [parent.id]
    rest = await samsara.tags.list_tags(limit=1, after=listed.pagination.end_cursor)
    assert [one.id for one in rest.data] == [tag.id]
    assert rest.pagination.end_cursor == ""
    assert (await samsara.tags.patch_tag("crmId:abc123", name="N")).data.name == "N"
    assert (await samsara.tags.get_tag(tag.id)).data.vehicles[0].name == "Van"
    replaced = (await samsara.tags.replace_tag(tag.id, name="N2")).data
    assert replaced.vehicles == []
    filtered = [vehicle async for vehicle in await samsara.vehicles.list(tag_ids=tag.id)]
    assert filtered == []
    await samsara.tags.delete(tag.id)
    assert [one.id for one in (await samsara.tags.list_tags()).data] == [parent.id]


async def test_addresses_are_made_listed_changed_and_deleted(samsara):
    north = (await samsara.tags.create_tag(name="North")).data
    who = (await samsara.contacts.create_contact(first_name="Cee", last_name="Dee")).data
    circle = CreateAddressRequestGeofence(
        circle=AddressGeofenceCircle(latitude=52.1, longitude=4.3, radius_meters=80)
    )
    dock = (
        await samsara.addresses.create(
            name="Dock",
            formatted_address="Quay 1",
            geofence=circle,
            address_types=["yard", "customerSite"],
            contact_ids=[who.id],
            tag_ids=[north.id],
            external_ids={"erp": "7"},
            notes="Ring",
        )
    ).data
    assert (dock.geofence.circle.radius_meters, dock.latitude, dock.longitude) == (80, 52.1, 4.3)
    assert dock.created_at_time.isoformat() == "2024-05-01T10:00:00+00:00"
    assert [contact.first_name for contact in dock.contacts] == ["Cee"]
    assert [tag.name for tag in dock.tags] == ["North"]
    corners = [
        AddressGeofencePolygonVertices(latitude=lat, longitude=lon)
        for lat, lon in ((-18, 179), (-18, -179), (-16, -179), (-16, 179))
    ]
    fiji = CreateAddressRequestGeofence(polygon=AddressGeofencePolygon(vertices=corners))
    made = (await samsara.addresses.create(name="Fiji", formatted_address="Suva", geofence=fiji)).data
    assert [vertex.longitude for vertex in made.geofence.polygon.vertices] == [179, -179, -179, 179]
    for number in range(3):
        await samsara.addresses.create(name=f"{number}", formatted_address="x", geofence=circle)
    listed = [address.name async for address in await samsara.addresses.list(limit=2)]
    assert listed == ["Dock", "Fiji", "0", "1", "2"]
    filtered = [address.id async for address in await samsara.addresses.list(tag_ids=[north.id])]
    assert filtered == [dock.id]
    changed = (await samsara.addresses.update("erp:7", name="Dock 2", contact_ids=[])).data
    assert (changed.name, changed.formatted_address, changed.contacts) == ("Dock 2", "Quay 1", None)
    assert (await samsara.addresses.get("erp:7")).data == changed
    await samsara.addresses.delete(dock.id)
    assert [address.name async for address in await samsara.addresses.list(limit=1)] == ["Fiji", "0", "1", "2"]


async def test_drivers_are_made_listed_changed_and_assigned(world, acme, samsara):
    van = public_id(await world.make_vehicle(acme, name="Van"))
    made = [
        (await samsara.drivers.create(name=f"D{number}", username=f"d{number}", password="x" * 8)).data
        for number in range(3)
    ]
    assert [driver.id async for driver in await samsara.drivers.list(limit=1)] == [one.id for one in made]
    changed = (await samsara.drivers.update(made[0].id, phone="1", external_ids={"hr": "1"})).data
    assert (changed.name, changed.phone, changed.driver_activation_status) == ("D0", "1", "active")
    vehicle = (await samsara.vehicles.update(van, static_assigned_driver_id="hr:1")).data
    assert (vehicle.static_assigned_driver.id, vehicle.static_assigned_driver.name) == (made[0].id, "D0")
    assert (await samsara.drivers.get("hr:1")).data.static_assigned_vehicle.id == van
    assert (await samsara.vehicles.update(van, static_assigned_driver_id="0")).data.static_assigned_driver is None
    await samsara.drivers.update(made[1].id, driver_activation_status="deactivated")
    off = [driver.id async for driver in await samsara.drivers.list(driver_activation_status="deactivated")]
    assert off == [made[1].id]
    with pytest.raises(ApiError) as caught:
        await samsara.drivers.create(name="D", username="D2", password="x")
    assert caught.value.status_code == 400


async def test_contacts_are_made_listed_changed_and_deleted(samsara):
    made = [(await samsara.contacts.create_contact(email=f"{number}@example.com")).data for number in range(3)]
    assert (made[0].first_name, made[0].email) == ("", "0@example.com")
    first = await samsara.contacts.list_contacts(limit=2)
    rest = await samsara.contacts.list_contacts(limit=2, after=first.pagination.end_cursor)
    assert [one.id for one in (*first.data, *rest.data)] == [one.id for one in made]
    assert rest.pagination.end_cursor == ""
    changed = (await samsara.contacts.update_contact(made[0].id, phone="1")).data
    assert (changed.phone, changed.email) == ("1", "0@example.com")
    assert (await samsara.contacts.get_contact(made[0].id)).data == changed
    await samsara.contacts.delete(made[0].id)
    assert len((await samsara.contacts.list_contacts()).data) == 2


async def test_tags_hold_addresses_and_drivers_too(world, acme, samsara):
    dock, dee = await world.make_address(acme), await world.make_driver(acme)
    address, driver = str(dock.body.number), str(dee.body.number)
    tag = (await samsara.tags.create_tag(name="North", addresses=[address], drivers=[driver])).data
    assert ([one.id for one in tag.addresses], [one.name for one in tag.drivers]) == ([address], ["Dee"])
    assert [one.id for one in (await samsara.addresses.get(address)).data.tags] == [tag.id]
    assert [one.id for one in (await samsara.drivers.get(driver)).data.tags] == [tag.id]
    patched = (await samsara.tags.patch_tag(tag.id, drivers=[])).data
    assert ([one.id for one in patched.addresses], patched.drivers) == ([address], [])
    replaced = (await samsara.tags.replace_tag(tag.id, name="N", drivers=[driver])).data
    assert (replaced.addresses, [one.id for one in replaced.drivers]) == ([], [driver])
    await samsara.tags.delete(tag.id)
    assert (await samsara.drivers.get(driver)).data.tags == []


async def test_stats_name_the_address_of_a_fix(world, acme, samsara):
    await world.make_address(acme, name="Dock")
    await world.report(acme, await world.make_vehicle(acme, name="Van"), 1_700_000_000_000)
    (van,) = (await samsara.vehicle_stats.get_vehicle_stats(types=["gps"])).data
    assert van.gps.address.name == "Dock"


async def test_me_is_the_org(samsara, acme):
    me = await samsara.organization_info.get_organization_info()
    assert (me.data.id, me.data.name) == (str(acme), "Acme")


async def test_refusals_arrive_as_the_sdks_own_errors(world, acme, samsara):
    with pytest.raises(ApiError) as caught:
        await samsara.vehicles.get("0")
    assert caught.value.status_code == 404
    assert set(caught.value.body) == {"message", "requestId"}
    await samsara.assets.create_asset(type="vehicle", name="A", external_ids={"erp": "1"})
    with pytest.raises(ApiError) as caught:
        await samsara.assets.create_asset(type="vehicle", name="B", external_ids={"erp": "1"})
    assert caught.value.status_code == 400
    stranger = sdk(world, "odo_nobody")
    with pytest.raises(ApiError) as caught:
        await stranger.tags.list_tags()
    assert caught.value.status_code == 401
    reader = sdk(world, await world.make_token(acme, ["Read Tags"]))
    with pytest.raises(ApiError) as caught:
        await reader.tags.create_tag(name="x")
    assert caught.value.status_code == 403


async def test_many_ids_reach_the_locations_repeated_as_the_sdk_sends_them(world, acme, samsara):
    vans = [await world.make_vehicle(acme, name=f"{number}") for number in range(3)]
    for van in vans:
        await world.report(acme, van, 1_700_000_000_000)
    wanted = [public_id(van) for van in vans[:2]]
    answer = await samsara.vehicle_locations.get_vehicle_locations(vehicle_ids=wanted)
    assert [one.id for one in answer.data] == wanted
