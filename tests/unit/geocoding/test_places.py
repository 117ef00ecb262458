"""The file of places is written whole, checked, and rebuilt where it is damaged or of another version."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from odograph.errors import Corrupt, Kind, Refusal
from odograph.geocoding import places as module
from odograph.geocoding.places import COLUMNS, ROWS, load_places, read_places, source_version


@pytest.fixture
def file(cache_dir, places, tmp_path):
    """A copy that a test may damage."""
    del places
    name = f"places-{source_version()}.bin"
    return shutil.copy(cache_dir / name, tmp_path / name)


@pytest.fixture
def builds(monkeypatch, cache_dir):
    """Counts the builds; each copies the file that is there already instead of making it anew."""
    calls = []

    def build(path):
        calls.append(path)
        shutil.copy(cache_dir / path.name, path)

    monkeypatch.setattr(module, "_build_in_child", build)
    return calls


def test_a_second_load_builds_nothing(file, builds):
    load_places(file.parent)
    assert builds == []


def test_every_byte_that_flips_is_found(file):
    whole = file.read_bytes()
    for at in [*range(0, 200, 7), len(whole) // 3, len(whole) // 2, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        file.write_bytes(damaged)
        with pytest.raises(Corrupt, match="places-"):
            read_places(file)


@pytest.mark.parametrize("size", [0, 5, 100, 100_000])
def test_a_file_cut_off_is_built_again(file, builds, size):
    os.truncate(file, size)
    load_places(file.parent)
    assert builds == [file]


def test_another_version_of_the_data_is_built_and_the_old_file_goes(file, builds, cache_dir, monkeypatch):
    monkeypatch.setattr(module, "source_version", lambda: "99.0")
    monkeypatch.setattr(module, "_build_in_child", lambda path: shutil.copy(file, path))
    load_places(file.parent)
    assert [path.name for path in file.parent.iterdir()] == ["places-99.0.bin"]


def test_a_place_where_no_list_can_be_written_is_said_in_a_line(tmp_path):
    (tmp_path / "cache").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        Refusal, match=r"places-.*\.bin is not there .* and can't be made: File exists\.$"
    ) as refused:
        load_places(tmp_path / "cache")
    assert refused.value.kind is Kind.UNAVAILABLE


def test_every_place_lies_in_the_slice_of_its_cell(places):
    lat = np.degrees(np.arcsin(places.unit[:, 2]))
    lon = np.degrees(np.arctan2(places.unit[:, 1], places.unit[:, 0]))
    inside = np.repeat(np.arange(ROWS * COLUMNS), np.diff(places.starts.astype(np.int64)))
    row, column = inside // COLUMNS, inside % COLUMNS
    assert len(inside) == len(lat) > 150_000
    assert (np.abs((lat + 90) * 2 - row - 0.5) < 0.5 + 1e-9).all()
    assert (np.abs((lon + 180) * 2 - column - 0.5) < 0.5 + 1e-9).all()


def test_names_and_regions_belong_together(places):
    every = {places.name(place) for place in range(len(places.region))}
    assert {"Westwood, Kansas, US", "Tromsø, NO", "Suva, FJ", "Honolulu, Hawaii, US", "Longyearbyen, SJ"} <= every


def test_a_build_that_fails_leaves_no_file_behind(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        module._write_whole(tmp_path / "places.bin", b"{}", [b"x"])
    assert list(tmp_path.iterdir()) == []
