"""Which map the page draws, and that its policy lets in what that map needs and nothing else."""

import msgspec
import pytest
from pmtiles.tile import TileType

from odograph.errors import Refusal
from odograph.settings import load_settings
from odograph.viewer.mapconfig import OPENSTREETMAP, WORLD_CREDITS, csp, map_config, referrer_policy
from tests.support.archives import BERLIN, make_archive, png_tile

RASTER = "https://tile.example.org/{z}/{x}/{y}.png"
STYLE = "https://maps.example.com:8443/styles/light.json?key=abc"


def as_page_reads_it(config):
    return msgspec.json.decode(msgspec.json.encode(config))


def test_without_any_street_map_there_is_the_world_alone(world):
    config = as_page_reads_it(map_config("", "", world, []))
    assert config["world"] == {"tiles": f"/tiles/world/{world.version}/{{z}}/{{x}}/{{y}}", "maxZoom": 6}
    assert config["street"] is None
    assert config["attribution"] == list(WORLD_CREDITS)


def test_an_extract_is_drawn_within_its_bounds_and_zooms(world, extracts, tmp_path):
    added = extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    config = as_page_reads_it(map_config("", "", world, extracts.list_extracts()))
    assert config["street"] == {
        "kind": "vector",
        "tiles": f"/tiles/town/{added.archive.version}/{{z}}/{{x}}/{{y}}",
        "minZoom": 12,
        "maxZoom": 12,
        "bounds": [13.0, 52.3, 13.8, 52.7],
        "attribution": OPENSTREETMAP,
        "schema": "protomaps",
    }
    assert config["attribution"] == [OPENSTREETMAP, *WORLD_CREDITS]


def test_an_extract_of_pictures_names_whom_its_maker_names(world, extracts, tmp_path):
    source = make_archive(
        tmp_path / "a.pmtiles",
        {BERLIN: png_tile()},
        kind=TileType.PNG,
        attribution='<a href="https://s.example">S</a>',
    )
    extracts.add(source, "photos")
    street = as_page_reads_it(map_config("", "", world, extracts.list_extracts()))["street"]
    assert street["kind"] == "raster"
    assert street["attribution"] == '<a href="https://s.example">S</a>'


def test_a_broken_extract_and_one_that_cannot_be_drawn_are_passed_over(world, extracts, tmp_path):
    folder = tmp_path / "basemaps"
    make_archive(folder / "broken.pmtiles").write_bytes(b"x")
    make_archive(folder / "foreign.pmtiles", layers=("transportation",))
    assert map_config("", "", world, extracts.list_extracts()).street is None
    make_archive(folder / "good.pmtiles")
    assert map_config("", "", world, extracts.list_extracts()).street is not None


def test_the_setting_goes_before_an_extract(world, extracts, tmp_path):
    extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    config = as_page_reads_it(map_config(RASTER, "© Us", world, extracts.list_extracts()))
    assert config["street"]["tiles"] == RASTER
    assert config["street"]["bounds"] is None
    assert as_page_reads_it(map_config(STYLE, "", world, []))["street"] == {
        "kind": "style",
        "url": STYLE,
        "attribution": "",
    }


def test_nothing_from_anywhere_else_is_allowed_unless_it_is_configured(world):
    assert csp(map_config("", "", world, []), []) == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize(
    ("setting", "origin"), [(RASTER, "https://tile.example.org"), (STYLE, "https://maps.example.com:8443")]
)
def test_the_configured_host_and_no_other_may_be_loaded_from(world, setting, origin):
    config = map_config(setting, "© Us", world, [])
    policy = csp(config, [])
    assert f"connect-src 'self' {origin};" in policy
    assert f"img-src 'self' data: blob: {origin};" in policy
    assert policy.count("https://") == 2
    assert referrer_policy(config) == "strict-origin"


def test_a_local_extract_needs_no_other_host_and_tells_nobody_anything(world, extracts, tmp_path):
    extracts.add(make_archive(tmp_path / "a.pmtiles"), "town")
    config = map_config("", "", world, extracts.list_extracts())
    assert "https://" not in csp(config, [])
    assert referrer_policy(config) == "no-referrer"


def test_named_origins_may_frame_the_page(world):
    policy = csp(map_config("", "", world, []), ["https://portal.example", "https://other.example:444"])
    assert policy.endswith("frame-ancestors https://portal.example https://other.example:444")


@pytest.mark.parametrize(
    "ancestor", ["portal.example", "*", "https://a.example; script-src *", "https://a.example/x"]
)
def test_what_is_no_origin_never_gets_into_the_policy(world, ancestor):
    with pytest.raises(ValueError, match="is not an origin"):
        csp(map_config("", "", world, []), [ancestor])


@pytest.mark.parametrize(
    ("tiles", "attribution", "message"),
    [
        ("tile.example.org/{z}/{x}/{y}.png", "© Us", "'street_tiles'.*begins with https://"),
        ("ftp://tile.example.org/{z}/{x}/{y}.png", "© Us", "'street_tiles'"),
        ("https://{s}.example.org/{z}/{x}/{y}.png", "© Us", "'street_tiles'"),
        ("https://tile.example.org/{z}/{x}.png", "© Us", "'street_tiles'.*once"),
        ("https://tile.example.org/{z}/{x}/{y}/{y}.png", "© Us", "'street_tiles'.*once"),
        ("https://tile.example.org/{z}/{x}/{y}.png?{ratio}", "© Us", "'street_tiles'.*once"),
        ("https://user:secret@tile.example.org/{z}/{x}/{y}.png", "© Us", "'street_tiles'.*without user"),
        ("https://tile.example.org; script-src *", "© Us", "'street_tiles'"),
        ("https://tile.example.org,evil.example/style.json", "", "'street_tiles'"),
        ("https://tile.example.org:x/style.json", "", "'street_tiles'"),
        ("https:///style.json", "", "'street_tiles'"),
        ("https://[::1/style.json", "", "'street_tiles'"),
        (RASTER, "", "'street_attribution'.*must be named"),
    ],
)
def test_a_setting_that_will_not_do_is_named_with_what_is_allowed(tiles, attribution, message):
    with pytest.raises(Refusal, match=message):
        load_settings({"street_tiles": tiles, "street_attribution": attribution}, environment={})


@pytest.mark.parametrize(
    ("tiles", "attribution"), [("", ""), (RASTER, "© Us"), (STYLE, ""), ("http://[fd00::1]:8080/style.json", "")]
)
def test_a_setting_that_will_do_is_taken(tiles, attribution):
    assert load_settings({"street_tiles": tiles, "street_attribution": attribution}, environment={})
