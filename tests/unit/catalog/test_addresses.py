"""Addresses: where they and their fences are after every change, and what ends with them."""

from __future__ import annotations

import msgspec
import pytest

from odograph.catalog import addresses, assets, contacts, orgs, tags
from odograph.catalog.addresses import AddressFields
from odograph.catalog.changes import Plan, put
from odograph.catalog.contacts import ContactFields
from odograph.catalog.fencing import CircleFields, FenceFields
from odograph.catalog.tags import TagFields
from odograph.errors import Kind, Refusal
from odograph.model.catalog import LiveShare, PlannedStop, RecurringRoute, Route, Stop
from odograph.model.ids import OrgId, TagId
from odograph.model.place import Geofence
from tests.unit.catalog.conftest import NOON_MS

SQUARE = ((52.0, 4.0), (52.0, 5.0), (53.0, 5.0), (53.0, 4.0))


def circle(radius_m=100, **fields) -> FenceFields:
    return FenceFields(circle=CircleFields(radius_m=radius_m, **fields))


def make(catalog, org, limit=None, **fields):
    known = {"name": "Dock", "formatted_address": "Quay 1", "fence": circle(lat=52.1, lon=4.3), **fields}
    return addresses.create(catalog, org, AddressFields(**known), limit)


def change(catalog, org, address, limit=None, **fields):
    return addresses.update(catalog, org, address.body.number, AddressFields(**fields), limit)


def shown_from_ms(catalog, org) -> int:
    return orgs.get(catalog.directory, org).body.shown_from_ms


async def test_a_circle_lies_around_the_address_and_an_address_in_its_fence(catalog, org):
    around = await make(catalog, org, fence=circle(50), lat=52.1, lon=4.3)
    assert around.body.fence == Geofence(52.1, 4.3, 50)
    inside = await make(catalog, org, fence=circle(50, lat=52.1, lon=4.3))
    assert (inside.body.lat, inside.body.lon) == (52.1, 4.3)
    apart = await make(catalog, org, fence=circle(50, lat=52.1, lon=4.3), lat=52.2, lon=4.4)
    assert (apart.body.fence.center, (apart.body.lat, apart.body.lon)) == ((52.1, 4.3), (52.2, 4.4))
    square = await make(catalog, org, fence=FenceFields(vertices=SQUARE))
    assert (square.body.lat, square.body.lon) == (52.5, 4.5)


async def test_what_lies_together_moves_together(catalog, org):
    dock = await make(catalog, org)
    moved = await change(catalog, org, dock, lat=52.2, lon=4.4)
    assert moved.body.fence == Geofence(52.2, 4.4, 100)
    moved = await change(catalog, org, dock, fence=circle(lat=52.3, lon=4.5))
    assert (moved.body.lat, moved.body.lon) == (52.3, 4.5)
    wider = await change(catalog, org, dock, fence=circle(200))
    assert wider.body.fence == Geofence(52.3, 4.5, 200)
    further = await change(catalog, org, dock, lat=52.4, fence=circle(300))
    assert further.body.fence == Geofence(52.4, 4.5, 300)


async def test_what_lies_apart_stays_apart(catalog, org):
    dock = await make(catalog, org, lat=52.2, lon=4.4)
    moved = await change(catalog, org, dock, lat=52.5, lon=4.5)
    assert moved.body.fence.center == (52.1, 4.3)
    moved = await change(catalog, org, dock, fence=circle(lat=50.0, lon=4.0))
    assert (moved.body.fence.center, moved.body.lat) == ((50.0, 4.0), 52.5)
    wider = await change(catalog, org, dock, fence=circle(200))
    assert wider.body.fence == Geofence(50.0, 4.0, 200)
    around = await change(catalog, org, dock, fence=circle(200, lat=None, lon=None))
    assert around.body.fence == Geofence(52.5, 4.5, 200)
    within = await change(catalog, org, dock, fence=FenceFields(vertices=SQUARE), lat=None, lon=None)
    assert (within.body.lat, within.body.lon) == (52.5, 4.5)


