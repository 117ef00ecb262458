"""Puts the public side together."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from odograph.clock import Clock
from odograph.live.view import Live
from odograph.model.cursor import Cursors
from odograph.sharing.ledger import LedgerBook
from odograph.sharing.views.base import Sources
from odograph.viewer.app import Viewer
from odograph.viewer.arrivals import Arrivals, End, Note
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
    end: End,
    note: Note,
    look: Look,
    ledger: LedgerBook,
    web: Path = WEB,
) -> Public:
    """What is told is read from `live` and `sources`; `end` and `note` are what an arrival changes."""
    targets = Targets(live.directory, sources.server_key, clock)
    hub = Hub(live, sources, targets, cursors, ledger, clock)
    app = Viewer(hub, live, targets, Pages(web), Guard(clock), ledger, clock, look, Tiles(*look.maps))
    return Public(app, hub, Arrivals(live.directory, end, note, clock))
