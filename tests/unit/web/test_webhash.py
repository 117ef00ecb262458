import shutil
from pathlib import Path

import pytest

from tools.webhash import ASIDE, OUTPUT, ROOT, stale


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / OUTPUT, tmp_path / OUTPUT)
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    return tmp_path


def test_the_built_pages_are_those_that_the_sources_make():
    assert stale() == ""


def test_a_changed_source_is_noticed(copy):
    page = copy / "web" / "src" / "share.ts"
    page.write_text(page.read_text() + "\n")
    assert "web/ changed" in stale(copy)


def test_a_changed_lock_file_is_noticed(copy):
    (copy / "web" / "package-lock.json").write_text("{}")
    assert "web/ changed" in stale(copy)


def test_a_new_source_is_noticed(copy):
    (copy / "web" / "src" / "extra.ts").write_text("")
    assert "web/ changed" in stale(copy)


def test_a_page_that_was_changed_by_hand_is_noticed(copy):
    page = copy / OUTPUT / "share.html"
    page.write_text(page.read_text().replace("noindex", "index"))
    assert "changed by hand" in stale(copy)


def test_pages_that_were_never_built_are_noticed(copy):
    shutil.rmtree(copy / OUTPUT)
    assert "never built" in stale(copy)


def test_what_is_no_part_of_the_pages_may_change(copy):
    for folder in ASIDE:
        (copy / "web" / folder).mkdir(exist_ok=True)
        (copy / "web" / folder / "extra.ts").write_text("")
    assert stale(copy) == ""
