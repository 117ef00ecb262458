"""What is known of one asset's sealed times, near each other or a hundred years apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from odograph.model.fixes import FIX_DTYPE, MAX_TIME_MS
from odograph.model.ids import Seq
from odograph.store.sqlite.keys import prints_of
from odograph.store.sqlite.sealedkeys import _Asset

NEAR_MS = 1_700_000_000_000
EDGE_MS = 1 << 32  # what an offset of 32 bits can't hold any more
times = st.integers(NEAR_MS, NEAR_MS + 50) | st.integers(0, MAX_TIME_MS - 1) | st.integers(EDGE_MS - 2, EDGE_MS + 2)
wanted = st.lists(times | times.map(lambda ms: ms + EDGE_MS) | times.map(lambda ms: max(0, ms - EDGE_MS)))


@given(st.lists(st.lists(times, min_size=1, unique=True), max_size=4), wanted)
def test_exactly_what_was_taken_in_is_found_with_its_print(parts, asked):
    known = _Asset(Seq(1), [])
    prints: dict[int, int] = {}
    for number, part in enumerate(parts):
        fixes = np.zeros(len(part), dtype=FIX_DTYPE)
        fixes["time_ms"] = sorted(part)
        fixes["lat_e7"] = np.arange(len(part)) + 1000 * number
        fixes = fixes[[int(ms) not in prints for ms in fixes["time_ms"]]]  # each moment is sealed once
        if len(fixes):
            known.take(fixes)
            prints |= dict(zip(fixes["time_ms"].tolist(), prints_of(fixes).tolist(), strict=True))
    times_ms = np.array(sorted({*asked, *list(prints)[::2]}), dtype=np.int64)
    found, found_prints = known.find(times_ms)
    assert found.tolist() == [ms in prints for ms in times_ms.tolist()]
    assert found_prints.tolist() == [prints[ms] for ms in times_ms.tolist() if ms in prints]
