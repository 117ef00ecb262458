"""Follows the vehicles of routes: what the log says of each run goes into its stops.

Most fixes cost a look-up: whether their vehicle has a route. Those of a run under way go into a `Run` kept in
memory. What comes late, a plan that changed and a restart are all the same case: the run is derived again, from
history.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from odograph.catalog.arrivals import Arrivals
from odograph.catalog.changes import Catalog, Plan, put
from odograph.catalog.runs import Run, Window, cleared, fence_of, fences_of, windows
from odograph.errors import Corrupt, Refusal
from odograph.live.entity import Entity
from odograph.live.view import Live
from odograph.model.catalog import Route
from odograph.model.fixes import MAX_FUTURE_MS, Fixes, empty_fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Committed, Record

LOOK_EVERY_S: Final = 60.0  # for runs that end by the clock alone
RETRY_S: Final = 1.0
MAX_AGE_MS: Final = 30 * 86_400_000  # retention is never shorter: older runs could not be derived again whole
ASSETS_A_TURN: Final = 16  # between two chances for requests and devices
MAX_ROUTES: Final = 100  # a commit
MAX_FIXES: Final = 500_000  # of one vehicle in a run: a fix a second for five days
_log = logging.getLogger(__name__)


class _Piece(NamedTuple):
    """Fixes of one vehicle that one commit brought."""

    seqs: npt.NDArray[np.int64]
    fixes: Fixes


class _Derived(NamedTuple):
    """What a route should say now."""

    before: Entity[Route]
    body: Route


@dataclass(slots=True)
class _Tracked:
    """An open route in its window, as far as it was followed."""

    entity: Entity[Route]
    window: Window
    run: Run


@dataclass(slots=True)
class _Follower:
    """The open routes of one vehicle. Tracked are those that have begun to count, in the order of their schedules.

    `revs` are those of its open routes: where they differ from the directory's, something else was changed.
    """

    rev: int
    """The directory's, when it was last known that nothing else was changed."""
    revs: dict[int, int]
    tracked: list[_Tracked]
    read_through: Seq
    """Fixes up to here are in."""
    last_ms: int
    next_ms: int
    """When the next one begins to count; the far future where none does."""


