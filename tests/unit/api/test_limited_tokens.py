"""A token that is limited to tags learns nothing of what is beyond them, and moves nothing across their border."""

from __future__ import annotations

import pytest
import pytest_asyncio

from odograph.catalog import devices
from odograph.model.ids import AssetId
from tests.support.api import NOON_MS, public_id

LEAVES = {"singleUseLocation": {"latitude": 52, "longitude": 4}, "scheduledDepartureTime": "2024-05-01T10:00:00Z"}
COMES = {"scheduledArrivalTime": "2024-05-01T11:00:00Z"}
CIRCLE = {"circle": {"latitude": 52.1, "longitude": 4.3, "radiusMeters": 80}}


@pytest.fixture
def make(client):
    async def make(path, **body):
        answer = await client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return make


@pytest_asyncio.fixture
async def tags(make):
    """A tag that the token sees below one that it does not, and one beside it."""
    above = (await make("/tags", name="All"))["id"]
    mine = (await make("/tags", name="Mine", parentTagId=above))["id"]
    return {"above": above, "mine": mine, "other": (await make("/tags", name="Other"))["id"]}


@pytest_asyncio.fixture
async def limited(world, acme, tags):
    return world.client(await world.make_token(acme, tag_ids=[tags["mine"]]))


async def test_a_conflict_names_its_holder_only_to_who_sees_it(client, limited, make, world, acme, tags):
    mine = [tags["mine"]]
    hidden = {"erp": "hidden-van", "crm": "hidden-dock", "hr": "hidden-driver", "tms": "hidden-route"}
    await world.make_vehicle(acme, name="Secret van", external_ids={"erp": "hidden-van"})
    await world.make_address(acme, name="Secret dock", external_ids={"crm": "hidden-dock"})
    await world.make_driver(acme, name="Secret driver", external_ids={"hr": "hidden-driver"})
    stops = [LEAVES, {**COMES, **LEAVES}]
    await make("/fleet/routes", name="Secret route", stops=stops, externalIds={"tms": "hidden-route"})
    await client.patch(f"/tags/{tags['other']}", json={"name": "Secret tag", "externalIds": {"t": "hidden-tag"}})
    van = public_id(await world.make_vehicle(acme, name="Van", tag_ids=mine, external_ids={"erp": "seen"}))
    bodies: dict[str, dict[str, object]] = {
        "/assets": {"type": "vehicle"},
        "/addresses": {"name": "x", "formattedAddress": "x", "geofence": CIRCLE},
        "/fleet/drivers": {"name": "x", "username": "x", "password": "x"},
        "/fleet/routes": {"name": "x", "stops": stops},
    }
    for key, value in {**hidden, "t": "hidden-tag"}.items():
        taken = {"externalIds": {key: value}}
        answers = [await limited.patch(f"/fleet/vehicles/{van}", json=taken)]
        answers += [
            await limited.post(path, json={**body, **taken, "tagIds": mine}) for path, body in bodies.items()
        ]
        for answer in answers:
            assert answer.status_code == 400
            assert f"{key}:{value} already belongs to something else" in answer.json()["message"]
        assert "Secret" in (await client.patch(f"/fleet/vehicles/{van}", json=taken)).json()["message"]
    seen = await limited.post("/assets", json={"type": "vehicle", "tagIds": mine, "externalIds": {"erp": "seen"}})
    assert "already belongs to 'Van'" in seen.json()["message"]


async def test_the_device_of_a_hidden_vehicle_is_not_named(limited, world, acme, tags):
    mine = await world.make_vehicle(acme, tag_ids=[tags["mine"]])
    for name, asset in (("Secret box", await world.make_vehicle(acme)), ("Box", mine)):
        fields = devices.DeviceFields(name=name, device_id=name, asset_id=AssetId(asset.body.number))
        await devices.add(world.catalog, acme, fields)
    answer = await limited.post("/odograph/devices", json={"vehicleId": public_id(mine), "deviceId": "Secret box"})
    assert answer.json()["message"].endswith(
        "already belongs to another device of the organisation; it must be unique."
    )
    (box,) = (await limited.get("/odograph/devices")).json()["data"]
    changed = await limited.patch(f"/odograph/devices/{box['id']}", json={"deviceId": "Secret box"})
    assert "another device" in changed.json()["message"]
    again = await limited.post("/odograph/devices", json={"vehicleId": public_id(mine), "deviceId": "Box"})
    assert "already belongs to device 'Box'" in again.json()["message"]


