"""What `odograph share` makes of the words it is given."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from odograph.cli.program import program
from odograph.cli.share import _place, _trail, _within
from odograph.errors import Refusal


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("5km,20min", {"meters": 5000, "minutes": 20}),
        ("20min, 500 m", {"meters": 500, "minutes": 20}),
        ("2h", {"minutes": 120}),
        ("800M", {"meters": 800}),
    ],
)
def test_a_limit_is_a_distance_a_time_or_both(text: str, limits: dict[str, int]) -> None:
    assert _within(text) == limits


@pytest.mark.parametrize("text", ["", "5", "5km,", "near", "5miles", "20s"])
def test_what_is_no_limit_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(Refusal, match="--within must be"):
        _within(text)


def test_a_trail_is_none_all_since_the_start_or_a_span() -> None:
    assert [_trail(text) for text in ("none", "start", "30m", "2h", "20s")] == [
        "none",
        "sinceStart",
        "minutes:30",
        "minutes:120",
        "minutes:1",
    ]
    with pytest.raises(Refusal, match="--trail must be"):
        _trail("all")


def test_a_place_may_have_commas_in_its_address() -> None:
    assert _place("Dock, Quay 1, 1234 AB Town,52.1, -4.3") == {
        "name": "Dock",
        "formattedAddress": "Quay 1, 1234 AB Town",
        "latitude": 52.1,
        "longitude": -4.3,
    }


@pytest.mark.parametrize("text", ["", "Dock", "Dock,Quay 1", "Dock,52.1,4.3", "Dock,Quay 1,north,4.3"])
def test_what_is_no_place_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(Refusal, match="--to-place must be"):
        _place(text)


def test_every_subcommand_documents_itself() -> None:
    for name in ("create", "list", "show", "extend", "revoke", "rotate", "reactivate", "ledger"):
        result = CliRunner().invoke(program, ["share", name, "--help"])
        assert result.exit_code == 0
        assert "link" in result.output.lower()