@dataclass(slots=True)
class Progress:
    """A service. `take` goes into `Live.watchers`, `run` into the server's tasks."""

    live: Live
    catalog: Catalog
    arrivals: Arrivals
    _touched: dict[AssetId, tuple[OrgId, list[_Piece]]] = field(default_factory=dict)
    _followers: dict[AssetId, _Follower] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, committed: Committed) -> None:
        """Take note of what concerns a route. What was there before the server began is looked up when it runs."""
        if not committed.is_current:
            return
        routes = self.live.directory.routes
        known = routes.assets()
        for block in committed.blocks if known else ():
            assets = block.fixes["asset"]
            concerned = known & set(assets.tolist())
            if not concerned:
                continue
            by_asset = np.argsort(assets, kind="stable")
            ordered = assets[by_asset]
            for asset in concerned:
                start, stop = np.searchsorted(ordered, asset), np.searchsorted(ordered, asset, side="right")
                rows = by_asset[start:stop]
                self._touch(block.org, AssetId(asset), _Piece(block.seqs[rows], block.fixes[rows]))
        for record in committed.records:
            if record.kind == "route":
                route = routes.find(record.org, record.id)
                if route is not None and route.body.vehicle_id:
                    self._touch(record.org, AssetId(route.body.vehicle_id))

    async def run(self) -> None:
        """Follow until cancelled."""
        await self.live.ready.wait()
        await self.look_at_all()
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                await self.look_at_all()
            try:
                await self.catch_up()
            except Refusal as refusal:
                _log.warning("progress of routes is not written yet", extra={"reason": refusal.message})
                await self.catalog.clock.sleep(RETRY_S)

    async def look_at_all(self) -> None:
        """Mark every vehicle that has an open route: some begin to count, some end, by the clock alone."""
        directory = self.live.directory
        for number, asset in enumerate(list(directory.routes.open_assets())):
            org = directory.assets.org_of(AssetId(asset))
            if org is not None:
                self._touch(org, AssetId(asset))
            if number % 500 == 499:
                await asyncio.sleep(0)

    async def catch_up(self) -> None:
        """Bring everything that was touched up to date. Raises Refusal where it can't: it stays touched."""
        while self._touched:
            self._wake.clear()
            touched, self._touched = self._touched, {}
            derived: list[_Derived] = []
            try:
                for number, (asset, (org, pieces)) in enumerate(touched.items()):
                    derived += await self._followed(org, asset, pieces)
                    if number % ASSETS_A_TURN == ASSETS_A_TURN - 1:
                        await asyncio.sleep(0)
                await self._write(derived)
            except Refusal:
                for asset, (org, pieces) in touched.items():
                    self._followers.pop(asset, None)
                    for piece in pieces or [_Piece(np.empty(0, np.int64), empty_fixes())]:
                        self._touch(org, asset, piece)
                raise
            await self._note_arrivals(derived)

    def _touch(self, org: OrgId, asset: AssetId, piece: _Piece | None = None) -> None:
        _, pieces = self._touched.setdefault(asset, (org, []))
        if piece is not None:
            pieces.append(piece)
        self._wake.set()

    async def _followed(self, org: OrgId, asset: AssetId, pieces: Sequence[_Piece]) -> list[_Derived]:
        try:
            return await self._follow(org, asset, pieces)
        except Corrupt as error:
            self._followers.pop(asset, None)
            _log.error("a route can't be followed: its history is damaged", extra={"reason": str(error)})
            return []

    async def _follow(self, org: OrgId, asset: AssetId, pieces: Sequence[_Piece]) -> list[_Derived]:
        now_ms = self.catalog.clock.now_ms()
        follower = self._followers.get(asset)
        if follower is not None and not self._is_current(org, asset, follower):
            follower = None
        fresh = _fresh(pieces, Seq(0) if follower is None else follower.read_through)
        times = fresh["time_ms"]
        if follower is not None and now_ms < follower.next_ms:
            is_late = len(times) and int(times[0]) <= follower.last_ms
            derived = None if is_late else _feed(follower, fresh, now_ms)
            if derived is not None:
                return derived
        touched = (int(times[0]), int(times[-1])) if len(times) else None
        return await self._derive(org, asset, touched, now_ms)

    def _is_current(self, org: OrgId, asset: AssetId, follower: _Follower) -> bool:
        """Whether the routes and their places are those that were followed."""
        directory = self.live.directory
        if follower.rev == directory.rev:
            return True
        revs = {one.body.number: one.rev for one in directory.routes.open_of_asset(org, asset)}
        if revs != follower.revs:
            return False
        if any(fences_of(directory, org, one.run.plan) != one.run.fences for one in follower.tracked):
            return False
        follower.rev = directory.rev
        return True

    async def _derive(
        self, org: OrgId, asset: AssetId, touched: tuple[int, int] | None, now_ms: int
    ) -> list[_Derived]:
        """Everything anew from history: open routes, and ended ones for whose time something came late."""
        rev = self.live.directory.rev
        head, newest_ms = self.live.stretch.head, self.live.snapshot.newest_time_ms(asset)
        ordered = windows(self.live.directory.routes.of_asset(org, asset))
        horizon_ms = now_ms + MAX_FUTURE_MS
        tracked: list[_Tracked] = []
        derived: list[_Derived] = []
        others_start_ms, moved_ms = _NEVER, _NEVER
        for one, window in reversed(ordered):
            body = one.body
            if body.ended_ms:
                is_late = touched is not None and window.begins_ms <= touched[1] and touched[0] < window.limit_ms
                is_wanted = (is_late or moved_ms < window.limit_ms) and window.limit_ms > now_ms - MAX_AGE_MS
            else:
                is_wanted = window.begins_ms <= horizon_ms
                body = body if is_wanted else cleared(body)
            if is_wanted and window.limit_ms > now_ms - MAX_AGE_MS:
                closes_ms = min(window.limit_ms, others_start_ms)
                run = Run(body, fences_of(self.live.directory, org, body))
                run.feed(await self._history(org, asset, window.begins_ms, min(closes_ms, horizon_ms + 1)))
                run.close(closes_ms, now_ms)
                body = run.route()
                tracked.append(_Tracked(one, window, run))
            elif is_wanted:
                body = msgspec.structs.replace(body, ended_ms=window.limit_ms)
            if body.started_ms != one.body.started_ms:
                moved_ms = min(moved_ms, body.started_ms or _NEVER, one.body.started_ms or _NEVER)
            derived.append(_Derived(one, body))
            others_start_ms = min(others_start_ms, body.started_ms or _NEVER)
        self._keep(asset, ordered, tracked, _Follower(rev, {}, [], head, newest_ms, horizon_ms))
        return [one for one in derived if one.body != one.before.body]

    def _keep(
        self,
        asset: AssetId,
        ordered: Sequence[tuple[Entity[Route], Window]],
        tracked: Sequence[_Tracked],
        follower: _Follower,
    ) -> None:
        """Remember what is open, so that the next fixes need no history."""
        follower.revs = {one.body.number: one.rev for one, _ in ordered if not one.body.ended_ms}
        follower.tracked = [one for one in reversed(tracked) if not one.run.ended_ms]
        later_ms = [window.begins_ms for _, window in ordered if window.begins_ms > follower.next_ms]
        follower.next_ms = min(later_ms, default=_NEVER) - MAX_FUTURE_MS
        if follower.revs or follower.tracked:
            self._followers[asset] = follower
        else:
            self._followers.pop(asset, None)

    async def _history(self, org: OrgId, asset: AssetId, begin_ms: int, end_ms: int) -> Fixes:
        assets = np.array([asset], dtype=np.uint32)
        (fixes,) = await self.live.seam.read_range(org, assets, [begin_ms], end_ms, MAX_FIXES)
        return fixes

    async def _write(self, derived: Sequence[_Derived]) -> None:
        """In one commit, or a few. A route that was changed meanwhile is left alone: that has touched it again."""
        for at in range(0, len(derived), MAX_ROUTES):
            some = derived[at : at + MAX_ROUTES]
            self._take_over(await self.catalog.change(partial(self._puts, some)))

    def _puts(self, derived: Sequence[_Derived]) -> Plan[Sequence[Record]]:
        routes = self.live.directory.routes
        now = [(one, routes.find(one.before.org, one.before.id)) for one in derived]
        same = [one for one, entity in now if entity is not None and entity.rev == one.before.rev]
        return Plan([put(one.before, one.before.org, one.body) for one in same], lambda records: records)

    def _take_over(self, records: Sequence[Record]) -> None:
        """What we wrote ourselves is no reason to derive it again."""
        for record in records:
            entity = self.live.directory.routes.find(record.org, record.id)
            follower = None if entity is None else self._followers.get(AssetId(entity.body.vehicle_id))
            if entity is None or follower is None:
                continue
            number = entity.body.number
            if entity.body.ended_ms:
                follower.revs.pop(number, None)
                follower.tracked = [one for one in follower.tracked if one.entity.body.number != number]
                continue
            follower.revs[number] = entity.rev
            for one in follower.tracked:
                if one.entity.body.number == number:
                    one.entity = entity

    async def _note_arrivals(self, derived: Sequence[_Derived]) -> None:
        """What was learned of how long it takes to get there."""
        for before, body in derived:
            known = {stop.number: stop.arrived_ms for stop in before.body.stops}
            for stop in body.stops[1:]:  # to the first one nobody is known to have driven
                fence = fence_of(self.live.directory, before.org, stop)
                if stop.arrived_ms and not known.get(stop.number) and fence is not None:
                    await self.arrivals.note(before.org, AssetId(body.vehicle_id), fence.center, stop.arrived_ms)


