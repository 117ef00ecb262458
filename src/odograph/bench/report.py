"""Figures as rows: what was measured, what it is read against, the goal, and whether it was met."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Any, Final

import apsw
import numpy as np

PERCENTILES: Final = (50, 99)


class Goal(Enum):
    """Which side of the goal is the good one."""

    AT_LEAST = ">="
    AT_MOST = "<="
    STATED = ""
    """No goal: the figure is stated."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `yardstick` is what the same run's disk or SQLite did, in the same unit; `ratio` to it."""

    scenario: str
    name: str
    figure: float
    unit: str
    goal: float | None = None
    side: Goal = Goal.STATED
    yardstick: float | None = None
    note: str = ""
    spread: tuple[float, float] | None = None

    @property
    def ratio(self) -> float | None:
        """Figure by yardstick."""
        return self.figure / self.yardstick if self.yardstick else None

    @property
    def is_met(self) -> bool | None:
        """None where no goal was set."""
        if self.goal is None:
            return None
        return self.figure >= self.goal if self.side is Goal.AT_LEAST else self.figure <= self.goal

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "scenario": self.scenario,
            "name": self.name,
            "figure": _rounded(self.figure),
            "unit": self.unit,
            "goal": self.goal,
            "side": self.side.value,
            "met": self.is_met,
            "yardstick": _rounded(self.yardstick),
            "ratio": _rounded(self.ratio),
            "spread": [_rounded(end) for end in self.spread] if self.spread else None,
            "note": self.note,
        }

    def as_text(self) -> str:
        """One line for people."""
        verdict = {None: "      ", True: "met   ", False: "MISSED"}[self.is_met]
        goal = f"goal {self.side.value} {render(self.goal)}" if self.goal is not None else ""
        against = ""
        if self.yardstick:
            against = f"; {self.figure / self.yardstick:.2f} x yardstick {render(self.yardstick)}"
        spread = f" [{render(self.spread[0])} to {render(self.spread[1])}]" if self.spread else ""
        note = f"; {self.note}" if self.note else ""
        figure = f"{render(self.figure)} {self.unit}{spread}"
        return f"{verdict} {self.scenario:9} {self.name:44} {figure:34} {goal:18}{against}{note}".rstrip()


@dataclass(slots=True)
class Rows:
    """The rows of one scenario; `show` is called with each as it is found."""

    scenario: str
    show: Any
    rows: list[Row] = field(default_factory=list)

    def at_least(self, name: str, figures: float | Sequence[float], unit: str, goal: float, **more: Any) -> None:
        """A figure whose goal is a floor."""
        self._add(name, figures, unit, goal=goal, side=Goal.AT_LEAST, **more)

    def at_most(self, name: str, figures: float | Sequence[float], unit: str, goal: float, **more: Any) -> None:
        """A figure whose goal is a ceiling."""
        self._add(name, figures, unit, goal=goal, side=Goal.AT_MOST, **more)

    def state(self, name: str, figures: float | Sequence[float], unit: str, **more: Any) -> None:
        """A figure without a goal."""
        self._add(name, figures, unit, **more)

    def _add(self, name: str, figures: float | Sequence[float], unit: str, **more: Any) -> None:
        """The median of several, with their spread."""
        if isinstance(figures, int | float):
            row = Row(self.scenario, name, float(figures), unit, **more)
        else:
            spread = (min(figures), max(figures)) if len(figures) > 1 else None
            row = Row(self.scenario, name, float(median(figures)), unit, spread=spread, **more)
        self.rows.append(row)
        self.show(row.as_text())


def percentiles_ms(seconds: Any) -> tuple[float, float]:
    """p50 and p99 in milliseconds; infinite where nothing was seen."""
    if not len(seconds):
        return float("inf"), float("inf")
    p50, p99 = np.percentile(np.asarray(seconds), PERCENTILES) * 1000
    return float(p50), float(p99)


def render(number: float | None) -> str:
    """A number with as many digits as mean something."""
    if number is None:
        return ""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if abs(number) < 100 else f"{number:.0f}"


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.5g}")


def as_markdown(results: Mapping[str, Any]) -> str:
    """The figures of a run as a table for a document."""
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in results["machine"].items())
    lines = [about, "", "| scenario | figure | measured | goal | | beside |", "|---|---|---|---|---|---|"]
    for row in results["rows"]:
        verdict = {None: "", True: "met", False: "**missed**"}[row["met"]]
        goal = "" if row["goal"] is None else f"{row['side']} {render(row['goal'])}"
        spread = f" ({render(row['spread'][0])} to {render(row['spread'][1])})" if row["spread"] else ""
        measured = f"{render(row['figure'])} {row['unit']}{spread}"
        beside = row["note"]
        if row["yardstick"]:
            beside = f"{row['ratio']:.2f} x {render(row['yardstick'])}; {beside}"
        lines.append(f"| {row['scenario']} | {row['name']} | {measured} | {goal} | {verdict} | {beside} |")
    lines += [f"| {name} | failed: {reason} | | | | |" for name, reason in results["failed"].items()]
    return "\n".join(lines) + "\n"


def machine(folder: Path) -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "memory_gib": round(memory_kib / 1024 / 1024, 1),
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "load_before": os.getloadavg()[0],
    }


def _file_system(folder: Path) -> str:
    """The kind of file system a folder lies on."""
    best, kind = "", "?"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, this = line.split()[:3]
        if str(folder.resolve()).startswith(point) and len(point) >= len(best):
            best, kind = point, this
    return kind
