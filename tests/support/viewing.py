"""The public side in-process: a real engine, a clock that is moved by hand, and viewers that speak ASGI."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import numpy as np

from odograph.catalog import orgs, shares
from odograph.catalog.arrivals import Arrivals
from odograph.catalog.changes import Catalog, Plan, delete, put, written
from odograph.geocoding.base import Geocoder
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.live.seam import Seam
from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.live.view import Live
from odograph.model.catalog import Address, Asset, LiveShare, Route, Stop, Tag
from odograph.model.cursor import Cursors
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING
from odograph.model.ids import OrgId, Seq
from odograph.model.place import Geofence
from odograph.sharing.arrival import Estimator, NoEstimator
from odograph.sharing.keys import key_hash, link_key, stop_key
from odograph.sharing.ledger import LedgerBook
from odograph.sharing.views.base import Sources
from odograph.store.base import Change, OrgFixes, Record, Store
from odograph.telemetry import AccessLog, App
from odograph.tiles.archive import Archive
from odograph.tiles.extracts import Extracts
from odograph.tiles.world import open_world
from odograph.viewer.build import Public, build
from odograph.viewer.look import Look, Maps
from tests.support.api import DirectStore

B = TypeVar("B", bound=msgspec.Struct)

NOON_MS = 1_790_000_000_000
SERVER_KEY = b"k" * 32
MINUTE_MS = 60_000
SHARE_HTML = (
    '<!doctype html><html lang="en"><head><title><!--odograph:title--></title><!--odograph:data--></head>'
    "<body><!--odograph:noscript--></body></html>"
)


class HandClock:
    """Stands still until it is moved; whoever sleeps wakes when it has been moved far enough."""

    def __init__(self) -> None:
        self.time_ms = NOON_MS
        self._sleeping: list[tuple[int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self.time_ms

    def steady_s(self) -> float:
        return self.time_ms / 1000

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.time_ms + int(seconds * 1000), future))
        await future

    def move(self, ms: int) -> None:
        self.time_ms += ms
        due = [future for at, future in self._sleeping if at <= self.time_ms]
        self._sleeping = [(at, future) for at, future in self._sleeping if at > self.time_ms]
        for future in due:
            if not future.done():
                future.set_result(None)


class FollowedStore(DirectStore):
    """Records reach the followers too, as the writer process hands them out."""

    async def write(self, changes: Sequence[Change]) -> Sequence[Record]:
        done = self.engine.commit([], [changes])
        answer = done.written[0]
        if isinstance(answer, Exception):
            raise answer
        self._live.apply(done.committed)
        return answer


class Knowing(Geocoder):
    """A geocoder and clock-keeper that repeats the position, so that a leak of it shows in its text as well."""

    attribution = ""

    def describe(self, lat_e7: int, lon_e7: int) -> str:
        return f"at {lat_e7 / 1e7:.7f}, {lon_e7 / 1e7:.7f}"

    def timezone(self, lat: float, lon: float) -> str | None:
        return "Europe/Berlin" if lat > 0 else None


@dataclass
class Answer:
    """One whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value.decode() for known, value in self.headers if known == name.encode()), "")

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def all_bytes(self) -> bytes:
        return b"\n".join(name + b": " + value for name, value in self.headers) + b"\n\n" + self.body


@dataclass
class Event:
    """One server-sent event."""

    name: str
    data: Any
    id: str = ""


@dataclass
class Watching:
    """An open stream: what came so far, and a way to wait for the next event."""

    task: asyncio.Task[None]
    start: asyncio.Future[Answer]
    raw: bytearray = field(default_factory=bytearray)
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    hang_up: asyncio.Event = field(default_factory=asyncio.Event)
    may_send: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: bytes = b""

    async def next(self) -> Event:
        async with asyncio.timeout(5):
            return await self.events.get()

    async def until(self, name: str) -> Event:
        while True:
            found = await self.next()
            if found.name == name:
                return found

    async def close(self) -> None:
        self.hang_up.set()
        await self.task

    def feed(self, body: bytes) -> None:
        self.raw += body
        *whole, self._rest = (self._rest + body).split(b"\n\n")
        for text in whole:
            fields = dict(line.split(b": ", 1) for line in text.split(b"\n") if line and not line.startswith(b":"))
            if b"data" in fields:
                data = msgspec.json.decode(fields[b"data"])
                self.events.put_nowait(Event(fields[b"event"].decode(), data, fields.get(b"id", b"").decode()))


