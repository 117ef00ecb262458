"""Recurring routes: our extension, in the vendor's style."""

from __future__ import annotations

import pytest

from odograph.catalog.changes import Plan, put
from odograph.catalog.planner import Planner
from odograph.model.catalog import LiveShare
from odograph.sharing.keys import key_hash, link_key
from tests.support.api import public_id

PATH = "/odograph/recurring-routes"
DEPOT = {
    "name": "Depot",
    "singleUseLocation": {"latitude": 52.0, "longitude": 4.0},
    "departureAfterStartSeconds": 0,
}
SHOP = {
    "singleUseLocation": {"latitude": 52.1, "longitude": 4.1, "address": "Quay 1"},
    "arrivalAfterStartSeconds": 600,
}
LINE = {"name": "Line 4", "startTimes": ["06:30"], "stops": [DEPOT, SHOP]}


@pytest.fixture
def make(client):
    async def make(**fields):
        answer = await client.post(PATH, json={**LINE, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return make


async def test_a_recurring_route_is_made_read_changed_and_deleted(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    line = await make(
        timeZone="Europe/Berlin",
        weekdays=["monday", "friday"],
        firstDate="2024-05-01",
        vehicleId=public_id(van),
        notes="Ring",
        externalIds={"erp": "4"},
    )
    assert line == {
        "id": line["id"],
        "name": "Line 4",
        "timeZone": "Europe/Berlin",
        "startTimes": ["06:30"],
        "weekdays": ["monday", "friday"],
        "firstDate": "2024-05-01",
        "vehicle": {"id": public_id(van), "name": "Van"},
        "notes": "Ring",
        "externalIds": {"erp": "4"},
        "settings": {"routeStartingCondition": "departFirstStop", "routeCompletionCondition": "arriveLastStop"},
        "createdAtTime": "2024-05-01T10:00:00Z",
        "updatedAtTime": "2024-05-01T10:00:00Z",
        "stops": [DEPOT, {"name": "Quay 1", **SHOP}],
    }
    assert (await client.get(f"{PATH}/erp:4")).json()["data"] == line
    assert (await client.get(PATH)).json()["data"] == [line]
    changed = await client.patch(f"{PATH}/{line['id']}", json={"weekdays": None, "vehicleId": None, "name": "L"})
    assert len(changed.json()["data"]["weekdays"]) == 7
    assert "vehicle" not in changed.json()["data"]
    assert (await client.patch(f"{PATH}/{line['id']}", json=line)).json()["data"]["name"] == "Line 4"
    assert (await client.delete(f"{PATH}/{line['id']}")).status_code == 204
    assert (await client.get(f"{PATH}/{line['id']}")).status_code == 404


async def test_without_a_zone_it_is_the_organisations_and_without_weekdays_every_day(make):
    line = await make()
    assert (line["timeZone"], len(line["weekdays"])) == ("UTC", 7)


BAD = [
    ({"name": None}, "name"),
    ({"startTimes": []}, "startTimes"),
    ({"startTimes": ["6:30"]}, "startTimes"),
    ({"startTimes": ["24:00"]}, "startTimes"),
    (
        {"startTimes": [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in range(0, 60, 10)]},
        "startTimes",
    ),
    ({"weekdays": ["someday"]}, "weekdays"),
    ({"timeZone": "Europe/Nowhere"}, "timezone"),
    ({"firstDate": "1.5.2024"}, "firstDate"),
    ({"lastDate": "2024-02-30"}, "lastDate"),
    ({"firstDate": "2024-05-02", "lastDate": "2024-05-01"}, "lastDate"),
    ({"stops": [DEPOT]}, "stops"),
    ({"stops": [{**DEPOT, "departureAfterStartSeconds": None}, SHOP]}, "stops[0].departureAfterStartSeconds"),
    ({"stops": [DEPOT, {**SHOP, "arrivalAfterStartSeconds": None}]}, "stops[1].arrivalAfterStartSeconds"),
    ({"stops": [DEPOT, {**SHOP, "arrivalAfterStartSeconds": -1}]}, "arrivalAfterStartSeconds"),
    ({"stops": [DEPOT, SHOP, {**SHOP, "arrivalAfterStartSeconds": 300}]}, "stops[2].arrivalAfterStartSeconds"),
    ({"stops": [DEPOT, {"arrivalAfterStartSeconds": 5}]}, "stops[1]"),
    ({"vehicleId": "1"}, "vehicleId"),
]


@pytest.mark.parametrize(("fields", "named"), BAD)
async def test_what_cannot_be_kept_is_refused_with_its_field_named(client, world, fields, named):
    answer = await client.post(PATH, json={**LINE, **fields})
    assert answer.status_code == 400
    assert named in answer.json()["message"]
    assert not len(world.directory.recurring)


async def test_runs_are_routes_that_name_it_and_carry_its_links(client, make, world, acme):
    line = await make()
    digest = key_hash(link_key(b"k" * 32, "abc", 0)).hex()
    share = LiveShare("abc", "Line 4 live", "assetsOnRoute", 1, 1, digest, route_id=int(line["id"]))
    await world.catalog.change(lambda: Plan([put(None, acme, share)], lambda _: None))
    await Planner(world.context.live, world.catalog).plan()
    week = {"startTime": "2024-05-02T00:00:00Z", "endTime": "2024-05-04T00:00:00Z"}
    runs = (await client.get("/fleet/routes", params=week)).json()["data"]
    assert [run["odograph"] for run in runs] == [
        {"recurringRouteId": line["id"], "runDate": f"2024-05-0{day}", "runTime": "06:30"} for day in (2, 3)
    ]
    shown = [one["recurringRouteLiveSharingLinks"] for one in (*runs, (await client.get(PATH)).json()["data"][0])]
    assert [links[0]["name"] for links in shown] == ["Line 4 live"] * 3
    assert (await client.delete(f"/fleet/routes/{runs[0]['id']}")).status_code == 204
    later = await client.request(
        "DELETE", f"/v1/fleet/dispatch/routes/{runs[1]['id']}", json={"apply_to_future_routes": True}
    )
    assert later.status_code == 200
    await Planner(world.context.live, world.catalog).plan()
    assert (await client.get("/fleet/routes", params={**week, "endTime": "2024-06-01T00:00:00Z"})).json()[
        "data"
    ] == []


async def test_a_token_limited_to_tags_sees_and_makes_its_own(client, make, world, acme):
    tag = (await client.post("/tags", json={"name": "North"})).json()["data"]["id"]
    hidden = await make()
    limited = world.client(await world.make_token(acme, tag_ids=[tag]))
    assert (await limited.get(f"{PATH}/{hidden['id']}")).status_code == 404
    assert (await limited.post(PATH, json=LINE)).status_code == 400
    mine = (await limited.post(PATH, json={**LINE, "tagIds": [tag]})).json()["data"]
    assert [one["id"] for one in (await limited.get(PATH)).json()["data"]] == [mine["id"]]
