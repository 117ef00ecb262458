"""Links at the API: expiry by the clock, options, paging, the extensions, and the rules of the vendor's guide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from odograph.api.app import build
from odograph.api.resources.registry import RESOURCES
from odograph.api.resources.share_keeping import LEDGER_ROWS
from odograph.api.wire import render_time
from odograph.catalog import tags
from odograph.model.ids import OrgId
from odograph.sharing.ledger import Disclosed
from odograph.store.base import LedgerEntry
from tests.support.api import EVERY_SCOPE, NOON_MS, Client, World, public_id
from tests.support.shared import make_address, make_recurring, make_route

HOUR_MS = 3_600_000
DOCK = {"name": "Dock", "formattedAddress": "Quay 1", "latitude": 52.1, "longitude": 4.3}


@pytest_asyncio.fixture
async def van(world: World, acme: OrgId) -> str:
    return public_id(await world.make_vehicle(acme, name="Van", license_plate="B-OD 1"))


async def make(client: Client, van: str, config: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    answer = await client.post(
        "/live-shares",
        json={
            "name": "Link",
            "type": "assetsLocation",
            "assetsLocationLinkConfig": {"assetId": van, **(config or {})},
            **fields,
        },
    )
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def refused(client: Client, van: str, config: dict[str, Any] | None = None, **fields: Any) -> str:
    answer = await client.post(
        "/live-shares",
        json={
            "name": "Link",
            "type": "assetsLocation",
            "assetsLocationLinkConfig": {"assetId": van, **(config or {})},
            **fields,
        },
    )
    assert answer.status_code == 400, answer.text
    return str(answer.json()["message"])


async def ids_of(client: Client, path: str = "/live-shares", **params: str) -> list[str]:
    return [one["id"] for one in (await client.get(path, params=params)).json()["data"]]


def at(ms_from_now: int) -> str:
    return render_time(NOON_MS + ms_from_now)


# -- expiry


async def test_a_link_without_expiry_is_listed_far_in_the_future(world, client, van):
    made = await make(client, van)
    assert "expiresAtTime" not in made
    world.clock.time_ms += 100 * 365 * 86_400_000
    assert await ids_of(client) == [made["id"]]


async def test_a_link_is_listed_until_its_moment_and_not_from_it_on(world, client, van):
    made = await make(client, van, expiresAtTime=at(1500))
    assert made["expiresAtTime"] == "2024-05-01T10:00:01.500Z"
    world.clock.time_ms += 1499
    assert await ids_of(client) == [made["id"]]
    world.clock.time_ms += 1
    assert await ids_of(client) == []
    assert await ids_of(client, ids=made["id"]) == []
    for answer in (
        await client.patch("/live-shares", params={"id": made["id"]}, json={"name": "x"}),
        await client.delete("/live-shares", params={"id": made["id"]}),
    ):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "when", [at(0), at(-1), "2020-01-27T07:06:25Z", "1970-01-01T00:00:00Z", "soon", "2031-01-01"]
)
async def test_an_expiry_in_the_past_or_that_is_no_time_is_refused_by_name(client, van, when):
    assert "expiresAtTime" in await refused(client, van, expiresAtTime=when)
    made = await make(client, van)
    answer = await client.patch(
        "/live-shares", params={"id": made["id"]}, json={"name": "x", "expiresAtTime": when}
    )
    assert answer.status_code == 400
    assert "expiresAtTime" in answer.json()["message"]


# -- the vendor's bodies


async def test_name_and_description_hold_255_characters_and_no_more(client, van):
    made = await make(client, van, name="n" * 255, description="d" * 255)
    assert (made["name"], made["description"]) == ("n" * 255, "d" * 255)
    assert "name" in await refused(client, van, name="n" * 256)
    assert "description" in await refused(client, van, description="d" * 256)
    assert "name" in await refused(client, van, name=None)


@pytest.mark.parametrize("kind", [None, "all", "assetslocation", 7])
async def test_a_type_that_is_none_is_refused_by_name(client, van, kind):
    assert "type" in await refused(client, van, type=kind)


async def test_a_location_needs_all_four_fields_within_their_bounds(client, van):
    for field in DOCK:
        for place in ({**DOCK, field: None}, {key: value for key, value in DOCK.items() if key != field}):
            assert f"assetsLocationLinkConfig.location.{field}" in await refused(client, van, {"location": place})
    for field, value in (
        ("latitude", 90.1),
        ("longitude", -180.1),
        ("latitude", "52"),
        ("name", " "),
        ("name", ""),
    ):
        message = await refused(client, van, {"location": {**DOCK, field: value}})
        assert f"assetsLocationLinkConfig.location.{field}" in message


async def test_a_location_and_an_address_together_are_refused(world, acme, client, van):
    address = await make_address(world.catalog, acme)
    assert "not both" in await refused(client, van, {"location": DOCK, "addressId": address})


async def test_nulls_in_a_new_link_are_as_if_they_were_not_there(client, van):
    made = await make(
        client, van, {"tagIds": None, "location": None}, description=None, expiresAtTime=None, odograph=None
    )
    assert set(made) == {"id", "liveSharingUrl", "name", "type", "assetsLocationLinkConfig"}


async def test_a_patch_keeps_what_is_absent_and_null_or_empty_removes(client, van):
    made = await make(client, van, description="For you", expiresAtTime=at(HOUR_MS))

    async def patched(**fields: Any) -> dict[str, Any]:
        answer = await client.patch("/live-shares", params={"id": made["id"]}, json=fields)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    kept = await patched(name="New", type="assetsOnRoute", assetsLocationLinkConfig={"assetId": "1"})
    assert kept == {**made, "name": "New"}
    assert (await patched(name="New", expiresAtTime=at(2 * HOUR_MS)))["expiresAtTime"] == at(2 * HOUR_MS)
    for empty in (None, ""):
        gone = await patched(name="New", expiresAtTime=empty, description=empty)
        assert "expiresAtTime" not in gone
        assert "description" not in gone
        await patched(name="New", expiresAtTime=at(HOUR_MS), description="x")


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": ""}, {"description": "x"}, {"name": 5}])
async def test_a_patch_without_a_name_is_refused_by_name(client, van, body):
    made = await make(client, van)
    answer = await client.patch("/live-shares", params={"id": made["id"]}, json=body)
    assert answer.status_code == 400
    assert "name" in answer.json()["message"]


async def test_patch_and_delete_need_an_id(client):
    for answer in (await client.patch("/live-shares", json={"name": "x"}), await client.delete("/live-shares")):
        assert answer.status_code == 400
        assert "'id'" in answer.json()["message"]


async def test_a_deleted_link_is_gone_for_every_call(client, van):
    made = await make(client, van)
    params = {"id": made["id"]}
    assert (await client.delete("/live-shares", params=params)).status_code == 204
    assert (await client.delete("/live-shares", params=params)).status_code == 404
    assert (await client.patch("/live-shares", params=params, json={"name": "x"})).status_code == 404
    assert await ids_of(client, "/odograph/live-shares") == []


async def test_links_are_filtered_by_type_and_ids_and_paged_by_at_most_100(world, acme, client, van):
    near = await make_address(world.catalog, acme)
    assets = [(await make(client, van))["id"] for _ in range(3)]
    body = {"name": "Near", "type": "assetsNearLocation", "assetsNearLocationLinkConfig": {"addressId": near}}
    place = (await client.post("/live-shares", json=body)).json()["data"]["id"]
    assert await ids_of(client, type="all") == [*assets, place]
    assert await ids_of(client, type="assetsNearLocation") == [place]
    assert await ids_of(client, type="assetsOnRoute") == []
    assert await ids_of(client, ids=f"{assets[2]},{place}", type="assetsLocation") == [assets[2]]
    assert await ids_of(client, ids="nobody") == []
    page = (await client.get("/live-shares", params={"limit": "3"})).json()
    assert [one["id"] for one in page["data"]] == assets
    rest = (await client.get("/live-shares", params={"after": page["pagination"]["endCursor"]})).json()
    assert [one["id"] for one in rest["data"]] == [place]
    assert rest["pagination"] == {"endCursor": "", "hasNextPage": False}
    for limit in ("0", "101"):
        assert (await client.get("/live-shares", params={"limit": limit})).status_code == 400
    assert (await client.get("/live-shares", params={"type": "other"})).status_code == 400


async def test_the_101st_write_of_a_minute_has_to_wait(world, client, van):
    world.clock.step_s = 0.0
    world.app = build(world.context, RESOURCES)
    made = [await make(client, van) for _ in range(100)]
    body = {"name": "x", "type": "assetsLocation", "assetsLocationLinkConfig": {"assetId": van}}
    late = await client.post("/live-shares", json=body)
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) >= 1
    assert (await client.delete("/live-shares", params={"id": made[0]["id"]})).status_code == 204, (
        "each has its own"
    )


async def test_reading_and_writing_links_need_their_own_scopes(world, acme, van):
    reader = world.client(await world.make_token(acme, ["Read Live Sharing Links"]))
    writer = world.client(await world.make_token(acme, ["Write Live Sharing Links"]))
    made = await make(writer, van)
    assert (await writer.get("/live-shares")).status_code == 403
    assert await ids_of(reader) == [made["id"]]
    assert (await reader.delete("/live-shares", params={"id": made["id"]})).status_code == 403


# -- our options


OPTIONS: dict[str, Any] = {
    "startsAtTime": at(HOUR_MS),
    "trail": "minutes:30",
    "endsOnArrival": True,
    "plannedArrivalTime": at(3 * HOUR_MS),
    "discloseWithin": {"meters": 5000, "minutes": 20},
    "shownName": "Courier",
}


async def test_options_are_shown_as_they_were_given_and_only_where_they_were(client, van):
    assert "odograph" not in await make(client, van)
    assert "odograph" not in await make(client, van, odograph={"trail": "none", "endsOnArrival": False})
    assert (await make(client, van, {"location": DOCK}, odograph=OPTIONS))["odograph"] == OPTIONS
    assert (await make(client, van, odograph={"trail": "sinceStart"}))["odograph"] == {"trail": "sinceStart"}


async def test_a_patch_changes_single_options_and_null_removes_them_one_by_one_or_all(client, van):
    made = await make(client, van, {"location": DOCK}, odograph=OPTIONS)

    async def patched(options: Any) -> Any:
        answer = await client.patch(
            "/live-shares", params={"id": made["id"]}, json={"name": "Link", "odograph": options}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"].get("odograph")

    left = dict(OPTIONS)
    assert await patched({}) == left
    for given, within in (
        ({"minutes": 5}, {"meters": 5000, "minutes": 5}),
        ({"meters": 3000}, {"meters": 3000, "minutes": 5}),
        ({"minutes": None}, {"meters": 3000}),
        ({"minutes": 20, "meters": None}, {"minutes": 20}),
        ({"meters": 5000}, {"meters": 5000, "minutes": 20}),
    ):
        assert await patched({"discloseWithin": given}) == left | {"discloseWithin": within}
    assert "discloseWithin" not in await patched({"discloseWithin": {"minutes": None, "meters": None}})
    assert await patched({"discloseWithin": left["discloseWithin"]}) == left
    for option in OPTIONS:
        left.pop(option)
        assert (await patched({option: None}) or {}).keys() == left.keys()
    assert await patched(OPTIONS) == OPTIONS
    assert await patched(None) is None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"startsAtTime": at(0)}, "odograph.startsAtTime"),
        ({"startsAtTime": "soon"}, "odograph.startsAtTime"),
        ({"trail": "minutes:0"}, "odograph.trail"),
        ({"trail": "minutes:1441"}, "odograph.trail"),
        ({"trail": "minutes:1.5"}, "odograph.trail"),
        ({"trail": "all"}, "odograph.trail"),
        ({"endsOnArrival": "yes"}, "odograph.endsOnArrival"),
        ({"endsOnArrival": True}, "odograph.endsOnArrival"),
        ({"plannedArrivalTime": at(1)}, "odograph.plannedArrivalTime"),
        ({"plannedArrivalTime": 5}, "odograph.plannedArrivalTime"),
        ({"discloseWithin": {"meters": 500}}, "odograph.discloseWithin"),
        ({"discloseWithin": {}}, "odograph.discloseWithin"),
        ({"discloseWithin": {"meters": 99}}, "odograph.discloseWithin.meters"),
        ({"discloseWithin": {"meters": 1_000_001}}, "odograph.discloseWithin.meters"),
        ({"discloseWithin": {"minutes": 0}}, "odograph.discloseWithin.minutes"),
        ({"discloseWithin": {"minutes": 1441}}, "odograph.discloseWithin.minutes"),
        ({"shownName": "x" * 256}, "odograph.shownName"),
        ("all", "odograph"),
    ],
)
async def test_options_that_can_not_be_kept_are_refused_by_name(client, van, options, field):
    assert field in await refused(client, van, odograph=options)


async def test_a_link_of_tags_does_not_end_on_an_arrival(world, acme, client, van):
    tag = (await tags.create(world.catalog, acme, tags.TagFields(name="North", vehicles=[van]))).body.number
    config = {"assetId": None, "tagIds": [str(tag)], "location": DOCK}
    assert "one vehicle" in await refused(client, van, config, odograph={"endsOnArrival": True})


# -- our calls


async def test_expired_and_scheduled_links_are_listed_with_their_state(world, client, van):
    short = await make(client, van, expiresAtTime=at(1000))
    later = await make(client, van, odograph={"startsAtTime": at(HOUR_MS)})
    always = await make(client, van)
    world.clock.time_ms += 1000
    listed = (await client.get("/odograph/live-shares")).json()["data"]
    assert [one["state"] for one in listed] == ["expired", "scheduled", "active"]
    assert listed[0]["liveSharingUrl"] == short["liveSharingUrl"]
    assert listed[0]["createdAtTime"] == at(0)
    assert await ids_of(client, "/odograph/live-shares", state="expired") == [short["id"]]
    assert await ids_of(client, "/odograph/live-shares", state="active") == [later["id"], always["id"]]


async def test_an_expired_link_is_reactivated_under_its_url_and_deleted(world, client, van):
    made = await make(client, van, expiresAtTime=at(1000))
    path = f"/odograph/live-shares/{made['id']}"
    early = await client.post(f"{path}/reactivate", json={})
    assert early.status_code == 400
    assert "has not expired" in early.json()["message"]
    world.clock.time_ms += 1000
    past = await client.post(f"{path}/reactivate", json={"expiresAtTime": at(1000)})
    assert past.status_code == 400
    again = await client.post(f"{path}/reactivate", json={"expiresAtTime": at(5000)})
    assert again.json()["data"] == {**made, "expiresAtTime": at(5000)}
    world.clock.time_ms += 4000
    for_ever = (await client.post(f"{path}/reactivate", json={})).json()["data"]
    assert "expiresAtTime" not in for_ever
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404


async def test_a_rotated_link_has_another_url_and_the_same_id(client, van):
    made = await make(client, van)
    rotated = (await client.post(f"/odograph/live-shares/{made['id']}/rotate")).json()["data"]
    assert rotated["liveSharingUrl"] != made["liveSharingUrl"]
    assert {**rotated, "liveSharingUrl": ""} == {**made, "liveSharingUrl": ""}
    assert (await client.get("/live-shares")).json()["data"] == [rotated]


async def test_under_another_server_key_no_url_is_shown_that_does_not_open(world, acme, client, van):
    made = await make(client, van)
    world.app = build(replace(world.context, server_key=b"n" * 32), RESOURCES)
    client = world.client(await world.make_token(acme))
    params = {"id": made["id"]}
    for answer in (
        await client.get("/live-shares"),
        await client.patch("/live-shares", params=params, json={"name": "New"}),
    ):
        assert answer.status_code == 503
        assert "rotate" in answer.json()["message"]
    (kept,) = (await client.get("/odograph/live-shares")).json()["data"]
    assert "liveSharingUrl" not in kept
    assert kept["name"] == "Link", "the refused change changed nothing"
    rotated = (await client.post(f"/odograph/live-shares/{made['id']}/rotate")).json()["data"]
    assert (await client.get("/live-shares")).json()["data"] == [rotated]


# -- the ledger


def entry(world: World, share_id: str, minute: int, writer: int = 1, **body: Any) -> LedgerEntry:
    share = world.directory.shares.list_(OrgId(1))
    found = next(one for one in share if one.body.share_id == share_id)
    packed = msgspec.json.encode(Disclosed(**body))
    return LedgerEntry(found.org, found.id, NOON_MS // 60_000 + minute, writer, packed)


async def test_a_ledger_says_what_was_disclosed_by_public_ids_and_cursors_of_the_feed(world, acme, client, van):
    asset = world.directory.find_asset(acme, van)
    for second in range(4):
        await world.report(acme, asset, NOON_MS + second * 1000)
    made = await make(client, van)
    number = asset.body.number
    await world.store.note(
        [
            entry(world, made["id"], 0, assets=[number], first_seq=2, last_seq=2, page_loads=2),
            entry(world, made["id"], 0, 2, assets=[number], first_seq=3, last_seq=3, polls=4, streams_highest=5),
            entry(world, made["id"], 1, page_loads=1),
        ]
    )
    world.clock.time_ms += 120_000
    ledger = (await client.get(f"/odograph/live-shares/{made['id']}/ledger")).json()
    first, second = ledger["data"]
    assert second == {"time": at(60_000), "assetIds": [], "pageLoads": 1, "polls": 0, "streamsHighest": 0}
    counts = {name: first[name] for name in ("assetIds", "pageLoads", "polls", "streamsHighest")}
    assert counts == {"assetIds": [van], "pageLoads": 2, "polls": 4, "streamsHighest": 5}

    async def times_after(cursor: str) -> list[str]:
        feed = await client.get("/fleet/vehicles/locations/feed", params={"after": cursor})
        return [fix["time"] for one in feed.json()["data"] for fix in one["locations"]]

    assert await times_after(first["firstCursor"]) == [at(1000), at(2000), at(3000)]
    assert await times_after(first["lastCursor"]) == [at(3000)]


async def test_a_ledger_is_read_by_time_and_goes_on_where_a_page_ends(world, acme, client, van):
    made = await make(client, van)
    path = f"/odograph/live-shares/{made['id']}/ledger"
    entries = [
        entry(world, made["id"], minute, writer, page_loads=1)
        for minute in range(LEDGER_ROWS // 2 + 5)
        for writer in (1, 2)
    ]
    await world.store.note(entries)
    world.clock.time_ms += len(entries) * 60_000
    seen: list[str] = []
    params: dict[str, str] = {}
    pages = 0
    while True:
        page = (await client.get(path, params=params)).json()
        pages += 1
        assert all(one["pageLoads"] == 2 for one in page["data"])
        seen += [one["time"] for one in page["data"]]
        if "nextStartTime" not in page:
            break
        params = {"startTime": page["nextStartTime"]}
    assert pages == 2
    assert seen == [at(minute * 60_000) for minute in range(len(entries) // 2)]
    some = await client.get(path, params={"startTime": at(60_000), "endTime": at(180_000)})
    assert [one["time"] for one in some.json()["data"]] == [at(60_000), at(120_000)]
    backwards = await client.get(path, params={"startTime": at(600_000), "endTime": at(60_000)})
    assert backwards.status_code == 400
    await make(client, van)
    other = (await make(client, van))["id"]
    assert (await client.get(f"/odograph/live-shares/{other}/ledger")).json() == {"data": []}


# -- what can be shared


async def test_what_can_be_shared_is_listed_by_id_and_name_for_who_may_make_links(world, acme, van):
    tag = (await tags.create(world.catalog, acme, tags.TagFields(name="North"))).body.number
    address = await make_address(world.catalog, acme, formatted_address="Harbour Road")
    daily = await make_recurring(world.catalog, acme, 5)
    single = await make_route(world.catalog, acme, 4)
    await make_route(world.catalog, acme, 6, ended_ms=1)
    await make_route(world.catalog, acme, 7, recurring_id=5)
    maker = world.client(await world.make_token(acme, ["Write Live Sharing Links"]))

    async def listed(kind: str, **params: str) -> list[dict[str, str]]:
        answer = await maker.get("/odograph/shareable", params={"type": kind, **params})
        data: list[dict[str, str]] = answer.json()["data"]
        return data

    assert await listed("vehicles") == [{"id": van, "name": "Van"}]
    assert await listed("vehicles", q="vA") == await listed("vehicles", q="b-od") == await listed("vehicles")
    assert await listed("vehicles", q="bus") == []
    assert await listed("tags") == [{"id": str(tag), "name": "North"}]
    assert await listed("addresses", q="harbour") == [{"id": address, "name": "Dock 77"}]
    assert [one["id"] for one in await listed("routes")] == [single, daily]
    first = (await maker.get("/odograph/shareable", params={"type": "routes", "limit": "1"})).json()
    assert [one["id"] for one in first["data"]] == [single]
    rest = {"type": "routes", "after": first["pagination"]["endCursor"]}
    assert [one["id"] for one in (await maker.get("/odograph/shareable", params=rest)).json()["data"]] == [daily]
    wrong = await maker.get("/odograph/shareable", params={**rest, "type": "tags"})
    assert wrong.status_code == 400, "a cursor serves its own list"
    assert (await maker.get("/odograph/shareable")).status_code == 400
    others = [label for label in EVERY_SCOPE if label != "Write Live Sharing Links"]
    stranger = world.client(await world.make_token(acme, others))
    assert (await stranger.get("/odograph/shareable", params={"type": "tags"})).status_code == 403


async def test_a_token_with_tags_is_offered_only_what_it_may_share(world, acme, van):
    tag = (await tags.create(world.catalog, acme, tags.TagFields(name="North"))).body.number
    other = (await tags.create(world.catalog, acme, tags.TagFields(name="South"))).body.number
    bus = public_id(await world.make_vehicle(acme, name="Bus", tag_ids=[str(tag)]))
    number = world.directory.find_asset(acme, bus).body.number
    await make_address(world.catalog, acme, 1, tag_ids=(other,))
    await make_address(world.catalog, acme, 2, tag_ids=(tag,))
    await make_route(world.catalog, acme, 3)
    await make_route(world.catalog, acme, 4, asset_id=number)
    await make_recurring(world.catalog, acme, 5, tag_ids=(tag,))
    maker = world.client(await world.make_token(acme, ["Write Live Sharing Links"], tag_ids=[str(tag)]))
    offered = {
        kind: await ids_of(maker, "/odograph/shareable", type=kind)
        for kind in ("vehicles", "tags", "addresses", "routes")
    }
    assert offered == {"vehicles": [bus], "tags": [str(tag)], "addresses": ["2"], "routes": ["4", "5"]}
