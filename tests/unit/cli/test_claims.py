"""Whom a replay speaks as: vehicles are never mixed, and never made twice."""

from __future__ import annotations

import pytest

from odograph.cli.claims import imei, made_devices, one_key, shared_key
from odograph.cli.connect import Api
from odograph.errors import Refusal
from odograph.protocols.base import Claim
from odograph.settings import Settings
from tests.support.api import open_world, public_id


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest.fixture
async def acme(world):
    return await world.make_org()


@pytest.fixture
def api(world, acme):
    return Api(world.client(operator=True), Settings(), is_served=True)


async def vehicles(api):
    return {one["name"]: one["id"] async for one in api.every("/fleet/vehicles")}


async def devices(api):
    return {
        one["deviceId"]: one["vehicle"]["name"] async for one in api.every("/odograph/devices") if "deviceId" in one
    }


def test_the_key_of_one_device_speaks_for_one_vehicle():
    assert one_key("k", ["van"])("van") == Claim("van", "k")
    assert one_key("k", [])("van") == Claim("van", "k")
    with pytest.raises(Refusal, match=r"several vehicles, such as 'a' and 'b'.*--forwarder-key"):
        one_key("k", ["a", "b"])


def test_a_key_for_many_speaks_for_each_by_its_id():
    assert shared_key("k")("bus 7") == Claim("bus 7", "k")


async def test_what_this_server_exported_goes_back_to_its_vehicles(world, acme, api):
    van = public_id(await world.make_vehicle(acme, name="Van 1"))
    async with made_devices(api, {van: "van 1", "9": "New"}, "batch") as claim_of:
        assert await devices(api) == {van: "Van 1", "9": "New"}
        claim = claim_of(van)
        assert claim is not None
        assert claim.device == van
    assert await devices(api) == {"9": "New"}, "the vehicle's own devices are as they were"
    assert set(await vehicles(api)) == {"Van 1", "New"}
    async with made_devices(api, {van: "Van 1", "9": "New"}, "teltonika"):
        assert await devices(api) == {"9": "New", imei(van): "Van 1", imei("9"): "New"}


async def test_an_id_that_is_another_vehicles_here_is_refused_before_anything_is_made(world, acme, api):
    truck = public_id(await world.make_vehicle(acme, name="Truck"))
    with pytest.raises(Refusal, match=f"Vehicle {truck} is 'Van 1' in the recording and 'Truck' on this server"):
        async with made_devices(api, {truck: "Van 1", "9": "New"}, "batch"):
            pass
    assert set(await vehicles(api)) == {"Truck"}


async def test_two_vehicles_of_one_name_do_not_become_one(api):
    with pytest.raises(Refusal, match="2 vehicles of the recording are called 'van'"):
        async with made_devices(api, {"8": "Van", "9": "van"}, "batch"):
            pass
    assert await vehicles(api) == {}


async def test_without_names_the_ids_are_names(api):
    for _ in range(2):
        async with made_devices(api, {"bus 1": "", "bus 2": ""}, "batch"):
            assert await devices(api) == {"bus 1": "bus 1", "bus 2": "bus 2"}
