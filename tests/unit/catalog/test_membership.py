"""Members of every kind, and since when a vehicle carries each of its tags."""

from __future__ import annotations

import pytest

from odograph.catalog import addresses, assets, bulk, drivers, enrolment, membership, orgs, tags
from odograph.catalog.addresses import AddressFields
from odograph.catalog.assets import AssetFields
from odograph.catalog.changes import Plan, put
from odograph.catalog.drivers import DriverFields
from odograph.catalog.fencing import CircleFields, FenceFields
from odograph.catalog.sheets import Row
from odograph.catalog.tags import TagFields
from odograph.errors import Refusal
from odograph.model.catalog import Asset, RecurringRoute, Route, Stop
from odograph.model.ids import AssetId, OrgId, TagId, render_asset_id
from tests.unit.catalog.conftest import NOON_MS

LATER_MS = NOON_MS + 60_000


async def tag(catalog, org, name="T", **fields) -> TagId:
    return TagId((await tags.create(catalog, org, TagFields(name=name, **fields))).body.number)


async def dock(catalog, org, **fields) -> int:
    fence = FenceFields(circle=CircleFields(radius_m=10, lat=1, lon=1))
    known = {"name": "Dock", "formatted_address": "Quay", "fence": fence, **fields}
    return (await addresses.create(catalog, org, AddressFields(**known))).body.number


async def dee(catalog, org, **fields) -> int:
    return (
        await drivers.create(catalog, org, DriverFields(**{"name": "D", "username": "d", **fields}))
    ).body.number


def carried(catalog, org, number) -> dict[str, list[int]]:
    directory = catalog.directory
    return {
        "vehicles": directory.assets.roll(org).tagged([number]).tolist(),
        "addresses": [one.body.number for one in directory.addresses.carriers(org, number)],
        "drivers": [one.body.number for one in directory.drivers.carriers(org, number)],
    }


def since(catalog, org, number) -> dict[int, int]:
    """Since when a vehicle carries each of its tags, in ms after noon."""
    body = catalog.directory.assets.find_by_number(org, number).body
    assert body.tagged_ms == () or len(body.tagged_ms) == len(body.tag_ids)
    return {tag: body.carries_since_ms(tag) - NOON_MS for tag in body.tag_ids}


async def test_members_of_each_kind_come_and_go_by_themselves(catalog, org):
    van = await assets.create(catalog, org, AssetFields(name="Van", external_ids={"erp": "1"}))
    place, who = await dock(catalog, org, external_ids={"erp": "2"}), await dee(catalog, org)
    number = await tag(catalog, org, vehicles=["erp:1"], addresses=["erp:2"], drivers=[str(who)])
    everyone = {"vehicles": [van.body.number], "addresses": [place], "drivers": [who]}
    assert carried(catalog, org, number) == everyone
    await tags.update(catalog, org, number, TagFields(name="New"))
    assert carried(catalog, org, number) == everyone
    await tags.update(catalog, org, number, TagFields(addresses=[]))
    assert carried(catalog, org, number) == {**everyone, "addresses": []}
    await tags.replace(catalog, org, number, TagFields(name="New", addresses=[str(place)]))
    assert carried(catalog, org, number) == {"vehicles": [], "addresses": [place], "drivers": []}


@pytest.mark.parametrize("kind", ["addresses", "drivers"])
async def test_unknown_members_are_refused_by_kind_also_those_of_another_org(catalog, org, kind):
    other = OrgId((await orgs.create(catalog, "Other")).id)
    theirs = {"addresses": await dock(catalog, other), "drivers": await dee(catalog, other)}
    for text in ("99", "x", "a:b", str(theirs[kind])):
        with pytest.raises(Refusal, match=f"^{kind}: there is no "):
            await tag(catalog, org, **{kind: [text]})


async def test_members_of_all_kinds_count_together(catalog, org, monkeypatch):
    monkeypatch.setattr(membership, "MAX_MEMBERS", 2)
    van = await assets.create(catalog, org, AssetFields(name="Van"))
    place, who = await dock(catalog, org), await dee(catalog, org)
    public = render_asset_id(AssetId(van.body.number))
    with pytest.raises(Refusal, match=r"^drivers: 3 members are too many; a tag holds at most 2"):
        await tag(catalog, org, vehicles=[public], addresses=[str(place)], drivers=[str(who)])


