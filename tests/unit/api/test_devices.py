"""Devices, knocks, imports, tokens, orgs: what goes beyond the vendor's API."""

from __future__ import annotations

import hashlib

from odograph.catalog import knocks, orgs
from odograph.model.catalog import Knock
from odograph.model.ids import RecordId
from odograph.store.base import INSTALL
from tests.support.api import EVERY_SCOPE, NOON_MS, World, public_id


def find_by_key(world: World, key: str):
    return world.directory.devices.find_by_key(hashlib.sha256(key.encode()).digest())


async def test_a_key_is_shown_once_and_ends_when_it_is_replaced(client, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    made = (await client.post("/odograph/devices", json={"vehicleId": public_id(van), "deviceId": "86"})).json()[
        "data"
    ]
    assert made["vehicle"] == {"id": public_id(van), "name": "Van"}
    assert find_by_key(world, made["key"]).body.device_id == "86"
    shown = (await client.get("/odograph/devices/deviceId:86")).json()["data"]
    assert shown == {name: value for name, value in made.items() if name != "key"}
    rotated = (await client.post(f"/odograph/devices/{made['id']}/key")).json()["data"]
    assert find_by_key(world, made["key"]) is None
    assert find_by_key(world, rotated["key"]) is not None
    assert (await client.delete(f"/odograph/devices/{made['id']}")).status_code == 204
    assert find_by_key(world, rotated["key"]) is None


async def test_a_device_is_made_with_its_vehicle_or_neither_is(client, world, acme):
    async def post(**body):
        return await client.post("/odograph/devices", json={"newVehicleName": "Van", **body})

    made = (await post(deviceId="86")).json()["data"]
    assert (made["name"], made["vehicle"]["name"]) == ("Van", "Van")
    assert (await post(deviceId="87", name="Box")).json()["data"]["name"] == "Box"
    for wrong, field in (
        ({"deviceId": "86"}, "deviceId"),
        ({"withKey": False}, "deviceId"),
        ({"isForwarder": True}, "assetId"),
        ({"vehicleId": made["vehicle"]["id"]}, "newVehicleName"),
        ({"newVehicleName": " "}, "newVehicleName"),
    ):
        refused = await post(**wrong)
        assert refused.status_code == 400
        assert field in refused.json()["message"]
    assert len(world.directory.assets.list_(acme)) == 2
    devices_only = world.client(await world.make_token(acme, ["Write Devices"]))
    refused = await devices_only.post("/odograph/devices", json={"newVehicleName": "x"})
    assert (refused.status_code, "Write Assets" in refused.json()["message"]) == (403, True)


async def test_a_device_is_changed_by_patch(client, world, acme):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "1"})
    made = (await client.post("/odograph/devices", json={"name": "Box", "deviceId": "86"})).json()["data"]
    path = f"/odograph/devices/{made['id']}"
    changed = (
        await client.patch(path, json={"vehicleId": "erp:1", "isEnabled": False, "networks": ["198.51.100.7"]})
    ).json()["data"]
    assert changed["vehicle"]["id"] == public_id(van)
    assert (changed["isEnabled"], changed["networks"]) == (False, ["198.51.100.7/32"])
    assert "vehicle" not in (await client.patch(path, json={"vehicleId": None})).json()["data"]
    for body in ({"vehicleId": "9"}, {"networks": ["x"]}, {"isEnabled": None}, {"name": 3}):
        assert (await client.patch(path, json=body)).status_code in {400, 404}, body


async def test_a_device_says_by_what_it_is_let_in(client, world, acme):
    van = public_id(await world.make_vehicle(acme, name="Van"))

    async def ways(**body):
        made = await client.post("/odograph/devices", json={"vehicleId": van, **body})
        return made.json()["data"]["letInBy"]

    assert await ways(deviceId="a", withKey=False) == []
    assert await ways(deviceId="b", networks=["10.0.0.0/8"], trustId=True) == ["key", "network", "id"]
    await orgs.open_registration(world.catalog, acme)
    assert await ways(deviceId="c") == ["key"]
    assert await ways(deviceId="d", withKey=False) == ["enrolmentKey"]
    await client.post("/odograph/devices", json={"isForwarder": True, "name": "hub"})
    assert await ways(deviceId="e", withKey=False) == ["forwarder", "enrolmentKey"]
    (mine,) = (await world.client(operator=True).get("/odograph/orgs")).json()["data"]
    assert (mine["hasEnrolmentKey"], mine["devicesOnEnrolmentKey"]) == (True, 3)


