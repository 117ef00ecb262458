"""What each kind of link shows."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from odograph.catalog import addresses, shares
from odograph.model.catalog import Destination, RecurringRoute, Stop
from odograph.sharing.arrival import Estimate
from tests.support.viewing import MINUTE_MS, NOON_MS, open_viewing


async def state(viewing, key):
    return await viewing.page_state(key)


# -- one asset, or a tag


async def test_an_asset_is_shown_with_motion_distance_and_progress(viewing, org):
    van = await viewing.make_vehicle(org, "Van", license_plate="B-OD 1")
    to = Destination("Customer", "Street 1", 52.2, 4.3)
    _, key = await viewing.make_share(org, asset_id=van.body.number, destination=to, description="Two parcels")
    for step in range(3):
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, 52.1 + step / 40, 4.3, kmh=50)
    shown = await state(viewing, key)
    (asset,) = shown["assets"]
    assert (asset["name"], asset["plate"], asset["motion"]) == ("Van", "B-OD 1", "moving")
    assert asset["distanceM"] == pytest.approx(5560, abs=5)
    assert asset["progress"] == 0.5
    assert "since" not in asset
    assert "trail" not in asset
    assert shown["place"] == {"name": "Customer", "address": "Street 1", "lat": 52.2, "lon": 4.3}
    assert shown["link"]["timeZone"] == "Europe/Berlin"
    assert shown["link"]["description"] == "Two parcels"


async def test_a_shown_name_stands_for_name_and_plate(viewing, org):
    van = await viewing.make_vehicle(org, "SecretVan", license_plate="B-OD 1")
    _, key = await viewing.make_share(org, asset_id=van.body.number, shown_name="Your parcel")
    await viewing.report(org, van, 52.1, 4.3)
    body = (await viewing.get(f"/fleet/viewer/{key}")).body
    assert b"SecretVan" not in body
    assert b"B-OD" not in body
    assert b"Your parcel" in body


async def test_what_stands_says_since_when(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    for kmh in (50, 0, 0.5, 2):
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, 52.1, 4.3, kmh=kmh)
    (asset,) = (await state(viewing, key))["assets"]
    assert (asset["motion"], asset["since"]) == ("stopped", NOON_MS + 2 * MINUTE_MS)


async def test_since_when_it_stands_is_not_invented(viewing, org):
    van = await viewing.make_vehicle(org)
    await viewing.report(org, van, 52.1, 4.3, kmh=0)
    viewing.clock.move(MINUTE_MS)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    await viewing.report(org, van, 52.1, 4.3, kmh=0)
    (asset,) = (await state(viewing, key))["assets"]
    assert asset["motion"] == "stopped"
    assert "since" not in asset


async def test_what_is_at_its_destination_has_arrived(viewing, org):
    van = await viewing.make_vehicle(org)
    place = await viewing.make_address(org, 52.2, 4.3, 300)
    _, key = await viewing.make_share(org, asset_id=van.body.number, address_id=place.body.number)
    for lat in (52.1, 52.2, 52.2001):
        viewing.clock.move(10 * MINUTE_MS)
        await viewing.report(org, van, lat, 4.3)
    (asset,) = (await state(viewing, key))["assets"]
    assert (asset["arrived"], asset["distanceM"]) == (NOON_MS + 20 * MINUTE_MS, 0)
    assert asset["progress"] == pytest.approx(1, abs=0.01)


async def test_an_estimate_is_given_where_there_is_one(tmp_path):
    class Soon:
        def estimate(self, org, asset, here, destination, time_ms):
            return Estimate(time_ms + 1000, time_ms + 500, time_ms + 2000)

    async with open_viewing(tmp_path, estimator=Soon()) as viewing:
        org = await viewing.make_org()
        van = await viewing.make_vehicle(org)
        to = Destination("Customer", "Street 1", 52.2, 4.3)
        _, key = await viewing.make_share(org, asset_id=van.body.number, destination=to)
        await viewing.report(org, van, 52.1, 4.3)
        (asset,) = (await state(viewing, key))["assets"]
        assert asset["eta"] == {"at": NOON_MS + 1000, "earliest": NOON_MS + 500, "latest": NOON_MS + 2000}


@pytest.mark.parametrize(
    ("fields", "is_shown"),
    [
        ({"disclose_m": 20_000}, True),
        ({"disclose_m": 5_000}, False),
        ({"disclose_min": 30, "planned_arrival_ms": NOON_MS + 20 * MINUTE_MS}, True),
        ({"disclose_min": 30, "planned_arrival_ms": NOON_MS + 40 * MINUTE_MS}, False),
        ({"disclose_min": 30}, False),
        ({"disclose_m": 5_000, "disclose_min": 30, "planned_arrival_ms": NOON_MS + 20 * MINUTE_MS}, True),
    ],
)
async def test_a_position_is_disclosed_only_near_its_end_in_place_or_time(viewing, org, fields, is_shown):
    van = await viewing.make_vehicle(org)
    to = Destination("Customer", "Street 1", 52.2, 4.3)
    _, key = await viewing.make_share(org, asset_id=van.body.number, destination=to, **fields)
    await viewing.report(org, van, 52.1, 4.3)
    shown = await state(viewing, key)
    assert ("fix" in shown["assets"][0]) == is_shown
    assert shown["link"].get("hidden") == (None if is_shown else "notYetNear")


async def test_a_destination_inside_a_private_zone_is_not_told(viewing, org):
    van = await viewing.make_vehicle(org)
    place = await viewing.make_address(org, 52.2, 4.3, 300, name="Home of N", is_private=True)
    _, key = await viewing.make_share(org, asset_id=van.body.number, address_id=place.body.number)
    await viewing.report(org, van, 52.1, 4.3)
    shown = await state(viewing, key)
    assert "place" not in shown
    assert "distanceM" not in shown["assets"][0]
    assert b"Home of N" not in (await viewing.get(f"/fleet/viewer/{key}")).all_bytes()


async def test_a_doubtful_fix_is_passed_over(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
    await viewing.report(org, van, 52.1, 4.3)
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, van, 0, 0, marks=1)
    (asset,) = (await state(viewing, key))["assets"]
    assert asset["fix"]["lat"] == 52.1
    assert len(asset["trail"]) == 1


async def test_a_tag_that_is_gone_holds_nobody(viewing, org):
    tag = await viewing.make_tag(org)
    await viewing.make_vehicle(org, tag_ids=(tag.body.number,))
    _, key = await viewing.make_share(org, tag_ids=(tag.body.number,))
    assert len((await state(viewing, key))["assets"]) == 1
    await viewing.remove(tag)
    shown = await state(viewing, key)
    assert shown["assets"] == []
    assert shown["link"]["hidden"] == "nothing"


async def test_what_was_measured_before_an_asset_got_the_tag_is_not_shown(viewing, org):
    tag = await viewing.make_tag(org)
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, tag_ids=(tag.body.number,), trail_min=-1)
    await viewing.report(org, van, 52.1, 4.3)
    viewing.clock.move(MINUTE_MS)
    await viewing.change(van, tag_ids=(tag.body.number,), tagged_ms=(viewing.clock.now_ms(),))
    assert "fix" not in (await state(viewing, key))["assets"][0]
    await viewing.report(org, van, 52.11, 4.3)
    (asset,) = (await state(viewing, key))["assets"]
    assert [point[1] for point in asset["trail"]] == [52.11]


async def test_a_longer_trail_shows_nothing_from_before_it_was_longer(viewing, org):
    van = await viewing.make_vehicle(org)
    share, key = await viewing.make_share(org, asset_id=van.body.number)
    await viewing.report(org, van, 52.1, 4.3)
    viewing.clock.move(MINUTE_MS)
    await viewing.change(share, trail_min=-1, past_from_ms=viewing.clock.now_ms())
    assert (await state(viewing, key))["assets"][0]["fix"]["lat"] == 52.1, "where it is was shown all the time"
    await viewing.report(org, van, 52.11, 4.3)
    (asset,) = (await state(viewing, key))["assets"]
    assert [point[1] for point in asset["trail"]] == [52.11]


async def test_a_link_that_starts_late_shows_a_parked_vehicle_once_it_starts_and_no_past(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(
        org, asset_id=van.body.number, trail_min=-1, starts_ms=NOON_MS + 60 * MINUTE_MS
    )
    for lat in (52.1, 52.11):
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, lat, 4.3)
    answer = await viewing.get(f"/fleet/viewer/{key}")
    assert (answer.status, b"52.1" in answer.all_bytes()) == (403, False)
    viewing.clock.move(60 * MINUTE_MS)
    (asset,) = (await state(viewing, key))["assets"]
    assert (asset["fix"]["lat"], [point[1] for point in asset["trail"]]) == (52.11, [52.11])
    await viewing.report(org, van, 52.12, 4.3)
    (asset,) = (await state(viewing, key))["assets"]
    assert [point[1] for point in asset["trail"]] == [52.12]


async def test_a_link_that_is_opened_again_shows_where_things_are_and_no_past_from_while_it_was_closed(
    viewing, org
):
    van = await viewing.make_vehicle(org)
    share, key = await viewing.make_share(
        org, asset_id=van.body.number, trail_min=-1, expires_ms=NOON_MS + 3 * MINUTE_MS
    )
    for lat in (52.1, 52.11, 52.12, 52.13, 52.14):
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, lat, 4.3)
    assert (await viewing.get(f"/fleet/viewer/{key}")).status == 410
    viewing.clock.move(MINUTE_MS)
    await shares.reactivate(viewing.catalog, org, share.body.share_id, 0)
    (asset,) = (await state(viewing, key))["assets"]
    assert (asset["fix"]["lat"], [point[1] for point in asset["trail"]]) == (52.14, [52.14])


# -- a place


async def test_a_place_lists_who_is_inside_and_who_comes_by_route(viewing, org):
    place = await viewing.make_address(org, 52.2, 4.3, 500)
    inside, coming, far = [await viewing.make_vehicle(org, name) for name in ("Inside", "Coming", "Far")]
    stops = [Stop(1, "First", lat=52.0, lon=4.3), Stop(2, "Depot", address_id=place.body.number)]
    route = await viewing.make_route(org, stops, asset_id=coming.body.number, started_ms=NOON_MS)
    _, key = await viewing.make_share(org, "assetsNearLocation", address_id=place.body.number)
    for asset, lat in ((inside, 52.2), (coming, 52.1), (far, 52.1)):
        await viewing.report(org, asset, lat, 4.3)
    assert [one["name"] for one in (await state(viewing, key))["assets"]] == ["Inside"]
    viewing.clock.move(MINUTE_MS)
    left = Stop(1, "First", lat=52.0, lon=4.3, arrived_ms=NOON_MS, departed_ms=viewing.clock.now_ms())
    await viewing.change(route, stops=(left, stops[1]))
    assert [one["name"] for one in (await state(viewing, key))["assets"]] == ["Inside"]
    await viewing.report(org, coming, 52.12, 4.3)
    assets = (await state(viewing, key))["assets"]
    assert [(one["name"], one["where"]) for one in assets] == [("Inside", "inside"), ("Coming", "coming")]
    assert assets[1]["distanceM"] == pytest.approx(8400, abs=20)


async def test_a_visit_is_told_when_it_begins_and_when_it_ends(viewing, org):
    place = await viewing.make_address(org, 52.2, 4.3, 500)
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, "assetsNearLocation", address_id=place.body.number)
    await viewing.report(org, van, 52.1, 4.3)
    stream = await viewing.watch(key)
    first = await stream.next()
    assert (first.data["assets"], first.data["link"]["hidden"]) == ([], "nothing")
    viewing.clock.move(10 * MINUTE_MS)
    await viewing.report(org, van, 52.2, 4.3)
    update = await stream.next()
    assert [one["where"] for one in update.data["assets"]] == ["inside"]
    assert "hidden" not in update.data["link"]
    since = (await stream.next()).data["assets"][0]["since"]  # once its history has been read
    assert since == viewing.clock.now_ms()
    viewing.clock.move(10 * MINUTE_MS)
    await viewing.report(org, van, 52.1, 4.3)
    update = await stream.next()
    assert len(update.data["gone"]) == 1
    assert update.data["assets"] == []
    await stream.close()


async def test_a_private_place_shows_nothing_at_all(viewing, org):
    place = await viewing.make_address(org, 52.2, 4.3, 500, name="Yard of N", is_private=True)
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, "assetsNearLocation", address_id=place.body.number)
    await viewing.report(org, van, 52.2, 4.3)
    answer = await viewing.get(f"/fleet/viewer/{key}")
    assert b"Yard" not in answer.all_bytes()
    assert b"52.2" not in answer.all_bytes()
    assert (await state(viewing, key))["link"]["hidden"] == "private"


# -- a route


def stops():
    return (
        Stop(1, "First", lat=52.0, lon=4.3, scheduled_departure_ms=NOON_MS + MINUTE_MS),
        Stop(2, "Second", lat=52.1, lon=4.3, scheduled_arrival_ms=NOON_MS + 30 * MINUTE_MS),
        Stop(3, "Third", lat=52.2, lon=4.3, scheduled_arrival_ms=NOON_MS + 60 * MINUTE_MS),
    )


async def test_a_run_shows_its_stops_how_late_it_is_and_who_drives(viewing, org):
    van = await viewing.make_vehicle(org)
    route = await viewing.make_route(org, stops(), asset_id=van.body.number)
    _, key = await viewing.make_share(org, "assetsOnRoute", route_id=route.body.number)
    planned = (await state(viewing, key))["route"]
    assert (planned["state"], [stop["state"] for stop in planned["stops"]]) == ("planned", ["todo"] * 3)
    assert "asset" not in planned
    viewing.clock.move(2 * MINUTE_MS)
    now_ms = viewing.clock.now_ms()
    first = msgspec.structs.replace(stops()[0], arrived_ms=now_ms, departed_ms=now_ms)
    await viewing.change(route, started_ms=now_ms, stops=(first, *stops()[1:]))
    viewing.clock.move(31 * MINUTE_MS)
    await viewing.report(org, van, 52.09, 4.3)
    shown = await state(viewing, key)
    run = shown["route"]
    assert [stop["state"] for stop in run["stops"]] == ["done", "next", "todo"]
    assert run["lateS"] == 180
    assert run["asset"] == shown["assets"][0]["key"]
    assert shown["assets"][0]["distanceM"] == pytest.approx(1112, abs=3)
    second = msgspec.structs.replace(stops()[1], arrived_ms=viewing.clock.now_ms())
    await viewing.change(route, stops=(first, second, stops()[2]))
    run = (await state(viewing, key))["route"]
    assert [stop["state"] for stop in run["stops"]] == ["done", "here", "todo"]
    assert run["stops"][1]["lateS"] == 180
    await viewing.change(route, ended_ms=viewing.clock.now_ms())
    shown = await state(viewing, key)
    assert shown["route"]["state"] == "ended"
    assert shown["assets"] == []


async def test_a_run_of_a_driver_shows_the_vehicle_that_is_assigned_to_him(viewing, org):
    van, other = [await viewing.make_vehicle(org, name) for name in ("Van", "Other")]
    fields = {"driver_id": 7, "driven_asset_id": van.body.number, "started_ms": NOON_MS}
    route = await viewing.make_route(org, stops(), **fields)
    _, key = await viewing.make_share(org, "assetsOnRoute", route_id=route.body.number)
    keys = (key, viewing.stop_key(org, 2))
    for one in (van, other):
        await viewing.report(org, one, 52.05, 4.3)
    for one in keys:
        assert [(asset["name"], "fix" in asset) for asset in (await state(viewing, one))["assets"]] == [
            ("Van", True)
        ]
    viewing.clock.move(MINUTE_MS)
    await viewing.change(route, driven_asset_id=other.body.number, assigned_ms=viewing.clock.now_ms())
    for one in keys:
        shown = (await state(viewing, one))["assets"]
        assert [(asset["name"], "fix" in asset) for asset in shown] == [("Other", False)]


async def test_the_run_under_way_comes_before_the_next_one_and_that_before_the_last(viewing, org):
    recurring = RecurringRoute(
        next(viewing.numbers), "Morning round", (), NOON_MS, NOON_MS, "UTC", ("06:30",), (0, 1, 2, 3, 4)
    )
    await viewing.put(org, recurring)
    _, key = await viewing.make_share(org, "assetsOnRoute", route_id=recurring.number)
    assert (await state(viewing, key))["route"] == {"name": "Morning round", "state": "none", "stops": []} | {
        "name": "Your delivery"
    }
    ids = {"recurring_id": recurring.number}
    await viewing.make_route(org, [Stop(1, "Old", lat=1, lon=1)], started_ms=1, ended_ms=2, **ids)
    assert (await state(viewing, key))["route"]["stops"][0]["name"] == "Old"
    later = Stop(2, "Next", lat=1, lon=1, scheduled_arrival_ms=NOON_MS + MINUTE_MS)
    run = await viewing.make_route(org, [later], **ids)
    assert (await state(viewing, key))["route"]["stops"][0]["name"] == "Next"
    under_way = await viewing.make_route(org, [Stop(3, "Now", lat=1, lon=1)], started_ms=NOON_MS, **ids)
    assert (await state(viewing, key))["route"]["stops"][0]["name"] == "Now"
    assert (await state(viewing, key))["route"]["name"] == "Morning round"
    assert run.id != under_way.id


async def test_a_stop_in_a_private_zone_is_left_out(viewing, org):
    await viewing.make_address(org, 52.1, 4.3, 500, name="Home", is_private=True)
    route = await viewing.make_route(org, stops())
    _, key = await viewing.make_share(org, "assetsOnRoute", route_id=route.body.number)
    assert [stop["name"] for stop in (await state(viewing, key))["route"]["stops"]] == ["First", "Third"]


async def test_a_private_place_that_is_deleted_is_told_by_no_open_link(viewing, org):
    van = await viewing.make_vehicle(org)
    home = await viewing.make_address(org, 52.1, 4.3, 500, name="Home of N", is_private=True)
    halts = [
        Stop(1, "First", lat=52.0, lon=4.3),
        Stop(2, "Home of N", home.body.number),
        Stop(3, "Third", lat=53, lon=4),
    ]
    route = await viewing.make_route(org, halts, asset_id=van.body.number, started_ms=NOON_MS)
    _, key = await viewing.make_share(org, "assetsOnRoute", route_id=route.body.number)
    await viewing.report(org, van, 52.05, 4.3)
    watching = [await viewing.watch(one) for one in (key, viewing.stop_key(org, 2))]
    await addresses.remove(viewing.catalog, org, home.body.number)
    await viewing.report(org, van, 52.06, 4.3)
    for one in (key, viewing.stop_key(org, 2)):
        for form in ("", "/state", "/geojson"):
            answer = await viewing.get(f"/fleet/viewer/{one}{form}")
            assert answer.status == 200
            assert b"Home of N" not in answer.all_bytes()
            assert b"52.1," not in answer.all_bytes()
    for stream in watching:
        await stream.close()
        assert b"Home of N" not in stream.raw
    assert [stop["name"] for stop in (await state(viewing, key))["route"]["stops"]] == ["First", "Third"]


async def test_a_zone_that_ends_hides_what_was_in_it_and_nothing_of_who_was_never_there(viewing, org):
    home = await viewing.make_address(org, 52.1, 4.3, 500, is_private=True)
    inside, away = [await viewing.make_vehicle(org, name) for name in ("Inside", "Away")]
    keys = [(await viewing.make_share(org, asset_id=one.body.number, trail_min=-1))[1] for one in (inside, away)]
    await viewing.report(org, inside, 52.0, 4.3)
    await viewing.report(org, away, 52.0, 4.3)
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, inside, 52.1, 4.3)
    await viewing.report(org, away, 52.01, 4.3)
    await addresses.remove(viewing.catalog, org, home.body.number)
    hidden, shown = [await state(viewing, key) for key in keys]
    assert (hidden["link"]["hidden"], "fix" in hidden["assets"][0]) == ("private", False)
    assert len(shown["assets"][0]["trail"]) == 2
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, inside, 52.1, 4.3)
    (asset,) = (await state(viewing, keys[0]))["assets"]
    assert [point[0] for point in asset["trail"]] == [NOON_MS + 2 * MINUTE_MS], "the place is no secret any more"


async def test_a_stop_in_a_zone_that_ended_tells_no_time_from_before(viewing, org):
    home = await viewing.make_address(org, 52.1, 4.3, 500, is_private=True)
    done = [
        msgspec.structs.replace(one, arrived_ms=NOON_MS + at, departed_ms=NOON_MS + at + 10)
        for at, one in ((0, stops()[0]), (MINUTE_MS, stops()[1]))
    ]
    van = await viewing.make_vehicle(org)
    route = await viewing.make_route(org, [*done, stops()[2]], asset_id=van.body.number, started_ms=NOON_MS)
    _, key = await viewing.make_share(org, "assetsOnRoute", route_id=route.body.number)
    viewing.clock.move(2 * MINUTE_MS)
    await addresses.remove(viewing.catalog, org, home.body.number)
    first, second, _ = (await state(viewing, key))["route"]["stops"]
    assert (first["arrived"], second["name"], "arrived" in second) == (NOON_MS, "Second", False)


async def test_a_run_with_a_vehicle_beyond_the_tags_of_who_shared_it_tells_no_times(viewing, org):
    tag = await viewing.make_tag(org)
    van = await viewing.make_vehicle(org, "Foreign")
    done = Stop(1, "First", lat=52.0, lon=4.3, arrived_ms=NOON_MS, departed_ms=NOON_MS)
    route = await viewing.make_route(org, [done, *stops()[1:]], asset_id=van.body.number, started_ms=NOON_MS)
    _, key = await viewing.make_share(
        org, "assetsOnRoute", route_id=route.body.number, limit_tag_ids=(tag.body.number,)
    )
    shown = await state(viewing, key)
    assert shown["assets"] == []
    assert [stop["state"] for stop in shown["route"]["stops"]] == ["todo"] * 3
    assert all("arrived" not in stop for stop in shown["route"]["stops"])


# -- one stop's own link


async def test_the_link_of_a_stop_lives_from_the_start_of_the_run_until_the_stop_was_left(viewing, org):
    van = await viewing.make_vehicle(org)
    route = await viewing.make_route(org, stops(), asset_id=van.body.number)
    key = viewing.stop_key(org, 2)
    assert (await viewing.get(f"/fleet/viewer/job/{key}")).status == 403
    await viewing.change(route, started_ms=NOON_MS)
    await viewing.report(org, van, 52.05, 4.3)
    shown = await state(viewing, key)
    assert (shown["link"]["type"], shown["place"]["name"]) == ("asset", "Second")
    assert shown["assets"][0]["distanceM"] == pytest.approx(5560, abs=5)
    stream = await viewing.watch(key)
    await stream.next()
    left = msgspec.structs.replace(stops()[1], arrived_ms=NOON_MS, departed_ms=NOON_MS)
    await viewing.change(route, stops=(stops()[0], left, stops()[2]))
    assert (await stream.next()).data == {"reason": "arrived"}
    answer = await viewing.get(f"/fleet/viewer/job/{key}/state")
    assert (answer.status, answer.json()["reason"]) == (410, "arrived")
    skipped = msgspec.structs.replace(stops()[1], skipped_ms=NOON_MS)
    await viewing.change(route, stops=(stops()[0], skipped, stops()[2]))
    answer = await viewing.get(f"/fleet/viewer/job/{key}/state")
    assert (answer.status, answer.json()["reason"]) == (410, "expired")
    await viewing.remove(route)
    assert (await viewing.get(f"/fleet/viewer/job/{key}")).status == 404


# -- arriving


async def test_a_link_that_ends_on_arrival_ends_without_anybody_looking(viewing, org):
    van = await viewing.make_vehicle(org)
    place = await viewing.make_address(org, 52.2, 4.3, 300)
    share, key = await viewing.make_share(
        org, asset_id=van.body.number, address_id=place.body.number, ends_on_arrival=True
    )
    await viewing.report(org, van, 52.1, 4.3)
    viewing.clock.move(20 * MINUTE_MS)
    assert (await viewing.get(f"/fleet/viewer/{key}")).status == 200
    stream = await viewing.watch(key)
    await viewing.report(org, van, 52.2, 4.3)
    assert (await stream.until("ended")).data == {"reason": "arrived"}
    assert viewing.live.directory.shares.find(org, share.id).body.expires_ms == viewing.clock.now_ms()
    for form in ("/state", "/stream", "/geojson"):
        answer = await viewing.get(f"/fleet/viewer/{key}{form}")
        assert (answer.status, answer.json()["reason"]) == (410, "arrived")
    page = await viewing.get(f"/fleet/viewer/{key}", headers={"accept-language": "de"})
    assert (page.status, "Angekommen" in page.body.decode()) == (410, True)
    await shares.reactivate(viewing.catalog, org, share.body.share_id, NOON_MS + 60 * MINUTE_MS)
    viewing.clock.move(60 * MINUTE_MS)
    assert (await viewing.get(f"/fleet/viewer/{key}/state")).json()["reason"] == "expired"


async def test_a_drive_that_ended_a_link_is_kept_for_estimates_of_later_ones(viewing, org):
    van = await viewing.make_vehicle(org)
    place = await viewing.make_address(org, 52.2, 4.3, 300)
    _, key = await viewing.make_share(
        org, asset_id=van.body.number, address_id=place.body.number, ends_on_arrival=True
    )
    stream = await viewing.watch(key)
    for step in range(12):
        await viewing.report(org, van, 52.1 + step * 0.009, 4.3)
        viewing.clock.move(MINUTE_MS)
    await stream.until("ended")
    async with asyncio.timeout(10):
        while not viewing.live.directory.arrivals.list_(org):  # noqa: ASYNC110 - written after the last word is out
            await asyncio.sleep(0)
    (drive,) = viewing.live.directory.arrivals.list_(org)
    assert (drive.body.lat, drive.body.lon, drive.body.asset_id) == (52.2, 4.3, van.body.number)
    assert [metres for metres, _ in drive.body.samples][:2] == [10_000, 7_000]