async def test_nothing_shows_a_tag_that_the_token_does_not_see(limited, client, make, world, acme, tags):
    both = [tags["mine"], tags["other"]]
    van = public_id(await world.make_vehicle(acme, name="Van", tag_ids=both))
    dock = str((await world.make_address(acme, tag_ids=both)).body.number)
    driver = str((await world.make_driver(acme, tag_ids=both)).body.number)
    route = (await make("/fleet/routes", name="x", stops=[LEAVES, {**COMES, **LEAVES}], tagIds=both))["id"]
    seen = [{"id": tags["mine"], "name": "Mine"}]
    for path in (f"/fleet/vehicles/{van}", f"/addresses/{dock}", f"/fleet/drivers/{driver}"):
        assert (await limited.get(path)).json()["data"]["tags"] == seen, path
        assert len((await client.get(path)).json()["data"]["tags"]) == 2
    (asset,) = (await limited.get("/assets", params={"includeTags": "true"})).json()["data"]
    assert asset["tags"] == seen
    assert (await limited.get(f"/fleet/routes/{route}")).json()["data"]["tagIds"] == [tags["mine"]]
    link = {"name": "x", "type": "assetsLocation", "assetsLocationLinkConfig": {"tagIds": [tags["mine"]]}}
    assert (await limited.post("/live-shares", json=link)).json()["data"]["assetsLocationLinkConfig"][
        "tags"
    ] == seen
    token = (await limited.post("/odograph/tokens", json={"name": "x"})).json()["data"]
    assert token["tags"] == seen
    assert (await client.get(f"/fleet/vehicles/{van}")).json()["data"]["tags"][0]["parentTagId"] == tags["above"]


async def test_a_filter_by_a_hidden_tag_finds_what_one_by_an_unknown_tag_does(limited, client, world, acme, tags):
    van = await world.make_vehicle(acme, name="Van", tag_ids=[tags["mine"], tags["other"]])
    await world.make_vehicle(acme, name="Hidden", tag_ids=[tags["other"]])
    await world.report(acme, van, NOON_MS)
    await world.make_address(acme, tag_ids=[tags["mine"], tags["other"]])
    await world.make_driver(acme, tag_ids=[tags["mine"], tags["other"]])
    range_ = {"startTime": "2024-05-01T00:00:00Z", "endTime": "2024-05-02T00:00:00Z"}
    paths = ("/fleet/vehicles", "/assets", "/addresses", "/fleet/drivers", "/fleet/vehicles/locations")
    for path in (*paths, "/fleet/vehicles/locations/history"):

        async def found(client, path=path, **filters):
            return len((await client.get(path, params={**range_, **filters})).json()["data"])

        assert await found(client, tagIds=tags["other"]) >= 1
        assert await found(limited, tagIds=tags["other"]) == 0
        assert await found(limited, parentTagIds=tags["other"]) == 0
        assert await found(limited, parentTagIds=tags["above"]) == 0, "what is above is hidden too"
        assert await found(limited, tagIds=f"{tags['other']},{tags['mine']}") == 1
        assert await found(limited, parentTagIds=tags["mine"]) == 1


async def test_a_name_that_something_hidden_has_too_means_what_the_token_sees(client, make, world, acme, tags):
    vin, tag = "1FUJGLDR8CSBK1111", "samsara.name:Mine"
    later = (await make("/tags", name="Mine"))["id"]
    late = world.client(await world.make_token(acme, tag_ids=[later]))
    await world.make_vehicle(acme, name="Hidden", vin=vin, tag_ids=[tags["mine"]])
    van = public_id(await world.make_vehicle(acme, name="Van", vin=vin, tag_ids=[later]))
    assert (await client.get(f"/tags/{tag}")).json()["data"]["id"] == tags["mine"], "the oldest"
    assert (await late.get(f"/tags/{tag}")).json()["data"]["id"] == later
    assert (await late.get(f"/fleet/vehicles/samsara.vin:{vin}")).json()["data"]["id"] == van
    for filters in ({"tagIds": tag}, {"parentTagIds": tag}):
        assert [one["id"] for one in (await late.get("/fleet/vehicles", params=filters)).json()["data"]] == [van]
    await world.report(acme, world.directory.find_asset(acme, van), NOON_MS)
    located = await late.get("/fleet/vehicles/locations", params={"vehicleIds": f"samsara.vin:{vin}"})
    assert [one["id"] for one in located.json()["data"]] == [van]
    made = await late.post("/assets", json={"type": "vehicle", "name": "New", "tagIds": [tag]})
    assert made.status_code == 200, made.text
    for config in ({"tagIds": [tag]}, {"assetId": f"samsara.vin:{vin}"}):
        link = {"name": "x", "type": "assetsLocation", "assetsLocationLinkConfig": config}
        assert (await late.post("/live-shares", json=link)).status_code == 200, config


