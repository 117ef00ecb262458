"""Archives: every tile of what the format's own library wrote, and a clear no to everything else."""

import gc
import os
import random
from pathlib import Path

import pytest
from pmtiles.reader import MmapSource, all_tiles
from pmtiles.tile import Compression, TileType, zxy_to_tileid

from odograph.errors import Corrupt, Refusal
from odograph.tiles.archive import Archive, Bounds, TileKind
from odograph.tiles.directory import decode_directory
from tests.support.archives import BERLIN, make_archive, png_tile, vector_tile


def many_tiles(count):
    """Random places of zoom 14, some beside each other, some of them alike."""
    draw = random.Random(7)
    places = {(14, draw.randrange(200), draw.randrange(200)) for _ in range(count)}
    return {place: b"tile %d" % draw.randrange(count // 2) for place in places}


@pytest.mark.parametrize("count", [1, 300, 30_000], ids=["one", "one directory", "leaf directories"])
def test_every_tile_is_found_and_nothing_else_is(tmp_path, count):
    tiles = many_tiles(count + 1)
    archive = Archive.open(make_archive(tmp_path / "town.pmtiles", tiles))
    for x in range(200):
        for y in range(0, 200, 1 if count < 1000 else 3):
            assert archive.get(14, x, y) == tiles.get((14, x, y))


def test_the_embedded_world_reads_as_the_formats_own_library_reads_it(world):
    with world.path.open("rb") as file:
        expected = dict(all_tiles(MmapSource(file)))
    assert len(expected) > 3000
    assert all(world.get(*place) == data for place, data in expected.items())


def test_entries_of_leaf_directories_come_in_order_and_complete(tmp_path):
    tiles = many_tiles(30_000)
    archive = Archive.open(make_archive(tmp_path / "town.pmtiles", tiles))
    ids = [entry.tile_id + step for entry in archive.entries() for step in range(entry.run_length)]
    assert ids == sorted(zxy_to_tileid(*place) for place in tiles)


def test_an_archive_says_what_it_is(tmp_path):
    archive = Archive.open(make_archive(tmp_path / "a.pmtiles", attribution="© Us"))
    assert archive.bounds == Bounds(13.0, 52.3, 13.8, 52.7)
    assert (archive.min_zoom, archive.max_zoom, archive.kind, archive.is_gzipped) == (12, 12, TileKind.MVT, True)
    assert (archive.schema, archive.attribution) == ("protomaps", "© Us")


@pytest.mark.parametrize("kind", [TileType.PNG, TileType.JPEG, TileType.WEBP])
def test_pictures_have_no_schema_and_are_not_unpacked_by_browsers(tmp_path, kind):
    archive = Archive.open(make_archive(tmp_path / "a.pmtiles", {(0, 0, 0): png_tile()}, kind=kind))
    assert archive.kind.value.startswith("image/")
    assert (archive.schema, archive.is_gzipped) == (None, False)


def test_layers_of_another_meaning_are_no_schema_that_we_know(tmp_path):
    assert Archive.open(make_archive(tmp_path / "a.pmtiles", layers=("water", "transportation"))).schema is None


@pytest.mark.parametrize("place", [(12, 4096, 0), (12, 0, 4096), (11, 0, 0), (13, 0, 0), (12, -1, 0), (99, 0, 0)])
def test_places_outside_of_the_world_or_of_the_zooms_hold_nothing(tmp_path, place):
    archive = Archive.open(make_archive(tmp_path / "a.pmtiles"))
    assert not archive.may_hold(*place)
    assert archive.get(*place) is None


def test_the_version_is_that_of_the_content_wherever_it_lies(tmp_path):
    first = Archive.open(make_archive(tmp_path / "a.pmtiles"))
    copied = Archive.open(make_archive(tmp_path / "elsewhere" / "b.pmtiles"))
    other = Archive.open(
        make_archive(tmp_path / "c.pmtiles", {BERLIN: vector_tile("earth", "water", "roads", "x")})
    )
    assert first.version == copied.version != other.version


def test_bounds_that_make_no_sense_are_brought_into_the_world(tmp_path):
    archive = Archive.open(
        make_archive(tmp_path / "a.pmtiles", min_lon_e7=2_000_000_000, max_lon_e7=-1_900_000_000)
    )
    assert archive.bounds[::2] == (-180.0, 180.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are too few"),
        (b"SQLite format 3\0" + bytes(200), "begins with something else"),
        (b"PMTiles\x02" + bytes(200), "version 2; version 3 is served"),
        (b"PMTiles\x03" + b"\xff" * 200, "is a damaged PMTiles archive|can't be served"),
    ],
)
def test_a_foreign_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "strange.pmtiles"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=message) as refused:
        Archive.open(path)
    assert str(path) in refused.value.message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"tile_type": TileType.AVIF}, "its tiles are AVIF"),
        ({"tile_compression": Compression.BROTLI}, "compressed with BROTLI"),
    ],
)
def test_what_no_browser_of_ours_reads_is_refused(tmp_path, header, message):
    with pytest.raises(Refusal, match=message):
        Archive.open(make_archive(tmp_path / "a.pmtiles", **header))


