"""Runs of recurring routes: each once, at their local times, following their pattern while they have not begun."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
import pytest_asyncio

from odograph.catalog import assets, drivers, recurring, routes
from odograph.catalog.changes import Plan, put
from odograph.catalog.drivers import DriverFields
from odograph.catalog.planner import DAYS_AHEAD, KEEP_MS, MAX_RUNS, Planner, runs_of, start_ms
from odograph.catalog.recurring import PlannedStopFields, RecurringFields
from odograph.catalog.stops import Place
from odograph.model.catalog import RecurringRoute
from odograph.model.ids import OrgId, RouteId
from tests.support.api import NOON_MS, World, open_world

DEPOT, SHOP, YARD = (Place(52.0, 4.0 + step, "", 0.0) for step in (0, 0.1, 0.2))
STOPS = [
    PlannedStopFields(place=DEPOT, departure_s=0),
    PlannedStopFields(place=SHOP, arrival_s=600),
    PlannedStopFields(place=YARD, arrival_s=1800),
]
FIRST_RUN_MS = NOON_MS + 20 * 3_600_000 + 1_800_000  # the clock stands at 10:00, the run is at 06:30


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World) -> OrgId:
    return await world.make_org("Acme")


@pytest.fixture
def planner(world: World) -> Planner:
    return Planner(world.context.live, world.catalog)


async def make(world: World, org: OrgId, **fields) -> RouteId:
    given = {"name": "Line 4", "start_times": ["06:30"], "stops": STOPS, **fields}
    return RouteId((await recurring.create(world.catalog, org, RecurringFields(**given))).body.number)


def runs(world: World, org: OrgId, pattern: RouteId):
    return [one.body for one in world.directory.routes.runs(org, pattern)]


async def test_a_week_is_planned_and_planning_again_changes_nothing(world, acme, planner):
    pattern = await make(world, acme, external_ids={"erp": "1"})
    await planner.plan()
    found = runs(world, acme, pattern)
    assert [run.run_date for run in found] == [f"2024-05-{day:02d}" for day in range(2, 2 + DAYS_AHEAD)]
    first = found[0]
    assert first.stops[0].scheduled_departure_ms == FIRST_RUN_MS
    assert [stop.scheduled_arrival_ms for stop in first.stops] == [
        0,
        FIRST_RUN_MS + 600_000,
        FIRST_RUN_MS + 1_800_000,
    ]
    assert len({stop.number for run in found for stop in run.stops}) == 3 * len(found)
    rev = world.directory.rev
    await planner.plan()
    assert world.directory.rev == rev
    world.clock.time_ms += 86_400_000
    await planner.plan()
    assert [run.run_date for run in runs(world, acme, pattern)][-1] == "2024-05-09"


async def test_weekdays_dates_and_start_times_say_which_runs_there_are(world, acme, planner):
    pattern = await make(
        world,
        acme,
        weekdays=["Thursday", "friday", "saturday"],
        start_times=["17:00", "09:00", "17:00"],
        first_date="2024-05-03",
        last_date="2024-05-04",
    )
    await planner.plan()
    assert [routes.run_name(run) for run in runs(world, acme, pattern)] == [
        f"2024-05-{day}T{time}" for day in ("03", "04") for time in ("09:00", "17:00")
    ]


async def test_a_run_of_today_is_planned_while_its_time_has_not_come(world, acme, planner):
    pattern = await make(world, acme, start_times=["09:59", "10:00", "10:01"], last_date="2024-05-01")
    await planner.plan()
    assert [run.run_time for run in runs(world, acme, pattern)] == ["10:01"]


async def test_a_changed_pattern_changes_the_runs_to_come_under_their_numbers(world, acme, planner):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "9"})
    pattern = await make(world, acme, start_times=["06:30", "12:30"])
    await planner.plan()
    before = runs(world, acme, pattern)
    begun = world.directory.routes.find_by_number(acme, before[0].number)
    await keep(world, acme, msgspec.structs.replace(begun.body, started_ms=NOON_MS), begun)
    fields = RecurringFields(name="Line 5", vehicle="erp:9", start_times=["06:30"], stops=STOPS[:2])
    await recurring.update(world.catalog, acme, pattern, fields)
    await planner.plan()
    after = runs(world, acme, pattern)
    assert (after[0].number, after[0].name, len(after[0].stops)) == (before[0].number, "Line 4", 3)
    kept = {run.number: run for run in before if run.run_time == "06:30"}
    assert {run.number for run in after[1:]} == set(kept)
    for run in after[1:]:
        assert (run.name, run.asset_id, run.run_time) == ("Line 5", van.body.number, "06:30")
        assert [stop.number for stop in run.stops] == [stop.number for stop in kept[run.number].stops[:2]]
    assert {run.run_time for run in after[1:]} == {"06:30"}


@pytest.mark.parametrize("most", [1, 3, MAX_RUNS])
async def test_runs_keep_their_numbers_when_their_start_time_is_moved(world, acme, planner, monkeypatch, most):
    monkeypatch.setattr("odograph.catalog.planner.MAX_RUNS", most)
    pattern = await make(world, acme, start_times=["06:30", "09:00", "12:30"])
    await planner.plan()

    def of_days():
        days: dict[str, dict[str, list[int]]] = {}
        for run in runs(world, acme, pattern):
            days.setdefault(run.run_date, {})[run.run_time] = [run.number, *(stop.number for stop in run.stops)]
        return {date: day for date, day in days.items() if date > "2024-05-01"}

    async def move(*start_times):
        world.clock.time_ms += 1
        await recurring.update(world.catalog, acme, pattern, RecurringFields(start_times=start_times))
        await planner.plan()
        return of_days()

    before, after = of_days(), await move("07:00", "09:00", "13:00")
    assert len(before) == DAYS_AHEAD
    for date, day in after.items():
        old = before[date]
        assert day == {"07:00": old["06:30"], "09:00": old["09:00"], "13:00": old["12:30"]}
    run = world.directory.routes.find_by_number(acme, after["2024-05-02"]["07:00"][0]).body
    assert run.stops[0].scheduled_departure_ms == FIRST_RUN_MS + 1_800_000
    fewer = await move("08:00", "09:00")
    assert all(day == {"08:00": after[date]["07:00"], "09:00": after[date]["09:00"]} for date, day in fewer.items())
    more = await move("09:00", "10:00", "11:00")
    for date, day in more.items():
        assert (day["09:00"], day["10:00"]) == (fewer[date]["09:00"], fewer[date]["08:00"])
        assert len(day) == 3


async def keep(world: World, org: OrgId, body, old) -> None:
    plan = Plan([put(old, org, body)], lambda _: None)
    await world.catalog.change(lambda: plan)


async def test_runs_for_a_driver_have_the_vehicle_that_is_assigned_to_him(world, acme, planner):
    van, other = [await world.make_vehicle(acme, name=name, external_ids={"erp": name}) for name in "ab"]
    driver = await drivers.create(
        world.catalog, acme, DriverFields(name="Dee", username="dee", vehicle="erp:a", external_ids={"erp": "d"})
    )
    pattern = await make(world, acme, driver="erp:d")
    await planner.plan()
    assert {run.vehicle_id for run in runs(world, acme, pattern)} == {van.body.number}
    assert {run.assigned_ms for run in runs(world, acme, pattern)} == {0}
    world.clock.time_ms += 1
    await assets.update(world.catalog, acme, other.body.number, assets.AssetFields(driver="erp:d"))
    moved = runs(world, acme, pattern)
    assert {(run.vehicle_id, run.assigned_ms) for run in moved} == {(other.body.number, NOON_MS + 1)}
    await recurring.update(world.catalog, acme, pattern, RecurringFields(notes="new"))
    await planner.plan()
    assert {(run.notes, run.assigned_ms) for run in runs(world, acme, pattern)} == {("new", NOON_MS + 1)}
    await assets.remove(world.catalog, acme, other.body.number)
    assert {run.vehicle_id for run in runs(world, acme, pattern)} == {0}
    assert {run.driver_id for run in runs(world, acme, pattern)} == {driver.body.number}


async def test_a_run_that_was_changed_or_deleted_by_itself_stays_so(world, acme, planner):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "9"})
    pattern = await make(world, acme)
    await planner.plan()
    first, second, *_ = runs(world, acme, pattern)
    await routes.update(world.catalog, acme, RouteId(first.number), routes.RouteFields(vehicle="erp:9"))
    await routes.remove(world.catalog, acme, RouteId(second.number))
    await planner.plan()
    now = runs(world, acme, pattern)
    assert now[0].asset_id == van.body.number
    assert second.run_date not in {run.run_date for run in now}
    world.clock.time_ms += 1
    await recurring.update(world.catalog, acme, pattern, RecurringFields(notes="new"))
    await planner.plan()
    now = runs(world, acme, pattern)
    assert (now[0].asset_id, now[0].notes) == (0, "new")
    assert second.run_date not in {run.run_date for run in now}


async def test_deleting_a_run_with_the_later_ones_ends_the_pattern(world, acme, planner):
    pattern = await make(world, acme, start_times=["06:30", "12:30"])
    await planner.plan()
    third = runs(world, acme, pattern)[2]
    assert routes.run_name(third) == "2024-05-02T12:30"
    await routes.remove(world.catalog, acme, RouteId(third.number), with_later=True)
    world.clock.time_ms += 3_600_000
    await planner.plan()
    assert [routes.run_name(run) for run in runs(world, acme, pattern)] == [
        "2024-05-01T12:30",
        "2024-05-02T06:30",
    ]


async def test_deleting_a_pattern_leaves_what_has_begun(world, acme, planner):
    pattern = await make(world, acme)
    await planner.plan()
    begun = world.directory.routes.runs(acme, pattern)[0]
    await keep(world, acme, msgspec.structs.replace(begun.body, started_ms=NOON_MS), begun)
    await recurring.remove(world.catalog, acme, pattern)
    await planner.plan()
    assert [run.number for run in runs(world, acme, pattern)] == [begun.body.number]


async def test_many_runs_are_planned_in_several_commits(world, acme, planner, monkeypatch):
    times = [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in (0, 30)]
    pattern = await make(world, acme, start_times=times)
    sizes = []
    write = world.store.write

    async def count(changes):
        sizes.append(sum(change.kind == "route" for change in changes))
        return await write(changes)

    monkeypatch.setattr(world.store, "write", count)
    await planner.plan()
    assert max(sizes) == MAX_RUNS
    assert sum(sizes) == len(runs(world, acme, pattern)) == 27 + 48 * DAYS_AHEAD


async def test_the_service_plans_when_a_pattern_is_made(world, acme, planner):
    planned = asyncio.Event()
    world.context.live.watchers += [
        planner.take,
        lambda committed: planned.set() if any(one.kind == "route" for one in committed.records) else None,
    ]
    task = asyncio.create_task(planner.run())
    try:
        await asyncio.sleep(0)
        pattern = await make(world, acme)
        async with asyncio.timeout(10):
            await planned.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert runs(world, acme, pattern)


@pytest.mark.parametrize(
    ("zone", "run_date", "run_time", "utc"),
    [
        ("Europe/Berlin", "2025-03-29", "02:30", "2025-03-29T01:30"),
        ("Europe/Berlin", "2025-03-30", "01:59", "2025-03-30T00:59"),
        ("Europe/Berlin", "2025-03-30", "02:30", "2025-03-30T01:30"),  # skipped by the clocks: 03:30 there
        ("Europe/Berlin", "2025-03-30", "03:30", "2025-03-30T01:30"),
        ("Europe/Berlin", "2025-10-26", "02:30", "2025-10-26T00:30"),  # comes twice: the first
        ("Europe/Berlin", "2025-10-26", "03:00", "2025-10-26T02:00"),
        ("Australia/Lord_Howe", "2025-10-05", "02:15", "2025-10-04T15:45"),  # half an hour is skipped: 02:45
        ("Pacific/Apia", "2025-01-01", "00:30", "2024-12-31T11:30"),
        ("America/St_Johns", "2025-07-01", "06:00", "2025-07-01T08:30"),
    ],
)
def test_local_times_are_those_of_the_clocks_there(zone, run_date, run_time, utc):
    moment = datetime.fromtimestamp(start_ms(zone, run_date, run_time) / 1000, UTC)
    assert moment.isoformat(timespec="minutes") == f"{utc}+00:00"


def test_every_day_around_a_change_of_the_clocks_has_its_run_once():
    body = RecurringRoute(
        number=1,
        name="Night",
        stops=(),
        created_ms=0,
        updated_ms=0,
        timezone="Europe/Berlin",
        start_times=("02:30",),
        weekdays=tuple(range(7)),
    )
    for day in (26, 23):
        noon_ms = start_ms("Europe/Berlin", f"2025-{'03' if day == 26 else '10'}-{day}", "12:00")
        found = list(runs_of(body, noon_ms))
        assert len({run_date for run_date, _, _ in found}) == len(found) == DAYS_AHEAD
        pauses_h = {round((b[2] - a[2]) / 3_600_000) for a, b in pairwise(found)}
        assert pauses_h <= {23, 24, 25}


async def test_runs_that_ended_long_ago_go(world, acme, planner):
    pattern = await make(world, acme)
    await planner.plan()
    first = world.directory.routes.runs(acme, pattern)[0]
    await keep(world, acme, msgspec.structs.replace(first.body, started_ms=1, ended_ms=NOON_MS), first)
    world.clock.time_ms += KEEP_MS
    await planner.plan()
    assert first.body.number in {run.number for run in runs(world, acme, pattern)}
    world.clock.time_ms += 1
    await planner.plan()
    assert first.body.number not in {run.number for run in runs(world, acme, pattern)}
