"""Links that end when what they show has arrived: watched whether anybody looks at them or not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np

from odograph.clock import Clock
from odograph.errors import Refusal
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare
from odograph.model.fixes import Fixes
from odograph.model.ids import AddressId, AssetId, OrgId, RecordId
from odograph.model.place import Geofence, Position
from odograph.sharing.policy import ARRIVED_M, status
from odograph.store.base import Block, Committed, Record

End = Callable[[Entity[LiveShare]], Awaitable[None]]
"""Lets a link expire now."""
Note = Callable[[OrgId, AssetId, Position, int], Awaitable[None]]
"""Keeps how an asset came to a place at a time (ms), for estimates of later drives."""

RETRY_S: Final = 5.0
_log: Final = logging.getLogger("odograph.viewer")


class Arrivals:
    """Add `watch` to `live.watchers`, and run `run` as long as the server does."""

    def __init__(self, directory: Directory, end: End, note: Note, clock: Clock) -> None:
        self._directory = directory
        self._end = end
        self._note_drive = note
        self._clock = clock
        self._by_asset: dict[OrgId, dict[int, dict[RecordId, Entity[LiveShare]]]] = {}
        self._known: dict[RecordId, Entity[LiveShare]] = {}
        self._arrived: asyncio.Queue[tuple[Entity[LiveShare], Position, int]] = asyncio.Queue()

    def watch(self, committed: Committed) -> None:
        """Take note of links that end on arrival, and of what arrives."""
        self._note(committed.records)
        for block in committed.blocks:
            watched = self._by_asset.get(block.org)
            if watched:
                self._look_at(watched, block)

    async def run(self) -> None:
        """End what has arrived, until cancelled."""
        while True:
            share, place, arrived_ms = arrived = await self._arrived.get()
            try:
                await self._end(share)
                await self._note_drive(share.org, AssetId(share.body.asset_id), place, arrived_ms)
            except Refusal as refusal:
                _log.warning("a link could not be ended on arrival: %s", refusal.message)
                self._arrived.put_nowait(arrived)
                await self._clock.sleep(RETRY_S)

    def _note(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind != "share":
                continue
            known = self._known.pop(record.id, None)
            if known is not None:
                self._drop(known)
            share = self._directory.shares.find(record.org, record.id)
            if share is not None and self._is_watched(share.body):
                self._known[share.id] = share
                self._by_asset.setdefault(share.org, {}).setdefault(share.body.asset_id, {})[share.id] = share

    def _is_watched(self, share: LiveShare) -> bool:
        is_over = status(share, self._clock.now_ms()) in {"expired", "arrived"}
        return share.ends_on_arrival and share.asset_id > 0 and not is_over

    def _drop(self, share: Entity[LiveShare]) -> None:
        by_asset = self._by_asset[share.org]
        by_asset[share.body.asset_id].pop(share.id, None)
        if not by_asset[share.body.asset_id]:
            del by_asset[share.body.asset_id]
        if not by_asset:
            del self._by_asset[share.org]

    def _look_at(self, watched: dict[int, dict[RecordId, Entity[LiveShare]]], block: Block) -> None:
        for row, number in enumerate(block.fixes["asset"].tolist()):
            for share in list(watched.get(number, {}).values()):
                fix, fence = block.fixes[row : row + 1], self._fence(share)
                if fence is not None and _is_there(share.body, fence, fix):
                    del self._known[share.id]
                    self._drop(share)
                    self._arrived.put_nowait((share, fence.center, int(fix["time_ms"][0])))

    def _fence(self, share: Entity[LiveShare]) -> Geofence | None:
        to = share.body.destination
        if share.body.address_id:
            address = self._directory.addresses.find_by_number(share.org, AddressId(share.body.address_id))
            return None if address is None else address.body.fence
        return None if to is None else Geofence(to.lat, to.lon, ARRIVED_M)


def _is_there(share: LiveShare, fence: Geofence, fix: Fixes) -> bool:
    """By a fix of the link's own time, whenever it came; doubtful ones don't count."""
    begin_ms = max(share.shown_from_ms, share.past_from_ms, share.created_ms, share.starts_ms)
    if fix["marks"][0] or fix["time_ms"][0] < begin_ms:
        return False
    return bool(np.all(fence.contain(fix["lat_e7"] / 1e7, fix["lon_e7"] / 1e7)))
