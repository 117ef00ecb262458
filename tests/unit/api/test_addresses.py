"""Addresses, contacts and drivers, as clients in the field write them."""

from __future__ import annotations

import pytest

from tests.support.api import NOON_MS, public_id

CIRCLE = {"circle": {"radiusMeters": 80, "latitude": 52.1, "longitude": 4.3}}
CORNERS = [(52.0, 4.0), (52.0, 5.0), (53.0, 5.0), (53.0, 4.0)]
POLYGON = {"polygon": {"vertices": [{"latitude": lat, "longitude": lon} for lat, lon in CORNERS]}}
DOCK = {"name": "Dock", "formattedAddress": "Quay 1", "geofence": CIRCLE}


@pytest.fixture
def make(client):
    async def make(path="/addresses", **fields):
        answer = await client.post(path, json={**(DOCK if path == "/addresses" else {}), **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return make


async def test_an_address_is_answered_as_the_contract_has_it(client, make):
    tag = await make("/tags", name="North")
    who = await make("/contacts", firstName="Cee", lastName="Dee")
    dock = await make(
        addressTypes=["yard"],
        contactIds=[who["id"]],
        tagIds=[tag["id"]],
        externalIds={"erp": 7},
        notes="Ring",
        geofence={**CIRCLE, "settings": {"showAddresses": False}},
    )
    assert dock == {
        "id": dock["id"],
        "name": "Dock",
        "formattedAddress": "Quay 1",
        "geofence": {**CIRCLE, "settings": {"showAddresses": False}},
        "latitude": 52.1,
        "longitude": 4.3,
        "createdAtTime": "2024-05-01T10:00:00Z",
        "addressTypes": ["yard"],
        "notes": "Ring",
        "contacts": [{"id": who["id"], "firstName": "Cee", "lastName": "Dee"}],
        "tags": [{"id": tag["id"], "name": "North"}],
        "externalIds": {"erp": "7"},
    }
    for name in (dock["id"], "erp:7"):
        assert (await client.get(f"/addresses/{name}")).json() == {"data": dock}
    tagged = (await client.get(f"/tags/{tag['id']}")).json()["data"]
    assert tagged["addresses"] == [{"id": dock["id"], "name": "Dock"}]
    bare = await make()
    assert bare == {**DOCK, **{key: bare[key] for key in ("id", "latitude", "longitude", "createdAtTime")}} | {
        "tags": [],
        "externalIds": {},
    }


async def test_a_polygon_comes_back_as_it_was_given_and_replaces_a_circle(client, make):
    dock = await make()
    changed = (await client.patch(f"/addresses/{dock['id']}", json={"geofence": POLYGON})).json()["data"]
    assert changed["geofence"] == POLYGON
    assert (changed["latitude"], changed["longitude"]) == (52.5, 4.5)
    kept = (await client.patch(f"/addresses/{dock['id']}", json={})).json()["data"]
    assert kept == changed
    back = (await client.patch(f"/addresses/{dock['id']}", json={"geofence": CIRCLE})).json()["data"]
    assert back["geofence"] == CIRCLE


async def test_the_extension_is_shown_only_where_it_says_something(client, make, world, acme):
    dock = await make()
    assert "odograph" not in dock
    path = f"/addresses/{dock['id']}"
    private = (await client.patch(path, json={"odograph": {"isPrivateZone": True}})).json()["data"]
    assert private["odograph"] == {"isPrivateZone": True}
    assert (await client.patch(path, json={"odograph": {}})).json()["data"] == private
    (zone,) = world.directory.addresses.private(acme)
    assert zone.body.name == "Dock"
    for nothing in (None, {"isPrivateZone": None}, {"isPrivateZone": False}):
        await client.patch(path, json={"odograph": {"isPrivateZone": True}})
        assert "odograph" not in (await client.patch(path, json={"odograph": nothing})).json()["data"]
    home = await make(name="Home", odograph={"isPrivateZone": True})
    assert home["odograph"] == {"isPrivateZone": True}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": None}, "name"),
        ({"formattedAddress": None}, "formattedAddress"),
        ({"geofence": None}, "geofence"),
        ({"geofence": {}}, "geofence"),
        ({"geofence": {**CIRCLE, **POLYGON}}, "geofence"),
        ({"geofence": {"circle": {"radiusMeters": 25.5, "latitude": 1, "longitude": 1}}}, "radiusMeters"),
        ({"geofence": {"circle": {"radiusMeters": "80", "latitude": 1, "longitude": 1}}}, "radiusMeters"),
        ({"geofence": {"circle": {"radiusMeters": 0, "latitude": 1, "longitude": 1}}}, "radiusMeters"),
        ({"geofence": {"circle": {"latitude": 1, "longitude": 1}}}, "radiusMeters"),
        ({"geofence": {"circle": {"radiusMeters": 80}}}, "geofence.circle.latitude"),
        ({"geofence": {"circle": {"radiusMeters": 80, "latitude": 90.1, "longitude": 1}}}, "circle.latitude"),
        ({"geofence": {"polygon": {}}}, "geofence.polygon.vertices"),
        ({"geofence": {"polygon": {"vertices": POLYGON["polygon"]["vertices"][:2]}}}, "geofence.polygon.vertices"),
        ({"geofence": {"polygon": {"vertices": [{"latitude": 1}] * 3}}}, "vertices[0].longitude"),
        ({"latitude": 1}, "longitude"),
        ({"latitude": "north", "longitude": 1}, "latitude"),
        ({"notes": "x" * 281}, "notes"),
        ({"addressTypes": ["castle"]}, "addressTypes"),
        ({"contactIds": ["9"]}, "contactIds"),
        ({"tagIds": [9]}, "tagIds"),
        ({"externalIds": {"samsara.name": "x"}}, "externalIds"),
        ({"odograph": {"isPrivateZone": "yes"}}, "odograph.isPrivateZone"),
    ],
)
async def test_what_cannot_be_is_refused_by_the_name_of_the_field(client, fields, named):
    answer = await client.post("/addresses", json={**DOCK, **fields})
    assert answer.status_code == 400
    assert named in answer.json()["message"]


