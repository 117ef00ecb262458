"""`odograph basemap`: on files alone, beside a server and without one."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from odograph.cli.basemap import basemap
from odograph.errors import Refusal
from odograph.tiles.extracts import FOLDER, Extracts
from tests.support.archives import BERLIN, make_archive


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def run(data: Path, *arguments: str, **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(basemap, [*arguments, "--data-dir", str(data)])
    if isinstance(result.exception, Refusal):
        raise result.exception
    assert result.exception is None or result.exit_code == 2
    return result


def test_a_map_is_added_under_its_files_name_listed_and_removed(tmp_path: Path, data: Path) -> None:
    added = run(data, "add", str(make_archive(tmp_path / "Berlin.pmtiles")))
    assert added.stdout == "berlin\n"
    assert "zoom 12 to 12, 13.00 52.30 to 13.80 52.70" in added.stderr
    extract = Extracts(data / FOLDER).find("berlin")
    assert extract is not None
    assert extract.archive is not None
    assert extract.archive.get(*BERLIN)
    titles, row = run(data, "list").stdout.splitlines()
    assert titles.split("\t")[:2] == ["NAME", "DRAWN"]
    assert row.split("\t")[:2] == ["berlin", "yes"]
    run(data, "remove", "berlin")
    assert run(data, "list", "--json").stdout == "[]\n"


def test_the_map_that_was_added_last_is_the_one_that_is_drawn(tmp_path: Path, data: Path) -> None:
    archive = str(make_archive(tmp_path / "a.pmtiles"))
    run(data, "add", archive, "--name", "first")
    os.utime(data / FOLDER / "first.pmtiles", (0, 0))
    run(data, "add", archive, "--name", "second")
    (data / FOLDER / "broken.pmtiles").write_bytes(b"x")
    found = {one["name"]: one for one in json.loads(run(data, "list", "--json").stdout)}
    assert {name: one["isDrawn"] for name, one in found.items()} == {
        "first": False,
        "second": True,
        "broken": False,
    }
    assert found["second"]["bounds"] == [13.0, 52.3, 13.8, 52.7]
    assert "too few" in found["broken"]["problem"]


def test_whoever_set_another_source_is_told_that_it_goes_before(tmp_path: Path, data: Path) -> None:
    environment = {"ODOGRAPH_STREET_TILES": "https://maps.example/style.json"}
    added = run(data, "add", str(make_archive(tmp_path / "a.pmtiles")), **environment)
    assert "street_tiles goes before it" in added.stderr
    assert [one["isDrawn"] for one in json.loads(run(data, "list", "--json", **environment).stdout)] == [False]


def test_a_file_that_is_no_map_is_refused_and_nothing_is_kept(tmp_path: Path, data: Path) -> None:
    (tmp_path / "photo.pmtiles").write_bytes(b"JFIF" * 100)
    with pytest.raises(Refusal, match=r"photo\.pmtiles is not a PMTiles archive"):
        run(data, "add", str(tmp_path / "photo.pmtiles"))
    assert not (data / FOLDER).exists()


def test_a_data_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no data directory"):
        run(tmp_path / "typo", "add", str(make_archive(tmp_path / "a.pmtiles")))
    assert not (tmp_path / "typo").exists()
