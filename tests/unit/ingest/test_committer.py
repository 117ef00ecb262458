"""Group commit against a store that is held back and failed at will."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from odograph.clock import SystemClock
from odograph.errors import Kind, Refusal, unavailable
from odograph.ingest import committer as module
from odograph.ingest.committer import FEW_FIXES, MAX_COMMIT_FIXES, MAX_WAITING_FIXES, Committer
from odograph.model.fixes import FIX_ROW
from odograph.model.ids import OrgId
from tests.unit.ingest.scripted import ScriptedStore

ORG, OTHER = OrgId(1), OrgId(2)


def rows(*times: int) -> bytes:
    return b"".join(FIX_ROW.pack(1, time, 2, 3, 4, 5, 0) for time in times)


def submit(committer: Committer, org: OrgId, some: bytes) -> asyncio.Future[bytes]:
    """What is told of these rows."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def tell(said: bytes | Refusal) -> None:
        if isinstance(said, Refusal):
            told.set_exception(said)
        else:
            told.set_result(said)

    committer.submit(org, some, tell)
    return told


@contextlib.asynccontextmanager
async def running(store, clock=None):
    committer = Committer(store, clock or SystemClock())
    task = asyncio.create_task(committer.run())
    try:
        yield committer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nobody_hears_anything_before_the_commit():
    store = ScriptedStore()
    async with running(store) as committer:
        answer = submit(committer, ORG, rows(1))
        await store.begun()
        assert not answer.done()
        assert committer.waiting_fixes == 1
        store.release()
        assert await answer == b"\0"
        assert committer.waiting_fixes == 0


async def test_what_comes_while_one_commit_runs_shares_the_next():
    store = ScriptedStore()
    async with running(store) as committer:
        first = submit(committer, ORG, rows(1))
        await store.begun()
        later = [
            submit(committer, ORG, rows(2)),
            submit(committer, OTHER, rows(3, 4)),
            submit(committer, ORG, rows(5)),
        ]
        store.release()
        await first
        assert not any(answer.done() for answer in later)
        store.codes = 1
        store.release()
        assert await asyncio.gather(*later) == [b"\1", b"\1\1", b"\1"]
    assert store.appends == [[(ORG, rows(1))], [(ORG, rows(2, 5)), (OTHER, rows(3, 4))]]


async def test_each_gets_the_outcomes_of_its_own_rows():
    store = ScriptedStore()

    async def append(batch):
        return [(part.fixes["time_ms"] % 3).astype("u1") for part in batch]

    store.append = append  # type: ignore[method-assign]  # outcomes told by the rows themselves
    async with running(store) as committer:
        asked = {range(start, start + start % 7 + 1): ORG if start % 2 else OTHER for start in range(1, 200, 5)}
        answers = [submit(committer, org, rows(*times)) for times, org in asked.items()]
        for times, answer in zip(asked, answers, strict=True):
            assert list(await answer) == [time % 3 for time in times]


