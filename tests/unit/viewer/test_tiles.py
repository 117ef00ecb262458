"""`/tiles/…`: what browsers may keep for good, and what they are told nothing about."""

import gzip

import pytest
from pmtiles.tile import TileType

from odograph.telemetry import ENDPOINT
from odograph.viewer.tiles import TEMPLATE, Tiles, tiles_url
from tests.support.archives import BERLIN, make_archive, png_tile


@pytest.fixture
def get(world, extracts):
    tiles = Tiles(world, extracts)

    async def get(path, method="GET"):
        return await tiles({"method": method, "path": path})

    return get


def url(name, archive, z, x, y):
    return tiles_url(name, archive).format(z=z, x=x, y=y)


async def test_a_tile_comes_as_it_is_stored_and_may_be_kept_for_good(get, world):
    reply = await get(url("world", world, 0, 0, 0))
    assert reply.status == 200
    assert reply.body == world.get(0, 0, 0)
    assert gzip.decompress(reply.body)
    assert reply.content_type == "application/vnd.mapbox-vector-tile"
    assert dict(reply.headers) == {
        b"content-encoding": b"gzip",
        b"cache-control": b"public, max-age=31536000, immutable",
        b"x-content-type-options": b"nosniff",
    }


async def test_a_tile_that_the_archive_does_not_have_is_empty_and_kept_too(get, tmp_path, extracts):
    extract = extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    reply = await get(url("town", extract.archive, 12, 0, 0))
    assert (reply.status, reply.body, reply.content_type) == (204, b"", "")
    assert (b"cache-control", b"public, max-age=31536000, immutable") in reply.headers


async def test_pictures_are_sent_as_pictures(get, tmp_path, extracts):
    source = make_archive(tmp_path / "a.pmtiles", {BERLIN: png_tile()}, kind=TileType.PNG)
    reply = await get(url("photos", extracts.add(source, "photos").archive, *BERLIN))
    assert (reply.status, reply.body, reply.content_type) == (200, png_tile(), "image/png")
    assert b"content-encoding" not in dict(reply.headers)


async def test_a_removed_or_replaced_extract_is_not_found_under_its_old_version(get, tmp_path, extracts):
    old = extracts.add(make_archive(tmp_path / "a.pmtiles"), "town").archive
    new = extracts.add(make_archive(tmp_path / "b.pmtiles", attribution="another"), "town").archive
    assert (await get(url("town", old, *BERLIN))).status == 404
    assert (await get(url("town", new, *BERLIN))).status == 200
    extracts.remove("town")
    assert (await get(url("town", new, *BERLIN))).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/tiles/",
        "/tiles/world/{v}/0/0",
        "/tiles/world/{v}/0/0/0/0",
        "/tiles/world/{v}/0/0/0.mvt",
        "/tiles/world/{v}/7/0/0",
        "/tiles/world/{v}/2/4/0",
        "/tiles/world/{v}/2/0/4",
        "/tiles/world/{v}/-1/0/0",
        "/tiles/world/{v}/0/0/\u0660",
        "/tiles/world/{v}/99/99999999/99999999",
        "/tiles/world/0123456789ab/0/0/0",
        "/tiles/town/{v}/0/0/0",
        "/tiles/../{v}/0/0/0",
        "/tiles/%2e%2e/{v}/0/0/0",
    ],
)
async def test_every_path_that_was_never_given_out_is_not_found(get, world, path):
    reply = await get(path.replace("{v}", world.version))
    assert reply.status == 404
    assert (b"cache-control", b"no-store") in reply.headers


async def test_tiles_are_only_read(get, world):
    path = url("world", world, 0, 0, 0)
    assert (await get(path, "HEAD")).status == 200
    assert (await get(path, "POST")).status == 405


async def test_all_tiles_are_one_endpoint_in_the_metrics(world, extracts):
    scope = {"method": "GET", "path": url("world", world, 0, 0, 0)}
    await Tiles(world, extracts)(scope)
    assert scope[ENDPOINT] == TEMPLATE
