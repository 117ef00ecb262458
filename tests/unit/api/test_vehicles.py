"""Vehicles and assets, as clients in the field ask for them."""

from __future__ import annotations

import pytest

from tests.support.api import NOON_MS, Client, World, public_id

VIN = "1FTBW2CM5GKA12345"


@pytest.fixture
def make(client: Client):
    async def make(**fields):
        answer = await client.post("/assets", json={"type": "vehicle", **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return make


async def test_a_vehicle_is_made_as_an_asset_and_read_as_both(client, make):
    made = await make(
        name="Van 1", vin=VIN, licensePlate="AB-12-CD", serialNumber="S1", make="Ford", model="Transit", year=2019,
        notes="blue", externalIds={"erp": 7, "old": True},
    )  # fmt: skip
    vehicle = (await client.get(f"/fleet/vehicles/{made['id']}")).json()["data"]
    assert vehicle == {
        "id": made["id"],
        "name": "Van 1",
        "createdAtTime": "2024-05-01T10:00:00Z",
        "updatedAtTime": "2024-05-01T10:00:00Z",
        "vin": VIN,
        "serial": "S1",
        "licensePlate": "AB-12-CD",
        "make": "Ford",
        "model": "Transit",
        "year": "2019",
        "notes": "blue",
        "externalIds": {"erp": "7", "old": "true", "samsara.vin": VIN, "samsara.serial": "S1"},
        "tags": [],
    }
    assert made["year"] == 2019
    assert len(made["id"]) == 15
    (asset,) = (await client.get("/assets", params={"type": "vehicle"})).json()["data"]
    assert asset == {key: value for key, value in made.items() if key not in {"tags", "externalIds"}}
    assert (await client.get("/assets", params={"type": "trailer"})).json()["data"] == []
    (asset,) = (await client.get("/assets?includeTags=true&includeExternalIds=true")).json()["data"]
    assert asset == made


async def test_a_vehicle_is_found_by_every_name_it_has(client, make):
    made = await make(name="A", vin=VIN, serialNumber="S 1/2", externalIds={"erp": "a/b c"})
    names = [made["id"], f"samsara.vin:{VIN}", "samsara.serial:S%201/2", "erp:a/b%20c", "erp:a%2Fb%20c"]
    for name in names:
        assert (await client.get(f"/fleet/vehicles/{name}")).json()["data"]["id"] == made["id"], name
    for name in ("0", "281474976710657000", "x", "erp:", "erp:x", "samsara.name:A", "%00"):
        assert (await client.get(f"/fleet/vehicles/{name}")).status_code == 404, name
    assert (await client.delete("/assets", params={"id": "erp:a/b c"})).status_code == 204
    assert (await client.get(f"/fleet/vehicles/{made['id']}")).status_code == 404


async def test_a_patch_changes_what_it_names_and_null_empties(client, make):
    made = await make(name="A", vin=VIN, notes="x", externalIds={"a": "1", "b": "2"})
    path = f"/fleet/vehicles/{made['id']}"
    assert (await client.patch(path, json={})).json()["data"]["notes"] == "x"
    changed = (await client.patch(path, json={"notes": None, "externalIds": {"a": None, "c": "3"}})).json()["data"]
    assert "notes" not in changed
    assert changed["externalIds"] == {"b": "2", "c": "3", "samsara.vin": VIN}
    assert (await client.patch(path, json={"externalIds": {"b": ""}})).json()["data"]["externalIds"] == {
        "c": "3",
        "samsara.vin": VIN,
    }
    assert (await client.patch(path, json={"make": "Fiat", "odometerMeters": 5})).json()["data"].get("make") is None
    changed = (await client.patch("/assets", params={"id": "c:3"}, json={"name": "B", "make": "Fiat"})).json()[
        "data"
    ]
    assert (changed["name"], changed["make"]) == ("B", "Fiat")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"vin": "short"}, "vin"),
        ({"vin": "x" * 18}, "vin"),
        ({"licensePlate": "x" * 13}, "licensePlate"),
        ({"notes": "x" * 256}, "notes"),
        ({"name": "x" * 256}, "name"),
        ({"year": 17}, "year"),
        ({"year": "2019"}, "year"),
        ({"tagIds": ["99"]}, "tagIds"),
        ({"tagIds": "99"}, "tagIds"),
        ({"externalIds": {"samsara.vin": "x"}}, "externalIds"),
        ({"externalIds": {"a b": "x"}}, "externalIds"),
        ({"externalIds": {"a": ["x"]}}, "externalIds"),
        ({"type": "trailer"}, "type"),
    ],
)
async def test_a_field_that_cannot_be_kept_is_named(client, body, field):
    answer = await client.post("/assets", json={"type": "vehicle", **body})
    assert answer.status_code == 400
    assert field in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"vehicleType": "boat"},
            "Field 'vehicleType': invalid enum value 'boat'; allowed: bus, passenger, truck, unset.",
        ),
        (
            {"vehicleRegulationMode": "no"},
            "Field 'vehicleRegulationMode': invalid enum value 'no'; allowed: mixed, regulated, unregulated.",
        ),
        (
            {"harshAccelerationSettingType": "x"},
            "Field 'harshAccelerationSettingType': invalid enum value 'x'; "
            "allowed: automatic, heavyDuty, lightTruck, off, passengerCar.",
        ),
        (
            {"grossVehicleWeight": {"unit": "t", "weight": 3}},
            "Field 'grossVehicleWeight.unit': invalid enum value 't'; allowed: kg, lb.",
        ),
        ({"grossVehicleWeight": {"unit": "kg"}}, "Field 'grossVehicleWeight.weight' is required."),
        ({"grossVehicleWeight": {"unit": "kg", "weight": -1}}, "Field 'grossVehicleWeight.weight': "),
        ({"auxInputType7": "x" * 256}, "Field 'auxInputType7': "),
        ({"auxInputType7": "\x07"}, "auxInputType7: holds a control character"),
    ],
)
async def test_what_is_said_of_a_vehicle_is_checked(client, make, body, message):
    made = await make(name="A")
    answer = await client.patch(f"/fleet/vehicles/{made['id']}", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)