async def test_a_commit_is_never_larger_than_the_cap():
    store = ScriptedStore(is_open=True)
    third = rows(1) * (MAX_COMMIT_FIXES // 3)
    async with running(store) as committer:
        await asyncio.gather(*(submit(committer, ORG, third) for _ in range(5)))
    assert [len(parts[0][1]) for parts in store.appends] == [3 * len(third), 2 * len(third)]


async def test_a_full_queue_is_refused_with_retry_after_and_goes_on_by_itself():
    store = ScriptedStore()
    half = rows(1) * (MAX_WAITING_FIXES // 2)
    async with running(store) as committer:
        taken = [submit(committer, ORG, half), submit(committer, ORG, half)]
        with pytest.raises(Refusal) as refused:
            submit(committer, ORG, rows(1) * (FEW_FIXES + 1))
        assert refused.value.kind is Kind.UNAVAILABLE
        assert refused.value.retry_after_s == module.RETRY_AFTER_S
        store.release()
        await taken[0]
        again = submit(committer, ORG, rows(1) * (FEW_FIXES + 1))
        store.release(2)
        assert await again == bytes(FEW_FIXES + 1)
        assert len(await taken[1]) == MAX_WAITING_FIXES // 2


async def test_a_live_device_goes_past_all_backlogs_and_is_never_turned_away_by_them():
    store = ScriptedStore()
    backlog = rows(1) * (MAX_COMMIT_FIXES - 1_000)
    async with running(store) as committer:
        running_commit = submit(committer, ORG, backlog)
        await store.begun()
        waiting = [submit(committer, ORG, rows(1) * 1_000) for _ in range(101)]
        live = submit(committer, ORG, rows(2))
        await store.begun()
        assert store.appends[-1] == [(ORG, rows(2))], "it does not even wait for the one that runs"
        store.release()
        await running_commit
        store.release()
        assert await live == b"\0"
        assert not waiting[-1].done()
        store.release(2)
        await asyncio.gather(*waiting)


async def test_a_backlogs_commit_grows_while_each_turn_of_the_loop_brings_more(monkeypatch):
    monkeypatch.setattr(module, "LEAST_COMMIT_FIXES", 100)
    store = ScriptedStore(is_open=True)
    part = rows(1) * 30
    async with running(store) as committer:
        answers = []
        for _ in range(6):
            answers.append(submit(committer, ORG, part))
            await asyncio.sleep(0)
        await asyncio.gather(*answers)
        alone = submit(committer, ORG, part)
        assert await alone == bytes(30)
    assert [len(parts[0][1]) // len(part) for parts in store.appends] == [4, 2, 1], (
        "to 100 fixes, or until none come"
    )


async def test_commits_of_backlogs_are_as_long_as_a_live_device_can_wait_for():
    store = ScriptedStore(is_open=True)
    clock = SlowClock()
    part = rows(1) * 20_000
    async with running(store, clock) as committer:
        await asyncio.gather(*(submit(committer, ORG, part) for _ in range(10)))
        before = len(store.appends)
        await asyncio.gather(*(submit(committer, ORG, part) for _ in range(3)))
    assert [len(parts[0][1]) // len(part) for parts in store.appends[before:]] == [1, 1, 1]


class SlowClock(SystemClock):
    """On which every commit takes a second."""

    def __init__(self) -> None:
        self._at_s = 0.0

    def steady_s(self) -> float:
        self._at_s += 1.0
        return self._at_s


async def test_what_is_larger_than_the_queue_is_taken_when_it_comes_alone():
    store = ScriptedStore(is_open=True)
    async with running(store) as committer:
        assert len(await submit(committer, ORG, rows(1) * (MAX_WAITING_FIXES + 1))) == MAX_WAITING_FIXES + 1


async def test_a_failed_append_refuses_exactly_its_own_requests():
    store = ScriptedStore()
    async with running(store) as committer:
        failing = [submit(committer, ORG, rows(1)), submit(committer, OTHER, rows(2))]
        await store.begun()
        following = submit(committer, ORG, rows(3))
        store.fail(unavailable("The disk is full.", retry_after_s=30))
        answers = await asyncio.gather(*failing, return_exceptions=True)
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        assert [(one.kind, one.message, one.retry_after_s) for one in refusals] == [
            (Kind.UNAVAILABLE, "The disk is full.", 30)
        ] * 2
        assert refusals[0] is not refusals[1]
        store.release()
        assert await following == b"\0"
        assert committer.waiting_fixes == 0


async def test_an_unforeseen_error_is_logged_and_the_next_commit_goes_on(caplog):
    store = ScriptedStore()
    async with running(store) as committer:
        store.fail(ZeroDivisionError("a bug"))
        with caplog.at_level(logging.ERROR), pytest.raises(Refusal) as refused:
            await submit(committer, ORG, rows(1))
        assert refused.value.kind is Kind.UNAVAILABLE
        assert "ZeroDivisionError" in caplog.text
        store.release()
        assert await submit(committer, ORG, rows(1)) == b"\0"


async def test_who_cannot_be_told_does_not_disturb_the_others(caplog):
    store = ScriptedStore()
    async with running(store) as committer:
        gone, staying = submit(committer, ORG, rows(1)), submit(committer, ORG, rows(2))
        await store.begun()
        gone.cancel()  # so that telling it raises
        store.release()
        with caplog.at_level(logging.ERROR):
            assert await staying == b"\0"
        assert "an answer could not be given" in caplog.text
        assert committer.waiting_fixes == 0


async def test_stopping_refuses_whatever_waits_and_whatever_comes_after():
    store = ScriptedStore()
    async with running(store) as committer:
        in_flight = submit(committer, ORG, rows(1))
        await store.begun()
        gathered = submit(committer, ORG, rows(2))
    for answer in (in_flight, gathered):
        with pytest.raises(Refusal, match="stopping"):
            await answer
    with pytest.raises(Refusal, match="stopping"):
        submit(committer, ORG, rows(3))
    assert committer.waiting_fixes == 0
