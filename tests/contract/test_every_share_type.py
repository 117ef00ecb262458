"""What every type of live share promises at the API: round trip, external ids, limits, what is deleted under it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest_asyncio

from odograph.catalog import assets, tags
from odograph.catalog.changes import Plan, delete
from odograph.model.ids import OrgId, TagId
from odograph.sharing.registry import SHARE_TYPES
from tests.support.api import World, open_world, public_id
from tests.support.shared import make_address, make_recurring, make_route


class Sample(NamedTuple):
    """A config, what answers show for it, and what field of it names the thing."""

    type: str
    key: str
    config: dict[str, Any]
    shown: dict[str, Any]
    field: str


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World) -> OrgId:
    return await world.make_org("Acme")


async def samples(world: World, org: OrgId, tag: int = 0) -> list[Sample]:
    """One of every way to say what is shared; all of it carries `tag`, if given."""
    first = 100 * int(org) + tag * 10
    tag_ids = (tag,) if tag else ()
    van = public_id(
        await world.make_vehicle(
            org, name="Van", tag_ids=[str(one) for one in tag_ids], external_ids={"v": f"{first}"}
        )
    )
    named = tag or (await tags.create(world.catalog, org, tags.TagFields(name=f"Tag {first}"))).body.number
    address = await make_address(world.catalog, org, first + 1, tag_ids=tag_ids, external_ids={"a": f"{first}"})
    daily = await make_recurring(world.catalog, org, first + 2, tag_ids=tag_ids, external_ids={"r": f"{first}"})
    single = await make_route(world.catalog, org, first + 3, tag_ids=tag_ids)
    asset, near, route = "assetsLocation", "assetsNearLocation", "assetsOnRoute"
    name = world.directory.tags.find_by_number(org, TagId(named))
    assert name is not None
    shown_tag = {"tags": [{"id": str(named), "name": name.body.name}]}
    place = {"name": "Dock", "formattedAddress": "Quay 1", "latitude": 52.1, "longitude": 4.3}
    keys = {one: SHARE_TYPES[one].config_key for one in SHARE_TYPES}
    found: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        (asset, {"assetId": van}, {"assetId": van}, "assetId"),
        (asset, {"assetId": f"v:{first}"}, {"assetId": van}, "assetId"),
        (asset, {"assetId": van, "tagIds": [str(named)]}, {"assetId": van}, "assetId"),
        (asset, {"tagIds": [str(named), str(named)]}, shown_tag, "tagIds"),
        (asset, {"tagIds": [f"samsara.name:{name.body.name}"]}, shown_tag, "tagIds"),
        (asset, {"assetId": van, "location": place}, {"assetId": van, "location": place}, "assetId"),
        (asset, {"assetId": van, "addressId": f"a:{first}"}, {"assetId": van, "addressId": address}, "addressId"),
        (near, {"addressId": address}, {"addressId": address}, "addressId"),
        (near, {"addressId": f"a:{first}"}, {"addressId": address}, "addressId"),
        (route, {"recurringRouteId": daily}, {"recurringRouteId": daily}, "recurringRouteId"),
        (route, {"recurringRouteId": f"r:{first}"}, {"recurringRouteId": daily}, "recurringRouteId"),
        (route, {"recurringRouteId": single}, {"recurringRouteId": single}, "recurringRouteId"),
    ]
    return [Sample(one, keys[one], config, shown, field) for one, config, shown, field in found]


def body_of(sample: Sample, **more: Any) -> dict[str, Any]:
    return {"name": "Link", "type": sample.type, sample.key: sample.config, **more}


def test_the_types_are_the_vendors():
    assert {one.name: one.config_key for one in SHARE_TYPES.values()} == {
        "assetsLocation": "assetsLocationLinkConfig",
        "assetsNearLocation": "assetsNearLocationLinkConfig",
        "assetsOnRoute": "assetsOnRouteLinkConfig",
    }
    assert set(SHARE_TYPES) == {one.name for one in SHARE_TYPES.values()}


async def test_what_is_sent_is_shown_again_by_its_own_id_and_no_config_of_another_type(world, acme):
    client = world.client(await world.make_token(acme))
    for sample in await samples(world, acme):
        made = await client.post("/live-shares", json=body_of(sample, description="For you"))
        assert made.status_code == 200, (sample, made.text)
        data = made.json()["data"]
        assert data[sample.key] == sample.shown
        assert [key for key in data if key.endswith("LinkConfig")] == [sample.key]
        assert ("description" in data) == (sample.type != "assetsOnRoute")
        assert re.fullmatch(
            rf"http://testserver/o/{acme}/fleet/viewer/address/[0-9A-Za-z]{{24}}", data["liveSharingUrl"]
        )
        assert data["id"] not in data["liveSharingUrl"]
        listed = (await client.get("/live-shares", params={"ids": data["id"]})).json()["data"]
        assert listed == [data]


async def test_configs_of_other_types_are_not_looked_at(world, acme):
    client = world.client(await world.make_token(acme))
    for sample in await samples(world, acme):
        others = [one.config_key for one in SHARE_TYPES.values() if one.config_key != sample.key]
        junk: Any
        for junk in ({}, "x", 7, [], {"addressId": 5, "assetId": []}):
            made = await client.post("/live-shares", json=body_of(sample, **dict.fromkeys(others, junk)))
            assert made.status_code == 200, (junk, made.text)


async def test_a_config_that_is_missing_or_empty_is_refused_by_name(world, acme):
    client = world.client(await world.make_token(acme))
    for one in SHARE_TYPES.values():
        config: dict[str, Any]
        for config in ({}, {one.config_key: None}, {one.config_key: {}}, {one.config_key: "x"}):
            refused = await client.post("/live-shares", json={"name": "x", "type": one.name, **config})
            assert refused.status_code == 400
            assert one.config_key in refused.json()["message"]


async def test_what_is_unknown_is_refused_by_the_fields_name(world, acme):
    client = world.client(await world.make_token(acme))
    other = await world.make_org("Other")
    theirs = {(one.field, one.type): one for one in await samples(world, other)}
    mine = await samples(world, acme)
    for sample in mine:
        for stranger in (
            "0",
            "x",
            "nobody:1",
            "9" * 30,
            theirs[sample.field, sample.type].shown.get(sample.field, "5"),
        ):
            value: Any = [stranger] if sample.field == "tagIds" else stranger
            config = {**sample.config, sample.field: value}
            refused = await client.post("/live-shares", json={**body_of(sample), sample.key: config})
            assert refused.status_code == 400, (sample, stranger)
            assert f"{sample.key}.{sample.field}" in refused.json()["message"]


async def test_a_token_with_tags_shares_what_carries_them_and_knows_no_other_link(world, acme):
    tag = (await tags.create(world.catalog, acme, tags.TagFields(name="Mine"))).body.number
    mine, others = await samples(world, acme, tag), await samples(world, acme)
    limited = world.client(await world.make_token(acme, tag_ids=[str(tag)]))
    whole = world.client(await world.make_token(acme))
    for sample in others:
        refused = await limited.post("/live-shares", json=body_of(sample))
        assert refused.status_code == 400, sample
        assert "there is no" in refused.json()["message"], "in the same words as what is not there"
        made = (await whole.post("/live-shares", json=body_of(sample))).json()["data"]
        answer = await limited.delete("/live-shares", params={"id": made["id"]})
        assert answer.status_code == 404
        answer = await limited.patch("/live-shares", params={"id": made["id"]}, json={"name": "x"})
        assert answer.status_code == 404
        for path in ("rotate", "reactivate"):
            answer = await limited.post(f"/odograph/live-shares/{made['id']}/{path}", json={})
            assert answer.status_code == 404
        assert (await limited.get(f"/odograph/live-shares/{made['id']}/ledger")).status_code == 404
    made_ids = set()
    for sample in mine:
        made = await limited.post("/live-shares", json=body_of(sample))
        assert made.status_code == 200, (sample, made.text)
        made_ids.add(made.json()["data"]["id"])
    for path in ("/live-shares", "/odograph/live-shares"):
        assert {one["id"] for one in (await limited.get(path)).json()["data"]} == made_ids
    found = (world.directory.shares.find_by_share_id(acme, one) for one in made_ids)
    assert {one.body.limit_tag_ids for one in found if one is not None} == {(tag,)}


async def test_two_tokens_know_each_others_links_only_within_their_own_tags(world, acme):
    numbers = [
        (await tags.create(world.catalog, acme, tags.TagFields(name=name))).body.number for name in ("One", "Two")
    ]
    one, two = map(str, numbers)
    narrow = world.client(await world.make_token(acme, tag_ids=[one]))
    wide = world.client(await world.make_token(acme, tag_ids=[one, two]))
    other = world.client(await world.make_token(acme, tag_ids=[two]))
    body = {"name": "x", "type": "assetsLocation", "assetsLocationLinkConfig": {"tagIds": [one]}}
    by_narrow = (await narrow.post("/live-shares", json=body)).json()["data"]["id"]
    by_wide = (await wide.post("/live-shares", json=body)).json()["data"]["id"]
    seen = [
        [link["id"] for link in (await who.get("/live-shares")).json()["data"]] for who in (narrow, wide, other)
    ]
    assert seen == [[by_narrow], [by_narrow, by_wide], []]


async def test_a_link_outlives_what_it_was_made_of_and_is_listed_and_revoked(world, acme):
    client = world.client(await world.make_token(acme))
    made = [
        (await client.post("/live-shares", json=body_of(one))).json()["data"] for one in await samples(world, acme)
    ]
    directory = world.directory
    for shelf in (directory.addresses, directory.recurring, directory.routes):
        for one in shelf.list_(acme):
            await world.catalog.change(lambda one=one: Plan([delete(one)], lambda _: None))
    for tag in directory.tags.list_(acme):
        await tags.remove(world.catalog, acme, TagId(tag.body.number))
    for number in directory.assets.roll(acme).numbers.tolist():
        await assets.remove(world.catalog, acme, number)
    listed = (await client.get("/live-shares")).json()["data"]
    assert [one["id"] for one in listed] == [one["id"] for one in made]
    for before, after in zip(made, listed, strict=True):
        assert after["liveSharingUrl"] == before["liveSharingUrl"]
        config = next(value for key, value in before.items() if key.endswith("LinkConfig"))
        shown = next(value for key, value in after.items() if key.endswith("LinkConfig"))
        assert shown == ({**config, "tags": []} if "tags" in config else config)
        assert (await client.delete("/live-shares", params={"id": after["id"]})).status_code == 204
    assert (await client.get("/odograph/live-shares")).json()["data"] == []
