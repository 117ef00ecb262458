"""The numbering of counting devices; what the door, the rows and the commit do has its own tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from odograph.ingest.intake import Numbers
from odograph.model.ids import RecordId

ONE, OTHER = RecordId(1), RecordId(2)


def test_a_gap_is_told_once_with_its_first_and_last_number():
    numbers = Numbers()
    assert numbers.note(ONE, 5, 10) is None
    assert numbers.note(ONE, 15, 1) is None
    assert numbers.note(ONE, 20, 5) == (16, 19)
    assert numbers.note(ONE, 25, 5) is None


def test_what_fills_a_gap_or_comes_again_makes_none():
    numbers = Numbers()
    numbers.note(ONE, 0, 10)
    assert numbers.note(ONE, 20, 5) == (10, 19)
    assert numbers.note(ONE, 10, 10) is None
    assert numbers.note(ONE, 0, 10) is None
    assert numbers.note(ONE, 25, 1) is None


def test_devices_are_counted_apart_and_the_first_delivery_only_says_where_one_is():
    numbers = Numbers()
    assert numbers.note(ONE, 1_000, 1) is None
    assert numbers.note(OTHER, 7, 1) is None
    assert numbers.note(ONE, 1_001, 1) is None


def test_an_empty_delivery_counts_nothing():
    numbers = Numbers()
    numbers.note(ONE, 5, 5)
    assert numbers.note(ONE, 10, 0) is None
    assert numbers.note(ONE, 10, 1) is None


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20)), max_size=30))
def test_gaps_are_exactly_the_numbers_beyond_all_that_came_before(deliveries):
    numbers = Numbers()
    ahead: int | None = None
    for first, count in deliveries:
        gap = numbers.note(ONE, first, count)
        if ahead is not None and first > ahead:
            assert gap == (ahead, first - 1)
        else:
            assert gap is None
        ahead = max(first if ahead is None else ahead, first + count)