async def connect(
    app: App, path: str, headers: Mapping[str, str] | None = None, client: str = "127.0.0.1", method: str = "GET"
) -> Watching:
    """Ask an app for a path, and keep what comes until it is over."""
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": plain,
        "query_string": query.encode("utf-8", "surrogateescape"),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        "client": (client, 1234),
    }
    start: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    watching = Watching(cast("Any", None), start)
    watching.may_send.set()
    is_first = True

    async def receive() -> Any:
        nonlocal is_first
        if is_first:
            is_first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await watching.hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await watching.may_send.wait()
        if message["type"] == "http.response.start":
            start.set_result(Answer(message["status"], list(message["headers"]), b""))
        else:
            watching.feed(message.get("body", b""))

    watching.task = asyncio.create_task(cast("Any", app(scope, receive, send)))
    return watching


@dataclass
class Viewing:
    """One server's public side without its sockets."""

    live: Live
    store: FollowedStore
    catalog: Catalog
    clock: HandClock
    public: Public
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def app(self) -> App:
        return AccessLog(self.public.app)

    # -- records

    async def make_org(self, name: str = "Acme") -> OrgId:
        return OrgId((await orgs.create(self.catalog, name)).id)

    async def put(self, org: OrgId, body: B, old: Entity[B] | None = None) -> Entity[B]:
        return await self.catalog.change(
            lambda: Plan([put(old, org, body)], lambda records: written(records[0], body))
        )

    async def change(self, entity: Entity[B], **fields: Any) -> Entity[B]:
        shelf = {"LiveShare": "shares", "Address": "addresses", "Route": "routes", "Asset": "assets", "Org": "orgs"}
        name = shelf.get(type(entity.body).__name__)
        fresh = getattr(self.live.directory, name).find(entity.org, entity.id) if name else entity
        return await self.put(fresh.org, msgspec.structs.replace(fresh.body, **fields), fresh)

    async def remove(self, entity: Entity[B]) -> None:
        shelf = {"LiveShare": "shares", "Address": "addresses", "Route": "routes", "Asset": "assets", "Tag": "tags"}
        fresh = getattr(self.live.directory, shelf[type(entity.body).__name__]).find(entity.org, entity.id)
        await self.catalog.change(lambda: Plan([delete(fresh)], lambda _: None))

    async def make_vehicle(self, org: OrgId, name: str = "Van", **fields: Any) -> Entity[Asset]:
        now_ms = self.clock.now_ms()
        return await self.put(org, Asset(next(self.numbers), name, now_ms, now_ms, **fields))

    async def make_tag(self, org: OrgId, name: str = "North") -> Entity[Tag]:
        return await self.put(org, Tag(next(self.numbers), name))

    async def make_address(
        self, org: OrgId, lat: float, lon: float, radius_m: float = 200, name: str = "Depot", **fields: Any
    ) -> Entity[Address]:
        now_ms, fence = self.clock.now_ms(), Geofence(lat, lon, radius_m)
        body = Address(next(self.numbers), name, f"{name} street 1", fence, now_ms, now_ms, lat, lon, **fields)
        return await self.put(org, body)

    async def make_route(
        self, org: OrgId, stops: Sequence[Stop], name: str = "Round", **fields: Any
    ) -> Entity[Route]:
        now_ms = self.clock.now_ms()
        return await self.put(org, Route(next(self.numbers), name, tuple(stops), now_ms, now_ms, **fields))

    async def make_share(
        self, org: OrgId, type_: str = "assetsLocation", name: str = "Your delivery", **fields: Any
    ) -> tuple[Entity[LiveShare], str]:
        """A link and its key. Nothing measured before now is shown."""
        now_ms, share_id = self.clock.now_ms(), f"share{next(self.numbers):015d}"
        key = link_key(SERVER_KEY, share_id, 0)
        body = LiveShare(share_id, name, type_, now_ms, now_ms, key_hash(key).hex(), **fields)
        return await self.put(org, body), key

    async def rotate(self, share: Entity[LiveShare]) -> str:
        rotation = share.body.rotation + 1
        key = link_key(SERVER_KEY, share.body.share_id, rotation)
        await self.change(share, rotation=rotation, key_hash=key_hash(key).hex())
        return key

    def stop_key(self, org: OrgId, stop: int) -> str:
        return stop_key(SERVER_KEY, org, stop)

    # -- fixes

    async def report(
        self,
        org: OrgId,
        asset: Entity[Asset],
        lat: float,
        lon: float,
        *,
        at_ms: int | None = None,
        kmh: float = 40,
        marks: int = 0,
    ) -> None:
        await self.report_many(
            org, [(asset, self.clock.now_ms() if at_ms is None else at_ms, lat, lon, kmh, marks)]
        )

    async def report_many(
        self, org: OrgId, rows: Sequence[tuple[Entity[Asset], int, float, float, float, int]]
    ) -> None:
        """Asset, time, latitude, longitude, km/h, marks of each, in one commit."""
        fixes = np.array(
            [
                (
                    asset.body.number,
                    at,
                    round(lat * 1e7),
                    round(lon * 1e7),
                    UNKNOWN_HEADING,
                    round(kmh * 100),
                    marks,
                )
                for asset, at, lat, lon, kmh, marks in rows
            ],
            dtype=FIX_DTYPE,
        )
        await self.store.append([OrgFixes(org, fixes)])

    # -- viewers

    async def get(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
        method: str = "GET",
    ) -> Answer:
        watching = await connect(self.app, path, headers, client, method)
        await watching.task
        answer = watching.start.result()
        return Answer(answer.status, answer.headers, bytes(watching.raw))

    async def watch(self, key: str, after: str = "", client: str = "127.0.0.1") -> Watching:
        query = f"?after={after}" if after else ""
        watching = await connect(self.app, f"/o/1/fleet/viewer/address/{key}/stream{query}", client=client)
        await watching.start
        return watching

    async def page_state(self, key: str) -> Any:
        """The state inside the page of a link."""
        answer = await self.get(f"/o/1/fleet/viewer/address/{key}")
        assert answer.status == 200, answer.body
        text = answer.body.split(b'id="odograph-state">')[1].split(b"</script>")[0]
        return msgspec.json.decode(text)


