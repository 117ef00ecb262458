"""The embedded map: it is the one that was built, and it holds what the page draws."""

import gzip
import hashlib

from odograph.tiles.check import check, layer_names
from odograph.tiles.world import PATH

LAYERS = {"land", "lake", "river", "border", "state", "country", "state_label", "place"}


def test_the_embedded_map_is_the_one_that_was_built():
    told, name = PATH.with_suffix(".sha256").read_text().split()
    assert name == PATH.name
    assert hashlib.sha256(PATH.read_bytes()).hexdigest() == told


def test_the_embedded_map_passes_the_check_of_every_other(world):
    check(world)
    assert (world.min_zoom, world.max_zoom) == (0, 6)


def test_every_layer_that_the_page_draws_is_in_it(world):
    assert world.layers == LAYERS
    found = {
        name
        for place in ((0, 0, 0), (3, 1, 2), (6, 33, 21), (6, 16, 24))
        for name in layer_names(gzip.decompress(world.get(*place) or b""))
    }
    assert found == LAYERS


def test_whoever_must_be_named_is_named_in_the_archive_too(world):
    assert "GeoNames, CC BY 4.0" in world.attribution


def test_no_path_of_the_machine_that_built_it_is_in_it():
    head = PATH.read_bytes()[:20_000]
    start = head.index(b"\x1f\x8b", 200)  # the metadata, behind the root directory
    assert b"/home" not in gzip.decompress(head[start:][: _metadata_length(head)])
    assert b"./tippecanoe" in gzip.decompress(head[start:][: _metadata_length(head)])


def _metadata_length(head: bytes) -> int:
    return int.from_bytes(head[32:40], "little")
