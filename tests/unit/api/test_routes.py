"""Routes, as clients write and read them."""

from __future__ import annotations

import msgspec
import pytest

from odograph.catalog import addresses
from odograph.catalog.changes import Plan, put
from odograph.model.catalog import Address, Driver, LiveShare
from odograph.model.place import Geofence
from odograph.sharing.keys import key_hash, link_key, stop_key
from tests.support.api import NOON_MS, public_id

KEY = b"k" * 32
DEPOT = {"latitude": 52.0, "longitude": 4.0}
SHOP = {"latitude": 52.1, "longitude": 4.1, "address": "Quay 1", "radiusMeters": 60.0}
LEAVES = {"name": "Depot", "singleUseLocation": DEPOT, "scheduledDepartureTime": "2024-05-01T12:00:00+02:00"}
COMES = {"singleUseLocation": SHOP, "scheduledArrivalTime": "2024-05-01T11:00:00Z"}
BETWEEN = {
    "singleUseLocation": SHOP,
    "scheduledArrivalTime": "2024-05-01T10:30:00Z",
    "scheduledDepartureTime": "2024-05-01T10:40:00Z",
}
DAY = {"startTime": "2024-05-01T00:00:00Z", "endTime": "2024-05-02T00:00:00Z"}


@pytest.fixture
def make(client):
    async def make(**fields):
        answer = await client.post("/fleet/routes", json={"name": "Tour", "stops": [LEAVES, COMES], **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return make


@pytest.fixture
def keep(world, acme):
    async def keep(body, old=None):
        plan = Plan([put(old, acme, body)], lambda _: None)
        await world.catalog.change(lambda: plan)

    return keep


def address(number: int = 7, **fields) -> Address:
    known = {"name": "Dock", "formatted_address": "Quay 1", "lat": 52.1, "lon": 4.1, **fields}
    return Address(number, fence=Geofence(52.1, 4.1, 80), created_ms=1, updated_ms=1, **known)


def share(share_id: str, **fields) -> LiveShare:
    digest = key_hash(link_key(KEY, share_id, 0)).hex()
    return LiveShare(share_id, share_id, created_ms=1, updated_ms=1, key_hash=digest, **fields)


async def test_a_route_comes_back_as_the_vendor_writes_it(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "1"})
    route = await make(vehicleId="erp:1", notes="Ring twice", externalIds={"order": 4711})
    first, last = route["stops"]
    assert route == {
        "id": route["id"],
        "name": "Tour",
        "vehicle": {"id": public_id(van), "name": "Van", "externalIds": {"erp": "1"}},
        "notes": "Ring twice",
        "externalIds": {"order": "4711"},
        "settings": {
            "routeStartingCondition": "departFirstStop",
            "routeCompletionCondition": "arriveLastStop",
            "sequencingMethod": "scheduledArrivalTime",
        },
        "orgLocalTimezone": "UTC",
        "scheduledRouteStartTime": "2024-05-01T10:00:00Z",
        "scheduledRouteEndTime": "2024-05-01T11:00:00Z",
        "stops": [
            {
                "id": first["id"],
                "name": "Depot",
                "state": "scheduled",
                "orders": [],
                "singleUseLocation": DEPOT,
                "scheduledDepartureTime": "2024-05-01T10:00:00Z",
                "liveSharingUrl": f"http://testserver/fleet/viewer/job/{stop_key(KEY, acme, int(first['id']))}",
            },
            {
                "id": last["id"],
                "name": "Quay 1",
                "state": "scheduled",
                "orders": [],
                "singleUseLocation": SHOP,
                "scheduledArrivalTime": "2024-05-01T11:00:00Z",
                "liveSharingUrl": f"http://testserver/fleet/viewer/job/{stop_key(KEY, acme, int(last['id']))}",
            },
        ],
    }
    for name in (route["id"], "order:4711"):
        assert (await client.get(f"/fleet/routes/{name}")).json()["data"] == route
    assert (await client.get("/fleet/routes", params=DAY)).json()["data"] == [route]


async def test_nulls_in_a_new_route_are_as_good_as_absent(make):
    stop = {"scheduledArrivalTime": None, "addressId": None, "notes": None, "forms": [], "orders": [{"id": "1"}]}
    route = await make(driverId=None, settings={"sequencingMethod": None}, stops=[{**stop, **LEAVES}, COMES])
    assert "driver" not in route
    assert route["stops"][0]["state"] == "unassigned"


async def test_stops_are_in_the_order_of_their_times_or_numbers(make):
    route = await make(stops=[LEAVES, COMES, BETWEEN])
    assert [stop["scheduledArrivalTime"] for stop in route["stops"][1:]] == [
        "2024-05-01T10:30:00Z",
        "2024-05-01T11:00:00Z",
    ]
    numbered = [{**stop, "sequenceNumber": number} for stop, number in ((COMES, 3), (BETWEEN, 2), (LEAVES, 1))]
    route = await make(stops=numbered, settings={"sequencingMethod": "manual"})
    assert [stop["sequenceNumber"] for stop in route["stops"]] == [1, 2, 3]


async def test_settings_say_which_times_the_ends_have(make):
    arrives = {**LEAVES, "scheduledArrivalTime": "2024-05-01T09:50:00Z"}
    leaves_last = {**COMES, "scheduledDepartureTime": "2024-05-01T11:10:00Z"}
    route = await make(stops=[arrives, leaves_last])
    assert "scheduledArrivalTime" not in route["stops"][0]
    assert "scheduledDepartureTime" not in route["stops"][1]
    settings = {"routeStartingCondition": "arriveFirstStop", "routeCompletionCondition": "departLastStop"}
    route = await make(stops=[arrives, leaves_last], settings=settings)
    assert route["scheduledRouteStartTime"] == "2024-05-01T09:50:00Z"
    assert route["scheduledRouteEndTime"] == "2024-05-01T11:10:00Z"


BAD = [
    ({"name": ""}, "name"),
    ({"name": "x" * 256}, "name"),
    ({"stops": [LEAVES]}, "stops"),
    ({"stops": None}, "stops"),
    ({"stops": [LEAVES, COMES] * 300}, "stops"),
    ({"notes": "x" * 2001}, "notes"),
    ({"tagIds": ["1"]}, "tagIds"),
    ({"vehicleId": "1"}, "vehicleId"),
    ({"vehicleId": "erp:none"}, "vehicleId"),
    ({"driverId": "1"}, "driverId"),
    ({"externalIds": {"samsara.x": "1"}}, "externalIds"),
    ({"settings": {"routeStartingCondition": "x"}}, "settings.routeStartingCondition"),
    ({"settings": {"sequencingMethod": "manual"}}, "stops[0].sequenceNumber"),
    ({"recomputeScheduledTimes": True}, "recomputeScheduledTimes"),
    ({"stops": [LEAVES, {"scheduledArrivalTime": "2024-05-01T11:00:00Z"}]}, "stops[1]"),
    ({"stops": [LEAVES, {**COMES, "addressId": "7"}]}, "stops[1]"),
    ({"stops": [LEAVES, {**COMES, "singleUseLocation": None, "addressId": "7"}]}, "stops[1].addressId"),
    ({"stops": [LEAVES, {**COMES, "singleUseLocation": {"latitude": 91, "longitude": 0}}]}, "latitude"),
    ({"stops": [LEAVES, {**COMES, "singleUseLocation": {"latitude": 1}}]}, "longitude"),
    ({"stops": [LEAVES, {**COMES, "singleUseLocation": {**SHOP, "radiusMeters": 0}}]}, "radiusMeters"),
    ({"stops": [LEAVES, {**COMES, "singleUseLocation": {**SHOP, "address": "x" * 256}}]}, "address"),
    ({"stops": [{"singleUseLocation": DEPOT}, COMES]}, "stops[0].scheduledDepartureTime"),
    ({"stops": [LEAVES, {"singleUseLocation": SHOP}]}, "stops[1].scheduledArrivalTime"),
    ({"stops": [LEAVES, {**BETWEEN, "scheduledDepartureTime": None}, COMES]}, "stops[1].scheduledDepartureTime"),
    ({"stops": [LEAVES, {**BETWEEN, "scheduledDepartureTime": "2024-05-01T10:00:00Z"}, COMES]}, "stops[1]"),
    ({"stops": [LEAVES, {**COMES, "scheduledArrivalTime": "noon"}]}, "stops[1].scheduledArrivalTime"),
    ({"stops": [LEAVES, {**COMES, "ontimeWindowAfterArrivalMs": 259_200_001}]}, "ontimeWindowAfterArrivalMs"),
    ({"stops": [LEAVES, {**COMES, "notes": "x" * 2001}]}, "notes"),
    ({"stops": [LEAVES, {**COMES, "id": "1"}]}, "stops[1].id"),
    ({"stops": [LEAVES, {**COMES, "sequenceNumber": 0}]}, "sequenceNumber"),
]


@pytest.mark.parametrize(("fields", "named"), BAD)
async def test_what_cannot_be_kept_is_refused_with_its_field_named(client, world, fields, named):
    body = {"name": "Tour", "stops": [LEAVES, COMES], **fields}
    answer = await client.post("/fleet/routes", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["message"]
    assert not len(world.directory.routes)


async def test_patch_changes_named_stops_makes_new_ones_and_drops_the_rest(client, make):
    route = await make(stops=[LEAVES, BETWEEN, COMES], notes="old")
    path = f"/fleet/routes/{route['id']}"
    first, middle, last = route["stops"]
    stops = [
        {"id": first["id"], "notes": "Gate 2"},
        {"id": last["id"], "name": "Shop", "scheduledArrivalTime": "2024-05-01T11:30:00Z"},
        {**BETWEEN, "name": "New"},
    ]
    changed = (await client.patch(path, json={"stops": stops, "notes": None})).json()["data"]
    assert "notes" not in changed
    assert changed["stops"][0] == {**first, "notes": "Gate 2"}
    assert changed["stops"][1]["name"] == "New"
    assert changed["stops"][1]["id"] not in {first["id"], middle["id"], last["id"]}
    assert changed["stops"][2]["id"] == last["id"]
    assert changed["stops"][2]["scheduledArrivalTime"] == "2024-05-01T11:30:00Z"
    assert (await client.patch(path, json={})).json()["data"] == changed
    assert (await client.patch(path, json=changed)).json()["data"] == changed, "what was read can be sent back"
    twice = [{"id": first["id"]}, {"id": first["id"]}]
    assert (await client.patch(path, json={"stops": twice})).status_code == 400


async def test_a_stop_is_called_by_its_place_unless_it_was_given_a_name(client, make, keep, world, acme):
    await keep(address(7))
    await keep(address(8, name="Hall"))
    at_dock = {**COMES, "addressId": "7"}
    del at_dock["singleUseLocation"]
    route = await make(stops=[{**LEAVES, "name": "Start"}, at_dock])
    first, second = route["stops"]

    async def patched(*stops):
        answer = await client.patch(f"/fleet/routes/{route['id']}", json={"stops": list(stops)})
        assert answer.status_code == 200, answer.text
        return [stop["name"] for stop in answer.json()["data"]["stops"]]

    first_there = {"id": first["id"], "addressId": "7"}
    second_id = {"id": second["id"]}
    assert await patched(first_there, {**second_id, "addressId": "8"}) == ["Start", "Hall"]
    assert await patched(first_there, {**second_id, "singleUseLocation": SHOP}) == ["Start", "Quay 1"]
    assert await patched(first_there, {**second_id, "singleUseLocation": DEPOT}) == ["Start", "52.00000, 4.00000"]
    assert await patched(first_there, {**second_id, "addressId": "7"}) == ["Start", "Dock"]
    await addresses.update(world.catalog, acme, 7, addresses.AddressFields(name="Dock 2"))
    assert await patched(first_there, second_id) == ["Start", "Dock 2"]
    assert await patched({**first_there, "name": None}, {**second_id, "name": "End"}) == ["Dock 2", "End"]


async def test_a_stop_at_a_private_address_that_was_deleted_stays_hidden_until_it_is_elsewhere(
    client, make, keep, world, acme
):
    await keep(address(7, name="Home", is_private=True))
    await keep(address(8, name="Hall"))
    home = {**COMES, "addressId": "7"}
    del home["singleUseLocation"]
    route = await make(stops=[LEAVES, home])
    await addresses.remove(world.catalog, acme, 7)

    async def patched(**fields):
        stops = [{"id": stop["id"]} for stop in route["stops"]]
        stops[1] |= fields
        answer = await client.patch(f"/fleet/routes/{route['id']}", json={"stops": stops})
        assert answer.status_code == 200, answer.text
        stop = world.directory.routes.find_by_number(acme, int(route["id"])).body.stops[1]
        return stop.name, stop.is_private

    kept = (await client.get(f"/fleet/routes/{route['id']}")).json()["data"]["stops"][1]
    assert await patched(notes="Ring twice") == ("Home", True)
    assert await patched(singleUseLocation=kept["singleUseLocation"], name="Home") == ("Home", True)
    assert await patched(addressId="8") == ("Hall", False)


async def test_giving_a_vehicle_takes_the_driver_away(client, make, keep, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    await keep(Driver(5, "D", "d", 1, 1))
    assert (
        await client.post(
            "/fleet/routes", json={"name": "x", "stops": [LEAVES, COMES], "vehicleId": "1", "driverId": "5"}
        )
    ).status_code == 400
    route = await make(driverId="5")
    assert route["driver"] == {"id": "5", "name": "D"}
    assert route["stops"][0]["state"] == "scheduled"
    path = f"/fleet/routes/{route['id']}"
    changed = (await client.patch(path, json={"vehicleId": public_id(van)})).json()["data"]
    assert changed["vehicle"]["name"] == "Van"
    assert "driver" not in changed
    assert "vehicle" not in (await client.patch(path, json={"vehicleId": None})).json()["data"]


async def test_a_stop_at_an_address_shows_it_and_its_links(make, keep, client, world):
    await keep(address(external_ids={"erp": "dock"}))
    stop = {"addressId": "erp:dock", "scheduledArrivalTime": "2024-05-01T11:00:00Z"}
    await keep(share("near", type="assetsNearLocation", address_id=7, expires_ms=NOON_MS + 1000))
    await keep(share("gone", type="assetsNearLocation", address_id=7, expires_ms=NOON_MS))
    await keep(share("other", type="assetsNearLocation", address_id=8))
    await keep(msgspec.structs.replace(share("stale", type="assetsNearLocation", address_id=7), key_hash="00" * 32))
    route = await make(stops=[LEAVES, stop])
    last = route["stops"][1]
    assert last["name"] == "Dock"
    assert last["address"] == {"id": "7", "name": "Dock", "externalIds": {"erp": "dock"}}
    assert "singleUseLocation" not in last
    assert last["locationLiveSharingLinks"] == [
        {
            "name": "near",
            "liveSharingUrl": f"http://testserver/o/1/fleet/viewer/address/{link_key(KEY, 'near', 0)}",
            "expiresAtTime": "2024-05-01T10:00:01Z",
        }
    ]
    await keep(share("line", type="assetsOnRoute", route_id=int(route["id"])))
    again = (await client.get(f"/fleet/routes/{route['id']}")).json()["data"]
    assert [one["name"] for one in again["recurringRouteLiveSharingLinks"]] == ["line"]
    moved = {"id": last["id"], "singleUseLocation": SHOP}
    changed = await client.patch(
        f"/fleet/routes/{route['id']}", json={"stops": [{"id": route["stops"][0]["id"]}, moved]}
    )
    assert changed.json()["data"]["stops"][1]["singleUseLocation"] == SHOP
    assert "address" not in changed.json()["data"]["stops"][1]


async def test_the_list_holds_what_is_planned_in_its_range(client, make):
    for hour, name in ((10, "early"), (14, "late")):
        leaves = {**LEAVES, "scheduledDepartureTime": f"2024-05-01T{hour}:00:00Z"}
        comes = {**COMES, "scheduledArrivalTime": f"2024-05-01T{hour + 1}:00:00Z"}
        await make(name=name, stops=[leaves, comes])

    async def listed(start, end):
        answer = await client.get("/fleet/routes", params={"startTime": start, "endTime": end})
        return [one["name"] for one in answer.json()["data"]]

    assert await listed("2024-05-01T10:30:00Z", "2024-05-01T12:00:00Z") == ["early"]
    assert await listed("2024-05-01T11:00:00Z", "2024-05-01T14:00:00Z") == ["early"]
    assert await listed("2024-05-01T11:00:01Z", "2024-05-01T14:00:01Z") == ["late"]
    backwards = {"startTime": DAY["endTime"], "endTime": DAY["startTime"]}
    assert (await client.get("/fleet/routes", params=backwards)).status_code == 400


async def test_tags_select_routes_and_limit_what_a_token_sees_and_does(client, make, keep, world, acme):
    north, south = [
        (await client.post("/tags", json={"name": name})).json()["data"]["id"] for name in ("North", "South")
    ]
    mine = await world.make_vehicle(acme, name="Mine", tag_ids=[north])
    other = await world.make_vehicle(acme, name="Other")
    await keep(address(tag_ids=(int(south),)))
    by_vehicle = await make(name="by vehicle", vehicleId=public_id(mine))
    by_tag = await make(name="by tag", vehicleId=public_id(other), tagIds=[north])
    hidden = await make(name="hidden", vehicleId=public_id(other), tagIds=[south])
    await keep(share("wide", type="assetsOnRoute", route_id=int(by_tag["id"])))
    await keep(share("mine", type="assetsOnRoute", route_id=int(by_tag["id"]), limit_tag_ids=(int(north),)))

    limited = world.client(await world.make_token(acme, tag_ids=[north]))
    listed = (await limited.get("/fleet/routes", params=DAY)).json()["data"]
    assert [one["name"] for one in listed] == ["by vehicle", "by tag"]
    assert "vehicle" not in listed[1]
    assert [one["name"] for one in listed[1]["recurringRouteLiveSharingLinks"]] == ["mine"]
    tagged = (await client.get("/fleet/routes", params={**DAY, "tagIds": south})).json()["data"]
    assert [one["name"] for one in tagged] == ["hidden"]

    path = f"/fleet/routes/{hidden['id']}"
    assert (await limited.get(path)).status_code == 404
    assert (await limited.patch(path, json={})).status_code == 404
    assert (await limited.delete(path)).status_code == 404
    new = {"name": "x", "stops": [LEAVES, COMES]}
    for fields, named in (
        ({"vehicleId": public_id(other), "tagIds": [north]}, "vehicleId"),
        ({}, "tagIds"),
        ({"tagIds": [south]}, "tagIds"),
        (
            {"tagIds": [north], "stops": [LEAVES, {**COMES, "singleUseLocation": None, "addressId": "7"}]},
            "addressId",
        ),
    ):
        refused = await limited.post("/fleet/routes", json={**new, **fields})
        assert refused.status_code == 400
        assert named in refused.json()["message"]
    assert (await limited.post("/fleet/routes", json={**new, "vehicleId": public_id(mine)})).status_code == 200
    taken = await limited.patch(f"/fleet/routes/{by_vehicle['id']}", json={"vehicleId": None})
    assert taken.status_code == 400, "it would no longer be seen"


async def test_a_deleted_route_is_gone_by_either_path(client, make):
    for path, status in (("/fleet/routes", 204), ("/v1/fleet/dispatch/routes", 200)):
        route = await make(externalIds={"order": "7"})
        answer = await client.delete(f"{path}/order:7")
        assert (answer.status_code, answer.content) == (status, b"")
        assert (await client.delete(f"{path}/{route['id']}")).status_code == 404
        assert (await client.get(f"/fleet/routes/{route['id']}")).status_code == 404


async def test_progress_shows_as_states_and_times(client, make, keep, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    route = await make(stops=[LEAVES, BETWEEN, BETWEEN, COMES], vehicleId=public_id(van))
    entity = world.directory.routes.find_by_text(acme, route["id"])
    done = [
        {"arrived_ms": NOON_MS, "departed_ms": NOON_MS + 1},
        {"en_route_ms": NOON_MS + 1, "skipped_ms": NOON_MS + 2},
        {"arrived_ms": NOON_MS + 2000},
        {"en_route_ms": NOON_MS + 3000},
    ]
    stops = tuple(msgspec.structs.replace(stop, **what) for stop, what in zip(entity.body.stops, done, strict=True))
    await keep(msgspec.structs.replace(entity.body, stops=stops, started_ms=NOON_MS + 1), entity)
    shown = (await client.get(f"/fleet/routes/{route['id']}")).json()["data"]
    assert [stop["state"] for stop in shown["stops"]] == ["departed", "skipped", "arrived", "en route"]
    assert shown["actualRouteStartTime"] == "2024-05-01T10:00:00.001Z"
    assert "actualRouteEndTime" not in shown
    assert shown["stops"][2]["actualArrivalTime"] == "2024-05-01T10:00:02Z"
    assert shown["stops"][1]["skippedTime"] == "2024-05-01T10:00:00.002Z"
    other = await world.make_vehicle(acme, name="Other")
    taken = await client.patch(f"/fleet/routes/{route['id']}", json={"vehicleId": public_id(other)})
    assert {stop["state"] for stop in taken.json()["data"]["stops"]} == {"scheduled"}
