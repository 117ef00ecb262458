"""The columnar form of one asset's fixes: exact, small, and never quietly wrong."""

import numpy as np
import pytest
import zstandard

from odograph.errors import Corrupt
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING, UNKNOWN_SPEED
from odograph.model.ids import AssetId
from odograph.store.sqlite.chunks import FORMAT, HEAD, MAX_ROWS, decode_chunk, encode_chunk

ASSET = AssetId(7)


def drive(rows: int, seed: int = 1):
    """A vehicle at 5 s, some reports off the beat, that drives and stands, with noise that lingers."""
    random = np.random.default_rng(seed)
    fixes = np.zeros(rows, dtype=FIX_DTYPE)
    fixes["asset"] = ASSET
    fixes["time_ms"] = 1_760_000_000_000 + np.arange(rows) * 5000
    fixes["time_ms"] += np.where(random.random(rows) < 0.08, random.integers(-1500, 1500, rows), 0)
    drives = (np.arange(rows) % 500) > 135
    kmh = np.where(drives, 50 + 30 * np.sin(np.arange(rows) / 40) + random.normal(0, 2, rows), 0)
    course = np.cumsum(random.normal(0, 3, rows) * drives)
    noise = np.cumsum(random.normal(0, 0.9, (2, rows)) * drives, axis=1)
    metres = kmh / 3.6 * 5
    for field, step, drift in (("lat_e7", np.cos, noise[0]), ("lon_e7", np.sin, noise[1])):
        fixes[field] = 300_000_000 + np.rint((np.cumsum(metres * step(np.radians(course))) + drift) * 90)
    fixes["heading_cdeg"] = np.rint(course * 100) % 36_000
    fixes["speed_ckmh"] = np.rint(np.abs(kmh) * 100)
    return fixes, np.arange(rows) * 1000 + random.integers(0, 1000, rows)


def assert_exact(fixes, seqs):
    got, got_seqs = decode_chunk(encode_chunk(fixes, seqs), AssetId(int(fixes["asset"][0])))
    assert got.dtype == FIX_DTYPE
    assert got_seqs.dtype == np.int64
    assert got.tobytes() == fixes.tobytes()
    assert got_seqs.tolist() == seqs.tolist()


@pytest.mark.parametrize("rows", [1, 2, 3, 720, 2048, MAX_ROWS])
def test_a_drive_comes_back_bit_for_bit(rows):
    assert_exact(*drive(rows))


def test_the_ends_of_every_range_come_back_bit_for_bit():
    fixes = np.zeros(6, dtype=FIX_DTYPE)
    fixes["asset"] = ASSET
    fixes["time_ms"] = [-(1 << 63), (1 << 63) - 1, 0, -1, 1, 1 << 42]
    fixes["lat_e7"] = [-(1 << 31), (1 << 31) - 1, 0, -900_000_000, 900_000_000, 1]
    fixes["lon_e7"] = fixes["lat_e7"][::-1]
    fixes["heading_cdeg"] = [0, UNKNOWN_HEADING, 35_999, 0, UNKNOWN_HEADING, 1]
    fixes["speed_ckmh"] = [UNKNOWN_SPEED, 0, UNKNOWN_SPEED, 200_000, 1, 0]
    fixes["marks"] = [255, 0, 1, 2, 4, 7]
    assert_exact(fixes, np.array([(1 << 63) - 1, -(1 << 63), 5, 5, 4, 0]))


def test_every_width_of_difference_comes_back():
    for bits in range(63):
        fixes = np.zeros(5, dtype=FIX_DTYPE)
        fixes["asset"] = ASSET
        fixes["time_ms"] = [0, 1 << bits, (1 << bits) - 1, 3, -(1 << bits)]
        assert_exact(fixes, np.array([9, 8, 7, 1 << bits, 0]))


def test_a_chunk_of_a_parked_vehicle_is_next_to_nothing():
    fixes = np.zeros(2048, dtype=FIX_DTYPE)
    fixes["asset"] = ASSET
    fixes["time_ms"] = np.arange(2048) * 5000
    assert len(encode_chunk(fixes, np.arange(2048) * 1000)) < 100


def test_an_hour_at_five_seconds_takes_at_most_seven_and_a_half_bytes_a_fix_with_its_seqs():
    sizes = [len(encode_chunk(*drive(720, seed))) for seed in range(20)]
    assert sum(sizes) / (20 * 720) <= 7.5


def test_no_flipped_bit_goes_unnoticed():
    fixes, seqs = drive(40)
    data = encode_chunk(fixes, seqs)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            got, got_seqs = decode_chunk(bytes(flipped), ASSET)
        except Corrupt:
            continue
        # zstd's own header has bits without meaning: then nothing may differ.
        assert got.tobytes() == fixes.tobytes()
        assert got_seqs.tolist() == seqs.tolist()


def test_no_cut_off_chunk_is_read():
    data = encode_chunk(*drive(40))
    for length in range(len(data)):
        with pytest.raises(Corrupt):
            decode_chunk(data[:length], ASSET)
    with pytest.raises(Corrupt):
        decode_chunk(data + b"\0", ASSET)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\1" * (HEAD.size - 1),
        HEAD.pack(0, *[0] * 14),
        HEAD.pack(2, *[0] * 14) + b"\0",
        HEAD.pack(2, 3, *[0] * 13) + b"\0\0\0",
        HEAD.pack(2, 3 << 4, *[0] * 13),
    ],
)
def test_a_frame_that_is_whole_but_makes_no_sense_is_corrupt(body):
    with pytest.raises(Corrupt):
        decode_chunk(bytes((FORMAT,)) + zstandard.compress(body), ASSET)


def test_a_frame_that_claims_gigabytes_is_refused_before_it_is_opened():
    bomb = bytes((FORMAT,)) + zstandard.compress(bytes(64 << 20))
    with pytest.raises(Corrupt, match="size"):
        decode_chunk(bomb, ASSET)


@pytest.mark.parametrize("rows", [0, MAX_ROWS + 1])
def test_a_chunk_is_neither_empty_nor_endless(rows):
    with pytest.raises(ValueError, match="a chunk holds"):
        encode_chunk(np.zeros(rows, dtype=FIX_DTYPE), np.zeros(rows, dtype=np.int64))
