"""Cursors: opaque, small, sealed to one endpoint and one org."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.errors import Refusal
from odograph.model.cursor import MAX_AGE_MS, Cursors
from odograph.model.ids import OrgId

NOW_MS = 1_790_000_000_000
CURSORS = Cursors(b"k" * 32, "epoch-1")
ORG = OrgId(7)


@given(st.lists(st.integers(0, 1 << 62), max_size=4))
def test_what_goes_in_comes_out(fields):
    text = CURSORS.encode("feed", ORG, tuple(fields), NOW_MS)
    assert CURSORS.decode("feed", ORG, text, NOW_MS) == tuple(fields)


def test_an_empty_poll_stays_under_150_bytes():
    text = CURSORS.encode("locations.feed", ORG, (1, 1 << 50), NOW_MS)
    assert len('{"data":[],"pagination":{"endCursor":"","hasNextPage":false}}' + text) < 150


@pytest.mark.parametrize(
    ("kind", "org"), [("history", ORG), ("feed", OrgId(8))], ids=["of another endpoint", "of another org"]
)
def test_a_cursor_opens_nothing_but_what_it_was_made_for(kind, org):
    text = CURSORS.encode("feed", ORG, (1, 42), NOW_MS)
    with pytest.raises(Refusal, match="not a cursor that this endpoint gave to this organisation"):
        CURSORS.decode(kind, org, text, NOW_MS)


@given(st.integers(0, 40), st.integers(1, 255))
def test_no_changed_byte_is_accepted(place, change):
    import base64

    text = CURSORS.encode("feed", ORG, (1, 42_000), NOW_MS)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= change
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(Refusal):
        CURSORS.decode("feed", ORG, forged, NOW_MS)


@given(st.text(max_size=300))
def test_garbage_is_refused_and_never_crashes(text):
    with pytest.raises(Refusal, match="'after'"):
        CURSORS.decode("feed", ORG, text, NOW_MS)


def test_two_readers_cannot_tell_from_their_cursors_how_much_lies_between():
    one, other = (CURSORS.encode("feed", ORG, (1, seq), NOW_MS) for seq in (1000, 1001))
    assert sum(a == b for a, b in zip(one, other, strict=True)) < len(one) / 2


def test_a_cursor_expires_after_thirty_days():
    text = CURSORS.encode("feed", ORG, (1, 42), NOW_MS)
    assert CURSORS.decode("feed", ORG, text, NOW_MS + MAX_AGE_MS) == (1, 42)
    with pytest.raises(Refusal, match="expired"):
        CURSORS.decode("feed", ORG, text, NOW_MS + MAX_AGE_MS + 1000)


def test_a_cursor_of_a_lost_epoch_says_so():
    text = CURSORS.encode("feed", ORG, (1, 42), NOW_MS)
    with pytest.raises(Refusal, match="restored from a backup"):
        Cursors(b"k" * 32, "epoch-2").decode("feed", ORG, text, NOW_MS)


@given(st.integers(0, (1 << 63) - 1))
def test_a_sealed_number_comes_back_and_is_always_of_one_length(number):
    text = CURSORS.seal("link a", ORG, number, NOW_MS)
    assert len(text) == 32
    assert CURSORS.unseal("link a", ORG, text, NOW_MS) == number
    assert CURSORS.unseal("link b", ORG, text, NOW_MS) is None
    assert CURSORS.unseal("link a", OrgId(8), text, NOW_MS) is None
    assert CURSORS.unseal("link a", ORG, text, NOW_MS + MAX_AGE_MS + 1000) is None
    assert Cursors(b"k" * 32, "epoch-2").unseal("link a", ORG, text, NOW_MS) is None


@given(st.text(max_size=60))
def test_garbage_is_no_sealed_number(text):
    assert CURSORS.unseal("link a", ORG, text, NOW_MS) is None
