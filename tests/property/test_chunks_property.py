"""Whatever the columns hold, a chunk gives it back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.model.fixes import FIX_DTYPE
from odograph.model.ids import AssetId
from odograph.store.sqlite.chunks import decode_chunk, encode_chunk


def whole_numbers(low: int, high: int):
    """Near each other, far apart, and at the ends."""
    return st.one_of(st.integers(low, high), st.integers(max(low, 0), min(high, 300)), st.sampled_from([low, high]))


ROW = st.tuples(
    whole_numbers(-(1 << 63), (1 << 63) - 1),
    whole_numbers(-(1 << 31), (1 << 31) - 1),
    whole_numbers(-(1 << 31), (1 << 31) - 1),
    whole_numbers(0, 0xFFFF),
    whole_numbers(0, 0xFFFF_FFFF),
    whole_numbers(0, 255),
)
SEQ = whole_numbers(-(1 << 63), (1 << 63) - 1)


@settings(max_examples=150)
@given(
    rows=st.lists(st.tuples(ROW, SEQ), min_size=1, max_size=40),
    asset=whole_numbers(0, 0xFFFF_FFFF),
    copies=st.sampled_from([1, 1, 50]),
)
def test_any_columns_come_back_bit_for_bit(rows, asset, copies):
    fixes = np.array([(asset, *row) for row, _ in rows] * copies, dtype=FIX_DTYPE)
    seqs = np.array([seq for _, seq in rows] * copies, dtype=np.int64)
    got, got_seqs = decode_chunk(encode_chunk(fixes, seqs), AssetId(asset))
    assert got.tobytes() == fixes.tobytes()
    assert got_seqs.tolist() == seqs.tolist()