def test_a_file_that_is_cut_short_is_refused_however_short_it_is(tmp_path):
    whole = make_archive(tmp_path / "a.pmtiles", many_tiles(300)).read_bytes()
    path = tmp_path / "short.pmtiles"
    for length in (*range(0, 400, 7), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(Refusal, match=r"short\.pmtiles"):
            Archive.open(path)


def test_a_flipped_byte_is_refused_or_read_and_never_another_error(tmp_path):
    whole = make_archive(tmp_path / "a.pmtiles", many_tiles(300)).read_bytes()
    path = tmp_path / "bad.pmtiles"
    for at in range(0, 1200, 3):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 0x55,)) + whole[at + 1 :])
        try:
            archive = Archive.open(path)
            for x in range(40):
                archive.get(14, x, x)
        except (Refusal, Corrupt) as damage:
            assert "bad.pmtiles" in str(damage)  # noqa: PT017 - many bytes do no harm


def test_a_damaged_leaf_directory_is_named_when_it_is_needed(tmp_path):
    path = make_archive(tmp_path / "a.pmtiles", many_tiles(30_000))
    archive = Archive.open(path)
    start = archive._header["leaf_directory_offset"]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(64))
    with pytest.raises(Corrupt, match=f"at byte {start} can't be read"):
        list(Archive.open(path).entries())


def test_a_file_that_is_overwritten_in_place_while_it_is_open_is_damage_and_not_the_end(tmp_path):
    path = make_archive(tmp_path / "a.pmtiles", many_tiles(300))
    archive = Archive.open(path)
    os.truncate(path, 200)
    entry = next(archive.entries())
    with pytest.raises(Corrupt, match="ends within"):
        archive.read(entry)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_archive_that_nobody_holds_closes_its_file(tmp_path):
    path = make_archive(tmp_path / "a.pmtiles")
    gc.disable()
    try:
        before = open_files()
        archive = Archive.open(path)
        archive.get(*BERLIN)
        assert open_files() == before + 1
        del archive
        assert open_files() == before
    finally:
        gc.enable()


def test_a_directory_that_leads_to_itself_is_damage(tmp_path, monkeypatch):
    archive = Archive.open(make_archive(tmp_path / "a.pmtiles"))
    endless = decode_directory(bytes((1, 0, 0, 9, 1)))  # one entry: id 0, no run, 9 bytes at 0
    archive._root = endless
    archive._leaf = lambda *_: endless
    with pytest.raises(Corrupt, match="without an end"):
        archive.get(*BERLIN)
    with pytest.raises(Corrupt, match="without an end"):
        list(archive.entries())


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x02\x01", b"\x01\x00\x01\x01\x00", b"\x80" * 11 + b"\x01"])
def test_bytes_that_are_no_directory_are_an_error(data):
    with pytest.raises(ValueError, match=r"director|number"):
        decode_directory(data)
