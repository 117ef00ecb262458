"""HTML from the built front end, with a link's state in it, and the files that it loads.

The front end lies built in `web/` beside this file. Its `share.html` has comments as placeholders; what takes their
place is escaped for where it stands.
"""

from __future__ import annotations

import html
import mimetypes
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from odograph.sharing import page
from odograph.viewer.answers import Reply
from odograph.viewer.headers import KEPT_FOR_GOOD
from odograph.viewer.texts import ENDINGS, LANGUAGES, LAST_SEEN, NO_POSITION, Ending, Language

WEB: Final = Path(__file__).parent / "web"
HTML: Final = "text/html; charset=utf-8"
_PLACEHOLDER: Final = re.compile(r"(<!--odograph:(?:title|data|noscript)-->|<html lang=\"en\">)")
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED: Final = re.compile("[<>&\u2028\u2029]")
_PACKED: Final = {"br": ".br", "gzip": ".gz"}
_PLAIN: Final = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
    "<title>{title}</title></head><body><main><h1>{title}</h1><p>{sentence}</p></main></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the front end, also as it was compressed when it was built."""

    body: bytes
    content_type: str
    packed: Mapping[str, bytes]


class Pages:
    """Everything that the front end's folder holds, read once."""

    def __init__(self, folder: Path = WEB) -> None:
        self._files = _read(folder)
        self._share = _template(folder / "share.html")
        self._links = _template(folder / "links.html")
        self._endings = {
            (ending, language): _ending(folder, ending, language)
            for language in LANGUAGES
            for ending in ENDINGS["en"]
        }

    def share(self, state: page.State, state_json: bytes, map_json: bytes, language: Language) -> bytes | None:
        """The page of a link; None where no front end was built."""
        if self._share is None:
            return None
        title = f"{state.link.name} · {state.link.org}" if state.link.org else state.link.name
        blocks = _block("odograph-state", state_json) + _block("odograph-map", map_json)
        return _filled(self._share, language, html.escape(title), blocks, _noscript(state, language))

    def links(self, map_json: bytes, language: Language) -> bytes | None:
        """The link maker; None where no front end was built."""
        if self._links is None:
            return None
        return _filled(self._links, language, "Odograph", _block("odograph-map", map_json), "")

    def ending(self, ending: Ending, language: Language) -> bytes:
        """The page that says why there is nothing: always the same bytes."""
        return self._endings[ending, language]

    def file(self, name: str, accept_encoding: str) -> Reply | None:
        """A file of the front end by its name below /viewer/assets/; None where there is none."""
        file = self._files.get(name)
        if file is None:
            return None
        headers = (*KEPT_FOR_GOOD, (b"vary", b"accept-encoding"))
        for encoding, body in file.packed.items():
            if encoding in accept_encoding:
                return Reply(200, body, file.content_type, (*headers, (b"content-encoding", encoding.encode())))
        return Reply(200, file.body, file.content_type, headers)


def in_script(json: bytes) -> str:
    """JSON that may stand in a script element of an HTML page."""
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], json.decode())


def _filled(template: list[str], language: Language, title: str, blocks: str, noscript: str) -> bytes:
    values = {
        "<!--odograph:title-->": title,
        "<!--odograph:data-->": blocks,
        "<!--odograph:noscript-->": noscript,
        '<html lang="en">': f'<html lang="{language}">',
    }
    return "".join(values.get(part, part) for part in template).encode()


def _block(id_: str, json: bytes) -> str:
    return f'<script type="application/json" id="{id_}">{in_script(json)}</script>'


def _noscript(state: page.State, language: Language) -> str:
    """Each asset in a line, for whoever has no script."""
    lines = [_line(state.link, asset, language) for asset in state.assets]
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<noscript><h1>{html.escape(state.link.name)}</h1><ul>{items}</ul></noscript>"


def _line(link: page.Link, asset: page.Asset, language: Language) -> str:
    if not isinstance(asset.fix, page.Fix):
        return NO_POSITION[language].format(name=asset.name)
    zone = _zone(link.time_zone)
    time = datetime.fromtimestamp(asset.fix.time / 1000, UTC).astimezone(zone)
    text = time.isoformat(sep=" ", timespec="minutes")[:16]
    return LAST_SEEN[language].format(name=asset.name, near=asset.fix.near, time=text, zone=link.time_zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _template(path: Path) -> list[str] | None:
    return _PLACEHOLDER.split(path.read_text(encoding="utf-8")) if path.is_file() else None


def _ending(folder: Path, ending: Ending, language: Language) -> bytes:
    """As it was built; without a front end, the words alone."""
    path = folder / f"{ending}.{language}.html"
    if path.is_file():
        return path.read_bytes()
    text = ENDINGS[language][ending]
    words = {"title": html.escape(text.title), "sentence": html.escape(text.sentence)}
    return _PLAIN.format(language=language, **words).encode()


def _read(folder: Path) -> dict[str, _File]:
    """Every file but the pages, by its path in the folder and, of those in `assets`, by its path there."""
    found: dict[str, _File] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if not path.is_file() or path.suffix in {".html", ".br", ".gz"} or path.name == "build.json":
            continue
        name = path.relative_to(folder).as_posix()
        file = _File(path.read_bytes(), _content_type(path), _variants(path))
        found[name] = file
        found[name.removeprefix("assets/")] = file
    return found


def _variants(path: Path) -> dict[str, bytes]:
    """The compressed forms beside the file; gzip, which browsers take over plain HTTP too, is made here."""
    packed = {}
    for encoding, suffix in _PACKED.items():
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            packed[encoding] = beside.read_bytes()
    if "gzip" not in packed and path.suffix in {".js", ".mjs", ".css", ".json", ".svg", ".txt"}:
        packed["gzip"] = zlib.compress(path.read_bytes(), 6, 31)  # 31: with a gzip header
    return packed


def _content_type(path: Path) -> str:
    if path.suffix in {".js", ".mjs"}:
        return "text/javascript; charset=utf-8"
    if path.suffix == ".woff2":
        return "font/woff2"
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed
