"""Routes that follow the log: in time, late, over restarts and changes; other vehicles cost nothing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odograph.catalog import drivers
from odograph.catalog.arrivals import Arrivals
from odograph.catalog.changes import Plan, put, written
from odograph.catalog.drivers import DriverFields
from odograph.catalog.progress import Progress
from odograph.catalog.runs import Run, cleared, fences_of, windows
from odograph.errors import unavailable
from odograph.live.entity import Entity
from odograph.model.catalog import Address, Route
from odograph.model.fixes import Fixes
from odograph.model.ids import OrgId
from odograph.model.place import Geofence
from odograph.store.base import OrgFixes
from tests.support.api import NOON_MS, World, open_world, public_id
from tests.support.driving import MINUTE_MS, at_m, make_fixes, make_route, minutes


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World) -> OrgId:
    return await world.make_org("Acme")


@pytest.fixture
def progress(world: World) -> Progress:
    return start(world)


def start(world: World) -> Progress:
    """A service that knows nothing yet, as after a restart."""
    progress = Progress(world.context.live, world.catalog, Arrivals(world.context.live, world.catalog))
    world.context.live.watchers[:] = [progress.take]
    return progress


async def keep(world: World, org: OrgId, route: Route, old: Entity[Route] | None = None) -> Entity[Route]:
    plan = Plan([put(old, org, route)], lambda records: written(records[0], route))
    return await world.catalog.change(lambda: plan)


async def report(world: World, org: OrgId, fixes: Fixes) -> None:
    """Appended, with the clock no earlier than the newest of them."""
    world.clock.time_ms = max(world.clock.time_ms, int(fixes["time_ms"].max()))
    await world.store.append([OrgFixes(org, fixes)])


def now(world: World, org: OrgId, number: int = 1) -> Route:
    found = world.directory.routes.find_by_number(org, number)
    assert found is not None
    return found.body


DRIVE = [(0, 0), (1, 400), (8, 4950), (9, 5010), (11, 5300), (20, 8910), (21, 9000)]


async def test_a_route_fills_as_its_vehicle_reports(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    await keep(world, acme, make_route(1, [0, 5000, 9000], asset_id=van.body.number))
    seen = []
    for fix in make_fixes(van.body.number, DRIVE):
        await report(world, acme, np.array([fix]))
        await progress.catch_up()
        route = now(world, acme)
        seen.append([minutes(stop.arrived_ms) for stop in route.stops])
    assert seen == [[0, None, None]] * 2 + [[0, 8, None]] * 3 + [[0, 8, 20]] * 2
    assert (minutes(route.started_ms), minutes(route.ended_ms)) == (1, 20)
    assert not world.directory.routes.open_assets()


async def test_the_vehicle_assigned_to_a_driver_counts_for_his_routes(world, acme, progress):
    vans = [await world.make_vehicle(acme, name=name) for name in ("Van", "Other")]
    driver = await drivers.create(world.catalog, acme, DriverFields(name="Dee", username="dee"))
    number = driver.body.number
    await keep(world, acme, make_route(1, [0, 5000, 9000], driver_id=number))

    async def drives(van):
        text = "0" if van is None else public_id(van)
        await drivers.update(world.catalog, acme, number, DriverFields(vehicle=text))
        await progress.catch_up()
        return [minutes(stop.arrived_ms) for stop in now(world, acme).stops]

    await report(world, acme, make_fixes(vans[0].body.number, DRIVE[:4]))
    await report(world, acme, make_fixes(vans[1].body.number, [(0, 0), (2, 400), (9, 3000)]))
    await progress.catch_up()
    assert now(world, acme).started_ms == 0
    assert await drives(vans[0]) == [0, 8, None]
    assert now(world, acme).assigned_ms == world.clock.now_ms()
    assert await drives(vans[1]) == [0, None, None]
    assert await drives(None) == [0, None, None], "what was found stays"
    assert now(world, acme).vehicle_id == 0
    assert await drives(vans[0]) == [0, 8, None]
    await report(world, acme, make_fixes(vans[0].body.number, DRIVE[4:]))
    await progress.catch_up()
    assert minutes(now(world, acme).ended_ms) == 20
    assert await drives(vans[1]) == [0, 8, 20]
    assert now(world, acme).vehicle_id == vans[0].body.number, "a route that ended keeps whom it had"


async def test_late_fixes_fill_what_was_missed_and_move_what_came_before(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    await keep(world, acme, make_route(1, [0, 5000, 9000], asset_id=van.body.number))
    fixes = make_fixes(van.body.number, DRIVE)
    await report(world, acme, fixes[[0, 1, 5]])
    await progress.catch_up()
    missed = now(world, acme).stops[1]
    assert (minutes(now(world, acme).ended_ms), missed.arrived_ms, minutes(missed.skipped_ms)) == (None, 0, None)
    await report(world, acme, make_fixes(van.body.number, [(22, 9000)]))
    await progress.catch_up()
    assert minutes(now(world, acme).stops[1].skipped_ms) == 20
    assert minutes(now(world, acme).ended_ms) == 20
    await report(world, acme, fixes[2:5])
    await progress.catch_up()
    late = now(world, acme)
    assert [minutes(stop.arrived_ms) for stop in late.stops] == [0, 8, 20]
    assert (late.stops[1].skipped_ms, minutes(late.ended_ms)) == (0, 20)


async def test_a_restart_goes_on_where_it_was_and_looks_up_what_it_missed(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    await keep(world, acme, make_route(1, [0, 5000, 9000], asset_id=van.body.number))
    fixes = make_fixes(van.body.number, DRIVE)
    await report(world, acme, fixes[:2])
    await progress.catch_up()
    world.context.live.watchers.clear()
    await report(world, acme, fixes[2:4])
    again = start(world)
    await again.look_at_all()
    await again.catch_up()
    assert minutes(now(world, acme).stops[1].arrived_ms) == 8
    await report(world, acme, fixes[4:])
    await again.catch_up()
    assert minutes(now(world, acme).ended_ms) == 20


async def test_a_changed_plan_is_followed_from_the_beginning(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    other = await world.make_vehicle(acme, name="Other")
    await keep(world, acme, make_route(1, [0, 5000, 9000], asset_id=van.body.number))
    await report(world, acme, make_fixes(van.body.number, DRIVE[:4]))
    await report(world, acme, make_fixes(other.body.number, [(0, 0), (2, 400)]))
    await progress.catch_up()
    assert minutes(now(world, acme).started_ms) == 1
    old = world.directory.routes.find_by_number(acme, 1)
    await keep(world, acme, cleared(msgspec.structs.replace(old.body, asset_id=other.body.number)), old)
    await progress.catch_up()
    route = now(world, acme)
    assert (minutes(route.started_ms), route.stops[1].arrived_ms) == (2, 0)
    await report(world, acme, make_fixes(van.body.number, DRIVE[4:]))
    await progress.catch_up()
    assert now(world, acme) == route


async def test_only_one_run_of_a_vehicle_is_under_way(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    asset = van.body.number
    await keep(world, acme, make_route(1, [0, 5000, 20_000], asset_id=asset))
    await keep(world, acme, make_route(2, [0, 9000], start_min=60, asset_id=asset))
    track = [(0, 0), (1, 400), (9, 5000), (12, 4000), (50, 0), (61, 300), (70, 9000)]
    for fix in make_fixes(asset, track):
        await report(world, acme, np.array([fix]))
        await progress.catch_up()
    first, second = now(world, acme, 1), now(world, acme, 2)
    assert (minutes(first.started_ms), minutes(first.ended_ms)) == (1, 61)
    assert minutes(first.stops[2].skipped_ms) == 61
    assert (minutes(second.started_ms), minutes(second.ended_ms)) == (61, 70)


async def test_a_run_ends_by_the_clock_alone(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    await keep(world, acme, make_route(1, [0, 5000], asset_id=van.body.number))
    await report(world, acme, make_fixes(van.body.number, DRIVE[:2]))
    await progress.catch_up()
    world.clock.time_ms = NOON_MS + (10 + 12 * 60) * MINUTE_MS - 1
    await progress.look_at_all()
    await progress.catch_up()
    assert not now(world, acme).ended_ms
    world.clock.time_ms += 1
    await progress.look_at_all()
    await progress.catch_up()
    assert minutes(now(world, acme).ended_ms) == 10 + 12 * 60


async def test_nothing_is_lost_while_the_store_cannot_write(world, acme, progress, monkeypatch):
    van = await world.make_vehicle(acme, name="Van")
    await keep(world, acme, make_route(1, [0, 5000, 9000], asset_id=van.body.number))

    async def refuse(changes):
        raise unavailable("The disk is full.")

    with monkeypatch.context() as full:
        full.setattr(world.store, "write", refuse)
        await report(world, acme, make_fixes(van.body.number, DRIVE[:4]))
        with pytest.raises(Exception, match="full"):
            await progress.catch_up()
    await progress.catch_up()
    assert minutes(now(world, acme).stops[1].arrived_ms) == 8


async def test_vehicles_without_a_route_cost_no_work(world, acme, progress, monkeypatch):
    van = await world.make_vehicle(acme, name="Van")
    other = await world.make_vehicle(acme, name="Other")
    await keep(world, acme, make_route(1, [0, 5000], asset_id=van.body.number))
    await progress.catch_up()
    followed = []
    monkeypatch.setattr(Progress, "_follow", lambda self, org, asset, pieces: followed.append(asset))
    await report(world, acme, make_fixes(other.body.number, DRIVE))
    await progress.catch_up()
    assert followed == []


async def test_the_service_wakes_by_itself(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    await keep(world, acme, make_route(1, [0, 5000], asset_id=van.body.number))
    written_again = asyncio.Event()
    world.context.live.watchers.append(
        lambda committed: written_again.set() if any(one.kind == "route" for one in committed.records) else None
    )
    task = asyncio.create_task(progress.run())
    try:
        await report(world, acme, make_fixes(van.body.number, DRIVE[:2]))
        async with asyncio.timeout(10):
            await written_again.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert minutes(now(world, acme).started_ms) == 1


def expected(world: World, org: OrgId, fixes: Fixes, now_ms: int) -> list[Route]:
    """All runs of the vehicle from all of its fixes at once."""
    fixes = fixes[np.argsort(fixes["time_ms"])]
    found, starts_ms = [], 1 << 62
    for one, (begins_ms, limit_ms) in reversed(windows(world.directory.routes.list_(org))):
        closes_ms = min(limit_ms, starts_ms)
        run = Run(one.body, fences_of(world.directory, org, one.body))
        run.feed(fixes[(fixes["time_ms"] >= begins_ms) & (fixes["time_ms"] < closes_ms)])
        run.close(closes_ms, now_ms)
        found.append(run.route())
        starts_ms = min(starts_ms, found[-1].started_ms or 1 << 62)
    return sorted(found, key=lambda route: route.number)


POINTS = st.lists(
    st.tuples(st.integers(-70, 110), st.sampled_from([0, 60, 130, 900, 5000, 5130, 7000, 9000, 13_000])),
    min_size=1,
    max_size=30,
    unique_by=lambda point: point[0],
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(POINTS, st.data())
def test_any_order_of_arrival_ends_in_the_same_routes(points, data):
    """Several runs of one vehicle, batches in any order, a restart at any moment."""
    asyncio.run(arrive(points, data))


async def arrive(points, data) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with open_world(Path(directory)) as world:
            org = await world.make_org("Acme")
            asset = (await world.make_vehicle(org, name="Van")).body.number
            world.clock.time_ms = NOON_MS + 110 * MINUTE_MS
            for number, (places, start_min) in enumerate(
                [([0, 5000, 9000], 0), ([0, 5000], 35), ([5000, 0, 9000], 70)], 1
            ):
                await keep(world, org, make_route(number, places, start_min=start_min, asset_id=asset))
            progress = start(world)
            fixes = make_fixes(asset, points)
            order = data.draw(st.permutations(range(len(fixes))))
            cuts = sorted(data.draw(st.sets(st.integers(1, len(fixes)), max_size=5)))
            for part in np.split(fixes[order], cuts):
                if len(part):
                    await world.store.append([OrgFixes(org, part)])
                if data.draw(st.booleans()):
                    await progress.catch_up()
                if data.draw(st.integers(0, 5)) == 0:
                    await progress.catch_up()
                    progress = start(world)
            await progress.look_at_all()
            await progress.catch_up()
            found = [one.body for one in world.directory.routes.list_(org)]
            assert found == expected(world, org, fixes, world.clock.now_ms())


async def test_an_address_that_moves_is_looked_for_where_it_is_now(world, acme, progress):
    van = await world.make_vehicle(acme, name="Van")
    dock = Address(7, "Dock", "Quay 1", Geofence(0.0, at_m(7000), 100), 1, 1)
    plan = Plan([put(None, acme, dock)], lambda records: written(records[0], dock))
    entity = await world.catalog.change(lambda: plan)
    route = make_route(1, [0, 5000, 9000], asset_id=van.body.number)
    stops = (route.stops[0], msgspec.structs.replace(route.stops[1], address_id=7), route.stops[2])
    await keep(world, acme, msgspec.structs.replace(route, stops=stops))
    await report(world, acme, make_fixes(van.body.number, DRIVE[:3]))
    await progress.catch_up()
    assert not now(world, acme).stops[1].arrived_ms
    moved = msgspec.structs.replace(dock, fence=Geofence(0.0, at_m(5000), 100))
    await world.catalog.change(lambda: Plan([put(entity, acme, moved)], lambda _: None))
    await report(world, acme, make_fixes(van.body.number, DRIVE[3:4]))
    await progress.catch_up()
    assert minutes(now(world, acme).stops[1].arrived_ms) == 8
