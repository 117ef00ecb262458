"""The vendor's own SDK against vehicle locations and stats: sections 3, 11 and 17 of the wire contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from samsara import AsyncSamsara
from samsara.core.api_error import ApiError

from odograph.api import positions
from odograph.catalog import assets, tags
from odograph.model.fixes import FIX_DTYPE, MARK_ZERO_ISLAND, UNKNOWN_HEADING, UNKNOWN_SPEED
from odograph.model.ids import AssetId
from odograph.store.base import OrgFixes, Outcome
from tests.support.api import NOON_MS, decoded, open_world, public_id

SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000


class Fleet:
    """An org with vehicles, its token, the SDK and a plain client that checks answers against the document."""

    def __init__(self, world, org, vehicles, token):
        self.world = world
        self.org = org
        self.vehicles = vehicles
        self.ids = [public_id(vehicle) for vehicle in vehicles]
        self.http = world.client(token)
        self.sdk = AsyncSamsara(base_url="http://testserver", token=token, httpx_client=self.http)
        self.locations = self.sdk.vehicle_locations
        self.stats = self.sdk.vehicle_stats

    async def report(
        self, which, *times_ms, lat=52.0, lon=4.0, heading_deg=90.0, speed_kmh=40.0, marks=0
    ) -> list[Outcome]:
        """Fixes of a vehicle, in this order of arrival, in one commit."""
        fixes = np.zeros(len(times_ms), dtype=FIX_DTYPE)
        for place, time_ms in enumerate(times_ms):
            heading = UNKNOWN_HEADING if heading_deg is None else round(heading_deg * 100)
            speed = UNKNOWN_SPEED if speed_kmh is None else round(speed_kmh * 100)
            number = self.vehicles[which].body.number
            fixes[place] = (number, time_ms, round(lat * 1e7), round(lon * 1e7), heading, speed, marks)
        (outcomes,) = await self.world.store.append([OrgFixes(self.org, fixes)])
        return [Outcome(outcome) for outcome in outcomes]

    async def refused(self, path, **query):
        """The status of a request that is declined; its body has been held against the document."""
        answer = await self.http.get(f"/fleet/vehicles/{path}", params=query)
        assert set(decoded(answer)) == {"message", "requestId"}
        return answer.status_code


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest.fixture
async def fleet(world):
    org = await world.make_org()
    vehicles = [await world.make_vehicle(org, name=f"Van {number}") for number in (1, 2, 3)]
    async with (made := Fleet(world, org, vehicles, await world.make_token(org))).http:
        yield made


def at(time_ms):
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def times_of(entries):
    """By vehicle id, the times of its fixes."""
    return {entry.id: [ms(fix.time) for fix in entry.locations] for entry in entries}


async def history(fleet, start_ms, end_ms, **query):
    """All pages of a range, as a client reads them, and how many there were."""
    found: dict[str, list[int]] = {}
    pages, after = 0, None
    while True:
        page = await fleet.locations.get_vehicle_locations_history(
            start_time=at(start_ms), end_time=at(end_ms), after=after, **query
        )
        pages += 1
        for vehicle, times in times_of(page.data).items():
            found.setdefault(vehicle, []).extend(times)
        after = page.pagination.end_cursor
        if not page.pagination.has_next_page:
            assert after == ""
            return found, pages


class Follower:
    """The polling loop of the vendor's guide: at once while there is more, later from the same cursor."""

    def __init__(self, fleet, **query):
        self.fleet = fleet
        self.query = query
        self.cursor = None
        self.pages = 0

    async def poll(self):
        found: dict[str, list[int]] = {}
        while True:
            page = await self.fleet.locations.get_vehicle_locations_feed(after=self.cursor, **self.query)
            self.pages += 1
            for vehicle, times in times_of(page.data).items():
                found.setdefault(vehicle, []).extend(times)
            assert page.pagination.end_cursor
            self.cursor = page.pagination.end_cursor
            if not page.pagination.has_next_page:
                return found


# -- 17: the behaviour that the guides state


