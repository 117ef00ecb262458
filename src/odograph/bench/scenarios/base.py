"""What a scenario is: a name, what it shows, and a coroutine that measures and adds rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from odograph.bench.install import Options
from odograph.bench.report import Rows


@dataclass(frozen=True, slots=True)
class Scenario:
    """One entry of the registry."""

    name: str
    about: str
    run: Callable[[Options, Rows], Awaitable[None]]


def shares_text(shares: dict[str, float]) -> str:
    """Shares of a core, for a row's note."""
    return "cores used: " + ", ".join(f"{role} {share:.2f}" for role, share in sorted(shares.items()))
