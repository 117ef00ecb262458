"""The pages as they are shipped: what the policy of the server asks of them, and what a phone has to load."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.webhash import OUTPUT, ROOT

WEB = ROOT / OUTPUT
LANGUAGES = ("en", "es", "de", "fr")
NOTICES = ("gone", "expired", "arrived", "later", "busy")
PAGES = ("share", "links", *(f"{kind}.{language}" for kind in NOTICES for language in LANGUAGES))
BEFORE_THE_CARD = 60_000  # bytes, compressed: what must be there before somebody reads where it is


class Markup(HTMLParser):
    """What a page loads, and what a strict policy would stop."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts: list[str] = []
        self.forbidden: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        for name in named:
            if name == "style" or name.startswith("on"):
                self.forbidden.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and not named.get("src")):
            self.forbidden.append(tag)
        if tag == "script":
            self.scripts.append(named.get("src") or "")
        if tag in {"script", "link"}:
            self.loads.append(named.get("src") or named.get("href") or "")


def read(page: str) -> str:
    return (WEB / f"{page}.html").read_text()


def file_of(url: str) -> Path:
    assert url.startswith("/viewer/assets/"), url
    return WEB / url.removeprefix("/viewer/")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_nothing_that_a_strict_policy_stops(page):
    assert Markup(read(page)).forbidden == []


@pytest.mark.parametrize("page", PAGES)
def test_everything_that_a_page_loads_is_there_under_a_name_with_a_hash(page):
    for url in Markup(read(page)).loads:
        assert file_of(url).is_file()
        assert re.search(r"-[\w-]{8}\.\w+$", url)


@pytest.mark.parametrize("page", PAGES)
def test_search_engines_are_told_to_leave(page):
    assert '<meta name="robots" content="noindex, nofollow">' in read(page)


def test_the_share_page_has_the_places_that_the_server_fills():
    html = read("share")
    for place in ("<title><!--odograph:title--></title>", "<!--odograph:data-->", "<!--odograph:noscript-->"):
        assert html.count(place) == 1
    assert html.count('<html lang="en">') == 1
    assert html.index("<!--odograph:data-->") < html.index("<script")


@pytest.mark.parametrize("kind", NOTICES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notice_needs_no_script_and_says_its_language(kind, language):
    html = read(f"{kind}.{language}")
    assert Markup(html).scripts == []
    assert f'<html lang="{language}">' in html
    assert "notice:" not in html
    title = re.search(r"<title>(.+)</title>", html)
    assert title is not None
    assert f"<h1>{title[1]}</h1>" in html


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notice_differs_by_language(kind):
    assert len({read(f"{kind}.{language}") for language in LANGUAGES}) == len(LANGUAGES)


def test_the_card_is_readable_from_little():
    first = [file_of(url) for url in Markup(read("share")).loads]
    loaded = sum(Path(f"{path}.br").stat().st_size for path in first) + len(read("share"))
    assert loaded < BEFORE_THE_CARD


def test_the_map_comes_after_the_card():
    first = b"".join(file_of(url).read_bytes() for url in Markup(read("share")).loads)
    assert b"WebGLRenderingContext" not in first
    assert b"@font-face" in first


def test_whatever_browsers_load_is_compressed():
    loaded = [path for path in (WEB / "assets").iterdir() if path.suffix in {".js", ".css", ".svg", ".txt"}]
    assert len(loaded) > 8
    for path in loaded:
        assert Path(f"{path}.br").stat().st_size < path.stat().st_size


def test_no_page_loads_anything_from_elsewhere():
    for path in WEB.rglob("*.css"):
        assert re.findall(r"url\((?!/viewer/assets/)[^)]*\)", path.read_text()) == []


def test_the_licences_of_others_are_shipped():
    (text,) = (path.read_text() for path in (WEB / "assets").glob("licences-*.txt"))
    for name in ("maplibre-gl ", "svelte ", "@fontsource-variable/inter ", "uqr ", "GeoNames", "Natural Earth"):
        assert name in text
