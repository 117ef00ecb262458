"""A small world of writers, pollers and accidents around one store, and the model that judges it.

Steps of one round run at the same time; rounds follow each other. The model knows only what an outsider can:
which fixes were sent, how each send was answered, and what each poller was shown, in order.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec
import numpy as np

from odograph.api import positions
from odograph.api.context import Context
from odograph.api.params import Query, parse_time
from odograph.api.resources.base import Call
from odograph.api.spelling import LOCATIONS, STATS
from odograph.api.wire import render_time
from odograph.catalog.changes import Catalog
from odograph.clock import SystemClock
from odograph.errors import Refusal
from odograph.geocoding.base import Geocoder
from odograph.live.directory import Directory
from odograph.live.presence import Presence
from odograph.live.seam import Seam
from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.live.view import Live
from odograph.model.access import Principal, Scope
from odograph.model.catalog import Asset, Tag
from odograph.model.cursor import Cursors
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING, UNKNOWN_SPEED
from odograph.model.ids import AssetId, OrgId, Seq, TagId, render_asset_id
from odograph.store.base import Change, Committed, OrgFixes, Outcome, Store

ORGS = (OrgId(1), OrgId(2))
ASSETS_EACH = 3
TAGGED = 2  # of each org's assets, the first ones
BASE_MS = 1_700_000_000_000
WAIT_S = 60.0
MOST_PAGES = 500  # far more than there are fixes: whoever needs more does not move on

SIDES = ("sealed", "log", "memory")
sides: ContextVar[set[str]] = ContextVar("sides")
"""Where the pages of the poll that runs came from."""

Key = tuple[int, int, int]  # asset, time_ms, lat_e7
KINDS = ("all", "vehicles", "tag ids", "tag token", "stats", "nobody's")


def assets_of_org(org: int) -> list[int]:
    return [10 * org + number for number in range(1, ASSETS_EACH + 1)]


def tag_of_org(org: int) -> int:
    return 100 + org


def number_of(vehicle_id: str) -> int:
    return int(vehicle_id) - (1 << 48)


def keys_of(fixes: Iterable[np.void]) -> list[Key]:
    return [(int(fix["asset"]), int(fix["time_ms"]), int(fix["lat_e7"])) for fix in fixes]


class Nowhere(Geocoder):
    """A geocoder that costs nothing: this world is not about places."""

    attribution = ""

    def describe(self, lat_e7: int, lon_e7: int) -> str:
        return "somewhere"


class Machine(Protocol):
    """Where the store runs, and what can happen to it there."""

    happened: Counter[str]
    patience_s: float
    """By then whoever follows has moved, however slow the machine."""

    async def open(self, directory: Path) -> Store: ...
    async def pause(self) -> None: ...
    async def kill(self, *, after_commit: bool) -> None: ...
    async def lose(self) -> None: ...
    async def seal(self, max_rows: int) -> None: ...


class WatchedSeam(Seam):
    """Notes which pages hold fixes from memory."""

    def _from_memory(self, *given: Any) -> Any:
        answer = super()._from_memory(*given)
        if len(answer[0]):
            sides.get(set()).add("memory")
        return answer


class WatchedLive(Live):
    """Says when it has taken in something."""

    moved: asyncio.Event

    def apply(self, committed: Committed) -> None:
        super().apply(committed)
        self.moved.set()


@dataclass
class Poller:
    """One reader of the feed: an org, a filter, a cursor, and all that it was ever shown."""

    org: OrgId
    kind: str = "all"
    cursor: str = ""
    is_begun: bool = False
    """Its first page was answered: whatever is sent from now on has to come in the chain."""
    is_following: bool = False
    """Its first call has been answered to the last page."""
    first: dict[int, Key] = field(default_factory=dict)
    chain: list[Key] = field(default_factory=list)
    must_come: set[Key] = field(default_factory=set)
    must_not_come: set[Key] = field(default_factory=set)
    marks: list[tuple[str, int]] = field(default_factory=list)
    """Cursors it had, and how much of the chain came before each."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def spelling(self) -> str:
        return "gps" if self.kind == "stats" else "locations"

    @property
    def assets(self) -> set[int]:
        mine = assets_of_org(self.org)
        some = {"vehicles": mine[1:], "tag ids": mine[:TAGGED], "tag token": mine[:TAGGED], "nobody's": []}
        return set(some.get(self.kind, mine))

    @property
    def query(self) -> dict[str, str]:
        if self.kind == "vehicles":
            return {"vehicleIds": ",".join(render_asset_id(AssetId(asset)) for asset in self.assets)}
        if self.kind == "nobody's":  # of another org: counts as unknown
            return {"vehicleIds": render_asset_id(AssetId(assets_of_org(3 - self.org)[0]))}
        return {"tagIds": str(tag_of_org(self.org))} if self.kind == "tag ids" else {}

    @property
    def principal(self) -> Principal:
        tags = frozenset({TagId(tag_of_org(self.org))}) if self.kind == "tag token" else None
        return Principal(self.org, frozenset(Scope), tag_ids=tags)


