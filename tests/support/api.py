"""The whole API in-process, and a client that holds every answer against the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import msgspec
import numpy as np
import numpy.typing as npt
from jsonschema import Draft202012Validator, FormatChecker

from odograph.api import openapi
from odograph.api.app import build
from odograph.api.auth import OPERATOR
from odograph.api.context import Context
from odograph.api.resources.base import Resource
from odograph.api.resources.registry import RESOURCES
from odograph.catalog import addresses, assets, drivers, orgs, tokens
from odograph.catalog.changes import Catalog
from odograph.catalog.fencing import CircleFields, FenceFields
from odograph.errors import Refusal
from odograph.geocoding.base import Geocoder
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.live.presence import Presence
from odograph.live.seam import Seam
from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.live.view import Live
from odograph.model.access import Scope
from odograph.model.catalog import Address, Asset, Driver
from odograph.model.cursor import Cursors
from odograph.model.fixes import FIX_DTYPE, Fixes, empty_fixes
from odograph.model.ids import AssetId, OrgId, RecordId, Seq, render_asset_id
from odograph.store.base import Change, LedgerEntry, Newest, OrgFixes, Record, Store, StoreStatus
from odograph.store.sqlite.engine import Engine
from odograph.store.sqlite.log import LogReader
from odograph.telemetry import AccessLog, App

T = TypeVar("T")

NOON_MS = 1_714_557_600_000  # 2024-05-01T10:00:00Z
EVERY_SCOPE = [scope.label for scope in Scope]


class SteppingClock:
    """Wall time stands until it is moved; steady time goes on by `step_s` whenever it is asked for.

    With a second a question no rate limit of the documents is ever reached; with 0 all of them are.
    """

    def __init__(self) -> None:
        self.time_ms = NOON_MS
        self.steady = 0.0
        self.step_s = 1.0

    def now_ms(self) -> int:
        return self.time_ms

    def steady_s(self) -> float:
        self.steady += self.step_s
        return self.steady

    async def sleep(self, seconds: float) -> None:
        self.time_ms += int(seconds * 1000)


class DirectStore:
    """The embedded engine in this process: the same SQLite and the same transactions, without the writer's socket.

    Nothing is ever sealed or evicted here, so that everything is read from memory and nothing from below it.
    """

    def __init__(self, directory: Path, live: Live, clock: SteppingClock) -> None:
        self.engine = Engine(directory, clock)
        self._directory = directory
        self._live = live

    async def append(self, batch: Sequence[OrgFixes]) -> Sequence[npt.NDArray[np.uint8]]:
        done = self.engine.commit([batch])
        self._live.apply(done.committed)
        return _unless_refused(done.appended[0])

    async def write(self, changes: Sequence[Change]) -> Sequence[Record]:
        done = self.engine.commit([], [changes])
        self._live.apply(done.committed)
        return _unless_refused(done.written[0])

    async def newest(self) -> Newest:
        nothing = np.empty(0, dtype=np.int64)
        return Newest(empty_fixes(), nothing, nothing)

    async def read_range(self, _: OrgId, assets: Sequence[AssetId], *__: Any) -> list[Fixes]:
        return [empty_fixes() for _ in assets]

    async def read_at(self, *_: Any) -> Fixes:
        return empty_fixes()

    async def note(self, entries: Sequence[LedgerEntry]) -> None:
        self.engine.note(entries)

    async def read_ledger(
        self, org: OrgId, share: RecordId, start_minute: int, end_minute: int, limit: int
    ) -> Sequence[LedgerEntry]:
        reader = LogReader(self._directory)
        try:
            return reader.read_ledger(org, share, start_minute, end_minute, limit)
        finally:
            reader.close()

    async def status(self) -> StoreStatus:
        return StoreStatus(self.engine.head, Seq(0), self.engine.rev, "epoch", 0)


def _unless_refused(answer: list[T] | Refusal) -> list[T]:
    if isinstance(answer, Refusal):
        raise answer
    return answer


class Plain(Geocoder):
    """A geocoder that knows nothing."""

    attribution = "Places: none"

    def describe(self, lat_e7: int, lon_e7: int) -> str:
        return f"{lat_e7 / 1e7}, {lon_e7 / 1e7}"


@dataclass
class World:
    """One server without its sockets."""

    context: Context
    clock: SteppingClock
    store: DirectStore
    app: App
    document: dict[str, Any]

    @property
    def catalog(self) -> Catalog:
        return self.context.catalog

    @property
    def directory(self) -> Directory:
        return self.context.live.directory

    def client(self, token: str | None = None, *, org: str | None = None, operator: bool = False) -> Client:
        """Speaks as a token's holder, as the operator, or as nobody."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if org is not None:
            headers["X-Odograph-Org"] = org
        app = as_operator(self.app) if operator else self.app
        return Client(app, headers, self.document)

    async def make_org(self, name: str = "Acme") -> OrgId:
        return OrgId((await orgs.create(self.catalog, name)).id)

    async def make_token(
        self,
        org: OrgId,
        scopes: Sequence[str] | None = EVERY_SCOPE,
        tag_ids: Sequence[str] = (),
        expires_ms: int = 0,
    ) -> str:
        _, text = await tokens.create(
            self.catalog, org, "test", scopes=scopes, tag_ids=tag_ids, expires_ms=expires_ms
        )
        return text

    async def make_vehicle(self, org: OrgId, **fields: Any) -> Entity[Asset]:
        return await assets.create(self.catalog, org, assets.AssetFields(**fields))

    async def make_address(self, org: OrgId, **fields: Any) -> Entity[Address]:
        """A circle of 100 m around (52.1, 4.3), unless the fields say otherwise."""
        fence = FenceFields(circle=CircleFields(radius_m=100, lat=52.1, lon=4.3))
        known = {"name": "Dock", "formatted_address": "Quay 1", "fence": fence, **fields}
        return await addresses.create(self.catalog, org, addresses.AddressFields(**known))

    async def make_driver(self, org: OrgId, **fields: Any) -> Entity[Driver]:
        """A driver, with a user name made of his name."""
        known = {"name": "Dee", **fields}
        known.setdefault("username", str(known["name"]).lower().replace(" ", "."))
        return await drivers.create(self.catalog, org, drivers.DriverFields(**known))

    async def report(self, org: OrgId, asset: Entity[Asset], time_ms: int) -> None:
        """One fix of an asset."""
        fix = np.array([(asset.body.number, time_ms, 521000000, 43000000, 9000, 4000, 0)], dtype=FIX_DTYPE)
        await self.store.append([OrgFixes(org, fix)])