async def test_one_shape_takes_the_others_place_and_parts_are_kept(catalog, org):
    dock = await make(catalog, org)
    only_wider = await change(catalog, org, dock, fence=FenceFields(circle=CircleFields(radius_m=70)))
    assert only_wider.body.fence == Geofence(52.1, 4.3, 70)
    north = await change(catalog, org, dock, fence=FenceFields(circle=CircleFields(lat=52.2)))
    assert north.body.fence == Geofence(52.2, 4.3, 70)
    square = await change(catalog, org, dock, fence=FenceFields(vertices=SQUARE))
    assert square.body.fence.vertices == SQUARE
    assert (square.body.lat, square.body.lon) == (52.5, 4.5)
    with pytest.raises(Refusal, match=r"^geofence.circle.radiusMeters: is required"):
        await change(catalog, org, dock, fence=FenceFields(circle=CircleFields(lat=52.1, lon=4.3)))
    again = await change(catalog, org, dock, fence=circle(80))
    assert again.body.fence == Geofence(52.5, 4.5, 80)
    same = await change(catalog, org, dock, fence=FenceFields(), name="Dock")
    assert same.rev == again.rev


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "^name: has 0 characters; 1 to 255"),
        ({"name": "x" * 256}, "^name: has 256 characters"),
        ({"formatted_address": "x" * 1025}, "^formattedAddress: has 1025 characters; 1 to 1024"),
        ({"formatted_address": " "}, "^formattedAddress: has 0 characters"),
        ({"notes": "x" * 281}, "^notes: has 281 characters; at most 280"),
        ({"types": ["yard", "castle"]}, "^addressTypes: 'castle' is no type; allowed: yard, shortHaul"),
        ({"tag_ids": ["77"]}, "^tagIds: there is no tag '77'"),
        ({"contacts": ["77"]}, "^contactIds: there is no contact '77'"),
        ({"external_ids": {"a b": "1"}}, "^externalIds: key 'a b' is not allowed"),
        ({"fence": None}, "^geofence: is required, with either a circle or a polygon"),
        ({"fence": FenceFields()}, "^geofence: is required, with either"),
        (
            {"fence": FenceFields(circle=CircleFields(radius_m=5), vertices=SQUARE)},
            "^geofence: has a circle and a polygon",
        ),
        (
            {"fence": circle(0, lat=1, lon=1)},
            "^geofence.circle.radiusMeters: 0 is not a whole number between 1 and 20000000",
        ),
        ({"fence": circle(-5, lat=1, lon=1)}, "^geofence.circle.radiusMeters: -5 is not"),
        ({"fence": circle(20_000_001, lat=1, lon=1)}, "^geofence.circle.radiusMeters: 20000001 is not"),
        ({"fence": circle(1.5, lat=1, lon=1)}, "^geofence.circle.radiusMeters: 1.5 is not a whole number"),
        ({"fence": FenceFields(circle=CircleFields())}, "^geofence.circle.radiusMeters: is required"),
        ({"fence": circle(5)}, "^geofence.circle.latitude: is missing, and addresses are not looked up here"),
        ({"fence": circle(5, lat=1)}, "^geofence.circle.longitude: is required where latitude is given"),
        ({"fence": circle(5, lat=91, lon=1)}, "^geofence.circle.latitude: 91 is not between -90 and 90"),
        ({"fence": circle(5, lat=1, lon=180.5)}, "^geofence.circle.longitude: 180.5 is not between -180 and 180"),
        ({"lat": 1.0}, "^longitude: is required where latitude is given"),
        ({"lon": 1.0}, "^latitude: is required where longitude is given"),
        ({"lat": -90.5, "lon": 1.0}, "^latitude: -90.5 is not between"),
        ({"fence": FenceFields(vertices=SQUARE[:2])}, "^geofence.polygon.vertices: 2 are given; 3 to 40"),
        ({"fence": FenceFields(vertices=SQUARE * 11)}, "^geofence.polygon.vertices: 44 are given"),
        (
            {"fence": FenceFields(vertices=((0, 0), (0, 1), (1, 200)))},
            r"^geofence.polygon.vertices\[2\].longitude: 200 is not",
        ),
        (
            {"fence": FenceFields(vertices=((1, 1), (2, 2), (3, 3), (1, 1)))},
            "^geofence.polygon.vertices: lie on one line",
        ),
        ({"fence": FenceFields(vertices=((1, 1), (1, 1), (1, 1)))}, "^geofence.polygon.vertices: lie on one line"),
        (
            {"fence": FenceFields(vertices=((80, 0), (80, 120), (80, -120)))},
            "^geofence.polygon.vertices: lead round the globe",
        ),
    ],
)
async def test_an_address_that_cannot_be_is_refused_by_the_name_of_the_field(catalog, org, fields, message):
    with pytest.raises(Refusal, match=message) as refused:
        await make(catalog, org, **fields)
    assert refused.value.kind is Kind.INVALID
    assert catalog.directory.addresses.list_(org) == []