async def test_numbers_may_be_written_as_whole_floats_and_null_counts_as_absent(make):
    circle = {"radiusMeters": 80.0, "latitude": 52, "longitude": 4}
    dock = await make(geofence={"circle": circle, "polygon": None}, notes=None, latitude=None)
    assert dock["geofence"]["circle"]["radiusMeters"] == 80


async def test_lists_are_filtered_by_tags_and_by_when_they_were_made(client, make, world):
    parent = await make("/tags", name="All")
    child = await make("/tags", name="North", parentTagId=parent["id"], externalIds={"crm": "n"})
    one = await make(name="one", tagIds=[parent["id"]])
    world.clock.time_ms += 1000
    two = await make(name="two", tagIds=["crm:n"])
    await make(name="three")

    async def names(**params):
        answer = await client.get("/addresses", params=params)
        assert answer.status_code == 200, answer.text
        return [address["name"] for address in answer.json()["data"]]

    assert await names() == ["one", "two", "three"]
    assert await names(tagIds=parent["id"]) == ["one"]
    assert await names(parentTagIds=parent["id"]) == ["one", "two"]
    assert await names(tagIds=f"{parent['id']},crm:n") == ["one", "two"]
    assert await names(tagIds="999") == []
    assert await names(tagIds="999", parentTagIds=child["id"]) == ["two"]
    assert await names(createdAfterTime="2024-05-01T10:00:01Z") == ["two", "three"]
    assert await names(attributes="a:b", vehicleIds="x") == ["one", "two", "three"], "no filters of this list"
    assert (await client.get("/addresses", params={"tagIds": "north"})).status_code == 400
    first = (await client.get("/addresses", params={"limit": 1})).json()
    assert [address["id"] for address in first["data"]] == [one["id"]]
    rest = await names(after=first["pagination"]["endCursor"], parentTagIds=parent["id"])
    assert rest == [two["name"]]


