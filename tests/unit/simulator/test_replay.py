"""A replay sends everything once, in each vehicle's order, and tells what became of it."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, date, datetime

import pytest

from odograph.errors import Refusal
from odograph.protocols.base import Claim
from odograph.simulator import replay as module
from odograph.simulator.replay import Progress, ReplayPlan, replay
from tests.unit.simulator.doubles import HANG_UP, failure

START_S = 1_600_000_000


def line(vehicle, second, lat=30.5):
    time = datetime.fromtimestamp(START_S + second, UTC).isoformat()
    return f"{vehicle},{time},{lat},-97.5,90,30"


@pytest.fixture
def recording(tmp_path):
    def write(lines, name="recording.csv"):
        path = tmp_path / name
        path.write_text("\n".join(["vehicle_id,time_iso,lat,lon,heading_deg,speed_mph", *lines]) + "\n")
        return path

    return write


@pytest.fixture
def plan(server, tmp_path):
    def make(*files, protocol="batch", **more):
        defaults = {"speed": None, "state_path": tmp_path / "state.json", "claim_of": lambda v: Claim(v, "key")}
        return ReplayPlan(files=files, server=server.server, protocol=protocol, **{**defaults, **more})

    return make


def seconds_of(server, vehicle, origin_s=START_S):
    return [report.time_ms / 1000 - origin_s for report in server.heard.get(vehicle, [])]


@pytest.mark.parametrize("protocol", ["batch", "osmand", "owntracks"])
async def test_everything_arrives_once_and_in_each_vehicles_order(server, clock, recording, plan, protocol):
    pick = random.Random(5)
    seconds = list(range(60))
    pick.shuffle(seconds)
    path = recording([line(f"van-{second % 3}", second) for second in seconds])
    summary = await replay(plan(path, protocol=protocol), clock=clock)
    for van in range(3):
        assert seconds_of(server, f"van-{van}") == [second for second in seconds if second % 3 == van]
    assert (summary.tally.sent, summary.tally.taken, summary.vehicles) == (60, 60, 3)
    assert not summary.unsent


async def test_the_summary_tells_stored_known_refused_bad_and_unsent_apart(server, clock, recording, plan):
    lines = [line("a", 0), line("a", 0), line("a", 1, lat=400), "a,yesterday,1,2,,", line("stray", 1), line("a", 2)]
    claims = {"a": Claim("a", "key")}
    summary = await replay(plan(recording(lines), claim_of=claims.get), clock=clock)
    tally = summary.tally
    assert (tally.sent, tally.taken, tally.stored, tally.known) == (4, 3, 2, 1)
    assert tally.refused == {"latitude_out_of_range": 1}
    assert summary.unsent == {"no device is known for this vehicle": 1}
    assert [(bad.line, bad.reason[:8]) for bad in summary.bad] == [(5, "time_iso")]


async def test_batches_are_bounded_and_never_more_run_at_once_than_was_said(server, clock, recording, plan):
    path = recording([line(f"van-{second % 8}", second) for second in range(400)])
    await replay(plan(path, batch_size=7, concurrency=3), clock=clock)
    assert sum(len(heard) for heard in server.heard.values()) == 400
    assert server.busiest <= 3
    assert len(server.requests) >= 400 / 7


async def test_reading_waits_for_the_answers_instead_of_filling_the_memory(
    server, clock, recording, plan, monkeypatch
):
    monkeypatch.setattr(module, "READ_AHEAD", 20)
    path = recording([line(f"van-{second % 2}", second) for second in range(500)])
    await replay(plan(path), clock=clock)
    assert max(len(request.body) for request in server.requests) < 3000
    assert sum(len(heard) for heard in server.heard.values()) == 500


async def test_at_its_own_pace_each_report_is_sent_when_its_time_has_come(server, clock, recording, plan):
    path = recording([line("a", second) for second in (0, 5, 10, 100)] + [line("b", 7)])
    begun = clock.steady_s()
    await replay(plan(path, speed=1.0), clock=clock)
    assert seconds_of(server, "a") == [0, 5, 10, 100]
    assert 100 <= clock.steady_s() - begun < 110


async def test_sixty_times_faster_takes_a_sixtieth(server, clock, recording, plan):
    path = recording([line("a", second) for second in range(0, 601, 60)])
    begun = clock.steady_s()
    await replay(plan(path, speed=60.0), clock=clock)
    assert 10 <= clock.steady_s() - begun < 20


@pytest.mark.parametrize(("speed", "first"), [(1.0, 0), (60.0, -590), (None, -600)])
async def test_now_moves_the_recording_so_that_nothing_lies_in_the_future(
    server, clock, recording, plan, speed, first
):
    path = recording([line("a", second) for second in range(0, 601, 60)])
    begun = clock.now_ms()
    await replay(plan(path, speed=speed, now=True), clock=clock)
    heard = seconds_of(server, "a", begun / 1000)
    assert [round(second) for second in heard] == list(range(first, first + 601, 60))
    assert server.heard["a"][-1].time_ms <= clock.now_ms()


async def test_a_replay_cut_off_goes_on_where_it_was_answered(server, clock, recording, plan):
    path = recording([line(f"van-{second % 2}", second) for second in range(200)])
    first = plan(path, batch_size=10, concurrency=1, now=True)
    running = asyncio.create_task(replay(first, clock=clock))
    await server.after_requests(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    before = sum(len(heard) for heard in server.heard.values())
    assert 0 < before < 200
    server.requests.clear()
    clock.time_ms += 3_600_000
    summary = await replay(first, clock=clock)
    assert sum(len(heard) for heard in server.heard.values()) == 200
    assert summary.resumed >= before - 10
    assert summary.tally.stored + summary.tally.known == summary.tally.sent == 200
    for van in ("van-0", "van-1"):
        assert len({second % 1 for second in seconds_of(server, van)}) == 1
        assert max(seconds_of(server, van)) - min(seconds_of(server, van)) == 198


async def test_a_finished_replay_sends_nothing_again(server, clock, recording, plan):
    path = recording([line("a", second) for second in range(20)])
    await replay(plan(path), clock=clock)
    server.requests.clear()
    summary = await replay(plan(path), clock=clock)
    assert server.requests == []
    assert (summary.resumed, summary.tally.stored) == (20, 20)


async def test_the_state_of_another_recording_is_refused(server, clock, recording, plan):
    await replay(plan(recording([line("a", 0)])), clock=clock)
    with pytest.raises(Refusal, match="another replay"):
        await replay(plan(recording([line("a", 0), line("a", 1)], "other.csv")), clock=clock)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_replay_of_which_nothing_was_answered_binds_no_later_one(
    server, clock, recording, plan, tmp_path, status
):
    path = recording([line("a", second) for second in range(5)])
    server.fails.append(failure(status))
    refused = await replay(plan(path), clock=clock)
    assert (refused.tally.sent, refused.unsent.total()) == (0, 5)
    assert not (tmp_path / "state.json").exists()
    await replay(plan(path, now=True), clock=clock)
    assert server.heard["a"][-1].time_ms == clock.now_ms()


async def test_a_state_that_an_earlier_version_kept_of_nothing_binds_nobody(
    server, clock, recording, plan, tmp_path
):
    path = recording([line("a", 0)])
    kept = {"format": 1, "files": [["recording.csv", path.stat().st_size]], "answered": {}, "shiftMs": 0}
    kept |= {"sent": 0, "taken": 0, "stored": 0, "known": 0, "sameTimeDifferent": 0, "refused": {}}
    (tmp_path / "state.json").write_text(json.dumps(kept))
    await replay(plan(path, now=True), clock=clock)
    assert server.heard["a"][0].time_ms == clock.now_ms()


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({}, {"now": True}, "made without --now. Go on without --now, or say --restart to begin anew with --now"),
        ({"now": True}, {}, "made with --now"),
        ({}, {"vehicle": "Van 7"}, "begin anew with --vehicle Van 7"),
        ({"day": date(2020, 9, 13)}, {}, "Go on with --day 2020-09-13"),
    ],
)
async def test_an_interrupted_replay_is_not_gone_on_with_as_another_one(
    server, clock, recording, plan, first, second, said
):
    path = recording([line("a", 0), line("b", 1)])
    claims = {"a": Claim("a", "key")}
    await replay(plan(path, claim_of=claims.get, **first), clock=clock)
    server.requests.clear()
    with pytest.raises(Refusal, match=said) as refused:
        await replay(plan(path, **second), clock=clock)
    assert "fixes answered for: 1" in refused.value.message
    assert server.requests == []


async def test_a_broken_state_is_told_and_not_overwritten(server, clock, recording, plan, tmp_path):
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(Refusal, match="begin anew"):
        await replay(plan(recording([line("a", 0)])), clock=clock)
    assert (tmp_path / "state.json").read_text() == "{"


async def test_a_vehicle_that_is_turned_away_does_not_stop_the_others(server, clock, recording, plan):
    path = recording([line(van, second) for van in ("a", "b") for second in range(5)])
    server.fails.append(failure(403, message="disabled"))
    summary = await replay(plan(path, concurrency=1), clock=clock)
    assert list(summary.unsent.values()) == [5]
    assert summary.tally.stored == 5
    again = await replay(plan(path, concurrency=1), clock=clock)
    assert again.tally.stored == 10
    assert not again.unsent


async def test_nothing_is_lost_when_the_server_drops_every_other_request(server, clock, recording, plan):
    path = recording([line("a", second) for second in range(50)])
    for _ in range(10):
        server.fails.extend([HANG_UP, failure(503, "retry-after: 3")])
    summary = await replay(plan(path, batch_size=5), clock=clock)
    assert seconds_of(server, "a") == list(range(50))
    assert summary.tally.taken == 50


async def test_a_server_that_is_gone_leaves_everything_unsent_and_nothing_taken(server, clock, recording, plan):
    path = recording([line("a", second) for second in range(5)])
    server.fails.extend([HANG_UP] * 500)
    shown: list[Progress] = []
    summary = await replay(plan(path, patience_s=60), shown.append, clock=clock)
    assert (summary.tally.taken, summary.unsent.total()) == (0, 5)
    assert any("trying again" in progress.waiting for progress in shown)


@pytest.mark.parametrize("speed", [None, 1000.0])
async def test_progress_grows_to_the_total(server, clock, recording, plan, speed):
    path = recording([line("a", second) for second in range(2000)])
    shown: list[Progress] = []
    await replay(plan(path, speed=speed, batch_size=50), shown.append, clock=clock)
    done = [progress.done for progress in shown]
    assert done == sorted(done)
    assert shown[-1].done == shown[-1].total > 0


async def test_no_files_no_pace_and_unknown_protocols_are_refused_before_anything_is_sent(
    server, clock, recording, plan
):
    path = recording([line("a", 0)])
    for wrong in (plan(), plan(path, speed=0.0), plan(path, protocol="gt06"), plan(path.with_name("none.csv"))):
        with pytest.raises(Refusal):
            await replay(wrong, clock=clock)
    assert server.requests == []
