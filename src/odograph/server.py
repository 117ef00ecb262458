"""The composition root: what one `odograph serve` is made of, from the store up, and how it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn

from odograph.api.app import build as build_api
from odograph.api.context import Context
from odograph.api.resources.registry import RESOURCES
from odograph.catalog import enrolment, shares
from odograph.catalog import knocks as knocking
from odograph.catalog.arrivals import Arrivals
from odograph.catalog.changes import Catalog
from odograph.catalog.planner import Planner
from odograph.catalog.progress import Progress
from odograph.clock import Clock, SystemClock
from odograph.errors import unavailable
from odograph.geocoding.offline import OfflineGeocoder
from odograph.ingest.committer import Committer
from odograph.ingest.connection import DeviceConnection
from odograph.ingest.crowd import Crowd, allow_descriptors, most_connections
from odograph.ingest.door import Door
from odograph.ingest.http import IngestHttp
from odograph.ingest.intake import Intake
from odograph.ingest.knocks import Knocks
from odograph.ingest.patience import Patience
from odograph.ingest.sockets import Listener
from odograph.live.directory import Directory
from odograph.live.presence import Presence
from odograph.live.seam import Seam
from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.live.view import Live
from odograph.localsocket import CONTROL_SOCKET, short_path
from odograph.model.cursor import Cursors
from odograph.protocols.registry import PROTOCOLS
from odograph.settings import Settings
from odograph.sharing.estimating import Learned
from odograph.sharing.ledger import LedgerBook
from odograph.sharing.views.base import Sources
from odograph.store.base import Store
from odograph.store.registry import open_store
from odograph.telemetry import AccessLog, App, Receive, Send
from odograph.telemetry import Scope as AsgiScope
from odograph.tiles.extracts import FOLDER, Extracts
from odograph.tiles.world import open_world
from odograph.viewer.build import build as build_viewer
from odograph.viewer.look import Look, Maps
from odograph.viewer.paths import is_public

KEY_BYTES = 32
GC_THRESHOLDS = (50_000, 20, 1_000_000)  # young objects as they come, old ones hardly ever
GC_EVERY_S = 6 * 3600.0
KEEP_ALIVE_S = 75  # a device that reports every 5 s, or every minute, keeps its connection
BACKLOG = 4096  # a whole fleet reconnects at once after an outage
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that runs, without its sockets."""

    store: Store
    live: Live
    intake: Intake
    ingest: IngestHttp
    app: App
    services: Sequence[asyncio.Task[None]]
    """What must run as long as the server does; one that ends has failed."""
    hang_up: Callable[[], None]
    """Closes the streams of public links, which would go on for ever."""


@asynccontextmanager
async def opened(settings: Settings, clock: Clock) -> AsyncIterator[Core]:
    """Open the store and run what follows it; on the way out, finish what was promised."""
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    geocoder = await asyncio.to_thread(OfflineGeocoder.open, data_dir / "cache")
    store = await open_store(
        "sqlite",
        data_dir,
        seal_rows=settings.seal_rows,
        seal_after_s=settings.seal_after_s,
        retention_days=settings.retention_days,
    )
    try:
        stretch = Stretch(settings.stretch_mb * 1_000_000)
        live = Live(Directory(), Snapshot(), stretch, Seam(store, stretch))
        committer = Committer(store, clock)
        catalog = Catalog(store, live.directory, clock)
        knocks = Knocks(partial(knocking.record, catalog), clock)
        presence = Presence(live.directory.devices)
        door = Door(live.directory, presence, knocks, partial(enrolment.enrol, catalog), clock)
        intake = Intake(door, presence, committer, clock, oldest_fix_ms=settings.oldest_fix_days * 86_400_000)
        epoch = (await store.status()).epoch
        server_key = _server_key(data_dir)
        cursors = Cursors(server_key, epoch)
        planner = Planner(live, catalog)
        drives = Arrivals(live, catalog)
        progress = Progress(live, catalog, drives)
        context = Context(
            store=store,
            live=live,
            presence=presence,
            catalog=catalog,
            clock=clock,
            geocoder=geocoder,
            cursors=cursors,
            server_key=server_key,
            public_url=settings.base_url,
            metrics_public=settings.metrics_public,
        )
        ledger = LedgerBook(clock)
        estimator = Learned(live.directory.arrivals)
        sources = Sources(live.directory, live.snapshot, geocoder, geocoder, estimator, server_key)
        maps = Maps(open_world(), Extracts(data_dir / FOLDER))
        look = Look(maps, settings.street_tiles, settings.street_attribution, settings.framers)
        public = build_viewer(
            live, sources, cursors, clock, partial(shares.end, catalog), drives.note, look, ledger
        )
        live.watchers += [planner.take, progress.take, public.hub.watch, public.arrivals.watch]
        api = build_api(context, RESOURCES, guides=_guides())
        ingest = IngestHttp(PROTOCOLS.http, intake, clock)
        app = AccessLog(_Root(api, ingest, public.app))
        services = [
            live.run(store),
            committer.run(),
            knocks.run(),
            planner.run(),
            progress.run(),
            public.hub.run(),
            public.arrivals.run(),
            ledger.run(store),
        ]
        tasks = [asyncio.create_task(service) for service in services]
        try:
            await _until_ready(live, tasks)
            presence.begin(live.snapshot)
            _warn_of_lost_links(live.directory, server_key)
            yield Core(store, live, intake, ingest, app, tasks, public.hub.hang_up)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await store.close()