@dataclass
class World:
    """Holds the store, rebuilds memory after each accident, and keeps the model."""

    directory: Path
    machine: Machine
    stretch_bytes: int = 1 << 20
    seam_type: type[Seam] = WatchedSeam
    stretch_type: type[Stretch] = Stretch
    reader_type: type[positions.Positions] = positions.Positions
    sent: set[Key] = field(default_factory=set)
    stored: dict[tuple[int, int], Key] = field(default_factory=dict)
    turned_away: set[Key] = field(default_factory=set)
    visible: set[Key] = field(default_factory=set)
    """What memory surely held: an answer may be ahead of it while a follower that was lost catches up."""
    pollers: list[Poller] = field(default_factory=list)
    coverage: Counter[str] = field(default_factory=Counter)

    async def start(self) -> None:
        self.store = await self.machine.open(self.directory)
        await self.store.write([change for org in ORGS for change in _catalogue(org)])
        await self._live()

    async def _live(self) -> None:
        stretch = self.stretch_type(self.stretch_bytes)
        self.live = WatchedLive(Directory(), Snapshot(), stretch, self.seam_type(self.store, stretch))
        self.live.moved = asyncio.Event()
        self.task = asyncio.create_task(self.live.run(self.store))
        await asyncio.wait_for(self.live.ready.wait(), WAIT_S)
        clock = SystemClock()
        self.context = Context(
            store=self.store,
            live=self.live,
            presence=Presence(self.live.directory.devices),
            catalog=Catalog(self.store, self.live.directory, clock),
            clock=clock,
            geocoder=Nowhere(),
            cursors=Cursors(b"k" * 32, "e"),
            server_key=b"k" * 32,
            public_url="http://localhost",
        )
        self.readers = {"locations": self.reader_type(LOCATIONS), "gps": self.reader_type(STATS)}

    async def restart(self) -> None:
        """The API process dies and comes back: memory is rebuilt from the log."""
        self.coverage["restart"] += 1
        await self.stop()
        self.store = await self.machine.open(self.directory)
        await self._live()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.store.close()

    async def settled(self) -> None:
        """Until memory has followed all that is on disk."""
        head = (await self.store.status()).head
        while self.live.stretch.head < head:
            assert not self.task.done(), "nobody follows the store any more"
            self.live.moved.clear()
            try:
                await asyncio.wait_for(self.live.moved.wait(), self.machine.patience_s)
            except TimeoutError:
                raise AssertionError("memory does not follow the log to its end") from None
        self.visible |= set(self.stored.values())

    # -- steps

    async def append(self, org: OrgId, rows: list[tuple[int, int, int]]) -> None:
        """Send (asset index, seconds, variant) rows; the model learns what was answered."""
        fixes = np.zeros(len(rows), dtype=FIX_DTYPE)
        for place, (index, second, variant) in enumerate(rows):
            asset, time_ms = assets_of_org(org)[index], BASE_MS + 1000 * second
            fixes[place] = (
                asset,
                time_ms,
                520_000_000 + 10 * second + variant,
                1,
                UNKNOWN_HEADING,
                UNKNOWN_SPEED,
                0,
            )
        keys = keys_of(fixes)
        self.sent.update(keys)
        known, begun = dict(self.stored), [poller for poller in self.pollers if poller.is_begun]
        try:
            (outcomes,) = await self.store.append([OrgFixes(org, fixes)])
        except Refusal:
            self.coverage["append without an answer"] += 1
            return
        for key, outcome in zip(keys, outcomes.tolist(), strict=True):
            self._learn(key, Outcome(outcome), known.get(key[:2]), begun)

    def _learn(self, key: Key, outcome: Outcome, known: Key | None, begun: list[Poller]) -> None:
        self.coverage[outcome.name] += 1
        if known is not None:
            due = Outcome.KNOWN if known == key else Outcome.SAME_TIME_DIFFERENT
            assert outcome == due, f"{key} after {known} was answered {outcome.name}"
        if outcome == Outcome.SAME_TIME_DIFFERENT:
            self.turned_away.add(key)
            return
        assert self.stored.setdefault(key[:2], key) == key, f"two fixes of one moment are stored: {key}"
        if outcome == Outcome.STORED:
            for poller in begun:
                if key[0] in poller.assets:
                    poller.must_come.add(key)

    async def join(self, org: OrgId, kind: str) -> None:
        """Somebody new makes a first call."""
        poller = Poller(org, kind)
        self.pollers.append(poller)
        await self.poll(poller)

    async def poll(self, poller: Poller) -> None:
        """Follow to the end of what there is now; the first time from the beginning, without a cursor."""
        async with poller.lock:
            sides.set(set())
            for _ in range(MOST_PAGES):
                if not await self._turn(poller):
                    self.coverage[" then ".join(side for side in SIDES if side in sides.get())] += 1
                    return
            raise AssertionError(f"the feed does not move on: {MOST_PAGES} pages and more to come")

    async def _turn(self, poller: Poller) -> bool:
        """One page; whether there is more."""
        if not (poller.is_begun or poller.cursor):
            poller.must_not_come = set(self.visible)
        shown, poller.cursor, more = await self.page(poller, poller.cursor)
        if poller.is_following:
            poller.chain += shown
            if len(poller.marks) < 20:
                poller.marks.append((poller.cursor, len(poller.chain)))
        else:
            for key in shown:
                assert key[0] not in poller.first, "the first call shows a vehicle twice"
                poller.first[key[0]] = key
            poller.is_following = not more
        poller.is_begun = True
        return more

    async def page(self, poller: Poller, cursor: str) -> tuple[list[Key], str, bool]:
        """What the feed shows from a cursor, the next cursor, and whether there is more."""
        await self.machine.pause()
        answer = await self._ask("feed", poller, {**poller.query, "after": cursor})
        await self.machine.pause()
        shown = _shown(answer, poller.spelling)
        after = answer["pagination"]["endCursor"]
        assert {asset for asset, _, _ in shown} <= poller.assets, "a fix that the filter excludes was shown"
        assert set(shown) <= self.sent, "a fix was shown that nobody sent"
        self.visible.update(shown)
        assert after, "a feed's cursor is never empty"
        self.coverage["empty page with more"] += bool(not shown and answer["pagination"]["hasNextPage"])
        return shown, after, answer["pagination"]["hasNextPage"]

    async def _ask(self, what: str, poller: Poller, query: dict[str, str]) -> Any:
        call = Call(poller.principal, Query(urlencode(query).encode()), {}, b"", self.context)
        read = getattr(self.readers[poller.spelling], what)
        return msgspec.json.decode((await read(call)).body)

    # -- judgement

    async def judge(self) -> None:
        """At rest: everybody has seen exactly what they had to, and history holds exactly what was stored."""
        await self.settled()
        log = await self._log()
        held = {key for keys in log.values() for key in keys}
        self._judge_store(log, held)
        for poller in self.pollers:
            await self.poll(poller)
            self._judge_poller(poller, log, held)
            await self._judge_again(poller)
        for org in ORGS:
            await self._judge_reads(Poller(org), held)

    async def _log(self) -> dict[int, list[Key]]:
        """All that disk holds, by vehicle, as it came in."""
        found: dict[int, list[Key]] = defaultdict(list)
        through = (await self.store.status()).head
        for org in ORGS:
            after = Seq(0)
            while after < through:
                block, after = await self.store.read_after(org, after, through, 1000)
                for key in keys_of(block.fixes):
                    found[key[0]].append(key)
        return found

    def _judge_store(self, log: dict[int, list[Key]], held: set[Key]) -> None:
        moments = [key[:2] for keys in log.values() for key in keys]
        assert len(set(moments)) == len(moments), "the log holds a moment twice"
        assert held <= self.sent, "the log holds a fix that nobody sent"
        assert set(self.stored.values()) <= held, "a fix that was answered yes is gone"
        assert not self.turned_away & held, "a fix that was answered no is there"
        assert {key[:2] for key in self.turned_away} <= set(moments), "a fix was turned away for another's sake"

    async def _judge_reads(self, poller: Poller, held: set[Key]) -> None:
        """History and snapshots of an org are what a plain list gives."""
        mine = sorted(key for key in held if key[0] in poller.assets)
        start, end = BASE_MS + 3000, BASE_MS + 20_000
        for first, last in ((0, 1 << 41), (start, end)):
            query = {"startTime": render_time(first), "endTime": render_time(last)}
            got = await self._walk("history", poller, query)
            assert got == [key for key in mine if first <= key[1] < last], "history is not what was stored"
        for time_ms in (None, BASE_MS, BASE_MS + 7000, BASE_MS + 60_000):
            query = {} if time_ms is None else {"time": render_time(time_ms)}
            newest = {key[0]: key for key in mine if time_ms is None or key[1] <= time_ms}
            got = await self._walk("snapshot", poller, query)
            assert got == sorted(newest.values()), f"the snapshot at {time_ms} is not the newest of each"

    async def _walk(self, what: str, poller: Poller, query: dict[str, str]) -> list[Key]:
        found: list[Key] = []
        answer = await self._ask(what, poller, query)
        for _ in range(MOST_PAGES):
            found += _shown(answer, "location" if what == "snapshot" else "locations")
            if not answer["pagination"]["hasNextPage"]:
                assert answer["pagination"]["endCursor"] == ""
                return found
            answer = await self._ask(what, poller, {**query, "after": answer["pagination"]["endCursor"]})
        raise AssertionError(f"the {what} does not end")

    def _judge_poller(self, poller: Poller, log: dict[int, list[Key]], held: set[Key]) -> None:
        assert len(set(poller.chain)) == len(poller.chain), "the feed showed a fix twice"
        missed = poller.must_come - set(poller.chain)
        assert not missed, f"the feed missed {len(missed)} of {len(poller.must_come)} fixes"
        again = poller.must_not_come & set(poller.chain)
        assert not again, "the feed repeated what was there before its first call"
        assert set(poller.chain) | set(poller.first.values()) <= held, "the feed showed what history does not hold"
        for asset in poller.assets:
            mine = [key for key in poller.chain if key[0] == asset]
            assert mine == log[asset][len(log[asset]) - len(mine) :], "the feed is not the end of the log"
            newest = poller.first[asset][1] if asset in poller.first else -1
            later = {key for key in log[asset] if key[1] > newest}
            assert later <= set(mine), "a fix lies between the first call and what followed it"

    async def _judge_again(self, poller: Poller) -> None:
        """Every cursor it had gives again what came after it."""
        for cursor, place in poller.marks[:: max(1, len(poller.marks) // 4)]:
            again: list[Key] = []
            more = True
            while more:
                shown, cursor, more = await self.page(poller, cursor)  # noqa: PLW2901 - it is followed
                again += shown
            for asset in poller.assets:
                assert [key for key in again if key[0] == asset] == [
                    key for key in poller.chain[place:] if key[0] == asset
                ], "asked again, the feed gives something else"


def _catalogue(org: OrgId) -> list[Change]:
    tag = tag_of_org(org)
    bodies: list[tuple[str, msgspec.Struct]] = [("tag", Tag(tag, "some"))]
    for place, asset in enumerate(assets_of_org(org)):
        tags = (tag,) if place < TAGGED else ()
        bodies.append(("asset", Asset(asset, f"v{asset}", created_ms=1, updated_ms=1, tag_ids=tags)))
    return [Change(org, kind, None, msgspec.json.encode(body)) for kind, body in bodies]


def _shown(answer: Any, key: str) -> list[Key]:
    """The fixes of a page, in its order."""
    found = []
    for entry in answer["data"]:
        fixes = entry[key] if isinstance(entry[key], list) else [entry[key]]
        for fix in fixes:
            time_ms = parse_time(fix["time"])
            assert time_ms is not None
            found.append((number_of(entry["id"]), time_ms, round(fix["latitude"] * 1e7)))
    return found
