"""A listening double for each test that asks for one."""

from __future__ import annotations

import pytest

from tests.unit.simulator.doubles import SteppedClock, double


@pytest.fixture
async def server():
    async with double() as one:
        yield one


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()