async def test_a_shape_cannot_be_taken_away(catalog, org):
    dock, square = await make(catalog, org), await make(catalog, org, fence=FenceFields(vertices=SQUARE))
    for address, fence in (
        (dock, FenceFields(circle=None)),
        (square, FenceFields(vertices=None)),
        (dock, None),
        (square, None),
    ):
        with pytest.raises(Refusal, match=r"^geofence: is required"):
            await change(catalog, org, address, fence=fence)
    kept = await change(catalog, org, dock, fence=FenceFields(vertices=None))
    assert kept.body.fence == dock.body.fence


async def test_polygons_of_up_to_forty_corners_cross_themselves_and_the_date_line(catalog, org):
    over = ((-18.0, 179.0), (-18.0, -179.0), (-16.0, -179.0), (-16.0, 179.0))
    fiji = await make(catalog, org, fence=FenceFields(vertices=over))
    assert abs(fiji.body.lon) == 180
    assert fiji.body.fence.contains(-17, -179.9)
    bow_tie = ((0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0))
    await make(catalog, org, fence=FenceFields(vertices=bow_tie))
    many = await make(catalog, org, fence=FenceFields(vertices=SQUARE * 10))
    assert len(many.body.fence.vertices) == 40


async def test_lists_are_replaced_pairs_are_merged_and_null_empties(catalog, org):
    tag = await tags.create(catalog, org, TagFields(name="T"))
    who = await contacts.create(catalog, org, ContactFields(first_name="Cee"))
    dock = await make(
        catalog,
        org,
        types=["yard", "vendor", "yard"],
        notes="Ring twice",
        contacts=[str(who.body.number)] * 2,
        tag_ids=[str(tag.body.number)],
        external_ids={"erp": "1"},
        show_addresses=True,
        is_private=True,
    )
    assert (dock.body.types, dock.body.contact_ids) == (("yard", "vendor"), (who.body.number,))
    kept = await change(catalog, org, dock, external_ids={"crm": 2})
    assert kept.body.external_ids == {"erp": "1", "crm": "2"}
    assert (kept.body.tag_ids, kept.body.is_private, kept.body.notes) == ((tag.body.number,), True, "Ring twice")
    fields = ("types", "notes", "contacts", "tag_ids", "external_ids", "show_addresses", "is_private")
    bare = await change(catalog, org, dock, **dict.fromkeys(fields))
    assert bare.body == msgspec.structs.replace(
        (await make(catalog, org)).body, number=dock.body.number, updated_ms=bare.body.updated_ms
    )


async def test_an_external_id_is_unique_over_all_kinds(catalog, org):
    await assets.create(catalog, org, assets.AssetFields(name="Van", external_ids={"erp": "1"}))
    dock = await make(catalog, org, external_ids={"erp": "2"})
    with pytest.raises(Refusal, match=r"^externalIds: erp:1 already belongs to 'Van'"):
        await change(catalog, org, dock, external_ids={"erp": "1"})
    await change(catalog, org, dock, external_ids={"erp": "2"})
    with pytest.raises(Refusal, match=r"^externalIds: erp:2 already belongs to 'Dock'"):
        await tags.create(catalog, org, TagFields(name="T", external_ids={"erp": "2"}))