async def test_no_token_lets_a_device_in_by_its_id_on_a_server_of_several_orgs(client, world, acme):
    van = public_id(await world.make_vehicle(acme, name="Van"))
    body = {"vehicleId": van, "deviceId": "356307042441013", "networks": ["10.0.0.0/8"], "withKey": False}
    alone = (await client.post("/odograph/devices", json=body)).json()["data"]
    assert alone["letInBy"] == ["network"], "who is alone on the server harms nobody"
    other = await world.make_org("Other")
    theirs = world.client(await world.make_token(other))
    taken = {"deviceId": "356307042441013", "trustId": True, "withKey": False}
    free = {**taken, "deviceId": "356307042441014"}
    refusals = [await theirs.post("/odograph/devices", json=some) for some in (taken, free)]
    assert [refusal.status_code for refusal in refusals] == [403, 403]
    assert refusals[0].json()["message"] == refusals[1].json()["message"], "it tells nothing about who has the id"
    operator = world.client(operator=True, org="Other")
    made = (await operator.post("/odograph/devices", json=free)).json()["data"]
    assert made["letInBy"] == ["id"]
    assert (await operator.post("/odograph/devices", json=taken)).status_code == 400
    path = f"/odograph/devices/{made['id']}"
    assert (await theirs.patch(path, json={"networks": ["10.0.0.0/8"]})).status_code == 403
    assert (await operator.patch(path, json={"networks": ["10.0.0.0/8"]})).status_code == 200
    narrowed = await theirs.patch(path, json={"trustId": False})
    assert narrowed.json()["data"]["letInBy"] == ["network"]


async def test_silent_devices_are_those_that_nothing_came_from(client, world, acme):
    fresh, old, never = [await world.make_vehicle(acme, name=name) for name in ("fresh", "old", "never")]
    ids = {}
    for van in (fresh, old, never):
        made = (await client.post("/odograph/devices", json={"vehicleId": public_id(van)})).json()["data"]
        ids[made["name"]] = RecordId(int(made["id"]))
    await client.post("/odograph/devices", json={"isForwarder": True, "name": "hub"})
    presence = world.context.presence
    presence.hear(ids["old"], NOON_MS)
    world.clock.time_ms += 3_600_000
    presence.hear(ids["fresh"], world.clock.time_ms)
    await world.report(acme, never, NOON_MS)

    async def names(**params):
        return {one["name"] for one in (await client.get("/odograph/devices", params=params)).json()["data"]}

    assert await names() == {"fresh", "old", "never", "hub"}
    assert await names(silentForSeconds=3600) == {"old", "never"}
    assert await names(silentForSeconds=3601) == {"never"}
    listed = (await client.get("/odograph/devices")).json()["data"]
    contact = {one["name"]: one.get("lastContactTime") for one in listed}
    assert contact["fresh"] == "2024-05-01T11:00:00Z"
    assert contact["never"] is None, "what came from its vehicle came from another device"