async def test_b1_the_snapshot_is_the_newest_of_each_vehicle_and_time_picks_an_older_one(fleet):
    await fleet.report(0, NOON_MS + 5 * SECOND, NOON_MS)
    await fleet.report(1, NOON_MS)
    page = await fleet.locations.get_vehicle_locations()
    assert [(one.id, one.name, ms(one.location.time)) for one in page.data] == [
        (fleet.ids[0], "Van 1", NOON_MS + 5 * SECOND),
        (fleet.ids[1], "Van 2", NOON_MS),
    ]
    assert (page.pagination.end_cursor, page.pagination.has_next_page) == ("", False)
    page = await fleet.locations.get_vehicle_locations(time=at(NOON_MS + 4 * SECOND), vehicle_ids=fleet.ids[0])
    assert [ms(one.location.time) for one in page.data] == [NOON_MS]
    page = await fleet.locations.get_vehicle_locations(time=at(NOON_MS - 1))
    assert page.data == []


async def test_b2_who_goes_on_while_there_is_a_next_page_sees_every_vehicle(fleet, monkeypatch):
    monkeypatch.setattr(positions, "SNAPSHOT_PAGE", 1)
    await fleet.report(0, NOON_MS)
    await fleet.report(2, NOON_MS)
    seen, sizes, after = [], [], None
    while after != "":
        page = await fleet.locations.get_vehicle_locations(after=after)
        seen += [one.id for one in page.data]
        sizes.append(len(page.data))
        after = page.pagination.end_cursor
        assert page.pagination.has_next_page == bool(after)
    assert seen == [fleet.ids[0], fleet.ids[2]]
    assert sizes == [1, 0, 1], "a vehicle without a fix makes an empty page, and the client goes on"


async def test_b3_the_feed_begins_with_the_newest_fix_of_each_vehicle(fleet):
    await fleet.report(0, NOON_MS, NOON_MS + SECOND)
    await fleet.report(1, NOON_MS)
    assert await Follower(fleet).poll() == {fleet.ids[0]: [NOON_MS + SECOND], fleet.ids[1]: [NOON_MS]}


async def test_b4_whoever_was_away_is_given_everything_that_came_meanwhile(fleet, monkeypatch):
    monkeypatch.setattr(positions, "FEED_PAGE", 7)
    follower = Follower(fleet)
    assert await follower.poll() == {}
    times = [NOON_MS + 5 * SECOND * number for number in range(30)]
    for time_ms in times:
        await fleet.report(0, time_ms)
        await fleet.report(1, time_ms)
    assert await follower.poll() == {fleet.ids[0]: times, fleet.ids[1]: times}
    assert follower.pages > 5
    assert await follower.poll() == {}


async def test_b5_the_feed_is_in_the_order_of_arrival(fleet):
    await fleet.report(0, NOON_MS)
    follower = Follower(fleet)
    await follower.poll()
    await fleet.report(0, NOON_MS + SECOND, NOON_MS - 20 * DAY, NOON_MS + 2 * SECOND)
    assert await follower.poll() == {fleet.ids[0]: [NOON_MS + SECOND, NOON_MS - 20 * DAY, NOON_MS + 2 * SECOND]}
    newest = await fleet.locations.get_vehicle_locations()
    assert ms(newest.data[0].location.time) == NOON_MS + 2 * SECOND, "late data never moves the snapshot back"


async def test_b6_what_comes_while_the_first_call_is_read_is_not_lost(fleet, monkeypatch):
    monkeypatch.setattr(positions, "SNAPSHOT_PAGE", 1)
    for which in range(3):
        await fleet.report(which, NOON_MS)
    first = await fleet.locations.get_vehicle_locations_feed()
    assert times_of(first.data) == {fleet.ids[0]: [NOON_MS]}
    await fleet.report(0, NOON_MS + SECOND)
    await fleet.report(2, NOON_MS + SECOND)
    follower = Follower(fleet)
    follower.cursor = first.pagination.end_cursor
    assert await follower.poll() == {fleet.ids[1]: [NOON_MS], fleet.ids[2]: [NOON_MS + SECOND]}
    assert await follower.poll() == {fleet.ids[0]: [NOON_MS + SECOND], fleet.ids[2]: [NOON_MS + SECOND]}
    assert await follower.poll() == {}, "seen twice once, and never again (D-35)"


