"""Where a key is looked for, and what becomes of a body; the rest is promised by the contract suite."""

from __future__ import annotations

import base64
import contextlib
import gzip
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.ingest.http import _Declined, _inflate, _key_of

GZIP, DEFLATE = 31, 15


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "path_key", "query", "key"),
    [
        ({}, "", "", None),
        ({}, "", "id=1&lat=2", None),
        ({}, "p", "", "p"),
        ({}, "", "id=1&key=q", "q"),
        ({}, "", "monkey=q", None),
        ({}, "", "key=&id=1", None),
        ({}, "p", "key=q", "p"),
        ({"x-device-key": "x"}, "p", "key=q", "x"),
        ({"authorization": "Bearer b", "x-device-key": "x"}, "p", "key=q", "b"),
        ({"authorization": "bearer  b "}, "", "", "b"),
        ({"authorization": basic("user:pass:word")}, "", "", "pass:word"),
        ({"authorization": basic("user:")}, "p", "", "p"),
        ({"authorization": "Basic !!"}, "", "", "!!"),
        ({"authorization": "Bearer "}, "p", "", "p"),
        ({"authorization": ""}, "p", "", "p"),
    ],
)
def test_a_key_is_looked_for_from_the_most_to_the_least_explicit_place(headers, path_key, query, key):
    assert _key_of(headers, path_key, query) == key


@settings(max_examples=50)
@given(st.binary(max_size=2000))
def test_what_was_compressed_comes_out_whole(body):
    assert _inflate(gzip.compress(body), GZIP, 2000) == body
    assert _inflate(zlib.compress(body), DEFLATE, 2000) == body
    assert _inflate(zlib.compress(body)[2:-4], DEFLATE, 2000) == body


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_cut_body_is_refused_and_a_flipped_bit_never_changes_what_comes_out(body, data):
    packed = gzip.compress(body, mtime=0)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(_Declined):
        _inflate(packed[:cut], GZIP, 1000)
    flipped = bytearray(packed)
    flipped[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(_Declined):
        assert _inflate(bytes(flipped), GZIP, 1000) == body  # it was a bit that means nothing


def test_a_bomb_is_refused_before_it_goes_off():
    body = bytes(50 << 20)
    for packed, bits in ((gzip.compress(body), GZIP), (zlib.compress(body), DEFLATE)):
        with pytest.raises(_Declined) as declined:
            _inflate(packed, bits, 1 << 20)
        assert declined.value.status == 413


def test_the_limit_is_what_comes_out_to_the_byte():
    body = random.Random(1).randbytes(1000)
    assert _inflate(gzip.compress(body), GZIP, 1000) == body
    with pytest.raises(_Declined) as declined:
        _inflate(gzip.compress(body), GZIP, 999)
    assert declined.value.status == 413