async def test_what_is_known_of_a_device_from_before_the_start_is_told_as_its_vehicles(client, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    made = (await client.post("/odograph/devices", json={"vehicleId": public_id(van)})).json()["data"]
    assert "lastContactTime" not in made
    await world.report(acme, van, NOON_MS)
    world.context.presence.begin(world.context.live.snapshot)
    world.clock.time_ms += 60_000
    late = (await client.post("/odograph/devices", json={"vehicleId": public_id(van)})).json()["data"]
    assert "lastContactTime" not in late, "it came to the vehicle after that"
    path = f"/odograph/devices/{made['id']}"
    shown = (await client.get(path)).json()["data"]
    assert (shown["lastContactTime"], shown["lastContactOf"]) == ("2024-05-01T10:00:00Z", "vehicle")
    world.context.presence.hear(RecordId(int(made["id"])), world.clock.time_ms)
    shown = (await client.get(path)).json()["data"]
    assert (shown["lastContactTime"], shown["lastContactOf"]) == ("2024-05-01T10:01:00Z", "device")


async def test_why_a_report_was_not_stored_shows_at_its_device(client, world):
    made = (await client.post("/odograph/devices", json={"name": "Box"})).json()["data"]
    path = f"/odograph/devices/{made['id']}"
    assert "lastRejection" not in (await client.get(path)).json()["data"]
    for reason in ("time_in_future", "latitude_out_of_range"):
        world.context.presence.reject(RecordId(int(made["id"])), world.clock.time_ms, reason)
    shown = (await client.get(path)).json()["data"]
    assert shown["lastRejection"] == {"time": "2024-05-01T10:00:00Z", "reason": "latitude_out_of_range"}


async def test_who_was_turned_away_is_listed_and_let_in(client, world, acme):
    knock = Knock("imei7", "osmand", "198.51.100.7", "unknown_device", NOON_MS, NOON_MS + 1, 3)
    await knocks.record(world.catalog, [(acme, knock), (INSTALL, Knock("stray", "osmand", "", "x", 1, 1))])
    (listed,) = (await client.get("/odograph/knocks")).json()["data"]
    assert (listed["deviceId"], listed["reason"], listed["count"]) == ("imei7", "unknown_device", 3)
    operator = world.client(operator=True)
    found = {one["deviceId"]: one["id"] for one in (await operator.get("/odograph/knocks")).json()["data"]}
    assert set(found) == {"imei7", "stray"}
    assert (await client.post(f"/odograph/knocks/{found['stray']}/accept", json={})).status_code == 404
    let_in = (await client.post(f"/odograph/knocks/{listed['id']}/accept", json={"name": "Van"})).json()["data"]
    assert let_in["vehicle"]["name"] == "Van"
    assert find_by_key(world, let_in["key"]).body.device_id == "imei7"
    assert (await client.get("/odograph/knocks")).json()["data"] == []
    assert (await operator.post(f"/odograph/knocks/{found['stray']}/accept", json={})).status_code == 200


async def test_a_refusal_shows_at_its_device_and_not_among_strangers(client, world, acme):
    made = (await client.post("/odograph/devices", json={"deviceId": "86"})).json()["data"]
    await knocks.record(
        world.catalog, [(acme, Knock("86", "osmand", "198.51.100.7", "disabled", NOON_MS, NOON_MS))]
    )
    shown = (await client.get(f"/odograph/devices/{made['id']}")).json()["data"]
    assert shown["lastRefusal"] == {
        "time": "2024-05-01T10:00:00Z",
        "reason": "disabled",
        "protocol": "osmand",
        "address": "198.51.100.7",
    }
    nameless = (await client.post("/odograph/devices", json={"name": "Box"})).json()["data"]
    disabled = Knock("", "batch", "::1", "disabled", NOON_MS, NOON_MS, device=int(nameless["id"]))
    await knocks.record(world.catalog, [(acme, disabled)])
    listed = {one["id"]: one.get("lastRefusal") for one in (await client.get("/odograph/devices")).json()["data"]}
    assert listed[nameless["id"]]["protocol"] == "batch"
    assert (await client.get("/odograph/knocks")).json()["data"] == []
    (bound,) = [one for one in world.directory.knocks.list_(acme) if one.body.device]
    answer = await client.post(f"/odograph/knocks/{bound.id}/accept", json={})
    assert answer.status_code == 400
    assert f"device 'Box' (id {nameless['id']}), turned away" in answer.json()["message"]


async def test_a_token_with_tags_keeps_devices_on_vehicles_that_it_sees(client, world, acme):
    tag = (await client.post("/tags", json={"name": "North"})).json()["data"]["id"]
    seen = await world.make_vehicle(acme, name="seen", tag_ids=[tag])
    hidden = await world.make_vehicle(acme, name="hidden")
    for van in (seen, hidden):
        await client.post("/odograph/devices", json={"vehicleId": public_id(van)})
    limited = world.client(await world.make_token(acme, tag_ids=[tag]))
    (mine,) = (await limited.get("/odograph/devices")).json()["data"]
    assert mine["name"] == "seen"
    for body, status in (
        ({"vehicleId": public_id(hidden)}, 404),
        ({"name": "loose"}, 403),
        ({"isForwarder": True}, 403),
        ({"vehicleId": public_id(seen)}, 200),
    ):
        assert (await limited.post("/odograph/devices", json=body)).status_code == status, body
    path = f"/odograph/devices/{mine['id']}"
    assert (await limited.patch(path, json={"vehicleId": None})).status_code == 403
    assert (await limited.patch(path, json={"vehicleId": public_id(hidden)})).status_code == 404
    assert (await limited.patch(path, json={"name": "x"})).status_code == 200
    assert (await limited.get("/odograph/knocks")).status_code == 403
    assert (await limited.post("/odograph/vehicles/import", content=b"name\nA\n")).status_code == 403


async def test_an_import_is_tried_done_and_done_again_without_harm(client, world):
    data = b"name,plate,vin,external_id,device_id,tags\nVan 1,AB-1,,erp:1,86,North\nVan 2,,,,,\n"
    path = "/odograph/vehicles/import"
    refused = (await client.post(path, content=data)).json()["data"]
    assert (refused["isWritten"], refused["lines"][0]["action"]) == (False, "refuse")
    assert "North" in refused["lines"][0]["error"]
    tried = (await client.post(path, content=data, params={"dryRun": "true", "makeTags": "true"})).json()["data"]
    assert (tried["isWritten"], tried["newTags"]) == (False, ["North"])
    assert len(world.directory.assets) == 0
    done = (await client.post(path, content=data, params={"makeTags": "true"})).json()["data"]
    assert [line["action"] for line in done["lines"]] == ["create", "create"]
    assert find_by_key(world, done["lines"][0]["key"]).body.device_id == "86"
    again = (await client.post(path, content=data)).json()["data"]
    assert {line["action"] for line in again["lines"]} <= {"keep"}
    assert (await client.post(path, content=b"colour\nred\n")).status_code == 400
    assert (await client.post(path, content=b"\xff\xfe")).status_code == 400


async def test_an_import_needs_both_scopes(world, acme):
    token = await world.make_token(acme, ["Write Devices"])
    answer = await world.client(token).post("/odograph/vehicles/import", content=b"name\nA\n")
    assert answer.status_code == 403
    assert "Write Assets" in answer.json()["message"]


async def test_a_new_token_works_at_once_and_is_dead_once_revoked(client, world):
    made = (await client.post("/odograph/tokens", json={"name": "dispatch"})).json()["data"]
    fresh = world.client(made["token"])
    assert (await fresh.get("/fleet/vehicles")).status_code == 200
    assert (await fresh.post("/tags", json={"name": "x"})).status_code == 403, "reads, where nothing was asked for"
    listed = (await client.get("/odograph/tokens")).json()["data"]
    assert made["hint"] == made["token"][-4:]
    assert made["token"] not in str(listed)
    ended = (await client.delete(f"/odograph/tokens/{made['id']}")).json()["data"]
    assert ended == {"ids": [made["id"]]}
    assert (await fresh.get("/fleet/vehicles")).status_code == 401


async def test_a_token_ends_when_it_says(client, world):
    body = {"name": "x", "expiresAtTime": "2024-05-01T12:00:01+02:00"}
    made = (await client.post("/odograph/tokens", json=body)).json()["data"]
    assert made["expiresAtTime"] == "2024-05-01T10:00:01Z"
    fresh = world.client(made["token"])
    assert (await fresh.get("/me")).status_code == 200
    world.clock.time_ms += 1000
    assert (await fresh.get("/me")).status_code == 401
    for when in ("2024-05-01T10:00:00Z", "1960-01-01T00:00:00Z", "soon"):
        answer = await client.post("/odograph/tokens", json={"name": "x", "expiresAtTime": when})
        assert answer.status_code == 400
        assert "expiresAtTime" in answer.json()["message"]


async def test_no_token_makes_one_that_may_more_than_itself(client, world, acme):
    north, south = [(await client.post("/tags", json={"name": name})).json()["data"]["id"] for name in "NS"]
    narrow = world.client(await world.make_token(acme, ["Write API Tokens", "Read Tags"]))
    answer = await narrow.post("/odograph/tokens", json={"name": "x", "scopes": ["Write Tags"]})
    assert answer.status_code == 403
    made = (await narrow.post("/odograph/tokens", json={"name": "x"})).json()["data"]
    assert made["scopes"] == ["Read Tags"]
    limited = world.client(await world.make_token(acme, EVERY_SCOPE, tag_ids=[north]))
    assert (await limited.post("/odograph/tokens", json={"name": "x", "tagIds": [south]})).status_code == 400
    assert (await limited.post("/odograph/tokens", json={"name": "x", "tagIds": [north, south]})).status_code == 400
    inherited = (await limited.post("/odograph/tokens", json={"name": "x"})).json()["data"]
    assert [tag["id"] for tag in inherited["tags"]] == [north]
    wide = (await client.post("/odograph/tokens", json={"name": "wide"})).json()["data"]
    assert wide["id"] not in {one["id"] for one in (await limited.get("/odograph/tokens")).json()["data"]}
    assert (await limited.delete(f"/odograph/tokens/{wide['id']}")).status_code == 404


async def test_what_a_token_made_lasts_no_longer_and_ends_with_it(client, world, acme):
    soon_ms = world.clock.now_ms() + 60_000
    guest = world.client(await world.make_token(acme, expires_ms=soon_ms))
    made = (await guest.post("/odograph/tokens", json={"name": "x", "scopes": EVERY_SCOPE})).json()["data"]
    assert made["expiresAtTime"] == "2024-05-01T10:01:00Z", "as long as its maker, where nothing is asked for"
    later = {"name": "x", "expiresAtTime": "2024-05-01T10:01:01Z"}
    refused = await guest.post("/odograph/tokens", json=later)
    assert refused.status_code == 403
    assert "ends at 2024-05-01T10:01:00Z" in refused.json()["message"]
    sooner = await guest.post("/odograph/tokens", json={**later, "expiresAtTime": "2024-05-01T10:00:30Z"})
    assert sooner.json()["data"]["expiresAtTime"] == "2024-05-01T10:00:30Z"
    child = world.client(made["token"])
    grandchild = (await child.post("/odograph/tokens", json={"name": "x"})).json()["data"]
    assert grandchild["madeByTokenId"] == made["id"]
    ended = (await client.delete(f"/odograph/tokens/{made['madeByTokenId']}")).json()["data"]["ids"]
    assert ended == [made["madeByTokenId"], made["id"], sooner.json()["data"]["id"], grandchild["id"]]
    for text in (made["token"], grandchild["token"], sooner.json()["data"]["token"]):
        assert (await world.client(text).get("/me")).status_code == 401
    assert (await client.get("/me")).status_code == 200


async def test_no_token_revokes_one_that_may_more_than_itself(client, world, acme):
    narrow = world.client(await world.make_token(acme, ["Read Vehicles", "Write API Tokens"]))
    wide = (await client.post("/odograph/tokens", json={"name": "x", "scopes": EVERY_SCOPE})).json()["data"]
    refused = await narrow.delete(f"/odograph/tokens/{wide['id']}")
    assert refused.status_code == 403
    assert "lacks" in refused.json()["message"]
    assert "Write Vehicles" in refused.json()["message"]
    assert (await world.client(wide["token"]).get("/me")).status_code == 200
    like = (await client.post("/odograph/tokens", json={"name": "x", "scopes": ["Read Vehicles"]})).json()["data"]
    assert (await narrow.delete(f"/odograph/tokens/{like['id']}")).status_code == 200
    assert (await client.delete(f"/odograph/tokens/{wide['id']}")).status_code == 200


async def test_scopes_are_named_as_the_vendor_names_them(client):
    answer = await client.post("/odograph/tokens", json={"name": "x", "scopes": ["Read Vehicels"]})
    assert answer.status_code == 400
    assert "Read Vehicles" in answer.json()["message"]


async def test_the_operator_runs_orgs(world):
    operator = world.client(operator=True)
    made = (await operator.post("/odograph/orgs", json={"name": "Globex", "timezone": "Europe/Amsterdam"})).json()
    path = f"/odograph/orgs/{made['data']['id']}"
    assert (await operator.post("/odograph/orgs", json={"name": "globex"})).status_code == 400
    renamed = await operator.patch("/odograph/orgs/globex", json={"name": "Globex BV", "timezone": None})
    assert renamed.json()["data"]["timezone"] == "Europe/Amsterdam"
    opened = (await operator.post(f"{path}/registration")).json()["data"]
    digest = hashlib.sha256(opened["key"].encode()).digest()
    assert (opened["selfRegistration"], opened["hasEnrolmentKey"]) == (True, True)
    assert world.directory.orgs.find_by_enrolment(digest) is not None
    closed = (await operator.delete(f"{path}/registration")).json()["data"]
    assert (closed["selfRegistration"], closed["hasEnrolmentKey"]) == (False, True)
    assert "key" not in (await operator.post(f"{path}/registration")).json()["data"]
    renewed = (await operator.post(f"{path}/registration/key")).json()["data"]
    assert renewed["key"] != opened["key"]
    assert world.directory.orgs.find_by_enrolment(digest) is None
    ended = (await operator.delete(f"{path}/registration/key")).json()["data"]
    assert (ended["selfRegistration"], ended["hasEnrolmentKey"]) == (True, False)
    assert [one["name"] for one in (await operator.get("/odograph/orgs")).json()["data"]] == ["Globex BV"]
    assert (await operator.patch("/odograph/orgs/9", json={})).status_code == 404


async def test_the_operator_sees_how_far_the_server_is(world, acme):
    van = await world.make_vehicle(acme)
    await world.report(acme, van, NOON_MS)
    operator = world.client(operator=True)
    status = (await operator.get("/odograph/status")).json()["data"]
    assert (status["headSeq"], status["visibleSeq"], status["vehicles"]) == (1, 1, 1)
