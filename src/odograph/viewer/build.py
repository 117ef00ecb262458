"""Puts the public side together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from odograph.clock import Clock
from odograph.live.entity import Entity
from odograph.live.view import Live
from odograph.model.catalog import LiveShare
from odograph.model.cursor import Cursors
from odograph.sharing.ledger import LedgerBook
from odograph.sharing.views.base import Sources
from odograph.viewer.app import Viewer
from odograph.viewer.arrivals import Arrivals
from odograph.viewer.hub import Hub
from odograph.viewer.limits import Guard
from odograph.viewer.look import Look
from odograph.viewer.pages import WEB, Pages
from odograph.viewer.targets import Targets
from odograph.viewer.tiles import Tiles


class Public(NamedTuple):
    """The app, and what must watch the log and run beside it: `hub` and `arrivals`."""

    app: Viewer
    hub: Hub
    arrivals: Arrivals


def build(
    live: Live,
    sources: Sources,
    cursors: Cursors,
    clock: Clock,
    end: Callable[[Entity[LiveShare]], Awaitable[None]],
    look: Look,
    ledger: LedgerBook,
    web: Path = WEB,
) -> Public:
    """`end` lets a link expire now."""
    targets = Targets(live.directory, sources.server_key, clock)
    hub = Hub(live, sources, targets, cursors, ledger, clock)
    app = Viewer(hub, live, targets, Pages(web), Guard(clock), ledger, clock, look, Tiles(*look.maps))
    return Public(app, hub, Arrivals(live.directory, end, clock))
