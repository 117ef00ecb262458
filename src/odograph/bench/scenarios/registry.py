"""Every scenario, in the order in which they run."""

from __future__ import annotations

from typing import Final

from odograph.bench.scenarios.base import Scenario
from odograph.bench.scenarios.feed import FEED_OUT
from odograph.bench.scenarios.flat import FLAT
from odograph.bench.scenarios.history import HISTORY
from odograph.bench.scenarios.ingest import BATCHES, SINGLE
from odograph.bench.scenarios.live import LIVE, SLOW_DISK
from odograph.bench.scenarios.memory import MEMORY
from odograph.bench.scenarios.replay import REPLAY
from odograph.bench.scenarios.restart import RESTART
from odograph.bench.scenarios.share import SHARE

SCENARIOS: Final[tuple[Scenario, ...]] = (
    LIVE,
    BATCHES,
    SINGLE,
    REPLAY,
    SLOW_DISK,
    FLAT,
    FEED_OUT,
    HISTORY,
    RESTART,
    MEMORY,
    SHARE,
)