def public_id(asset: Entity[Asset]) -> str:
    return render_asset_id(AssetId(asset.body.number))


@asynccontextmanager
async def open_world(directory: Path, resources: Sequence[Resource] = RESOURCES) -> AsyncIterator[World]:
    clock = SteppingClock()
    stretch = Stretch(16_000_000)
    live = Live(Directory(), Snapshot(), stretch, cast("Seam", None))
    store = DirectStore(directory, live, clock)
    live.seam = Seam(cast("Store", store), stretch)
    stretch.start(Seq(0))
    live.ready.set()
    context = Context(
        store=cast("Store", store),
        live=live,
        presence=Presence(live.directory.devices),
        catalog=Catalog(cast("Store", store), live.directory, clock),
        clock=clock,
        geocoder=Plain(),
        cursors=Cursors(b"k" * 32, "epoch"),
        server_key=b"k" * 32,
        public_url="http://testserver",
    )
    app = AccessLog(build(context, resources))
    document = openapi.document(resources, "http://testserver")
    try:
        yield World(context, clock, store, app, document)
    finally:
        store.engine.close()


def as_operator(app: App) -> App:
    """As the control socket's server does it."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        scope[OPERATOR] = True
        await app(scope, receive, send)

    return serve


class Client(httpx.AsyncClient):
    """Every answer is held against the document before the test sees it."""

    def __init__(self, app: App, headers: Mapping[str, str], document: Mapping[str, Any]) -> None:
        self.checker = Checker(document)
        super().__init__(
            transport=httpx.ASGITransport(app=cast("Any", app)),
            base_url="http://testserver",
            headers=headers,
            event_hooks={"response": [self._check]},
        )

    async def _check(self, response: httpx.Response) -> None:
        await response.aread()
        self.checker.check(response)


class Checker:
    """Says what an answer has that the document doesn't, or lacks."""

    _made: dict[int, tuple[Mapping[str, Any], dict[str, Any]]] = {}

    def __init__(self, document: Mapping[str, Any]) -> None:
        kept = self._made.get(id(document))
        if kept is None:
            kept = self._made[id(document)] = (document, cast("dict[str, Any]", closed(document)))
        self._document = kept[1]
        self._paths = [
            (re.compile(_pattern(path)), path) for path in sorted(document["paths"], key=len, reverse=True)
        ]

    def check(self, response: httpx.Response) -> None:
        request_id = response.headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{8}", request_id)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/json"
            assert response.request.method == "HEAD" or response.json()["requestId"] == request_id
        if response.request.method != "HEAD":
            self._check_body(response)

    def _check_body(self, response: httpx.Response) -> None:
        operation = self.operation(response.request)
        if operation is None:
            schema: Mapping[str, Any] = {"$ref": "#/components/schemas/ErrorBody"}
            if response.status_code < 400:
                return  # a public page
        else:
            schema = self._schema(operation, response)
        if schema:
            self._validate(schema, response.json())
        elif response.status_code == 204:
            assert not response.content

    def operation(self, request: httpx.Request) -> Mapping[str, Any] | None:
        path = request.url.path.rstrip("/")
        methods = self._document["paths"].get(path)
        for pattern, template in () if methods else self._paths:
            if pattern.fullmatch(path):
                methods = self._document["paths"][template]
                break
        return methods.get(request.method.lower()) if methods else None

    def _schema(self, operation: Mapping[str, Any], response: httpx.Response) -> Mapping[str, Any]:
        documented = operation["responses"].get(str(response.status_code))
        assert documented, f"{response.status_code} is not documented for {operation['operationId']}"
        if "$ref" in documented:
            documented = self._document["components"]["responses"][documented["$ref"].rpartition("/")[2]]
        content = documented.get("content")
        if content is None:
            return {}
        kind = response.headers["content-type"]
        assert kind in content or kind.partition(";")[0] in content, f"{kind} is not documented"
        return content[kind]["schema"] if kind == "application/json" else {}

    def _validate(self, schema: Mapping[str, Any], body: Any) -> None:
        whole = {**schema, "components": self._document["components"]}
        errors = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(body)
        problems = [f"{error.json_path}: {error.message}" for error in errors]
        assert not problems, problems


def closed(node: Any) -> Any:
    """The same schemas, allowing no property that they do not name."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: closed(one) for key, one in node.items()}
    if node.get("type") == "object" and "properties" in node:
        found.setdefault("additionalProperties", False)
    return found


def _pattern(path: str) -> str:
    return re.sub(r"\\\{\w+\\\}", ".+", re.escape(path))


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path template and operation of everything that is documented."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def decoded(response: httpx.Response) -> Any:
    return msgspec.json.decode(response.content)