async def test_an_external_id_belongs_to_one_object_of_the_org(client, make, world):
    await make(name="A", externalIds={"erp": "1"})
    one = {"type": "vehicle", "externalIds": {"erp": "1"}}
    assert (await client.post("/assets", json=one)).status_code == 400
    assert (await client.post("/tags", json={"name": "T", "externalIds": {"erp": "1"}})).status_code == 400
    other = world.client(await world.make_token(await world.make_org("Other")))
    assert (await other.post("/assets", json=one)).status_code == 200


async def test_filters_unite_and_unknown_ids_give_nothing(client, make):
    tag = (await client.post("/tags", json={"name": "T"})).json()["data"]
    child = (await client.post("/tags", json={"name": "C", "parentTagId": tag["id"]})).json()["data"]
    one = await make(name="1", tagIds=[tag["id"]])
    two = await make(name="2", tagIds=[child["id"]])
    three = await make(name="3", externalIds={"erp": "3"})

    async def names(path, **params):
        return [vehicle["name"] for vehicle in (await client.get(path, params=params)).json()["data"]]

    assert await names("/fleet/vehicles") == ["1", "2", "3"]
    assert await names("/fleet/vehicles", tagIds=tag["id"]) == ["1"]
    assert await names("/fleet/vehicles", parentTagIds=tag["id"]) == ["1", "2"]
    assert await names("/fleet/vehicles", tagIds=f"{tag['id']},{child['id']},777") == ["1", "2"]
    assert await names("/fleet/vehicles", tagIds="777") == []
    assert await names("/assets", ids=f"{one['id']},erp:3") == ["1", "3"]
    assert await names("/assets", ids=two["id"], tagIds=tag["id"]) == ["1", "2"]
    assert await names("/assets", externalIds="erp:3,erp:4") == ["3"]
    assert await names("/assets", ids="281474976799999") == []
    assert await names("/fleet/vehicles", attributes="Colour:red") == []
    assert (await client.get("/assets", params={"externalIds": "erp"})).status_code == 400
    refused = await client.get("/assets", params={"ids": "van"})
    assert refused.json()["message"].startswith("ids: 'van' is not an id")
    assert refused.status_code == 400
    assert three["tags"] == []


