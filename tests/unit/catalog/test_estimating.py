"""Arrival times from earlier drives: what is kept of a drive, and what is said of the next one."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from odograph.catalog.arrivals import MAX_ARRIVALS, Arrivals, samples_of
from odograph.live.arrivals import Arrivals as Known
from odograph.model.catalog import Arrival
from odograph.model.ids import AssetId, OrgId, RecordId
from odograph.model.place import Position
from odograph.sharing.estimating import MIN_DRIVES, Learned, _medians_without_each
from odograph.store.base import OrgFixes, Record
from tests.support.api import NOON_MS, World, open_world
from tests.support.driving import MINUTE_MS, at_m, make_fixes

ORG = OrgId(1)
PLACE = Position(0.0, at_m(0))


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


def far(metres: float) -> Position:
    return Position(0.0, at_m(metres))


def test_a_drive_is_kept_as_the_seconds_from_each_distance_on():
    fixes = make_fixes(1, [(-20, 4000), (-12, 2500), (-10, 1500), (-5, 2100), (-4, 1900), (-2, 500.1), (0, 0)])
    assert samples_of(fixes, PLACE, NOON_MS) == ((2000, 270), (1000, 163), (500, 120))


def test_what_it_crossed_while_nothing_was_heard_is_left_out():
    fixes = make_fixes(1, [(-60, 40_000), (-50, 3500), (-49, 2900), (-10, 800), (-9, 400), (0, 0)])
    assert [step for step, _ in samples_of(fixes, PLACE, NOON_MS)] == [3000, 500]
    assert samples_of(make_fixes(1, [(-60, 10), (0, 0)]), PLACE, NOON_MS) == ()
    assert samples_of(make_fixes(1, [(5, 5000)]), PLACE, NOON_MS) == ()


def test_doubtful_fixes_are_no_drive():
    fixes = make_fixes(1, [(-4, 6000), (-2, 5900), (0, 0)])
    fixes["marks"][:2] = 4
    assert samples_of(fixes, PLACE, NOON_MS) == ()


async def test_drives_are_noted_up_to_a_number_and_the_oldest_goes(world):
    acme = await world.make_org("Acme")
    other = await world.make_org("Other")
    van = await world.make_vehicle(acme, name="Van")
    noting = Arrivals(world.context.live, world.catalog)
    await report(world, acme, make_fixes(van.body.number, [(-4, 3000), (-2, 1500), (0, 0)]))
    for number in range(3):
        await noting.note(acme, AssetId(van.body.number), PLACE, NOON_MS + number)
    await noting.note(acme, AssetId(van.body.number), far(90_000), NOON_MS - 4 * MINUTE_MS)
    kept = [one.body for one in world.directory.arrivals.list_(acme)]
    assert [one.arrived_ms - NOON_MS for one in kept] == [0, 1, 2]
    assert (kept[0].asset_id, kept[0].samples) == (van.body.number, ((2000, 160), (1000, 80), (500, 40)))
    assert world.directory.arrivals.list_(other) == []
    world.directory.arrivals.count = lambda org: MAX_ARRIVALS + 1
    await noting.note(acme, AssetId(van.body.number), PLACE, NOON_MS + 9)
    assert [one.body.arrived_ms - NOON_MS for one in world.directory.arrivals.list_(acme)] == [2, 9]


async def report(world: World, org: OrgId, fixes) -> None:
    await world.store.append([OrgFixes(org, fixes)])


def known(*drives: tuple[float, int, int], org: OrgId = ORG) -> Known:
    """Drives to places so many metres away from PLACE: (metres, distance of the sample, seconds)."""
    arrivals = Known()
    for number, (metres, step_m, seconds) in enumerate(drives, 1):
        body = Arrival(1, 0.0, at_m(metres), NOON_MS, ((step_m, seconds),))
        arrivals.put(Record(org, "arrival", RecordId(number), number, msgspec.json.encode(body)))
    return arrivals


def ask(arrivals: Known, metres: float, org: OrgId = ORG):
    found = Learned(arrivals).estimate(org, AssetId(1), far(metres), PLACE, NOON_MS)
    return None if found is None else tuple(round((one - NOON_MS) / 1000) for one in found)


def test_the_middle_of_earlier_drives_and_how_wrong_it_was():
    seconds = [280, 290, 300, 310, 320, 300, 305, 295, 300, 600]
    at, earliest, latest = ask(known(*((0, 5000, one) for one in seconds)), 5000)
    assert at == 300
    assert earliest == pytest.approx(280, abs=3)
    assert latest == pytest.approx(600, abs=10)
    half = ask(known(*((0, 5000, one) for one in seconds)), 4000)
    assert half[0] == 240


def test_fewer_drives_than_tell_anything_give_no_estimate():
    assert ask(known(*[(0, 5000, 300)] * (MIN_DRIVES - 1)), 5000) is None
    assert ask(known(*[(0, 5000, 300)] * MIN_DRIVES), 5000) == (300, 300, 300)
    assert ask(known(*[(0, 5000, 300)] * MIN_DRIVES), 9000) is None
    assert ask(known(*[(0, 5000, 300)] * MIN_DRIVES), 5) is None
    assert ask(known(*[(0, 5000, 300)] * MIN_DRIVES), 5000, OrgId(2)) is None


def test_drives_to_the_place_itself_count_before_those_nearby_and_those_elsewhere():
    elsewhere = [(60_000, 5000, 900)] * 20
    nearby = [(10_000, 5000, 600)] * 9
    here = [(100, 5000, 300)] * 8
    assert ask(known(*elsewhere), 5000)[0] == 900
    assert ask(known(*elsewhere, *nearby), 5000)[0] == 600
    assert ask(known(*elsewhere, *nearby, *here), 5000)[0] == 300
    assert ask(known(*elsewhere, *nearby[:3], *here[:4]), 5000)[0] == 900


def test_new_drives_are_learned():
    arrivals = known(*[(0, 5000, 300)] * (MIN_DRIVES - 1))
    learned = Learned(arrivals)
    assert learned.estimate(ORG, AssetId(1), far(5000), PLACE, NOON_MS) is None
    for number in range(100, 130):
        body = Arrival(1, 0.0, at_m(0), NOON_MS, ((5000, 600),))
        arrivals.put(Record(ORG, "arrival", RecordId(number), number, msgspec.json.encode(body)))
    estimate = learned.estimate(ORG, AssetId(1), far(5000), PLACE, NOON_MS)
    assert estimate is not None
    assert estimate.at_ms == NOON_MS + 600_000


@pytest.mark.parametrize("count", [8, 9, 20, 31])
def test_medians_without_each_are_those_of_the_others(count):
    numbers = np.sort(np.random.default_rng(count).random(count))
    slow = [np.median(np.delete(numbers, at)) for at in range(count)]
    assert np.allclose(_medians_without_each(numbers), slow)
