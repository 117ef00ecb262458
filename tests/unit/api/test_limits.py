"""Counting requests."""

from __future__ import annotations

import pytest

from odograph.api.limits import _TIDY_AT, RateLimits
from odograph.api.resources.base import Endpoint, Limit
from odograph.errors import Kind, Refusal
from odograph.model.access import Principal
from odograph.model.ids import OrgId, RecordId
from tests.support.api import SteppingClock


async def nothing(_):
    raise AssertionError


def endpoint(limit: Limit | None = None) -> Endpoint:
    return Endpoint("GET", "/x", None, nothing, "", limit=limit)


def token(number: int, org: int = 1) -> Principal:
    return Principal(OrgId(org), frozenset(), token=RecordId(number))


@pytest.fixture
def clock() -> SteppingClock:
    clock = SteppingClock()
    clock.step_s = 0.0
    return clock


def passed(limits: RateLimits, principal: Principal, one: Endpoint, calls: int) -> int:
    done = 0
    for _ in range(calls):
        try:
            limits.charge(principal, one)
        except Refusal:
            continue
        done += 1
    return done


def test_a_token_gets_150_a_second_and_its_org_200(clock):
    limits = RateLimits(clock)
    assert passed(limits, token(1), endpoint(), 300) == 150
    assert passed(limits, token(2), endpoint(), 300) == 50
    assert passed(limits, token(3, org=2), endpoint(), 300) == 150
    clock.steady += 1
    assert passed(limits, token(1), endpoint(), 300) == 150


def test_over_any_ten_seconds_no_more_than_the_rate_and_one_burst_passes(clock):
    limits = RateLimits(clock)
    done = 0
    for _ in range(1000):
        clock.steady += 0.01
        done += passed(limits, token(1), endpoint(), 5)
    assert 150 * 10 <= done <= 150 * 11


def test_the_hundred_and_first_write_of_a_minute_is_refused(clock):
    limits = RateLimits(clock)
    writes = endpoint(Limit(100, 60))
    assert passed(limits, token(1), writes, 101) == 100
    with pytest.raises(Refusal) as caught:
        limits.charge(token(1), writes)
    assert (caught.value.kind, caught.value.retry_after_s) == (Kind.RATE_LIMITED, 1)
    clock.steady += 0.61
    assert passed(limits, token(1), writes, 5) == 1
    clock.steady += 60
    assert passed(limits, token(1), writes, 101) == 100


def test_what_is_refused_is_not_counted(clock):
    limits = RateLimits(clock, per_token=Limit(2, 10))
    assert passed(limits, token(1), endpoint(), 500) == 2
    clock.steady += 10
    assert passed(limits, token(1), endpoint(), 3) == 2


def test_the_wait_is_whole_seconds_and_long_enough(clock):
    limits = RateLimits(clock, per_token=Limit(1, 7))
    limits.charge(token(1), endpoint())
    clock.steady += 0.5
    with pytest.raises(Refusal) as caught:
        limits.charge(token(1), endpoint())
    assert caught.value.retry_after_s == 7
    clock.steady += caught.value.retry_after_s
    limits.charge(token(1), endpoint())


def test_the_operator_is_not_counted(clock):
    limits = RateLimits(clock, per_org=Limit(1, 60))
    operator = Principal(OrgId(1), frozenset(), is_operator=True)
    assert passed(limits, operator, endpoint(Limit(1, 60)), 50) == 50
    assert len(limits) == 0


def test_callers_of_the_past_are_forgotten(clock):
    limits = RateLimits(clock)
    for number in range(2 * _TIDY_AT):
        limits.charge(token(number, org=number), endpoint())
        clock.steady += 0.01
        assert len(limits) <= _TIDY_AT