async def test_b7_a_cursor_stays_usable_when_there_is_nothing_new(fleet):
    follower = Follower(fleet)
    await follower.poll()
    cursor = follower.cursor
    for _ in range(3):
        fleet.world.clock.time_ms += 5 * SECOND
        assert await follower.poll() == {}
    await fleet.report(0, NOON_MS)
    assert await follower.poll() == {fleet.ids[0]: [NOON_MS]}
    follower.cursor = cursor
    assert await follower.poll() == {fleet.ids[0]: [NOON_MS]}
    follower.cursor = cursor
    assert await follower.poll() == {fleet.ids[0]: [NOON_MS]}


async def test_b8_history_takes_every_form_of_the_same_time(fleet):
    await fleet.report(0, NOON_MS - 500, NOON_MS + 500, NOON_MS + HOUR)
    amsterdam = timezone(timedelta(hours=2))
    forms = [
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z"),
        ("2024-05-01T10:00:00.000Z", "2024-05-01T10:00:00.501Z"),
        ("2024-05-01T12:00:00+02:00", "2024-05-01T06:00:01-04:00"),
        (datetime(2024, 5, 1, 12, tzinfo=amsterdam).isoformat(), "2024-05-01T10:00:00.500001Z"),
    ]
    for start, end in forms[:3]:
        page = await fleet.locations.get_vehicle_locations_history(start_time=start, end_time=end)
        assert times_of(page.data) == {fleet.ids[0]: [NOON_MS + 500]}, (start, end)
    answer = await fleet.http.get(  # an offset's plus sign that nobody escaped
        "/fleet/vehicles/locations/history?startTime=2024-05-01T12:00:00+02:00&endTime=2024-05-01T12:00:01+02:00"
    )
    assert len(decoded(answer)["data"][0]["locations"]) == 1


async def test_b9_a_large_range_takes_more_pages(fleet, monkeypatch):
    monkeypatch.setattr(positions, "HISTORY_PAGE", 10)
    times = [NOON_MS + 5 * SECOND * number for number in range(25)]
    await fleet.report(0, *times)
    await fleet.report(1, *times[:5])
    assert await history(fleet, NOON_MS, NOON_MS + HOUR) == ({fleet.ids[0]: times, fleet.ids[1]: times[:5]}, 3)
    assert (await history(fleet, NOON_MS, NOON_MS + 10 * SECOND))[1] == 1


async def test_b10_a_backlog_is_in_history_at_its_time_and_in_the_feed_at_its_arrival(fleet):
    await fleet.report(0, NOON_MS)
    follower = Follower(fleet)
    await follower.poll()
    backlog = [NOON_MS - 30 * DAY + HOUR * number for number in range(5)]
    await fleet.report(0, *backlog)
    assert await follower.poll() == {fleet.ids[0]: backlog}
    assert (await history(fleet, NOON_MS - 31 * DAY, NOON_MS + 1))[0] == {fleet.ids[0]: [*backlog, NOON_MS]}


async def test_b11_standing_still_is_reported_again_and_again(fleet):
    follower = Follower(fleet)
    await follower.poll()
    times = [NOON_MS + 5 * SECOND * number for number in range(4)]
    await fleet.report(0, *times, speed_kmh=0.0)
    assert await follower.poll() == {fleet.ids[0]: times}
    assert (await history(fleet, NOON_MS, NOON_MS + HOUR))[0] == {fleet.ids[0]: times}


async def test_b12_a_vehicle_that_is_off_keeps_its_hourly_fixes_as_they_are(fleet):
    times = [NOON_MS - DAY + HOUR * number for number in range(24)]
    await fleet.report(0, *times)
    assert (await history(fleet, NOON_MS - DAY, NOON_MS))[0] == {fleet.ids[0]: times}


async def test_b13_a_gap_stays_a_gap(fleet):
    await fleet.report(0, NOON_MS, NOON_MS + 6 * HOUR)
    assert (await history(fleet, NOON_MS + 1, NOON_MS + 6 * HOUR))[0] == {}
    page = await fleet.locations.get_vehicle_locations(time=at(NOON_MS + 5 * HOUR))
    assert ms(page.data[0].location.time) == NOON_MS, "the newest not after that moment, never one in between"