async def test_a_private_zone_that_ends_or_moves_hides_what_was_measured_in_it_for_good(catalog, org):
    home = await make(catalog, org, is_private=True, notes="x")
    other = OrgId((await orgs.create(catalog, "Other")).id)

    async def at(minute, changing):
        """How many zones have ended since, and where and when the newest did."""
        catalog.clock.time_ms = NOON_MS + minute * 60_000
        await changing
        zones = orgs.get(catalog.directory, org).body.past_zones
        return len(zones), zones[-1].fence, zones[-1].ended_ms - NOON_MS - 1

    first, second = home.body.fence, Geofence(52.11, 4.3, 100)
    assert await at(1, change(catalog, org, home, name="Home", lat=52.11, lon=4.3, fence=circle(100))) == (
        1, first, 60_000,
    )  # fmt: skip
    assert await at(2, change(catalog, org, home, name="H", notes="y", is_private=True)) == (1, first, 60_000)
    assert await at(3, change(catalog, org, home, fence=circle(101))) == (2, second, 180_000)
    assert (await at(4, change(catalog, org, home, fence=circle(99))))[0] == 3
    assert (await at(5, change(catalog, org, home, is_private=False)))[0] == 4
    assert (await at(6, change(catalog, org, home, fence=circle(98))))[0] == 4
    assert (await at(7, change(catalog, org, home, is_private=True)))[0] == 4
    last = Geofence(52.11, 4.3, 98)
    assert await at(8, addresses.remove(catalog, org, home.body.number)) == (5, last, 480_000)
    dock = await make(catalog, org)
    assert (await at(9, addresses.remove(catalog, org, dock.body.number)))[0] == 5
    assert shown_from_ms(catalog, org) == 0, "what else was measured may be shown as before"
    assert orgs.get(catalog.directory, other).body.past_zones == ()


async def test_of_a_hundred_past_zones_the_oldest_goes_and_takes_all_that_was_measured_until_its_end(catalog, org):
    home = await make(catalog, org, is_private=True)
    for minute in range(addresses.MAX_PAST_ZONES + 2):
        catalog.clock.time_ms = NOON_MS + minute * 60_000
        await change(catalog, org, home, fence=circle(200 + minute))
    zones = orgs.get(catalog.directory, org).body.past_zones
    assert len(zones) == addresses.MAX_PAST_ZONES
    assert zones[0].ended_ms == NOON_MS + 120_001
    assert shown_from_ms(catalog, org) == NOON_MS + 60_001


async def test_a_private_zone_and_the_past_one_change_in_one_commit(catalog, org, store):
    home = await make(catalog, org, is_private=True)
    commits = []
    write = store.write

    async def watched(changes):
        commits.append({change.kind for change in changes})
        return await write(changes)

    catalog.store.write = watched
    await change(catalog, org, home, fence=circle(50))
    await addresses.remove(catalog, org, home.body.number)
    assert commits == [{"address", "org"}, {"address", "org"}]


async def test_an_address_that_moves_takes_nothing_of_the_past_into_the_links_that_measure_by_it(catalog, org):
    dock = await make(catalog, org)

    def link(share_id, **fields):
        return LiveShare(share_id, share_id, "assetsLocation", 1, 1, share_id.encode().hex(), **fields)

    at = dock.body.number
    links = [
        link("near", address_id=at),
        link("on its way", route_id=5, disclose_m=100),
        link("elsewhere", address_id=99),
        link("on a route", route_id=5),
        link("bound for it", asset_id=7, address_id=at, trail_min=-1),
        link("tagged", tag_ids=(7,), address_id=at),
        link("shown near it", asset_id=7, address_id=at, disclose_m=100),
        link("shown before it is there", tag_ids=(7,), address_id=at, disclose_min=20),
    ]
    await catalog.change(lambda: Plan([put(None, org, body) for body in links], lambda _: None))

    def floors():
        return [share.body.shown_from_ms - NOON_MS for share in catalog.directory.shares.list_(org)]

    kept = -NOON_MS
    await change(catalog, org, dock, name="New", notes="x")
    assert floors() == [kept] * 8
    await change(catalog, org, dock, fence=circle(101))
    assert floors() == [0, 0, kept, kept, kept, kept, 0, 0]
    catalog.clock.time_ms += 1
    await change(catalog, org, dock, lat=52.2, lon=4.4)
    assert floors() == [1, 1, kept, kept, kept, kept, 1, 1]


