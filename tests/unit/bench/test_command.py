"""The command runs what was asked for, tells figures as they come, and a failed scenario fails the run alone."""

import json

import click
from click.testing import CliRunner

from odograph.bench import command
from odograph.bench.install import Options
from odograph.bench.load import Lost
from odograph.bench.scenarios.base import Scenario, shares_text
from odograph.bench.scenarios.registry import SCENARIOS


async def _good(options, rows):
    rows.at_least("speed", options.pick(10, 5), "fixes/s", 5)


async def _slow(options, rows):
    rows.at_least("speed", 1, "fixes/s", 5)


async def _broken(options, rows):
    rows.state("before", 1, "s")
    raise Lost("gone")


FAKES = (Scenario("good", "is fine", _good), Scenario("slow", "misses", _slow), Scenario("broken", "ends", _broken))


def test_every_scenario_has_a_name_of_its_own():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert {"live", "batch", "single", "replay", "slowdisk", "flat", "feed", "restart", "memory"} <= set(names)


def test_a_broken_scenario_is_told_and_the_others_run(tmp_path):
    said: list[str] = []
    results = command.run(Options(tmp_path, True, None, said.append), FAKES)
    assert [row["figure"] for row in results["rows"]] == [5, 1, 1]
    assert results["failed"] == {"broken": "Lost: gone"}
    assert any(line.startswith("FAILED broken") for line in said)
    assert results["machine"]["cpus"] >= 1


def _invoke(monkeypatch, tmp_path, *flags):
    monkeypatch.setattr(command, "SCENARIOS", FAKES)
    monkeypatch.setattr(
        command.bench.params[1], "type", click.STRING
    )  # the choice of names was made from the real ones
    return CliRunner().invoke(command.bench, ["--dir", str(tmp_path / "data"), *flags])


def test_a_run_that_meets_its_goals_exits_with_0_and_leaves_only_what_was_asked_for(monkeypatch, tmp_path):
    done = _invoke(monkeypatch, tmp_path, "--only", "good", "--json", str(tmp_path / "out.json"))
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out.json").read_text())["rows"][0]["met"] is True
    assert list((tmp_path / "data").iterdir()) == []


def test_a_missed_goal_exits_with_1(monkeypatch, tmp_path):
    table = tmp_path / "out.md"
    done = _invoke(monkeypatch, tmp_path, "--only", "slow", "--markdown", str(table))
    assert done.exit_code == 1
    assert "1 figures, 1 goals missed" in done.output
    assert "**missed**" in table.read_text()


def test_shares_are_told_by_role():
    assert shares_text({"writer": 0.25, "api": 1.0}) == "cores used: api 1.00, writer 0.25"


def test_more_links_than_vehicles_are_refused():
    done = CliRunner().invoke(command.bench, ["share", "--links", "10", "--fleet", "10"])
    assert done.exit_code == 2
    assert "--links must be below --fleet" in done.output