async def test_b14_history_to_this_very_moment_is_what_has_come_so_far(fleet):
    await fleet.report(0, NOON_MS - SECOND)
    asked = (NOON_MS - HOUR, NOON_MS + HOUR)
    assert (await history(fleet, *asked))[0] == {fleet.ids[0]: [NOON_MS - SECOND]}
    await fleet.report(0, NOON_MS - 2 * SECOND)
    assert (await history(fleet, *asked))[0] == {fleet.ids[0]: [NOON_MS - 2 * SECOND, NOON_MS - SECOND]}


async def test_b15_speed_is_in_miles_heading_in_degrees_and_every_fix_has_a_place(fleet):
    await fleet.report(0, NOON_MS, lat=52.1234567, lon=-4.7654321, heading_deg=271.35, speed_kmh=100.0)
    location = (await fleet.locations.get_vehicle_locations()).data[0].location
    assert (location.latitude, location.longitude, location.heading) == (52.1234567, -4.7654321, 271.35)
    assert location.speed == pytest.approx(62.137119, abs=1e-6)
    assert location.reverse_geo.formatted_location
    gps = (await fleet.stats.get_vehicle_stats(types="gps")).data[0].gps
    assert (gps.latitude, gps.longitude, gps.heading_degrees) == (52.1234567, -4.7654321, 271.35)
    assert gps.speed_miles_per_hour == location.speed
    assert gps.is_ecu_speed is False
    assert gps.reverse_geo.formatted_location == location.reverse_geo.formatted_location


# -- 3.4: what is wrong with a request

