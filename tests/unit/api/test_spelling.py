"""Fixes as JSON: whatever they hold, many are spelled as they are one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.api import spelling as module
from odograph.api.spelling import FEW, LOCATIONS, STATS, Groups, Speller, Spelling
from odograph.geocoding.base import Geocoder
from odograph.model.fixes import FIX_DTYPE, MAX_TIME_MS, UNKNOWN_HEADING, UNKNOWN_SPEED


class Quoting(Geocoder):
    """A geocoder whose lines need care in JSON."""

    attribution = ""

    def describe(self, lat_e7, lon_e7):
        return f'a "place"\\ at {lat_e7 // 7}\n\x01é€'


edges = st.sampled_from([-1_800_000_000, -10_000_000, -1_000_000, -999, -1, 0, 1, 10, 1000, 10_000, 1_799_999_999])
fixes = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.integers(0, MAX_TIME_MS - 1) | st.integers(0, 3_000_000_000).map(lambda second: 1000 * second),
        st.integers(-900_000_000, 900_000_000) | edges.map(lambda e7: e7 // 2),
        st.integers(-1_800_000_000, 1_800_000_000) | edges,
        st.integers(0, 35999) | st.just(UNKNOWN_HEADING) | st.sampled_from([0, 100, 110, 35990]),
        st.integers(0, 200_000) | st.just(UNKNOWN_SPEED) | st.sampled_from([0, 41038, 65534, 65535, 65536]),
        st.integers(0, 7) | st.just(0),
    ),
    min_size=1,
    max_size=40,
).map(lambda rows: np.array(rows, dtype=FIX_DTYPE))


def groups_of(made, data):
    starts = sorted({0, *data.draw(st.lists(st.integers(0, len(made) - 1), max_size=8))})
    return Groups(np.array(starts), [b',{"g":%d,"fixes":[' % number for number in range(len(starts))], b"]}")


def spelled(spelling: Spelling, geocoder: Geocoder, made, groups, endings, few: int) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", few)
        return b"".join(Speller(spelling, geocoder).spell(made, groups, endings))


@settings(max_examples=200)
@given(fixes, st.sampled_from([LOCATIONS, STATS]), st.booleans(), st.data())
def test_columns_spell_what_rows_spell(made, spelling, has_endings, data):
    groups = groups_of(made, data)
    which = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(made), max_size=len(made))))
    endings = (["", ',"address":{"id":"1","name":"Höhe"}'], which) if has_endings else None
    by_row = spelled(spelling, Quoting(), made, groups, endings, few=len(made))
    assert spelled(spelling, Quoting(), made, groups, endings, few=0) == by_row
    entries = json.loads(b"[%b]" % by_row[1:])
    assert [len(entry["fixes"]) for entry in entries] == np.diff(groups.starts, append=len(made)).tolist()
    found = [one for entry in entries for one in entry["fixes"]]
    assert len(found) == len(made)
    for one, fix in zip(found, made, strict=True):
        assert (one["latitude"], one["longitude"]) == (fix["lat_e7"] / 1e7, fix["lon_e7"] / 1e7)
        assert one.get(spelling.heading) == (
            None if fix["heading_cdeg"] == UNKNOWN_HEADING else fix["heading_cdeg"] / 100
        )
        assert one.get(spelling.speed) == (
            None if fix["speed_ckmh"] == UNKNOWN_SPEED else fix["speed_ckmh"] / 160.9344
        )
        assert ("doubtful" in one) == bool(fix["marks"])


def test_texts_that_are_kept_are_those_of_the_numbers_asked_for_first_and_later():
    speller = Speller(LOCATIONS, Quoting())
    made = np.zeros(2 * FEW, dtype=FIX_DTYPE)
    for speeds in (range(2 * FEW), range(FEW, 3 * FEW), range(70_000, 70_000 + 2 * FEW)):
        made["speed_ckmh"] = speeds
        text = b"".join(speller.spell(made, Groups(np.array([0]), [b"["], b"]")))
        assert [one["speed"] for one in json.loads(text)] == [speed / 160.9344 for speed in speeds]
