"""All links that somebody looks at: what a commit changes for them, and what passing time does.

It looks at each commit in the same step in which memory takes it in. A link is derived once for all its viewers.
A record that may change what it shows marks it stale in that step, and a stale link says nothing before it was
derived anew. So what is narrowed goes dark at once. An org without open links costs one look-up a commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from odograph.clock import Clock
from odograph.live.entity import Entity
from odograph.live.view import Live
from odograph.model.catalog import LiveShare
from odograph.model.cursor import Cursors
from odograph.model.fixes import Fixes
from odograph.model.ids import OrgId
from odograph.sharing.ledger import LedgerBook
from odograph.sharing.policy import status
from odograph.sharing.views.base import Scene, Sources
from odograph.sharing.views.registry import VIEWS
from odograph.store.base import INSTALL, Block, Committed, Record
from odograph.telemetry import VIEWER_EVENTS, VIEWER_LINKS, VIEWER_STREAMS
from odograph.viewer.histories import Histories
from odograph.viewer.open_link import Changed, OpenLink, Reason, event
from odograph.viewer.org_links import KINDS, OrgLinks
from odograph.viewer.streams import Stream
from odograph.viewer.targets import Targets

TICK_S: Final = 0.25
HEARTBEAT_TICKS: Final = 60  # 15 s
KEPT_S: Final = 30.0  # a page's stream opens seconds after the page
REFRESH_TICKS: Final = 40  # how late a run is changes by the minute
_AT_ONCE: Final = 64  # links derived in the step of a commit; more are spread, so that fixes and devices get a turn
_LOADED_WITHIN_S: Final = 2.0
_log: Final = logging.getLogger("odograph.viewer")


class Hub:
    """Add `watch` to `live.watchers`, and run `run` as long as the server does."""

    def __init__(
        self, live: Live, sources: Sources, targets: Targets, cursors: Cursors, ledger: LedgerBook, clock: Clock
    ) -> None:
        self._live = live
        self._sources = sources
        self._targets = targets
        self._cursors = cursors
        self._ledger = ledger
        self._clock = clock
        self._orgs: dict[OrgId, OrgLinks] = {}
        self._stale: set[OpenLink] = set()
        self._renewing = asyncio.Event()
        self._histories = Histories(live, clock)
        self._ticks = 0
        self._slots: list[set[Stream]] = [set() for _ in range(HEARTBEAT_TICKS)]
        self._streams_made = 0

    # -- what viewers ask for

    async def open(self, entity: Entity[LiveShare]) -> OpenLink | None:
        """The link, with its history; None where it ended meanwhile, or is not open."""
        if status(entity.body, self._clock.now_ms()) != "open":
            return None
        org = self._orgs.get(entity.org)
        if org is None:
            org = self._orgs[entity.org] = OrgLinks(entity.org, self._sources.directory)
        link = org.links.get(entity.id)
        if link is not None and link.share.key_hash != entity.body.key_hash:
            self._end(link, "gone")
            org, link = self._orgs.setdefault(entity.org, OrgLinks(entity.org, self._sources.directory)), None
        if link is None:
            link = OpenLink(entity, VIEWS[entity.body.type])
            org.add(link)
            VIEWER_LINKS.inc()
        link.used_s = self._clock.steady_s()
        if not self.freshen(link):
            return None
        if link.unloaded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOADED_WITHIN_S):
                    await link.loaded.wait()
        return link if link.over is None and self.freshen(link) else None

    def freshen(self, link: OpenLink) -> bool:
        """Hold a stale link against the catalogue; whether it is open. Call before anything of it is sent."""
        if link.over is not None:
            return False
        now_ms = self._clock.now_ms()
        state = status(link.share, now_ms)
        if state != "open":
            self._end(link, state)
            return False
        if link.is_stale:
            self._derive(link)
        return link.over is None

    def state_of(self, link: OpenLink) -> bytes:
        """The state of an open link as JSON, written down in the ledger."""
        head = self._live.stretch.head
        self._note(link, link.disclosed(), head, head)
        return link.state_json(self._clock.now_ms())

    def subscribe(self, link: OpenLink) -> Stream:
        """A stream that gets everything from now on."""
        self._streams_made += 1
        stream = Stream(self._streams_made % HEARTBEAT_TICKS)
        stream.begin_again(self._live.stretch.head)
        link.streams.add(stream)
        self._slots[stream.slot].add(stream)
        VIEWER_STREAMS.inc()
        self._count(link)
        return stream

    def unsubscribe(self, link: OpenLink, stream: Stream) -> None:
        """It was closed, by whomever."""
        self._slots[stream.slot].discard(stream)
        if stream in link.streams:
            link.streams.discard(stream)
            VIEWER_STREAMS.dec()
            link.used_s = self._clock.steady_s()
            self._count(link)

    def cursor(self, link: OpenLink, seq: int) -> str:
        """The opaque text of a place in the log, for this link alone."""
        return self._cursors.seal(f"link {link.share.share_id}", link.org, seq, self._clock.now_ms())

    def seq(self, link: OpenLink, cursor: str) -> int | None:
        """The place; None for whatever is no cursor of this link."""
        return self._cursors.unseal(f"link {link.share.share_id}", link.org, cursor, self._clock.now_ms())

    def note_missed(self, link: OpenLink, first_seq: int, last_seq: int) -> None:
        """Points of this range were sent to one who had missed them."""
        self._note(link, link.disclosed(), first_seq, last_seq)

    def hang_up(self) -> None:
        """Close every stream without a word: the server stops, and viewers come back to the next one."""
        for org in self._orgs.values():
            for link in org.links.values():
                for stream in link.streams:
                    stream.end(b"")

    # -- what happens

    def watch(self, committed: Committed) -> None:
        """Look at one commit. Never raises: a link that can't be derived is closed."""
        if committed.records:
            self._targets.watch(committed.records)
            self._look_at(committed.records)
        for block in committed.blocks:
            org = self._orgs.get(block.org)
            if org is not None:
                self._take(org, block)

    async def run(self) -> None:
        """Read histories, renew stale links and see to what time brings, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_for_ever())
            group.create_task(self._renew_for_ever())
            group.create_task(self._load_for_ever())

    def tick(self) -> None:
        """What time brings: ends, beginnings of a minute, heartbeats, and links that nobody looks at."""
        self._ticks += 1
        steady_s = self._clock.steady_s()
        is_minute = self._ticks % REFRESH_TICKS == 0
        for link in [link for org in self._orgs.values() for link in org.links.values()]:
            if not self.freshen(link):
                continue
            if not link.streams and steady_s - link.used_s > KEPT_S:
                self._close(link)
                continue
            if is_minute and link.view.is_by_route:
                self._tell(link, link.refresh(self._scene(link)), 0)
        for stream in self._slots[self._ticks % HEARTBEAT_TICKS]:
            stream.beat(steady_s)

    # -- records

    def _look_at(self, records: Sequence[Record]) -> None:
        stale: list[OpenLink] = []
        for record in records:
            if record.kind in KINDS:
                org_id = OrgId(record.id) if record.kind == "org" and record.org == INSTALL else record.org
                org = self._orgs.get(org_id)
                stale += () if org is None else org.concerned(record)
        for link in stale:
            link.is_stale = True
        self._stale.update(stale)
        self._renew(_AT_ONCE)
        if self._stale:
            self._renewing.set()

    def _renew(self, most: int) -> None:
        for _ in range(min(most, len(self._stale))):
            self.freshen(self._stale.pop())

    async def _renew_for_ever(self) -> None:
        while True:
            await self._renewing.wait()
            self._renewing.clear()
            while self._stale:
                self._renew(_AT_ONCE)
                await asyncio.sleep(0)

    def _derive(self, link: OpenLink) -> None:
        self._stale.discard(link)
        entity = self._targets.again(link.entity)
        if entity is None:
            self._end(link, "gone")
            return
        link.entity = entity
        state = status(entity.body, self._clock.now_ms())
        if state != "open":
            self._end(link, state)
            return
        org, before = self._orgs[link.org], list(link.held)
        try:
            changed, fresh = link.derive(self._scene(link))
        except Exception:
            _log.exception("a link could not be derived", extra={"share": link.share.share_id})
            self._end(link, "gone")
            return
        link.is_stale = False
        org.index(link, before, link.held)
        self._histories.want(link, fresh)
        self._tell(link, changed, 0)

    # -- fixes

    def _take(self, org: OrgLinks, block: Block) -> None:
        first, last = int(block.seqs[0]), int(block.seqs[-1])
        visited = org.visited(block.fixes, self._sources.snapshot)
        touched, numbers = org.touched(block.fixes), block.fixes["asset"]
        for link, rows in touched.items():
            if not self.freshen(link):
                continue
            try:
                held = [row for row in rows if int(numbers[row]) in link.held]  # it may have been derived since
                changed = link.take(self._scene(link), block.fixes[held]) if held else None
            except Exception:
                _log.exception("a link could not be followed", extra={"share": link.share.share_id})
                self._end(link, "gone")
                continue
            if changed is not None:
                self._tell(link, changed, first, last)
        for link in visited:
            link.is_stale = True
            self.freshen(link)

    # -- telling

    def _tell(self, link: OpenLink, changed: Changed, first_seq: int, last_seq: int = 0) -> None:
        if changed.update is None or not link.streams:
            return
        head = self._live.stretch.head
        if changed.is_state:
            told, disclosed = event("state", link.state_json(self._clock.now_ms())), link.disclosed()
        else:
            told = event("update", msgspec.json.encode(changed.update), self.cursor(link, head))
            disclosed = changed.disclosed
        for stream in link.streams:
            stream.put(told, head)
        VIEWER_EVENTS.inc(len(link.streams))
        self._note(link, disclosed, first_seq or head, last_seq or head)

    def _note(self, link: OpenLink, assets: list[int], first_seq: int, last_seq: int) -> None:
        if assets and link.entity.id > 0:  # the links of stops have no record, and no ledger
            self._ledger.disclosed(link.entity, assets, first_seq, last_seq)

    def _count(self, link: OpenLink) -> None:
        if link.entity.id > 0:
            self._ledger.streams(link.entity, len(link.streams))

    def _end(self, link: OpenLink, reason: Reason) -> None:
        self._forget(link)
        link.end(reason)

    def _close(self, link: OpenLink) -> None:
        """Forget a link that nobody looks at; a request that still holds it finds it over."""
        self._forget(link)
        link.over = "gone"
        link.loaded.set()

    def _forget(self, link: OpenLink) -> None:
        self._stale.discard(link)
        org = self._orgs.get(link.org)
        if org is not None and org.links.get(link.entity.id) is link:
            VIEWER_LINKS.dec()
        if org is not None:
            org.remove(link)
            if not org.links:
                del self._orgs[link.org]

    def _scene(self, link: OpenLink) -> Scene:
        org = self._orgs[link.org]
        return Scene(self._sources, link.org, link.share, org.private, self._clock.now_ms())

    # -- time

    async def _tick_for_ever(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self.tick()

    async def _load_for_ever(self) -> None:
        while True:
            for link, histories in await self._histories.next():
                self._load(link, histories)

    def _load(self, link: OpenLink, histories: Iterable[tuple[int, Fixes]]) -> None:
        if self.freshen(link):
            self._tell(link, link.load(self._scene(link), histories), 0)
        self._histories.done(link)
