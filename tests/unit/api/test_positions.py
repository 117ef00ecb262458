"""How a page is put together: fixes sorted by vehicle, cut into parts, and nothing of a vehicle that is gone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.api import positions as module
from odograph.api.positions import Positions, _answer, _by_asset, _parted
from odograph.api.spelling import LOCATIONS
from odograph.api.wire import render_time
from odograph.live.turns import Turns
from odograph.model.fixes import FIX_DTYPE
from tests.support.api import Plain

assets = st.lists(st.integers(1, 6), min_size=1, max_size=60)


def fixes_of(numbers):
    made = np.zeros(len(numbers), dtype=FIX_DTYPE)
    made["asset"] = numbers
    made["time_ms"] = 1_700_000_000_000 + 1000 * np.arange(len(numbers))
    return made


@given(assets)
def test_vehicles_are_in_order_and_each_ones_fixes_as_they_were(numbers):
    made = fixes_of(numbers)
    order = _by_asset(made)
    assert order.tolist() == np.argsort(made["asset"], kind="stable").tolist()


@given(assets, st.integers(1, 20))
def test_parts_hold_every_group_once_and_end_where_they_are_large_enough(numbers, size):
    lengths = np.array(numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE", size)
        parts = list(_parted(np.cumsum(lengths) - lengths))
    assert [group for first, last in parts for group in range(first, last)] == list(range(len(lengths)))
    for first, last in parts:
        assert last > first
        assert (lengths[first : last - 1] + module.VEHICLE).sum() <= size + lengths.max() + module.VEHICLE


@given(assets, st.sets(st.integers(1, 6)), st.integers(1, 9), st.sampled_from([0, 100]))
async def test_a_page_holds_each_vehicle_that_is_there_with_all_its_fixes(numbers, gone, size, few):
    made = fixes_of(numbers)

    def heads(wanted):
        return [None if number in gone else b'{"id":"%d"' % number for number in wanted]

    live = SimpleNamespace(
        directory=SimpleNamespace(assets=SimpleNamespace(changes=1, heads=heads)),
        seam=SimpleNamespace(turns=Turns()),
    )
    call: Any = SimpleNamespace(context=SimpleNamespace(live=live, geocoder=Plain()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE", size)
        patch.setattr("odograph.api.spelling.FEW", few)
        answer = _answer(await Positions(LOCATIONS)._many_each(call, made), "c", more=False)
    body = json.loads(answer.body)
    expected = {
        str(number): [int(fix["time_ms"]) for fix in made if fix["asset"] == number]
        for number in sorted(set(numbers) - gone)
    }
    assert [one["id"] for one in body["data"]] == list(expected)
    times = {one["id"]: [fix["time"] for fix in one["locations"]] for one in body["data"]}
    as_times = {key: [render_time(ms) for ms in value] for key, value in expected.items()}
    assert times == as_times


async def test_what_entries_begin_with_follows_the_vehicles_and_belongs_to_them_alone():
    positions = Positions(LOCATIONS)
    made = fixes_of([1])

    async def named(changes, name, shelf=None):
        shelf = shelf or SimpleNamespace()
        shelf.changes = changes
        shelf.heads = lambda wanted: [b'{"id":"%b"' % name for _ in wanted]
        live = SimpleNamespace(directory=SimpleNamespace(assets=shelf), seam=SimpleNamespace(turns=Turns()))
        call: Any = SimpleNamespace(context=SimpleNamespace(live=live, geocoder=Plain()))
        body = json.loads(_answer(await positions._many_each(call, made), "c", more=False).body)
        return body["data"][0]["id"], shelf

    assert (first := await named(1, b"a"))[0] == "a"
    assert (await named(2, b"b", first[1]))[0] == "b", "a vehicle was renamed"
    assert (await named(2, b"c"))[0] == "c", "another server in this process"
