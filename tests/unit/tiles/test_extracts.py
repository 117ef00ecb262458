"""The operator's extracts: checked before they are kept, and seen by whoever looks next."""

import gzip
import os

import pytest
from pmtiles.tile import TileType

from odograph.errors import Refusal
from odograph.tiles.extracts import Extracts
from tests.support.archives import BERLIN, make_archive, png_tile, vector_tile


@pytest.fixture
def extracts(tmp_path):
    return Extracts(tmp_path / "data" / "basemaps")


def test_an_added_extract_is_seen_by_a_server_that_already_looked(tmp_path, extracts):
    running = Extracts(tmp_path / "data" / "basemaps")
    assert running.find("town") is None
    assert running.list_extracts() == []
    extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    seen = running.find("town")
    assert seen is not None
    assert seen.archive is not None
    assert seen.archive.get(*BERLIN) == vector_tile("earth", "water", "roads", "buildings")


def test_an_extract_is_opened_once_and_again_when_it_is_replaced(tmp_path, extracts):
    extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    first = extracts.find("town").archive
    assert extracts.find("town").archive is first
    extracts.add(make_archive(tmp_path / "b.pmtiles", {BERLIN: vector_tile("earth", "water", "roads")}), "town")
    assert extracts.find("town").archive.version != first.version
    assert first.get(*BERLIN) is not None, "whoever reads the old one must be able to finish"


def test_a_removed_extract_is_gone(tmp_path, extracts):
    extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    extracts.remove("town")
    assert extracts.find("town") is None
    with pytest.raises(Refusal, match="no map 'town'"):
        extracts.remove("town")
    with pytest.raises(Refusal, match="no map"):
        extracts.remove("../../etc/passwd")


def test_the_one_that_was_added_last_comes_first(tmp_path, extracts):
    for number, name in enumerate(("b", "c", "a")):
        extracts.add(make_archive(tmp_path / "x.pmtiles"), name)
        os.utime(tmp_path / "data" / "basemaps" / f"{name}.pmtiles", (number, number))
    assert [one.name for one in extracts.list_extracts()] == ["a", "c", "b"]


def test_files_that_are_no_extracts_are_passed_over_and_broken_ones_are_told(tmp_path, extracts):
    extracts.add(make_archive(tmp_path / "x.pmtiles"), "town")
    folder = tmp_path / "data" / "basemaps"
    (folder / "world.pmtiles").write_bytes(b"x")
    (folder / "Not A Name.pmtiles").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (folder / "broken.pmtiles").write_bytes(b"x" * 300)
    found = {one.name: one for one in extracts.list_extracts()}
    assert found.keys() == {"town", "broken"}
    assert found["broken"].archive is None
    assert "begins with something else" in found["broken"].problem


@pytest.mark.parametrize("name", ["world", "Town", "../town", "", "a" * 41, "town.pmtiles", "-town"])
def test_a_name_that_could_not_stand_in_a_url_is_refused(tmp_path, extracts, name):
    with pytest.raises(Refusal, match="can't be the name of a map"):
        extracts.add(make_archive(tmp_path / "a.pmtiles"), name)


def test_an_extract_that_the_page_cannot_draw_is_refused_with_its_layers(tmp_path, extracts):
    with pytest.raises(Refusal, match=r"its layers are transportation, water\. .*Protomaps schema"):
        extracts.add(make_archive(tmp_path / "a.pmtiles", layers=("water", "transportation")), "town")


@pytest.mark.parametrize(
    ("tile", "kind", "message"),
    [
        (b"not packed", TileType.MVT, "can't be read"),
        (vector_tile("earth")[:-4], TileType.MVT, "cut short"),
        (b"GIF89a", TileType.PNG, "it is not PNG"),
    ],
)
def test_an_extract_whose_tiles_cannot_be_read_is_refused_and_leaves_nothing(
    tmp_path, extracts, tile, kind, message
):
    source = make_archive(tmp_path / "a.pmtiles", {BERLIN: tile}, kind=kind)
    with pytest.raises(Refusal, match=message):
        extracts.add(source, "town")
    assert not (tmp_path / "data").exists()


def test_a_vector_tile_that_is_packed_and_yet_none_is_refused(tmp_path, extracts):
    source = make_archive(tmp_path / "a.pmtiles", {BERLIN: gzip.compress(b"\x1a\x7fno layer of 127 bytes")})
    with pytest.raises(Refusal, match="not a vector tile"):
        extracts.add(source, "town")


def test_pictures_are_taken(tmp_path, extracts):
    source = make_archive(tmp_path / "a.pmtiles", {BERLIN: png_tile()}, kind=TileType.PNG)
    assert extracts.add(source, "photos").archive.get(*BERLIN) == png_tile()


def test_a_file_that_is_not_there_is_named(tmp_path, extracts):
    with pytest.raises(Refusal, match=r"nowhere\.pmtiles"):
        extracts.add(tmp_path / "nowhere.pmtiles", "town")


def test_when_the_copy_fails_the_old_one_stays(tmp_path, extracts, monkeypatch):
    extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    before = extracts.find("town").archive.version

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    other = make_archive(tmp_path / "b.pmtiles", {BERLIN: vector_tile("earth", "water", "roads")})
    with pytest.raises(Refusal, match="No space left on device"):
        extracts.add(other, "town")
    assert extracts.find("town").archive.version == before
    assert [path.name for path in (tmp_path / "data" / "basemaps").iterdir()] == ["town.pmtiles"]