_NEVER: Final = 1 << 62


def _fresh(pieces: Sequence[_Piece], after: Seq) -> Fixes:
    """Their fixes with later seqs, by time."""
    parts = [piece.fixes[piece.seqs > after] for piece in pieces]
    fixes = np.concatenate([empty_fixes(), *parts])
    return fixes[np.argsort(fixes["time_ms"], kind="stable")]


def _feed(follower: _Follower, fresh: Fixes, now_ms: int) -> list[_Derived] | None:
    """What newer fixes change. None where they take back what earlier ones had shown: that must be derived anew."""
    derived, closes_ms = [], _NEVER
    last_ms = follower.last_ms
    for at, one in reversed(list(enumerate(follower.tracked))):
        begins_ms, limit_ms = one.window
        was_started_ms, changes = one.run.started_ms, one.run.changes
        times = fresh["time_ms"]
        one.run.feed(fresh[(times >= begins_ms) & (times < min(limit_ms, closes_ms))])
        one.run.close(min(limit_ms, closes_ms), now_ms)
        if (
            one.run.started_ms != was_started_ms
            and at
            and (not one.run.started_ms or one.run.started_ms <= last_ms)
        ):
            return None
        closes_ms = min(closes_ms, one.run.started_ms or _NEVER)
        if one.run.changes != changes:
            derived.append(_Derived(one.entity, one.run.route()))
    if len(fresh):
        follower.last_ms = int(fresh["time_ms"][-1])
    return [one for one in derived if one.body != one.before.body]
