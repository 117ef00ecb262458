"""Secrets: strong, typeable, recognisable, and never in a log."""

from __future__ import annotations

import re

import pytest

from odograph.catalog.secrets import canonical_key, digest, hex_digest, hint, new_key, new_token


def test_a_token_has_a_prefix_and_256_bits_of_url_safe_text():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"odo_[A-Za-z0-9_-]{43}", token) for token in tokens)
    assert hint("odo_abcdWXYZ") == "WXYZ"


def test_a_key_has_140_bits_in_groups_of_four_without_lookalikes():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){6}", key) for key in keys)


@pytest.mark.parametrize(
    "typed",
    [
        "k701-3m9x-0000-1111-abcd-efgh-jkmn",
        "K701-3M9X-0000-1111-ABCD-EFGH-JKMN",
        "k7013m9x00001111abcdefghjkmn",
        " k7o1 3m9x oooo iIlL abcd efgh jkmn\n",
    ],
)
def test_a_key_is_known_however_it_was_typed(typed):
    assert canonical_key(typed) == "k701-3m9x-0000-1111-abcd-efgh-jkmn"


def test_what_is_no_key_of_ours_stays_as_it_is():
    assert canonical_key("my-own-Key") == "my-own-Key"
    assert canonical_key(new_token()).startswith("odo_")


def test_digests_are_sha_256():
    assert hex_digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest("abc").hex() == hex_digest("abc")
    assert len(digest("\ud800")) == 32
