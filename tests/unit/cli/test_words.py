"""Moments, tables, keys and QR codes: what commands make of text."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from odograph.catalog.sheets import keys_csv
from odograph.cli.claims import imei, listed_keys
from odograph.cli.moments import age, required_span_s, rfc3339
from odograph.cli.output import complain, put_json, put_table, say
from odograph.cli.phone import phone_settings, qr_code, qr_content
from odograph.cli.words import pair, position
from odograph.errors import Refusal
from odograph.printable import printable
from odograph.protocols.base import Claim

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
KEY = "q40j-54v7-v292-atp3-919y-zs5d-88ng"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2024-05-01T12:00:00.000Z"),
        ("24h", "2024-04-30T12:00:00.000Z"),
        ("90m", "2024-05-01T10:30:00.000Z"),
        ("2024-04-01", "2024-03-31T22:00:00.000Z"),
        ("2024-04-01T08:00", "2024-04-01T06:00:00.000Z"),
        ("2024-04-01T08:00:00Z", "2024-04-01T08:00:00.000Z"),
        ("2024-04-01T08:00:00.5-05:00", "2024-04-01T13:00:00.500Z"),
    ],
)
def test_moments_are_read_in_the_time_zone_of_the_organisation(text: str, moment: str) -> None:
    assert rfc3339("--from", text, "Europe/Berlin", NOW) == moment


def test_a_span_may_count_ahead() -> None:
    assert rfc3339("--expires", "90d", "UTC", NOW, is_future=True) == "2024-07-30T12:00:00.000Z"


def test_positions_numbers_and_pairs_are_read_or_refused_by_the_name_of_the_field() -> None:
    assert position("--at", "52.1, -4.3") == (52.1, -4.3)
    assert pair("--external-id", "erp:a:b") == ("erp", "a:b")
    for text in ("52.1", "52,1,4.3", "north,4.3", "52.1,", "nan,1", "1,inf"):
        with pytest.raises(Refusal, match="--at must be"):
            position("--at", text)
    for text in ("erp", "erp:", ":1"):
        with pytest.raises(Refusal, match="--external-id must be KEY:VALUE"):
            pair("--external-id", text)


@pytest.mark.parametrize("text", ["yesterday", "", "24", "h"])
def test_what_is_no_moment_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(Refusal, match="--from must be"):
        rfc3339("--from", text, "UTC", NOW)
    with pytest.raises(Refusal, match="--silent must be"):
        required_span_s("--silent", text)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2024-05-01T11:59:48Z", "12 s ago"),
        ("2024-05-01T11:30:00Z", "30 min ago"),
        ("2024-05-01T08:00:00Z", "4 h ago"),
        ("2024-04-20T12:00:00Z", "11 d ago"),
        ("2024-05-01T12:00:09Z", "0 s ago"),
    ],
)
def test_ages_are_rough(time: str, text: str) -> None:
    assert age(time, NOW) == text


def test_a_table_that_is_not_for_a_terminal_can_be_cut_at_its_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(("ID", "NAME"), [("1", "a\tb\nc"), ("2", None)])
    assert capsys.readouterr().out == "ID\tNAME\n1\ta b c\n2\t\n"


def test_a_complaint_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    complain("first\nsecond")
    assert capsys.readouterr() == ("", "odograph: first second\n")


def test_keys_as_an_import_prints_them_are_found_by_device_id_name_and_id(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text(keys_csv([("281", "Van 1", "box-1", "k1"), ("282", "Van 2", "", "k2")]))
    claim_of = listed_keys(path)
    assert claim_of("box-1") == claim_of("Van 1") == claim_of("281") == Claim("box-1", "k1")
    assert claim_of("Van 2") == Claim("Van 2", "k2")
    assert claim_of("Van 3") is None


@pytest.mark.parametrize("text", ["", "name,id\nVan,1\n", "\xff\xfe"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Refusal, match="keys"):
        listed_keys(path)


def test_made_imeis_are_steady_different_and_valid() -> None:
    made = {imei(f"bus {number}") for number in range(500)}
    assert len(made) == 500
    assert imei("bus 7") == imei("bus 7")
    for digits in made:
        assert len(digits) == 15
        doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(digits)]
        assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def test_the_settings_of_phones_fit_into_80_columns() -> None:
    lines = phone_settings("http://192.168.178.120:18080", KEY)
    assert max(map(len, lines)) <= 80
    assert any(line.endswith(f"/ingest/osmand/{KEY}") for line in lines)


def test_the_link_for_owntracks_sets_up_http_with_the_key_in_the_address() -> None:
    packed = qr_content("owntracks", "https://fleet.example", KEY).removeprefix("owntracks:///config?inline=")
    assert json.loads(base64.b64decode(packed)) == {
        "_type": "configuration",
        "mode": 3,
        "url": f"https://fleet.example/ingest/owntracks/{KEY}",
    }


def test_a_qr_code_fits_a_terminal() -> None:
    lines = qr_code(qr_content("traccar", "http://192.168.178.120:18080", KEY)).splitlines()
    assert len(lines) < 24
    assert len(lines[0]) <= 80


HOSTILE = "a\x1b]0;owned\x07\u202eb\x9b2J\u2028"
SHOWN = "a\ufffd]0;owned\ufffd\ufffdb\ufffd2J"


def test_what_strangers_made_up_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(["id"], [[HOSTILE]])
    complain(f"No device {HOSTILE}.")
    say(f"one\n{HOSTILE}")
    said = capsys.readouterr()
    assert said.out == f"id\n{SHOWN}\n"
    assert said.err == f"odograph: No device {SHOWN} .\none\n{SHOWN}\ufffd\n"


def test_json_is_the_same_for_programs_and_harmless_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    put_json({"id": HOSTILE, "name": "سيارة رقم"})
    text = capsys.readouterr().out
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == {"id": HOSTILE, "name": "سيارة رقم"}
    assert "سيارة رقم" in text


@pytest.mark.parametrize(
    "name",
    [
        "Lastwagen\u00a0Süd",
        "سيارة رقم",
        "משאית",
        "می\u200cخواهم",  # noqa: RUF001
        "ක්\u200dෂ",
        "货车\u30001",
        "รถ",
        "👩🏽\u200d🚒",
        "Việt",
    ],
)
def test_names_in_any_script_and_direction_are_shown_as_they_are(name: str) -> None:
    assert printable(name) == name
