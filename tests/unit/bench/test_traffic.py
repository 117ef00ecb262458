"""Traffic is planned as the issue states it, and sightings tell what was seen late, never or twice."""

import asyncio
import time

import numpy as np
import pytest

from odograph.bench.fleet import Fleet
from odograph.bench.traffic import Devices, Sightings, plan_traffic, spread_phases
from tests.unit.bench.test_load import OK, answering

BEGIN_MS = 1_700_000_000_000


def test_one_in_ten_is_late_and_one_in_twenty_is_sent_twice():
    fixes = Fleet(200, start_ms=BEGIN_MS).advance(100)
    plan = plan_traffic(fixes, BEGIN_MS, late_s=(10.0, 60.0))
    assert set(plan.indices.tolist()) == set(range(fixes.size))
    assert len(plan.indices) / fixes.size == pytest.approx(1.05, abs=0.01)
    assert (np.diff(plan.due_s) >= 0).all()
    measured_s = (fixes["time_ms"].reshape(-1)[plan.indices] - BEGIN_MS) / 1000
    first = np.unique(plan.indices, return_index=True)[1]
    waited = (plan.due_s - measured_s)[first]
    assert waited.min() >= -1e-6
    assert (waited > 1).mean() == pytest.approx(0.10, abs=0.01)


def test_phases_spread_devices_over_a_step_and_keep_each_track():
    fixes = Fleet(500, start_ms=BEGIN_MS).advance(3)
    gaps = np.diff(fixes["time_ms"], axis=1)
    spread = spread_phases(fixes, 5_000)
    assert (np.diff(spread["time_ms"], axis=1) == gaps).all()
    assert np.ptp(spread["time_ms"][:, 0]) > 4_500


def test_sightings_tell_when_never_twice_and_foreign():
    fixes = Fleet(3, start_ms=BEGIN_MS).advance(4)
    sightings = Sightings(fixes, [30, 10, 20])
    for index in range(12):
        sightings.send(index, 100.0 + index)
    sightings.send(0, 200.0)
    shown = fixes.reshape(-1).copy()
    shown["asset"] = np.array([30, 10, 20], dtype=np.uint32)[shown["asset"]]
    sightings.see(shown[[5, 0]], 110.0)
    sightings.see(shown[[5]], 111.0)
    stranger = shown[:1].copy()
    stranger["asset"] = 99
    sightings.see(stranger, 112.0)
    assert sorted(sightings.visible_after_s) == [5.0, 10.0]
    assert sightings.visible_between(104.0, 106.0).tolist() == [5.0]
    assert (sightings.lost, sightings.twice, sightings.foreign, sightings.unseen) == (10, 1, 1, 10)


async def test_a_device_waits_for_each_answer_and_sends_everything():
    fixes = spread_phases(Fleet(5, start_ms=BEGIN_MS, step_ms=100).advance(6), 100)
    got = []

    def answer(request):
        got.append(request.split(b" ")[1])
        return [b""] if len(got) == 7 else [OK]

    async with answering(answer) as address:
        devices = Devices(address, [f"key-{number}" for number in range(5)])
        await devices.open()
        begin_ms = int(time.time() * 1000)
        fixes["time_ms"] += begin_ms - BEGIN_MS
        plan = plan_traffic(fixes, begin_ms, late_s=(0.1, 0.2))
        sightings = Sightings(fixes, range(5))
        async with asyncio.timeout(20):
            await devices.run(plan, sightings)
        devices.close()
    assert len(set(got)) == fixes.size
    assert len(got) == len(plan.indices) + 1  # the one on which the server hung up came again
    assert not np.isnan(sightings.sent_s).any()
    assert devices.statuses[200] == len(plan.indices)