async def test_stops_at_a_deleted_address_stay_where_it_was(catalog, org):
    dock = await make(catalog, org)
    square = await make(catalog, org, name="Square", fence=FenceFields(vertices=SQUARE))
    at, elsewhere = dock.body.number, square.body.number
    route = Route(1, "Trip", (Stop(1, "First", at), Stop(2, "", at), Stop(3, "Other", elsewhere)), 1, 1)
    line = RecurringRoute(
        2, "Line", (PlannedStop("", elsewhere), PlannedStop("A", 0, 1.0, 2.0)), 1, 1, "UTC", (), ()
    )
    untouched = Route(3, "Short", (Stop(4, "x", lat=1.0, lon=1.0),), 1, 1)
    bodies = (route, line, untouched)
    await catalog.change(lambda: Plan([put(None, org, body) for body in bodies], lambda _: None))
    await addresses.remove(catalog, org, at)
    await addresses.remove(catalog, org, elsewhere)
    first, second, third = catalog.directory.routes.find_by_number(org, 1).body.stops
    assert (first.name, first.address_id, first.place_text) == ("First", 0, "Quay 1")
    assert (first.lat, first.lon, first.radius_m) == (52.1, 4.3, 100)
    assert second.name == "Dock"
    assert (third.name, third.lat, third.lon) == ("Other", 52.5, 4.5)
    assert third.radius_m == square.body.fence.reach_m()
    planned, own = catalog.directory.recurring.find_by_number(org, 2).body.stops
    assert (planned.name, planned.address_id, planned.lat) == ("Square", 0, 52.5)
    assert own == line.stops[1]
    assert catalog.directory.routes.find_by_number(org, 3).body == untouched
    with pytest.raises(Refusal, match="no such address"):
        await addresses.remove(catalog, org, at)


async def test_stops_that_are_named_after_an_address_are_renamed_with_it(catalog, org):
    dock = await make(catalog, org)
    at = dock.body.number
    halts = (Stop(1, "Dock", at), Stop(2, "Gate 4", at), Stop(3, "Dock", lat=1.0, lon=1.0))
    open_, ended = Route(1, "Trip", halts, 1, 5), Route(2, "Past", halts, 1, 5, ended_ms=9)
    line = RecurringRoute(3, "Line", (PlannedStop("Dock", at), PlannedStop("A", 0, 1.0, 2.0)), 1, 5, "UTC", (), ())
    await catalog.change(lambda: Plan([put(None, org, body) for body in (open_, ended, line)], lambda _: None))
    await change(catalog, org, dock, name="Dock 2")
    routes, lines = catalog.directory.routes, catalog.directory.recurring
    assert [stop.name for stop in routes.find_by_number(org, 1).body.stops] == ["Dock 2", "Gate 4", "Dock"]
    assert routes.find_by_number(org, 2).body == ended
    assert [stop.name for stop in lines.find_by_number(org, 3).body.stops] == ["Dock 2", "A"]
    assert lines.find_by_number(org, 3).body.updated_ms == 5, "a plan is no newer for it"