async def _until_ready(live: Live, tasks: Sequence[asyncio.Task[None]]) -> None:
    ready = asyncio.create_task(live.ready.wait())
    await asyncio.wait([ready, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            ready.cancel()
            task.result()
            raise unavailable("A service of the server ended while it was starting.")


def _warn_of_lost_links(directory: Directory, server_key: bytes) -> None:
    lost = shares.count_lost(directory, server_key)
    if lost:
        _log.warning(
            "server.key is not the one that links were made with: their URLs still open, but can't be shown again;"
            " put the old file back, or rotate them: odograph share rotate ID",
            extra={"links": lost},
        )


class _Root:
    """Devices to ingest, holders of links to the viewer, everybody else to the API."""

    def __init__(self, api: App, ingest: App, viewer: App) -> None:
        self._api = api
        self._ingest = ingest
        self._viewer = viewer

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        app = self._ingest if path.startswith("/ingest/") else self._viewer if is_public(path) else self._api
        await app(scope, receive, send)


class _AsOperator:
    """What comes through the control socket comes from the operator: the file's mode saw to that."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope["odograph.operator"] = True
        await self._app(scope, receive, send)


def as_operator(core: Core) -> App:
    """The application as the operator at this machine may use it."""
    return _AsOperator(core.app)


class _Quiet(uvicorn.Server):
    """A server whose signals are somebody else's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


async def serve(
    settings: Settings, *, on_ready: asyncio.Event | None = None, stop: asyncio.Event | None = None
) -> None:
    """Run until SIGINT, SIGTERM or `stop`. Raises Refusal when the directory or a port can't be had."""
    clock = SystemClock()
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    crowd = Crowd(most_connections(allow_descriptors()))
    with _listen(settings.host, settings.port) as public:
        async with opened(settings, clock) as core:
            control = _control_socket(Path(settings.data_dir))
            servers = [
                _http(core.app, core.ingest, crowd, settings, public),
                # What is held back from the crowd is for this one.
                _http(as_operator(core), core.ingest, Crowd(sys.maxsize), settings, control, is_local=True),
            ]
            listeners = await _listen_for_trackers(settings, core, crowd)
            tasks = [asyncio.create_task(server.serve([sock])) for server, sock in servers]
            tidying = asyncio.create_task(_tidy(clock))
            _log.info("serving", extra={"url": settings.base_url, "head": core.live.stretch.head})
            if on_ready is not None:
                on_ready.set()
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([stopping, *tasks, *core.services], return_when=asyncio.FIRST_COMPLETED)
            tidying.cancel()
            for listener in listeners:
                await listener.close()
            for server, _ in servers:
                server.should_exit = True
            core.hang_up()
            await asyncio.gather(*tasks)
            for service in core.services:
                if service.done():
                    service.result()
            Path(settings.data_dir, CONTROL_SOCKET).unlink(missing_ok=True)
    _log.info("stopped")


async def _tidy(clock: Clock) -> None:
    """Keep the collector of cycles from stopping everything: it looks at all that lives, at 15,000 connections
    for half a second, and finds next to nothing, because requests leave no cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    while True:
        await clock.sleep(GC_EVERY_S)
        gc.collect()


def _http(
    app: App, ingest: IngestHttp, crowd: Crowd, settings: Settings, sock: socket.socket, *, is_local: bool = False
) -> tuple[_Quiet, socket.socket]:
    config = uvicorn.Config(
        app,
        http=cast("Any", partial(DeviceConnection, ingest, Patience(), crowd)),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=10,
        backlog=BACKLOG,
        proxy_headers=bool(settings.proxies) and not is_local,
        forwarded_allow_ips=settings.proxies,
        ssl_certfile=None if is_local else settings.tls_cert or None,
        ssl_keyfile=None if is_local else settings.tls_key or None,
    )
    return _Quiet(config), sock


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise unavailable(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    return sock


def _control_socket(directory: Path) -> socket.socket:
    """Made under a closed umask: between bind and chmod nobody else could connect."""
    (directory / CONTROL_SOCKET).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short_path(directory, CONTROL_SOCKET) as address:
            sock.bind(address)
    finally:
        os.umask(before)
    return sock


async def _listen_for_trackers(settings: Settings, core: Core, crowd: Crowd) -> list[Listener]:
    ports = {"teltonika": settings.teltonika_port}
    listeners = []
    for protocol in PROTOCOLS.stream:
        if ports[protocol.name]:
            listener = Listener(protocol, core.intake, settings.tracker_host, ports[protocol.name], crowd)
            port = await listener.open()
            listeners.append(listener)
            _log.info(
                "listening for %s trackers", protocol.name, extra={"host": settings.tracker_host, "port": port}
            )
    return listeners


def _guides() -> dict[str, str]:
    """The documentation, for /docs and /llms.txt: in the wheel beside this file, in a checkout above it."""
    here = Path(__file__).parent
    folder = next((path for path in (here / "docs", here.parents[1] / "docs") if path.is_dir()), None)
    if folder is None:
        return {}
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}


def _server_key(data_dir: Path) -> bytes:
    """The key that cursors are sealed with and links' keys are made from; made once."""
    path = data_dir / "server.key"
    if not path.exists():
        _write_durably(path, secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise unavailable(
            f"{path} is damaged: it must hold {KEY_BYTES} bytes. Put it back from a backup, or remove it: all"
            " cursors end with it, and no link's URL can be shown again until the link is rotated."
        )
    return key


def _write_durably(path: Path, data: bytes) -> None:
    """The file with its whole content, or no file, wherever the power fails."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