async def test_a_deleted_tag_is_carried_by_nothing(catalog, org):
    keep, gone = await tag(catalog, org, "keep"), await tag(catalog, org, "gone")
    both = [str(keep), str(gone)]
    van = await assets.create(catalog, org, AssetFields(name="Van", tag_ids=both))
    place, who = await dock(catalog, org, tag_ids=both), await dee(catalog, org, tag_ids=both)
    route = Route(1, "Trip", (Stop(1, "A"), Stop(2, "B")), 1, 1, tag_ids=(keep, gone))
    line = RecurringRoute(2, "Line", (), 1, 1, "UTC", (), (), tag_ids=(gone,))
    await catalog.change(lambda: Plan([put(None, org, route), put(None, org, line)], lambda _: None))
    await tags.remove(catalog, org, gone)
    everyone = {"vehicles": [van.body.number], "addresses": [place], "drivers": [who]}
    assert carried(catalog, org, keep) == everyone
    assert carried(catalog, org, gone) == {"vehicles": [], "addresses": [], "drivers": []}
    assert catalog.directory.routes.find_by_number(org, 1).body.tag_ids == (keep,)
    assert catalog.directory.recurring.find_by_number(org, 2).body.tag_ids == ()


async def test_leaving_and_rejoining_a_tag_gives_the_new_time(catalog, org):
    """However it leaves and joins: by the vehicle, by the tag, or by a list."""
    one, two = await tag(catalog, org, "one"), await tag(catalog, org, "two")
    made = await assets.create(catalog, org, AssetFields(name="Van", tag_ids=[str(one), str(two)]))
    van, public = AssetId(made.body.number), render_asset_id(AssetId(made.body.number))
    assert made.body.tagged_ms == ()
    assert since(catalog, org, van) == {one: 0, two: 0}

    catalog.clock.time_ms = NOON_MS + 1
    await assets.update(catalog, org, van, AssetFields(tag_ids=[str(two)]))
    assert since(catalog, org, van) == {two: 0}
    catalog.clock.time_ms = NOON_MS + 2
    await assets.update(catalog, org, van, AssetFields(tag_ids=[str(one), str(two)]))
    assert since(catalog, org, van) == {one: 2, two: 0}

    catalog.clock.time_ms = NOON_MS + 3
    await tags.update(catalog, org, two, TagFields(vehicles=[]))
    assert since(catalog, org, van) == {one: 2}
    catalog.clock.time_ms = NOON_MS + 4
    await tags.update(catalog, org, two, TagFields(vehicles=[public]))
    await tags.update(catalog, org, two, TagFields(vehicles=[public]))
    await assets.update(catalog, org, van, AssetFields(name="Same", tag_ids=[str(two), str(one)]))
    assert since(catalog, org, van) == {one: 2, two: 4}

    catalog.clock.time_ms = NOON_MS + 5
    await bulk.import_rows(catalog, org, [Row(line=1, name="Same", tags=("one",))])
    assert since(catalog, org, van) == {one: 2}
    catalog.clock.time_ms = NOON_MS + 6
    await bulk.import_rows(catalog, org, [Row(line=1, name="Same", tags=("one", "two"))])
    assert since(catalog, org, van) == {one: 2, two: 6}

    await tags.remove(catalog, org, one)
    assert since(catalog, org, van) == {two: 6}


async def test_what_has_no_times_yet_carries_its_tags_since_it_was_made(catalog, org):
    one, two = await tag(catalog, org, "one"), await tag(catalog, org, "two")
    old = Asset(7, "Old", NOON_MS - 500, NOON_MS, tag_ids=(one,))
    await catalog.change(lambda: Plan([put(None, org, old)], lambda _: None))
    assert since(catalog, org, 7) == {one: -500}
    assert old.carries_since_ms(two) is None
    catalog.clock.time_ms = NOON_MS + 9
    await assets.update(catalog, org, AssetId(7), AssetFields(tag_ids=[str(one), str(two)]))
    assert since(catalog, org, 7) == {one: -500, two: 9}
    await assets.update(catalog, org, AssetId(7), AssetFields(tag_ids=[str(one)]))
    assert catalog.directory.assets.find_by_number(org, AssetId(7)).body.tagged_ms == ()


async def test_vehicles_from_lists_and_those_that_register_themselves_begin_with_their_tags(catalog, org):
    one = await tag(catalog, org, "one")
    await bulk.import_rows(catalog, org, [Row(line=1, name="Listed", tags=("one",))])
    (listed,) = catalog.directory.assets.list_(org)
    assert listed.body.carries_since_ms(one) == listed.body.created_ms
    await orgs.open_registration(catalog, org)
    await enrolment.enrol(catalog, org, "imei-1", "osmand")
    enrolled = catalog.directory.assets.list_(org)[1]
    assert (enrolled.body.tag_ids, enrolled.body.tagged_ms) == ((), ())
    catalog.clock.time_ms = LATER_MS
    public = render_asset_id(AssetId(enrolled.body.number))
    await tags.update(catalog, org, one, TagFields(vehicles=[public]))
    assert since(catalog, org, enrolled.body.number) == {one: 60_000}