async def test_private_zones_are_not_a_limited_tokens_to_make_move_or_end(limited, client, make, acme, tags, world):
    mine = {"tagIds": [tags["mine"]]}
    body = {"name": "Home", "formattedAddress": "x", "geofence": CIRCLE, **mine}
    private = {"odograph": {"isPrivateZone": True}}
    elsewhere = {"circle": {**CIRCLE["circle"], "latitude": 53}}
    zone, plain = await make("/addresses", **body, **private), await make("/addresses", **body)
    path = f"/addresses/{zone['id']}"
    for answer in (
        await limited.post("/addresses", json={**body, **private}),
        await limited.patch(f"/addresses/{plain['id']}", json=private),
        await limited.patch(path, json={"odograph": {"isPrivateZone": False}}),
        await limited.patch(path, json={"odograph": None}),
        await limited.patch(path, json={"geofence": {"circle": {"radiusMeters": 20_000}}}),
        await limited.patch(path, json={"geofence": elsewhere}),
        await limited.patch(path, json={"latitude": 52.2, "longitude": 4.4}),
        await limited.delete(path),
    ):
        assert answer.status_code == 403, answer.text
        assert answer.json()["message"].startswith("odograph.isPrivateZone: ")
    assert (await client.get(path)).json()["data"] == zone
    assert world.directory.orgs.find_org(acme).body.shown_from_ms == 0, "no link lost its past"
    renamed = await limited.patch(path, json={"name": "House", "geofence": CIRCLE, **private, **mine})
    assert renamed.json()["data"]["name"] == "House"
    assert (await limited.patch(f"/addresses/{plain['id']}", json={"geofence": elsewhere})).status_code == 200
    assert (await limited.delete(f"/addresses/{plain['id']}")).status_code == 204
    assert (await client.delete(path)).status_code == 204


async def test_what_hangs_on_a_route_is_shown_only_with_a_tag_of_the_token(
    limited, client, make, world, acme, tags
):
    dock = str((await world.make_address(acme, name="Secret dock")).body.number)
    driver = str((await world.make_driver(acme, name="Secret driver")).body.number)
    stops = [LEAVES, {**COMES, "addressId": dock, "name": "Second"}]
    route = await make("/fleet/routes", name="x", stops=stops, driverId=driver, tagIds=[tags["mine"]])
    shown = await limited.get(f"/fleet/routes/{route['id']}")
    assert "Secret" not in shown.text
    assert shown.json()["data"]["stops"][1]["name"] == "Second"
    kept = [{"id": stop["id"]} for stop in shown.json()["data"]["stops"]]
    assert (await limited.patch(f"/fleet/routes/{route['id']}", json={"stops": kept})).status_code == 200
    after = (await client.get(f"/fleet/routes/{route['id']}")).json()["data"]
    assert (after["stops"][1]["address"]["id"], after["driver"]["id"]) == (dock, driver)


async def test_a_token_gives_and_takes_no_tags_but_its_own(limited, client, make, world, acme, tags):
    mine, other, above = tags["mine"], tags["other"], tags["above"]
    both = [mine, other]
    van = public_id(await world.make_vehicle(acme, name="Van", tag_ids=both))
    dock = str((await world.make_address(acme, tag_ids=both)).body.number)
    driver = str((await world.make_driver(acme, tag_ids=both)).body.number)
    route = (await make("/fleet/routes", name="x", stops=[LEAVES, {**COMES, **LEAVES}], tagIds=both))["id"]

    async def carried(path):
        shown = (await client.get(path)).json()["data"]
        return shown["tagIds"] if "tagIds" in shown else [tag["id"] for tag in shown["tags"]]

    for read, write, params in (
        (f"/fleet/vehicles/{van}", f"/fleet/vehicles/{van}", {}),
        (f"/fleet/vehicles/{van}", "/assets", {"id": van}),
        (f"/addresses/{dock}", f"/addresses/{dock}", {}),
        (f"/fleet/drivers/{driver}", f"/fleet/drivers/{driver}", {}),
        (f"/fleet/routes/{route}", f"/fleet/routes/{route}", {}),
    ):
        assert (await limited.patch(write, params=params, json={"tagIds": [mine]})).status_code == 200
        assert await carried(read) == both, "the other tag is not the token's to take away"
        refusals = []
        for beyond in (other, above, "1999999999"):
            refused = await limited.patch(write, params=params, json={"tagIds": [mine, beyond]})
            assert refused.status_code == 400
            refusals.append(refused.json()["message"].replace(beyond, "…"))
        assert refusals[0] == refusals[1] == refusals[2]
        assert (await limited.patch(write, params=params, json={"tagIds": []})).status_code == 400
        assert await carried(read) == both
        for theirs in ([mine], both):
            assert (await client.patch(write, params=params, json={"tagIds": theirs})).status_code == 200
            assert await carried(read) == theirs
    for path, body in (
        ("/assets", {"type": "vehicle"}),
        ("/addresses", {"name": "x", "formattedAddress": "x", "geofence": CIRCLE}),
        ("/fleet/drivers", {"name": "x", "username": "x", "password": "x"}),
        ("/fleet/routes", {"name": "x", "stops": [LEAVES, {**COMES, **LEAVES}]}),
    ):
        refused = await limited.post(path, json={**body, "tagIds": [mine, other]})
        assert refused.status_code == 400
        assert "tagIds" in refused.json()["message"]
        assert (await limited.post(path, json={**body, "tagIds": [mine]})).status_code == 200
