"""When to start the sealer, a process that comes and goes so that its memory goes with it."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from odograph.clock import Clock
from odograph.errors import invalid

MIN_RETENTION_DAYS: Final = 31  # a device keeps 30 days and a cursor lives 30: neither may find its place gone
SEAL_ROWS: Final = 800_000  # what a newest stretch of 32 MB holds: all older ones then have an index
SEAL_AFTER_S: Final = 3600
SHORT_ROWS: Final = 100_000  # 3 MB of memory: a small fleet's hour makes chunks of a few fixes, twice the bytes
SHORT_WAITS: Final = 24  # times as long
DAY_MS: Final = 86_400_000
RETRY_S: Final = 30.0  # after a sealer that failed; twice as long after each further one
LONGEST_RETRY_S: Final = 900.0  # what is damaged stays so until somebody comes
STOP_S: Final = 10.0
_log = logging.getLogger("odograph.writer")


@dataclass(frozen=True, slots=True)
class Rule:
    """Seal at so many unsealed fixes or so long after they came; drop what came longer ago (0: never).

    What is short waits for more, up to SHORT_WAITS times as long.
    """

    seal_rows: int = SEAL_ROWS
    seal_after_s: float = SEAL_AFTER_S
    retention_days: int = 0

    def __post_init__(self) -> None:
        if self.retention_days and self.retention_days < MIN_RETENTION_DAYS:
            raise invalid(f"Fixes are kept for at least {MIN_RETENTION_DAYS} days, or for ever (0).")

    def is_seal_due(self, unsealed_rows: int, oldest_ms: int | None, now_ms: int) -> bool:
        """Whether the unsealed end of the log is long or old enough."""
        if oldest_ms is None or unsealed_rows <= 0:
            return False
        patience = SHORT_WAITS if unsealed_rows < SHORT_ROWS else 1
        age_ms = abs(now_ms - oldest_ms)  # what came under a clock that was ahead need not wait until it is right
        return unsealed_rows >= self.seal_rows or age_ms >= patience * self.seal_after_s * 1000

    def drop_before_ms(self, now_ms: int, lived_ms: int) -> int:
        """What came before this is to go, by the clock and by lived time; 0: nothing."""
        return min(now_ms, lived_ms) - self.retention_days * DAY_MS if self.retention_days else 0


def add_rule(arguments: argparse.ArgumentParser) -> None:
    """The flags of a Rule."""
    arguments.add_argument("--seal-rows", type=int, default=SEAL_ROWS)
    arguments.add_argument("--seal-after-s", type=float, default=SEAL_AFTER_S)
    arguments.add_argument("--retention-days", type=int, default=0)


def rule_of(given: argparse.Namespace) -> Rule:
    """The Rule that the flags say. INVALID: it is not allowed."""
    return Rule(given.seal_rows, given.seal_after_s, given.retention_days)


def flags_of(rule: Rule) -> list[str]:
    """The flags that say the Rule."""
    return [
        f"--seal-rows={rule.seal_rows}",
        f"--seal-after-s={rule.seal_after_s}",
        f"--retention-days={rule.retention_days}",
    ]


class Housekeeping:
    """Keeps at most one sealer running."""

    def __init__(self, directory: Path, rule: Rule, clock: Clock) -> None:
        self.rule = rule
        self._directory = directory
        self._clock = clock
        self._sealer: subprocess.Popen[bytes] | None = None
        self._retry_s = RETRY_S
        self._not_before_s = 0.0

    def look(
        self, *, unsealed_rows: int, oldest_unsealed_ms: int | None, oldest_day_ms: int | None, lived_ms: int
    ) -> None:
        """Start the sealer where it is due."""
        if self._sealer is not None:
            if self._sealer.poll() is None:
                return
            if self._sealer.returncode:
                _log.error("the sealer ended with %d; again in %d s", self._sealer.returncode, self._retry_s)
                self._not_before_s = self._clock.steady_s() + self._retry_s
                self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
            else:
                self._retry_s = RETRY_S
            self._sealer = None
        now_ms = self._clock.now_ms()
        is_due = self.rule.is_seal_due(unsealed_rows, oldest_unsealed_ms, now_ms)
        is_old = oldest_day_ms is not None and oldest_day_ms < self.rule.drop_before_ms(now_ms, lived_ms)
        if (is_due or is_old) and self._clock.steady_s() >= self._not_before_s:
            self._sealer = subprocess.Popen(
                [sys.executable, "-m", "odograph.store.sqlite.sealer", str(self._directory), *flags_of(self.rule)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """End the sealer wherever it is: what it left half done is taken up again or thrown away."""
        if self._sealer is not None:
            self._sealer.terminate()
            try:
                self._sealer.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._sealer.kill()
                self._sealer.wait()
