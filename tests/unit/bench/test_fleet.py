"""The generator's tracks are the same every time and could be real."""

import numpy as np
import pytest

from odograph.bench.fleet import STEP_MS, Fleet

START_MS = 1_700_000_000_000


def test_the_same_seed_gives_the_same_tracks():
    first, second = (Fleet(20, start_ms=START_MS, seed=5).advance(300) for _ in range(2))
    assert (first == second).all()
    assert (first != Fleet(20, start_ms=START_MS, seed=6).advance(300)).any()


def test_each_vehicles_times_grow_across_stretches():
    fleet = Fleet(50, start_ms=START_MS)
    fixes = np.concatenate([fleet.advance(200), fleet.advance(200)], axis=1)
    gaps_ms = np.diff(fixes["time_ms"], axis=1)
    assert gaps_ms.min() > 0
    assert np.median(gaps_ms) == STEP_MS


def test_some_steps_are_off_the_beat():
    fixes = Fleet(50, start_ms=START_MS).advance(1000)
    off = (fixes["time_ms"] - START_MS) % STEP_MS != 0
    assert off.mean() == pytest.approx(0.08, abs=0.01)


def test_a_standing_vehicle_repeats_its_position():
    fixes = Fleet(50, start_ms=START_MS).advance(1000)
    stands = (fixes["speed_ckmh"][:, 1:] == 0) & (fixes["speed_ckmh"][:, :-1] == 0)
    # A driving vehicle may brake to 0 for a step: its receiver's noise still moves it.
    same = fixes["lat_e7"][:, 1:] == fixes["lat_e7"][:, :-1]
    assert 0.2 < stands.mean() < 0.4
    assert same[stands].mean() > 0.9


def test_no_vehicle_leaves_the_region_or_jumps():
    fixes = Fleet(30, start_ms=START_MS, step_ms=60_000).advance(3000)
    assert fixes["lat_e7"].min() > 25 * 10**7
    assert fixes["lat_e7"].max() < 55 * 10**7
    assert fixes["lon_e7"].min() > -99 * 10**7
    assert fixes["lon_e7"].max() < -70 * 10**7
    assert fixes["heading_cdeg"].max() < 36_000
    metres = np.abs(np.diff(fixes["lat_e7"].astype(np.int64), axis=1)).max() / 1e7 * 111_320
    assert metres < 130 / 3.6 * 60 * 1.1