@lru_cache
def _world() -> Archive:
    return open_world()


@asynccontextmanager
async def open_viewing(
    directory: Path, *, estimator: Estimator | None = None, is_built: bool = True
) -> AsyncIterator[Viewing]:
    clock = HandClock()
    stretch = Stretch(16_000_000)
    live = Live(Directory(), Snapshot(), stretch, cast("Seam", None))
    (directory / "data").mkdir()
    store = FollowedStore(directory / "data", live, cast("Any", clock))
    live.seam = Seam(cast("Store", store), stretch)
    stretch.start(Seq(0))
    live.ready.set()
    catalog = Catalog(cast("Store", store), live.directory, clock)
    knowing = Knowing()
    sources = Sources(live.directory, live.snapshot, knowing, knowing, estimator or NoEstimator(), SERVER_KEY)
    web = directory / "web"
    web.mkdir()
    if is_built:
        (web / "share.html").write_text(SHARE_HTML)
    public = build(
        live,
        sources,
        Cursors(SERVER_KEY, "epoch"),
        clock,
        partial(shares.end, catalog),
        Arrivals(live, catalog).note,
        Look(Maps(_world(), Extracts(directory / "maps")), "", "", ()),
        LedgerBook(clock),
        web,
    )
    live.watchers += [public.hub.watch, public.arrivals.watch]
    tasks = [asyncio.create_task(public.hub.run()), asyncio.create_task(public.arrivals.run())]
    try:
        yield Viewing(live, store, catalog, clock, public)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        store.engine.close()