async def test_a_token_with_tags_sees_its_own_addresses_contacts_and_drivers(client, make, world, acme):
    tag, other = await make("/tags", name="North"), await make("/tags", name="South")
    who, hidden_who = await make("/contacts", firstName="x"), await make("/contacts", firstName="y")
    mine = await make(name="mine", tagIds=[tag["id"]], contactIds=[who["id"]])
    hidden = await make(name="hidden", tagIds=[other["id"]], contactIds=[hidden_who["id"]])
    van, hidden_van = (
        await world.make_vehicle(acme, name="Van", tag_ids=[tag["id"]]),
        await world.make_vehicle(acme),
    )
    await world.make_driver(acme, name="Dee", tag_ids=[tag["id"]], vehicle=public_id(hidden_van))
    await world.make_driver(acme, name="Gil", vehicle=public_id(van))
    limited = world.client(await world.make_token(acme, tag_ids=[tag["id"]]))

    async def ids(path):
        return [one["id"] for one in (await limited.get(path)).json()["data"]]

    assert await ids("/addresses") == [mine["id"]]
    assert await ids("/contacts") == [who["id"]]
    (driver,) = (await limited.get("/fleet/drivers")).json()["data"]
    assert driver["name"] == "Dee"
    assert "staticAssignedVehicle" not in driver, "a vehicle that it does not see"
    assert "staticAssignedDriver" not in (await limited.get(f"/fleet/vehicles/{public_id(van)}")).json()["data"]
    for method, path, body, status in (
        ("GET", f"/addresses/{hidden['id']}", None, 404),
        ("PATCH", f"/addresses/{hidden['id']}", {"name": "x"}, 404),
        ("DELETE", f"/addresses/{hidden['id']}", None, 404),
        ("GET", f"/contacts/{hidden_who['id']}", None, 404),
        ("PATCH", f"/contacts/{who['id']}", {"phone": "1"}, 403),
        ("POST", "/contacts", {}, 403),
        ("DELETE", f"/contacts/{who['id']}", None, 403),
        ("POST", "/addresses", DOCK, 400),
        ("POST", "/addresses", {**DOCK, "tagIds": [other["id"]]}, 400),
        ("POST", "/addresses", {**DOCK, "tagIds": [tag["id"]], "contactIds": [hidden_who["id"]]}, 400),
        ("POST", "/addresses", {**DOCK, "tagIds": [tag["id"]], "contactIds": [who["id"]]}, 200),
        ("PATCH", f"/addresses/{mine['id']}", {"tagIds": [other["id"]]}, 400),
        ("DELETE", f"/addresses/{mine['id']}", None, 204),
    ):
        answer = await limited.request(method, path, json=body)
        assert answer.status_code == status, (method, path, body, answer.text)


async def test_contacts_show_what_is_not_known_as_empty(client, make):
    who = await make("/contacts", email="c@example.com")
    assert who == {"id": who["id"], "firstName": "", "lastName": "", "email": "c@example.com", "phone": ""}
    path = f"/contacts/{who['id']}"
    changed = (await client.patch(path, json={"phone": "1", "email": None})).json()["data"]
    assert (changed["phone"], changed["email"]) == ("1", "")
    assert (await client.get(path)).json()["data"] == changed
    dock = await make(contactIds=[who["id"]])
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert "contacts" not in (await client.get(f"/addresses/{dock['id']}")).json()["data"]
    refused = await client.post("/contacts", json={"lastName": "x" * 256})
    assert "lastName" in refused.json()["message"]


async def test_a_driver_is_answered_as_the_contract_has_it_and_his_password_nowhere(
    client, make, world, acme, tmp_path
):
    van = await world.make_vehicle(acme, name="Van")
    tag = await make("/tags", name="North")
    given = {
        "name": "Dee",
        "username": "dee",
        "password": "secret-canary",
        "phone": "1",
        "licenseNumber": "L1",
        "licenseState": "TX",
        "locale": "us",
        "timezone": "America/Chicago",
        "notes": "n",
        "eldExempt": True,
    }
    dee = await make(
        "/fleet/drivers",
        **given,
        tagIds=[tag["id"]],
        externalIds={"hr": "1"},
        staticAssignedVehicleId=public_id(van),
    )
    assert dee == {
        **{key: given[key] for key in given if key not in {"password", "eldExempt"}},
        "id": dee["id"],
        "driverActivationStatus": "active",
        "isDeactivated": False,
        "createdAtTime": "2024-05-01T10:00:00Z",
        "updatedAtTime": "2024-05-01T10:00:00Z",
        "staticAssignedVehicle": {"id": public_id(van), "name": "Van"},
        "externalIds": {"hr": "1"},
        "tags": [{"id": tag["id"], "name": "North"}],
    }
    assert (await client.get("/fleet/drivers/hr:1")).json()["data"] == dee
    assert (await client.patch("/fleet/drivers/hr:1", json={"password": "secret-canary"})).status_code == 200
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("odograph.db*"))
    assert b"Dee" in kept
    assert b"secret-canary" not in kept


async def test_deactivated_drivers_are_listed_apart(client, make):
    dee, gil = [await make("/fleet/drivers", name=name, username=name, password="x") for name in ("dee", "gil")]
    path = f"/fleet/drivers/{gil['id']}"
    off = (await client.patch(path, json={"driverActivationStatus": "deactivated"})).json()["data"]
    assert (off["driverActivationStatus"], off["isDeactivated"]) == ("deactivated", True)

    async def ids(**params):
        return [one["id"] for one in (await client.get("/fleet/drivers", params=params)).json()["data"]]

    assert await ids() == await ids(driverActivationStatus="active") == [dee["id"]]
    assert await ids(driverActivationStatus="deactivated") == [gil["id"]]
    assert await ids(attributes="a:b") == []
    assert (await client.get("/fleet/drivers?driverActivationStatus=all")).status_code == 400
    at = {"deactivatedAtTime": "2024-05-01T09:00:00+02:00"}
    assert (await client.patch(path, json=at)).status_code == 200
    for body in (
        {"driverActivationStatus": "active", **at},
        {"deactivatedAtTime": "soon"},
        {"deactivatedAtTime": "2023-05-01T09:00:00Z"},
        {"driverActivationStatus": "gone"},
    ):
        answer = await client.patch(path, json=body)
        assert answer.status_code == 400
        assert "ctivat" in answer.json()["message"]
    for missing in ("name", "username", "password"):
        body = {"name": "x", "username": "x", "password": "x"}
        del body[missing]
        answer = await client.post("/fleet/drivers", json=body)
        assert answer.status_code == 400
        assert missing in answer.json()["message"]


