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
from odograph.sharing.views.base import Sources
from odograph.viewer.app import Look, TileApp, Viewer
from odograph.viewer.arrivals import Arrivals
from odograph.viewer.hub import Hub
from odograph.viewer.limits import Guard
from odograph.viewer.pages import WEB, Pages
from odograph.viewer.ports import Ledger, NoLedger
from odograph.viewer.targets import Targets


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
    look: Callable[[], Look],
    *,
    ledger: Ledger | None = None,
    tiles: TileApp | None = None,
    web: Path = WEB,
) -> Public:
    """`end` lets a link expire now; `look` is asked for each page."""
    book = NoLedger() if ledger is None else ledger
    targets = Targets(live.directory, sources.server_key, clock)
    hub = Hub(live, sources, targets, cursors, book, clock)
    app = Viewer(hub, live, targets, Pages(web), Guard(clock), book, clock, look, tiles)
    return Public(app, hub, Arrivals(live.directory, end, clock))