RANGE = {"startTime": "2024-05-01T10:00:00Z", "endTime": "2024-05-01T11:00:00Z"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("locations", {"time": "yesterday"}),
        ("locations", {"time": "2024-05-01T10:00:00"}),
        ("locations/history", {**RANGE, "startTime": "1714557600000"}),
        ("locations/history", {**RANGE, "endTime": "2024-13-01T10:00:00Z"}),
        ("locations/history", {"startTime": RANGE["startTime"]}),
        ("locations/history", {"endTime": RANGE["endTime"]}),
        ("locations/history", {"startTime": RANGE["endTime"], "endTime": RANGE["startTime"]}),
        ("locations", {"after": "garbage"}),
        ("locations/feed", {"after": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
        ("locations/history", {**RANGE, "after": "garbage"}),
        ("locations", {"vehicleIds": "van-1"}),
        ("locations/feed", {"tagIds": "north"}),
        ("stats", {}),
        ("stats/feed", {"types": "gps,nonsense"}),
        ("stats", {"types": "gps,engineRpm,engineStates,batteryMilliVolts"}),
    ],
)
async def test_what_can_not_be_understood_is_refused(fleet, path, query):
    assert await fleet.refused(path, **query) == 400


async def test_a_refusal_reaches_the_sdk_as_its_own_error(fleet):
    with pytest.raises(ApiError) as refused:
        await fleet.locations.get_vehicle_locations(time="yesterday")
    assert refused.value.status_code == 400
    assert "time" in refused.value.body["message"]


async def test_a_cursor_of_another_endpoint_or_org_is_refused(fleet, monkeypatch):
    follower = Follower(fleet)
    await follower.poll()
    assert await fleet.refused("locations", after=follower.cursor) == 400
    assert await fleet.refused("locations/history", **RANGE, after=follower.cursor) == 400
    assert await fleet.refused("stats/feed", types="gps", after=follower.cursor) == 400
    stranger = await fleet.world.make_org("Other")
    async with fleet.world.client(await fleet.world.make_token(stranger)) as other:
        answer = await other.get("/fleet/vehicles/locations/feed", params={"after": follower.cursor})
        assert answer.status_code == 400


async def test_an_empty_range_is_empty_and_one_into_the_future_ends_at_what_there_is(fleet):
    await fleet.report(0, NOON_MS)
    assert (await history(fleet, NOON_MS, NOON_MS))[0] == {}
    assert (await history(fleet, NOON_MS, NOON_MS + 365 * DAY))[0] == {fleet.ids[0]: [NOON_MS]}


# -- 19: decisions


async def test_d13_tags_and_ids_are_united(fleet):
    north = await tags.create(fleet.world.catalog, fleet.org, tags.TagFields(name="North", assets=[fleet.ids[0]]))
    for which in range(3):
        await fleet.report(which, NOON_MS)
    query = {"tag_ids": [str(north.body.number)], "vehicle_ids": [fleet.ids[2]]}
    page = await fleet.locations.get_vehicle_locations(**query)
    assert [one.id for one in page.data] == [fleet.ids[0], fleet.ids[2]]
    assert set(await Follower(fleet, **query).poll()) == {fleet.ids[0], fleet.ids[2]}
    assert set((await history(fleet, NOON_MS, NOON_MS + 1, **query))[0]) == {fleet.ids[0], fleet.ids[2]}


async def test_d14_ids_that_nobody_has_add_nothing_and_are_never_no_filter(fleet):
    await fleet.report(0, NOON_MS)
    for query in ({"vehicle_ids": "281474976799999"}, {"vehicle_ids": "1"}, {"tag_ids": "999999"}):
        assert (await fleet.locations.get_vehicle_locations(**query)).data == []
        assert await Follower(fleet, **query).poll() == {}
        assert (await history(fleet, NOON_MS, NOON_MS + 1, **query))[0] == {}
    page = await fleet.locations.get_vehicle_locations(vehicle_ids=["281474976799999", fleet.ids[0]])
    assert [one.id for one in page.data] == [fleet.ids[0]]


async def test_d15_d16_an_external_id_stands_for_its_vehicle_and_a_word_for_nothing(fleet):
    named = await fleet.world.make_vehicle(fleet.org, name="Named", external_ids={"fleetNo": "17"})
    fleet.vehicles.append(named)
    await fleet.report(0, NOON_MS)
    await fleet.report(3, NOON_MS)
    page = await fleet.locations.get_vehicle_locations(vehicle_ids="fleetNo:17")
    assert [one.id for one in page.data] == [public_id(named)]
    assert await fleet.refused("locations", vehicleIds="seventeen") == 400


async def test_d17_a_range_has_its_start_and_not_its_end(fleet):
    await fleet.report(0, NOON_MS, NOON_MS + 1, NOON_MS + 2)
    assert (await history(fleet, NOON_MS, NOON_MS + 2))[0] == {fleet.ids[0]: [NOON_MS, NOON_MS + 1]}


async def test_d17_a_bound_between_two_milliseconds_cuts_between_them(fleet):
    await fleet.report(0, NOON_MS, NOON_MS + 1, NOON_MS + 2)
    whole = at(NOON_MS).removesuffix("000Z")

    async def times(path, **query):
        answer = await fleet.http.get(f"/fleet/vehicles/locations{path}", params=query)
        return [
            ms(fix["time"]) for one in answer.json()["data"] for fix in one.get("locations", [one.get("location")])
        ]

    assert await times("/history", startTime=f"{whole}0001Z", endTime=f"{whole}0010001Z") == [NOON_MS + 1]
    assert await times("/history", startTime=f"{whole}000Z", endTime=f"{whole}0000001Z") == [NOON_MS]
    assert await times("", time=f"{whole}0009999Z") == [NOON_MS], "not after it"


async def test_d18_a_range_may_be_as_long_as_anybody_likes(fleet):
    await fleet.report(0, NOON_MS - 9000 * DAY, NOON_MS)
    page = await fleet.locations.get_vehicle_locations_history(
        start_time="1950-01-01T00:00:00Z", end_time="9999-12-31T23:59:59Z"
    )
    assert times_of(page.data) == {fleet.ids[0]: [NOON_MS - 9000 * DAY, NOON_MS]}


async def test_d19_filtered_pages_may_be_empty_and_still_lead_on(fleet, monkeypatch):
    monkeypatch.setattr(positions, "FEED_SCAN", 5)
    follower = Follower(fleet, vehicle_ids=fleet.ids[1])
    await follower.poll()
    await fleet.report(0, *range(NOON_MS, NOON_MS + 20))
    await fleet.report(1, NOON_MS)
    assert await follower.poll() == {fleet.ids[1]: [NOON_MS]}
    assert follower.pages > 4


async def test_d34_a_limit_where_there_is_none_is_ignored(fleet):
    for which in range(3):
        await fleet.report(which, NOON_MS)
    for path in ("locations", "locations/feed", "stats?types=gps"):
        answer = await fleet.http.get(f"/fleet/vehicles/{path}", params={"limit": "1"} if "?" not in path else None)
        assert len(decoded(answer)["data"]) == 3


async def test_d36_of_two_fixes_of_one_moment_the_first_stays(fleet):
    follower = Follower(fleet)
    await follower.poll()
    assert await fleet.report(0, NOON_MS, lat=52.0) == [Outcome.STORED]
    assert await fleet.report(0, NOON_MS, lat=52.0) == [Outcome.KNOWN]
    assert await fleet.report(0, NOON_MS, lat=53.0) == [Outcome.SAME_TIME_DIFFERENT]
    assert await follower.poll() == {fleet.ids[0]: [NOON_MS]}
    assert (await fleet.locations.get_vehicle_locations()).data[0].location.latitude == 52.0


async def test_d44_milliseconds_are_written_where_there_are_any(fleet):
    await fleet.report(0, NOON_MS, NOON_MS + 7)
    page = await fleet.locations.get_vehicle_locations_history(start_time=at(NOON_MS), end_time=at(NOON_MS + HOUR))
    assert [fix.time for fix in page.data[0].locations] == ["2024-05-01T10:00:00Z", "2024-05-01T10:00:00.007Z"]


async def test_d47_an_unknown_heading_or_speed_is_left_out_and_zero_is_zero(fleet):
    await fleet.report(0, NOON_MS, heading_deg=None, speed_kmh=None)
    await fleet.report(1, NOON_MS, heading_deg=0.0, speed_kmh=0.0)
    for path, heading, speed, key in (
        ("locations", "heading", "speed", "location"),
        ("stats?types=gps", "headingDegrees", "speedMilesPerHour", "gps"),
    ):
        unknown, zero = (one[key] for one in decoded(await fleet.http.get(f"/fleet/vehicles/{path}"))["data"])
        assert heading not in unknown
        assert speed not in unknown
        assert (zero[heading], zero[speed]) == (0, 0)


async def test_a_doubtful_fix_says_why(fleet):
    await fleet.report(0, NOON_MS, lat=0.0, lon=0.0, marks=MARK_ZERO_ISLAND)
    (entry,) = decoded(await fleet.http.get("/fleet/vehicles/locations"))["data"]
    assert entry["location"]["doubtful"] == ["zeroIsland"]


async def test_a_vehicle_that_was_deleted_is_in_no_answer(fleet):
    follower = Follower(fleet)
    await follower.poll()
    await fleet.report(0, NOON_MS)
    await fleet.report(1, NOON_MS)
    await assets.remove(fleet.world.catalog, fleet.org, AssetId(fleet.vehicles[0].body.number))
    assert [one.id for one in (await fleet.locations.get_vehicle_locations()).data] == [fleet.ids[1]]
    assert await follower.poll() == {fleet.ids[1]: [NOON_MS]}
    assert (await history(fleet, NOON_MS, NOON_MS + 1))[0] == {fleet.ids[1]: [NOON_MS]}


# -- 11: stats


async def test_stats_have_an_object_in_the_snapshot_and_arrays_in_feed_and_history(fleet):
    await fleet.report(0, NOON_MS, NOON_MS + SECOND)
    snapshot = await fleet.stats.get_vehicle_stats(types=["gps"])
    assert ms(snapshot.data[0].gps.time) == NOON_MS + SECOND
    feed = await fleet.stats.get_vehicle_stats_feed(types=["gps"])
    assert [ms(event.time) for event in feed.data[0].gps] == [NOON_MS + SECOND]
    await fleet.report(0, NOON_MS - HOUR)
    feed = await fleet.stats.get_vehicle_stats_feed(types=["gps"], after=feed.pagination.end_cursor)
    assert [ms(event.time) for event in feed.data[0].gps] == [NOON_MS - HOUR]
    assert not feed.pagination.has_next_page
    page = await fleet.stats.get_vehicle_stats_history(
        types=["gps"], start_time=at(NOON_MS - HOUR), end_time=at(NOON_MS + HOUR)
    )
    assert [ms(event.time) for event in page.data[0].gps] == [NOON_MS - HOUR, NOON_MS, NOON_MS + SECOND]


async def test_decorations_are_those_that_the_vendor_allows_and_add_nothing_yet(fleet):
    await fleet.report(0, NOON_MS)
    decorated = await fleet.stats.get_vehicle_stats_feed(types=["gps"], decorations=["obdOdometerMeters", "gps"])
    assert decorated.data[0].gps[0].decorations is None
    refused = (
        "gpsOdometerMeters",
        "syntheticEngineSeconds",
        "evChargingStatus",
        "evDistanceDrivenMeters",
        "nothing",
    )
    for decoration in refused:
        assert await fleet.refused("stats/feed", types="gps", decorations=decoration) == 400
        assert await fleet.refused("stats/feed", types="gps", decorations=f"gps,{decoration}") == 400
    assert await fleet.refused("stats/feed", types="gps", decorations="gps,obdOdometerMeters,engineRpm") == 400
    eight = ",".join(f"auxInput{number}" for number in range(3, 11))
    assert (
        await fleet.http.get("/fleet/vehicles/stats", params={"types": f"gps,engineRpm,{eight}"})
    ).status_code == 200
    assert await fleet.refused("stats", types=f"gps,engineRpm,auxInput1,{eight}") == 400


async def test_stats_name_external_ids_and_locations_do_not(fleet):
    ids = {"fleetNo": "17", "samsara.vin": "1FTBW2CM5GKA12345"}
    named = await fleet.world.make_vehicle(
        fleet.org, name="Named", external_ids={"fleetNo": "17"}, vin=ids["samsara.vin"]
    )
    await fleet.world.report(fleet.org, named, NOON_MS)
    sdk, wanted = fleet.sdk, [public_id(named)]
    range_ = {"start_time": "2024-05-01T00:00:00Z", "end_time": "2024-05-02T00:00:00Z"}
    for answer in (
        await sdk.vehicle_stats.get_vehicle_stats(types=["gps"], vehicle_ids=wanted),
        await sdk.vehicle_stats.get_vehicle_stats_feed(types=["gps"], vehicle_ids=wanted),
        await sdk.vehicle_stats.get_vehicle_stats_history(types=["gps"], vehicle_ids=wanted, **range_),
    ):
        assert answer.data[0].external_ids == ids
    bare = assets.AssetFields(external_ids=None, vin=None)
    await assets.update(fleet.world.catalog, fleet.org, AssetId(named.body.number), bare)
    (shown,) = (await sdk.vehicle_stats.get_vehicle_stats(types=["gps"], vehicle_ids=wanted)).data
    assert shown.external_ids is None, "none is left"
    (shown,) = (await sdk.vehicle_locations.get_vehicle_locations(vehicle_ids=wanted)).data
    assert "externalIds" not in shown.model_extra


async def test_stats_that_nobody_reports_give_nothing_and_a_cursor_that_moves(fleet):
    await fleet.report(0, NOON_MS)
    assert (await fleet.stats.get_vehicle_stats(types=["engineStates"])).data == []
    feed = await fleet.stats.get_vehicle_stats_feed(types=["engineStates", "fuelPercents"])
    assert (feed.data, feed.pagination.has_next_page) == ([], False)
    await fleet.report(0, NOON_MS + SECOND)
    feed = await fleet.stats.get_vehicle_stats_feed(types=["engineStates"], after=feed.pagination.end_cursor)
    assert (feed.data, feed.pagination.has_next_page) == ([], False)
    both = await fleet.stats.get_vehicle_stats_feed(types=["engineStates", "gps"], after=feed.pagination.end_cursor)
    assert both.data == []


async def test_two_clients_follow_the_same_feed_and_one_of_them_starts_again_from_its_cursor(fleet):
    one, two = Follower(fleet), Follower(fleet)
    await asyncio.gather(one.poll(), two.poll())
    await fleet.report(0, NOON_MS)
    first = await one.poll()
    again = Follower(fleet)
    again.cursor = one.cursor
    await fleet.report(0, NOON_MS + SECOND)
    assert first == {fleet.ids[0]: [NOON_MS]}
    assert await again.poll() == {fleet.ids[0]: [NOON_MS + SECOND]}
    assert await two.poll() == {fleet.ids[0]: [NOON_MS, NOON_MS + SECOND]}