async def test_a_vehicle_shows_its_driver_until_zero_unassigns_him(client, make, world, acme):
    van = public_id(await world.make_vehicle(acme, name="Van"))
    dee = await make("/fleet/drivers", name="Dee", username="dee", password="x", externalIds={"hr": "1"})
    path = f"/fleet/vehicles/{van}"
    changed = (await client.patch(path, json={"staticAssignedDriverId": "hr:1"})).json()["data"]
    assert changed["staticAssignedDriver"] == {"id": dee["id"], "name": "Dee"}
    (listed,) = (await client.get("/fleet/vehicles")).json()["data"]
    assert listed == changed
    assert (
        "staticAssignedDriver"
        not in (await client.patch(path, json={"staticAssignedDriverId": "0"})).json()["data"]
    )
    answer = await client.patch(path, json={"staticAssignedDriverId": "99"})
    assert answer.status_code == 400
    assert "staticAssignedDriverId" in answer.json()["message"]


async def test_stats_name_the_address_that_holds_a_fix_and_locations_do_not(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    await world.report(acme, van, NOON_MS - 1000)
    span = {"startTime": "2024-05-01T00:00:00Z", "endTime": "2024-05-02T00:00:00Z"}

    async def seen(asker=client):
        (now,) = (await asker.get("/fleet/vehicles/stats", params={"types": "gps"})).json()["data"]
        (fed,) = (await asker.get("/fleet/vehicles/stats/feed", params={"types": "gps"})).json()["data"]
        past = (await asker.get("/fleet/vehicles/stats/history", params={"types": "gps", **span})).json()
        found = [now["gps"].get("address"), fed["gps"][0].get("address"), past["data"][0]["gps"][0].get("address")]
        assert found[0] == found[1] == found[2]
        return found[0]

    assert await seen() is None
    dock = await make(name="Dock", geofence={"circle": {**CIRCLE["circle"], "radiusMeters": 500}})
    assert await seen() == {"id": dock["id"], "name": "Dock"}
    await client.patch(f"/addresses/{dock['id']}", json={"name": 'The "Dock"'})
    assert await seen() == {"id": dock["id"], "name": 'The "Dock"'}
    tag = await make("/tags", name="T")
    gate = await make(name="Gate", tagIds=[tag["id"]])
    assert await seen() == {"id": gate["id"], "name": "Gate"}, "the smaller one"
    await client.patch(f"/tags/{tag['id']}", json={"vehicles": [public_id(van)], "addresses": [dock["id"]]})
    limited = world.client(await world.make_token(acme, tag_ids=[tag["id"]]))
    assert await seen(limited) == {"id": dock["id"], "name": 'The "Dock"'}
    (location,) = (await client.get("/fleet/vehicles/locations")).json()["data"]
    assert "address" not in location["location"]
    other = await world.make_org("Other")
    theirs = await world.make_vehicle(other, name="Theirs")
    await world.report(other, theirs, NOON_MS - 1000)
    assert await seen(world.client(await world.make_token(other))) is None
    for one in (dock, gate):
        await client.delete(f"/addresses/{one['id']}")
    assert await seen() is None


async def test_a_feed_read_before_an_address_was_made_names_it_afterwards(client, make, world, acme):
    """What is encoded once for all readers must not remember what the address book was."""
    van = await world.make_vehicle(acme, name="Van")
    start = (await client.get("/fleet/vehicles/stats/feed", params={"types": "gps"})).json()
    after = start["pagination"]["endCursor"]
    await world.report(acme, van, NOON_MS)

    async def fed():
        params = {"types": "gps", "after": after}
        (one,) = (await client.get("/fleet/vehicles/stats/feed", params=params)).json()["data"]
        return one["gps"][0].get("address")

    assert await fed() is None
    dock = await make()
    assert await fed() == {"id": dock["id"], "name": "Dock"}
    await client.delete(f"/addresses/{dock['id']}")
    assert await fed() is None