async def test_lists_can_be_narrowed_to_what_is_new(client, make, world):
    made = await make(name="old")
    world.clock.time_ms += 60_000
    await make(name="new")

    async def names(path, **params):
        return [vehicle["name"] for vehicle in (await client.get(path, params=params)).json()["data"]]

    assert await names("/fleet/vehicles", createdAfterTime="2024-05-01T10:01:00Z") == ["new"]
    assert await names("/fleet/vehicles", createdAfterTime="2024-05-01T10:00:00Z") == ["old", "new"]
    assert await names("/fleet/vehicles", createdAfterTime="2024-05-01T10:00:00.0000001Z") == ["new"]
    world.clock.time_ms += 60_000
    await client.patch(f"/fleet/vehicles/{made['id']}", json={"notes": "changed"})
    assert await names("/fleet/vehicles", updatedAfterTime="2024-05-01T10:02:00.000Z") == ["old"]
    assert await names("/assets", updatedAfterTime="2024-05-01T10:02:00.001Z") == []


async def test_a_page_is_full_however_much_was_left_out(client, world, acme):
    for number in range(20):
        world.clock.time_ms = NOON_MS + (number % 4 == 0) * 1000
        await world.make_vehicle(acme, name=f"{number}")
    query = {"createdAfterTime": "2024-05-01T10:00:01Z", "limit": "2"}
    first = (await client.get("/fleet/vehicles", params=query)).json()
    assert [one["name"] for one in first["data"]] == ["0", "4"]
    second = (
        await client.get("/fleet/vehicles", params={**query, "after": first["pagination"]["endCursor"]})
    ).json()
    assert [one["name"] for one in second["data"]] == ["8", "12"]
    third = (
        await client.get("/fleet/vehicles", params={**query, "after": second["pagination"]["endCursor"]})
    ).json()
    assert ([one["name"] for one in third["data"]], third["pagination"]) == (
        ["16"],
        {"endCursor": "", "hasNextPage": False},
    )


async def test_a_token_with_tags_sees_and_makes_only_what_carries_them(world: World, acme, client):
    tag = (await client.post("/tags", json={"name": "North"})).json()["data"]["id"]
    other = (await client.post("/tags", json={"name": "South"})).json()["data"]["id"]
    seen = await world.make_vehicle(acme, name="seen", tag_ids=[tag])
    hidden = await world.make_vehicle(acme, name="hidden", tag_ids=[other])
    limited = world.client(await world.make_token(acme, tag_ids=[tag]))
    for path in ("/fleet/vehicles", "/assets"):
        assert [one["name"] for one in (await limited.get(path)).json()["data"]] == ["seen"]
    assert (await limited.get(f"/fleet/vehicles/{public_id(hidden)}")).status_code == 404
    assert (await limited.patch(f"/fleet/vehicles/{public_id(hidden)}", json={"name": "x"})).status_code == 404
    assert (await limited.delete("/assets", params={"id": public_id(hidden)})).status_code == 404
    mine = {"type": "vehicle", "name": "mine"}
    assert (await limited.post("/assets", json=mine)).status_code == 400
    assert (await limited.post("/assets", json={**mine, "tagIds": [other]})).status_code == 400
    assert (await limited.post("/assets", json={**mine, "tagIds": [tag]})).status_code == 200
    assert (await limited.patch(f"/fleet/vehicles/{public_id(seen)}", json={"tagIds": [other]})).status_code == 400
    assert (await limited.patch(f"/fleet/vehicles/{public_id(seen)}", json={"name": "y"})).status_code == 200


async def test_me_is_the_org_of_the_token(client, acme):
    assert (await client.get("/me")).json() == {"data": {"id": str(acme), "name": "Acme"}}
