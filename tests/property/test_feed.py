"""A reader among many writers misses nothing and meets nothing twice, whatever happens to the server."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.property import scenarios
from tests.property.engine_store import EngineMachine
from tests.property.process_store import ProcessMachine

SEED = 2026
MAX_EXAMPLES = 120
MET_AT_LEAST = {
    "STORED": 1000,
    "KNOWN": 100,
    "SAME_TIME_DIFFERENT": 10,
    "append without an answer": 10,
    "empty page with more": 10,
    "kill": 50,
    "left behind": 20,
    "restart": 20,
    "run sealed": 50,
    "run left half done": 5,
    "memory": 20,
    "log then memory": 10,
    "sealed then memory": 2,
    "sealed then log": 2,
    "sealed then log then memory": 2,
}
"""Over all examples. The last five are polls, by where what they showed lay."""


def test_a_reader_among_many_writers_misses_nothing():
    met: Counter[str] = Counter()

    @seed(SEED)
    @settings(
        max_examples=MAX_EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios.scenarios)
    def property_(scenario):
        number, stretch_bytes, played = scenario
        met.update(scenarios.run(EngineMachine(number), stretch_bytes, played))

    with scenarios.small_pages():
        property_()
    missing = {what: met[what] for what, least in MET_AT_LEAST.items() if met[what] < least}
    assert not missing, f"too little was tried: {missing}"


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_missed_when_the_writer_is_a_process_that_is_killed(number):
    with scenarios.small_pages():
        met = scenarios.run(ProcessMachine(), 20_000 // number**4, scenarios.busy_rounds(Random(number), 16))
    assert met["kill"] == 2
    assert met["STORED"] > 100
    assert met["seqs sealed"] > 20
    assert met["sealer that failed"] == 0
