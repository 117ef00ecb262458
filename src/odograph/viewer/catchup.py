"""What a viewer missed while it was away: the points of what the link shows, after its cursor.

They are judged as of now and as of their own time, like all that is shown. Where a link shows no trail there is
nothing to miss: the state says all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from odograph.errors import Refusal
from odograph.live.view import Live
from odograph.model.ids import Seq
from odograph.sharing.page import Point
from odograph.viewer.hub import Hub
from odograph.viewer.open_link import OpenLink, event

SCAN: Final = 20_000  # fixes of the org looked at in one step: a few milliseconds
MOST_SCANS: Final = 200  # beyond four million fixes the trail in the state is all there is
POINTS: Final = 500


class Missed(NamedTuple):
    """Points by asset key, of what lies up to the seq `reached`."""

    points: dict[str, list[Point]]
    reached: int
    has_more: bool


async def read_missed(hub: Hub, live: Live, link: OpenLink, after: int, now_ms: int) -> Missed:
    """The next of what was missed after a seq; whatever retention has dropped is not missed any more."""
    head = live.stretch.head
    assets = np.array(link.assets(), dtype=np.uint32)
    if not link.share.trail_min or not len(assets) or after >= head:
        return Missed({}, max(after, head), has_more=False)
    try:
        fixes, reached, has_more = await live.seam.read_after(link.org, Seq(after), assets, SCAN, SCAN)
    except Refusal:
        return Missed({}, head, has_more=False)
    if not hub.freshen(link):
        return Missed({}, after, has_more=False)
    points = link.missed(fixes, now_ms)
    if points:
        hub.note_missed(link, after + 1, reached)
    return Missed(points, reached, has_more)


async def missed_events(hub: Hub, live: Live, link: OpenLink, after: int, now_ms: int) -> AsyncIterator[bytes]:
    """Events of at most POINTS points each. The cursor stands on the last one of a step: a drop loses no point."""
    for _ in range(MOST_SCANS):
        missed = await read_missed(hub, live, link, after, now_ms)
        after = missed.reached
        pieces = [
            msgspec.json.encode({"key": key, "points": points[start : start + POINTS]})
            for key, points in missed.points.items()
            for start in range(0, len(points), POINTS)
        ]
        for piece in pieces[:-1]:
            yield event("missed", piece)
        if pieces:
            yield event("missed", pieces[-1], hub.cursor(link, after))
        if not missed.has_more or link.over is not None:
            return
        await asyncio.sleep(0)