async def test_stops_at_a_deleted_private_address_stay_private(catalog, org):
    home = await make(catalog, org, name="Home", is_private=True)
    at = home.body.number
    route = Route(1, "Trip", (Stop(1, "Home", at), Stop(2, "Other", lat=1.0, lon=1.0)), 1, 1)
    line = RecurringRoute(2, "Line", (PlannedStop("", at), PlannedStop("A", 0, 1.0, 2.0)), 1, 1, "UTC", (), ())
    await catalog.change(lambda: Plan([put(None, org, route), put(None, org, line)], lambda _: None))
    await addresses.remove(catalog, org, at)
    for stops in (
        catalog.directory.routes.find_by_number(org, 1).body.stops,
        catalog.directory.recurring.find_by_number(org, 2).body.stops,
    ):
        assert (stops[0].name, stops[0].is_private) == ("Home", True)
        assert not stops[1].is_private


async def test_a_token_with_tags_meets_only_addresses_that_carry_one(catalog, org):
    tag, other = [TagId((await tags.create(catalog, org, TagFields(name=name))).body.number) for name in "ab"]
    limit = frozenset({tag})
    hidden = await make(catalog, org, tag_ids=[str(other)])
    with pytest.raises(Refusal, match=r"^tagIds: this token sees only"):
        await make(catalog, org, limit)
    mine = await make(catalog, org, limit, tag_ids=[str(tag)])
    with pytest.raises(Refusal, match=f"^tagIds: there is no tag '{other}'"):
        await change(catalog, org, mine, limit, tag_ids=[str(other)])
    with pytest.raises(Refusal, match=r"^tagIds: this token sees only"):
        await change(catalog, org, mine, limit, tag_ids=[])
    for refused in (
        change(catalog, org, hidden, limit, name="x"),
        addresses.remove(catalog, org, hidden.body.number, limit),
    ):
        with pytest.raises(Refusal, match="no such address") as caught:
            await refused
        assert caught.value.kind is Kind.NOT_FOUND
    await addresses.remove(catalog, org, mine.body.number, limit)


async def test_a_token_with_tags_names_only_contacts_that_it_sees_already(catalog, org):
    tag = TagId((await tags.create(catalog, org, TagFields(name="a"))).body.number)
    seen, hidden = [
        str((await contacts.create(catalog, org, ContactFields(first_name=name))).body.number) for name in "xy"
    ]
    await make(catalog, org, contacts=[seen], tag_ids=[str(tag)])
    await make(catalog, org, contacts=[hidden])
    limit = frozenset({tag})
    mine = await make(catalog, org, limit, contacts=[seen], tag_ids=[str(tag)])
    with pytest.raises(Refusal, match=f"^contactIds: there is no contact '{hidden}'"):
        await change(catalog, org, mine, limit, contacts=[hidden])
    assert contacts.get(catalog.directory, org, int(seen), limit).body.first_name == "x"
    with pytest.raises(Refusal, match="no such contact"):
        contacts.get(catalog.directory, org, int(hidden), limit)


async def test_a_deleted_contact_is_named_by_no_address(catalog, org):
    one, two = [(await contacts.create(catalog, org, ContactFields(first_name=name))).body.number for name in "xy"]
    dock = await make(catalog, org, contacts=[str(one), str(two)])
    other = await make(catalog, org, contacts=[str(two)])
    await contacts.remove(catalog, org, one)
    find = catalog.directory.addresses.find_by_number
    assert find(org, dock.body.number).body.contact_ids == (two,)
    assert find(org, other.body.number) == other
    with pytest.raises(Refusal, match="no such contact"):
        await contacts.remove(catalog, org, one)


async def test_contacts_keep_what_is_not_asked_for(catalog, org):
    who = await contacts.create(catalog, org, ContactFields(first_name=" Cee ", email="c@example.com"))
    assert (who.body.first_name, who.body.phone) == ("Cee", "")
    called = await contacts.update(catalog, org, who.body.number, ContactFields(phone="1", email=None))
    assert (called.body.first_name, called.body.email, called.body.phone) == ("Cee", "", "1")
    same = await contacts.update(catalog, org, who.body.number, ContactFields())
    assert same.rev == called.rev
    for field, spoken in (("first_name", "firstName"), ("phone", "phone")):
        with pytest.raises(Refusal, match=f"^{spoken}: has 256 characters"):
            await contacts.create(catalog, org, ContactFields(**{field: "x" * 256}))
