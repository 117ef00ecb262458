"""The lines to paste in docs/protocols.md are understood as they stand there."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from odograph.model.fixes import Report
from odograph.protocols.base import HttpRequest
from odograph.protocols.registry import PROTOCOLS

PAGE = (Path(__file__).parents[3] / "docs" / "protocols.md").read_text()
EXAMPLES = re.findall(r"```sh\n(curl .*?)```", PAGE, re.DOTALL)
HTTP = {protocol.name: protocol for protocol in PROTOCOLS.http}
MUNICH_MS = 1_743_299_999_000


def parse_curl(command: str) -> HttpRequest:
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    url, headers, body = "", {}, b""
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name.lower()] = value
        elif word == "-d":
            body = next(words).encode()
        else:
            url = word
    parts = urlsplit(url)
    return HttpRequest("POST" if body else "GET", parts.path, parts.query, headers, body)


def protocol_of(command: str) -> str:
    return parse_curl(command).path.split("/")[2]


@pytest.mark.parametrize("command", EXAMPLES, ids=protocol_of)
def test_each_example_says_the_same_fix(command):
    (delivery,) = HTTP[protocol_of(command)].decode(parse_curl(command))
    first = delivery.reports[0]
    assert first._replace(time_ms=0, heading_deg=None, speed_kmh=None) == Report(0, 48.137222, 11.575556)
    assert first.time_ms // 1000 * 1000 == MUNICH_MS
    assert first.heading_deg in (158.0, 158.4)
    assert first.speed_kmh in (18.52, 36.0, 37.04, 45.0, 54.0)


def test_every_protocol_has_an_example_and_a_place_in_the_table():
    assert {protocol_of(command) for command in EXAMPLES} == {*HTTP}
    for name in (*HTTP, *(stream.name for stream in PROTOCOLS.stream)):
        assert f"| [{name}](#" in PAGE


def test_the_answer_shown_is_one_that_is_given():
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(shown).keys() == {"stored", "known", "sameTimeDifferent", "rejected", "gap"}


def test_links_within_the_page_have_their_headings():
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors
