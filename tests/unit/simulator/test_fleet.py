"""The fleet drives as vehicles can, says it as trackers do, and loses nothing on the way."""

from __future__ import annotations

import asyncio
import itertools
import math
from contextlib import suppress

import pytest

from odograph.errors import Refusal
from odograph.model.fixes import Report
from odograph.protocols.base import Claim
from odograph.simulator.fleet import (
    COLLECTION,
    DELIVERY,
    KANSAS_CITY,
    Member,
    VehicleSpec,
    demo_fleet,
    journey,
    run_fleet,
    setting_out,
)
from odograph.simulator.radio import LOG_DAYS, DeviceLog, Outages
from odograph.simulator.routes import BLOCK_M, timetable
from odograph.simulator.senders import Server, protocol_names
from tests.unit.simulator.doubles import failure
from tests.unit.simulator.test_senders import reports

NOW_MS = 1_700_000_000_000


def metres(one, other):
    north = (other.lat - one.lat) * 111_195
    east = (other.lon - one.lon) * 111_195 * math.cos(math.radians(one.lat))
    return math.hypot(north, east)


def hours_of(spec, hours):
    return list(itertools.takewhile(lambda r: r.time_ms < NOW_MS + (hours - 2) * 3_600_000, journey(spec, NOW_MS)))


async def run_until(members, server, clock, is_done, **more):
    running = asyncio.create_task(run_fleet(members, server.server, clock, **more))
    try:
        while not is_done():
            assert not running.done()
            await asyncio.sleep(0)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def member(spec):
    return Member(spec, Claim(spec.device_id, None if spec.protocol == "teltonika" else "key"))


@pytest.mark.parametrize("seed", range(5))
def test_a_driving_vehicle_moves_as_its_speed_says_and_reports_every_five_seconds(seed):
    said = hours_of(VehicleSpec("v", "p", "d", "batch", seed), 10)
    gaps = [(after.time_ms - before.time_ms) / 1000 for before, after in itertools.pairwise(said)]
    assert sum(4.5 < gap < 5.5 for gap in gaps) / len(gaps) > 0.99
    assert min(gaps) > 0
    speeds = [report.speed_kmh or 0 for report in said]
    assert 35 < max(speeds) < 70
    assert 0.1 < sum(speed == 0 for speed in speeds) / len(said) < 0.7
    for before, after in itertools.pairwise(said):
        assert metres(before, after) < (after.time_ms - before.time_ms) / 1000 * 70 / 3.6 + 15
    assert all(0 <= (report.heading_deg or 0) < 360 for report in said)


@pytest.mark.parametrize("trip", [DELIVERY, COLLECTION])
@pytest.mark.parametrize("start_ms", [NOW_MS, NOW_MS + 777_000])
def test_a_vehicle_on_rounds_leaves_when_it_is_to_and_calls_everywhere_within_the_period(trip, start_ms):
    (spec,) = setting_out([VehicleSpec("v", "p", "d", "batch", 3, round_trip=trip)], start_ms // 1000 + 60)
    places = [KANSAS_CITY.position(call.column * BLOCK_M, call.row * BLOCK_M) for call in trip.calls]
    said = list(itertools.takewhile(lambda r: r.time_ms < start_ms + 8 * 3_600_000, journey(spec, start_ms)))

    zero_s = start_ms // 1000 + 60

    def round_of(report):
        return (report.time_ms // 1000 - zero_s) // trip.every_s

    for place in places:
        rounds = {round_of(report) for report in said if report.speed_kmh == 0 and near(report, place)}
        assert rounds >= set(range(round_of(said[0]) + 1, round_of(said[-1])))
    for before, after in itertools.pairwise(said):
        if near(before, places[0]) and before.speed_kmh == 0 and after.speed_kmh:
            assert (after.time_ms / 1000 - zero_s) % trip.every_s < trip.calls[0].stands_s + 10


def test_a_timetable_says_when_a_vehicle_on_rounds_usually_comes():
    plan = timetable(COLLECTION)
    assert plan[0] == 0
    assert all(minute % 60 == 0 and a < b for (a, b), minute in zip(itertools.pairwise(plan), plan, strict=False))
    spec = VehicleSpec("v", "p", "d", "batch", 5, round_trip=COLLECTION)
    said = hours_of(spec, 10)
    for call, planned_s in list(zip(COLLECTION.calls, plan, strict=True))[1:]:
        place = KANSAS_CITY.position(call.column * BLOCK_M, call.row * BLOCK_M)
        late = [
            r.time_ms / 1000 % COLLECTION.every_s - planned_s for r in said if r.speed_kmh == 0 and near(r, place)
        ]
        assert late
        assert max(map(abs, late)) < 360


def near(report, place):
    return metres(report, Report(0, *place)) < 30


def test_a_parked_vehicle_reports_hourly_from_one_place():
    said = hours_of(VehicleSpec("v", "p", "d", "batch", 1, is_parked=True), 10)
    assert len(said) == 10
    assert all(3599 < (b.time_ms - a.time_ms) / 1000 < 3601 for a, b in itertools.pairwise(said))
    assert all(metres(said[0], report) < 20 and report.speed_kmh == 0 for report in said)


def test_a_vehicle_that_parks_reports_at_once_when_it_goes_on_again():
    for seed in range(20):
        said = hours_of(VehicleSpec("v", "p", "d", "batch", seed), 12)
        parked = [i for i, (a, b) in enumerate(itertools.pairwise(said)) if b.time_ms - a.time_ms > 60_000]
        if parked:
            after = said[parked[0] + 1 : parked[0] + 4]
            assert [4.5 < (b.time_ms - a.time_ms) / 1000 < 5.5 for a, b in itertools.pairwise(after)] == [
                True,
                True,
            ]
            assert metres(said[parked[0]], after[0]) < 60
            return
    pytest.fail("in 240 hours, nobody parked")


def test_the_same_seed_drives_the_same_way_and_another_one_does_not():
    one, same, other = (VehicleSpec("v", "p", "d", "batch", seed) for seed in (1, 1, 2))
    assert hours_of(one, 3) == hours_of(same, 3) != hours_of(other, 3)


def test_the_demo_speaks_every_protocol_and_shows_each_habit():
    fleet = demo_fleet(7)
    assert len(fleet) == 8
    assert {spec.protocol for spec in fleet} == set(protocol_names())
    assert len({spec.device_id for spec in fleet}) == len({spec.plate for spec in fleet}) == 8
    assert sum(spec.is_parked for spec in fleet) == 1
    assert max(spec.history_s for spec in fleet) >= 4 * 3600
    assert any(spec.outages for spec in fleet)
    assert demo_fleet(7) == fleet != demo_fleet(8)


async def test_the_demo_fleet_sends_its_history_first_and_then_goes_on_live(server, clock):
    members = [member(spec) for spec in demo_fleet(3)]
    start_ms = clock.now_ms()

    def live():
        return all(
            spec.is_parked or server.heard.get(spec.device_id, [None])[-1].time_ms > start_ms + 30_000
            for spec, _ in members
            if spec.device_id in server.heard
        ) and len(server.heard) == len(members)

    await run_until(members, server, clock, live)
    for spec, _ in members:
        heard = server.heard[spec.device_id]
        noted = list(itertools.islice(journey(spec, start_ms), len(heard)))
        assert [report.time_ms for report in heard] == [report.time_ms for report in noted]
        assert heard[0].time_ms - (start_ms - spec.history_s * 1000) < 1000


async def test_a_tracker_without_connection_keeps_its_fixes_and_sends_them_numbered_and_in_order(server, clock):
    spec = VehicleSpec("v", "p", "d", "batch", 1, history_s=0, outages=Outages(20, 300, 10_000), batch_size=10)
    start_ms = clock.now_ms()
    arrivals: list[tuple[int, int]] = []
    take = server.take

    def note_arrival(device, said):
        arrivals.extend((report.time_ms, clock.now_ms()) for report in said)
        return take(device, said)

    server.take = note_arrival
    await run_until([member(spec)], server, clock, lambda: len(server.heard.get("d", [])) >= 100)
    times = [report.time_ms for report in server.heard["d"]]
    assert times == [report.time_ms for report in itertools.islice(journey(spec, start_ms), len(times))]
    late = [arrived - noted for noted, arrived in arrivals]
    assert max(late) > 200_000
    counts = [number for number in server.numbers if number is not None]
    assert counts == sorted(set(counts))
    assert counts[0] == 0


async def test_a_tracker_that_is_turned_away_keeps_its_fixes_until_it_is_let_in(server, clock):
    spec = VehicleSpec("v", "p", "d", "osmand", 1, history_s=60)
    server.fails.extend([failure(403, message="unknown"), failure(503, "retry-after: 5"), failure(403)])
    told = []
    await run_until(
        [member(spec)],
        server,
        clock,
        lambda: len(server.heard.get("d", [])) >= 40,
        on_trouble=lambda spec, why: told.append((spec.name, why)),
    )
    first = [report.time_ms for report in itertools.islice(journey(spec, 1_700_000_000_000), 40)]
    assert [report.time_ms for report in server.heard["d"]][:40] == first
    assert told[0] == ("v", "status 403: unknown")


async def test_a_protocol_whose_port_is_closed_is_told_by_name(clock):
    spec = VehicleSpec("v", "p", "356307042441013", "teltonika", 1)
    with pytest.raises(Refusal, match="teltonika"):
        await run_fleet([member(spec)], Server("http://localhost:1"), clock)


def test_the_log_gives_up_the_oldest_after_thirty_days_and_the_numbers_go_on():
    log = DeviceLog()
    start = reports(1)[0]
    for day in range(LOG_DAYS + 6):
        log.note(start._replace(time_ms=start.time_ms + day * 86_400_000))
    assert (log.first_number, len(log)) == (5, LOG_DAYS + 1)
    log.drop(2)
    assert log.first_number == 7
    assert log.oldest(1)[0].time_ms == start.time_ms + 7 * 86_400_000


def test_outages_come_again():
    outages = Outages(first_s=60, lasts_s=90, every_s=300)
    assert [outages.left_s(second) for second in (0, 59, 60, 100, 149, 150, 359, 360, 400)] == [
        *(0, 0, 90, 50, 1, 0, 0, 90, 50)
    ]
