"""A row says what was measured, against what, and whether its goal was met."""

import math

from odograph.bench.report import Rows, as_markdown, percentiles_ms, render


def _rows():
    shown: list[str] = []
    return Rows("batch", shown.append), shown


def test_the_median_of_several_is_shown_with_their_spread():
    rows, shown = _rows()
    rows.at_least("batches", [300_000, 100_000, 200_000], "fixes/s", 250_000, yardstick=400_000.0)
    row = rows.rows[0].as_json()
    assert (row["figure"], row["spread"], row["ratio"], row["met"]) == (200_000, [100_000, 300_000], 0.5, False)
    assert shown[0].startswith("MISSED batch")
    assert "0.50 x yardstick 400,000" in shown[0]


def test_a_ceiling_is_met_at_its_value_and_a_statement_is_neither():
    rows, shown = _rows()
    rows.at_most("p99", 100.0, "ms", 100)
    rows.state("p50", 3.14159, "ms")
    assert rows.rows[0].is_met is True
    assert rows.rows[1].as_json()["met"] is None
    assert "3.14 ms" in shown[1]


def test_percentiles_of_nothing_meet_no_ceiling():
    assert percentiles_ms([]) == (math.inf, math.inf)
    assert percentiles_ms([0.001] * 99 + [0.1])[0] == 1.0


def test_numbers_are_rendered_with_the_digits_that_mean_something():
    assert [render(number) for number in (123456.7, 345.6, 12.345, 0.0123, None)] == [
        "123,457", "346", "12.3", "0.0123", "",
    ]  # fmt: skip


def test_a_run_becomes_a_table():
    rows, _ = _rows()
    rows.at_least("batches", [1.0, 2.0, 3.0], "fixes/s", 250_000, yardstick=4.0, note="64 connections")
    rows.state("p99", 5.0, "ms")
    machine = {"cpus": 2, "file_system": "ext4"}
    table = as_markdown(
        {"machine": machine, "rows": [row.as_json() for row in rows.rows], "failed": {"live": "no"}}
    )
    assert table.splitlines()[0] == "cpus 2, file system ext4"
    assert table.splitlines()[4:] == [
        "| batch | batches | 2 fixes/s (1 to 3) | >= 250,000 | **missed** | 0.50 x 4; 64 connections |",
        "| batch | p99 | 5 ms |  |  |  |",
        "| live | failed: no | | | | |",
    ]
