"""Pages become fixes again, and a comparison finds every kind of difference."""

import numpy as np
import pytest

from odograph.api.spelling import LOCATIONS, Groups, Speller
from odograph.bench.fleet import Fleet
from odograph.bench.load import Answered
from odograph.bench.readers import Unexpected, compare, cursor_of, decode_page, fixes_of
from odograph.geocoding.base import Geocoder
from odograph.model.fixes import UNKNOWN_HEADING, UNKNOWN_SPEED
from odograph.model.ids import AssetId, render_asset_id


class Nowhere(Geocoder):
    """A geocoder that knows one place."""

    attribution = ""

    def describe(self, lat_e7, lon_e7):
        return "Somewhere"


def _page(fixes, cursor="abc", more=False):
    """A page as the server writes it, one entry for each vehicle."""
    entries = []
    for asset in np.unique(fixes["asset"]):
        own = fixes[fixes["asset"] == asset]
        piece = b"".join(Speller(LOCATIONS, Nowhere()).spell(own, Groups(np.array([0]), [b""], b"")))
        head = f'{{"id":"{render_asset_id(AssetId(int(asset)))}","name":"van","locations":['
        entries.append(head.encode() + piece + b"]}")
    more_text = b"true" if more else b"false"
    tail = b'],"pagination":{"endCursor":"' + cursor.encode() + b'","hasNextPage":' + more_text + b"}}"
    return b'{"data":[' + b",".join(entries) + tail


@pytest.fixture
def fixes():
    fixes = Fleet(5, start_ms=1_700_000_000_123).advance(60).reshape(-1)
    fixes["asset"] += 1
    fixes["heading_cdeg"][4] = UNKNOWN_HEADING
    fixes["speed_ckmh"][5] = UNKNOWN_SPEED
    return fixes


def test_a_page_holds_exactly_the_fixes_it_was_made_of(fixes):
    page = decode_page(Answered(200, _page(fixes)))
    assert (fixes_of([page]) == fixes).all()


def test_an_empty_page_holds_no_fixes(fixes):
    assert len(fixes_of([decode_page(Answered(200, _page(fixes[:0])))])) == 0


def test_a_cursor_is_found_in_the_last_bytes(fixes):
    assert cursor_of(_page(fixes, "Zm9v-_", more=True)) == ("Zm9v-_", True)
    assert cursor_of(_page(fixes, "", more=False)) == ("", False)


def test_an_answer_that_is_no_page_is_told():
    with pytest.raises(Unexpected, match="429"):
        decode_page(Answered(429, b'{"message":"slower"}'))


def test_equal_sets_do_not_differ_in_any_order(fixes):
    assert not compare(fixes, np.random.default_rng(1).permutation(fixes))


def test_each_kind_of_difference_is_counted(fixes):
    got = np.concatenate((fixes[3:], fixes[10:12])).copy()
    got["lat_e7"][0] += 1
    got["time_ms"][1] += 1
    difference = compare(fixes, got)
    assert difference
    assert (difference.lost, difference.twice, difference.altered, difference.foreign) == (4, 2, 1, 1)
    assert str(difference) == "4 lost, 2 twice, 1 altered, 1 never sent"


def test_nothing_read_is_everything_lost(fixes):
    assert compare(fixes, fixes[:0]).lost == len(fixes)
