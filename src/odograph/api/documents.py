"""The pages that need no token: what the API is, and how the server is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from odograph.api import openapi
from odograph.api.auth import OPERATOR
from odograph.api.context import Context
from odograph.api.docs_page import CONTENT_SECURITY_POLICY, render_docs
from odograph.api.resources.base import Answer, Resource
from odograph.api.wire import to_json
from odograph.errors import forbidden, unavailable
from odograph.store.base import StoreStatus
from odograph.telemetry import (
    DISK_BYTES,
    FOLLOWER_LAG,
    HEAD_SEQ,
    METRICS_CONTENT_TYPE,
    SEALED_SEQ,
    Scope,
    render_metrics,
)

Page = Callable[[Scope], Awaitable[Answer]]

_STATUS_AGE_S: Final = 1.0  # probes and scrapes by many can't become questions to the writer by many
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
_SAFE: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def pages(context: Context, resources: Sequence[Resource], guides: Mapping[str, str]) -> Mapping[str, Page]:
    """Each page by its path."""
    health = _Health(context)
    reference = _Reference(context, resources, guides)
    texts = {f"/docs/{name}": _text(text, "text/markdown; charset=utf-8") for name, text in guides.items()}
    return {
        "/healthz": health.healthz,
        "/readyz": health.readyz,
        "/metrics": health.metrics,
        "/openapi.json": reference.openapi,
        "/docs": reference.docs,
        "/llms.txt": reference.index,
        **texts,
    }


def _text(text: str, content_type: str) -> Page:
    async def page(_: Scope) -> Answer:
        return Answer(text.encode(), content_type=content_type, headers=_SAFE)

    return page


class Health(msgspec.Struct):
    """What a probe wants to know."""

    status: str


class _Health:
    """Alive, ready, and the figures."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._status: StoreStatus | None = None
        self._asked_s = 0.0

    async def healthz(self, _: Scope) -> Answer:
        """This process answers; nothing else is looked at."""
        return Answer(to_json(Health("ok")))

    async def readyz(self, _: Scope) -> Answer:
        """The log is read and the store answers; UNAVAILABLE otherwise."""
        if not self._context.live.ready.is_set():
            raise unavailable("The server is still reading its log.", retry_after_s=1)
        await self._store_status()
        return Answer(to_json(Health("ready")))

    async def metrics(self, scope: Scope) -> Answer:
        """For Prometheus on this machine; for others only where the operator said so.

        A request that a proxy passed on came from elsewhere, whatever its address looks like.
        """
        client = scope.get("client")
        is_local = client is None or client[0] in {"127.0.0.1", "::1"}
        is_passed_on = any(name in _FORWARDED for name, _ in scope["headers"])
        if not (self._context.metrics_public or scope.get(OPERATOR) is True or (is_local and not is_passed_on)):
            raise forbidden("Metrics are served to this machine alone, unless metrics_public is set.")
        if self._context.live.ready.is_set():
            self._measure(await self._store_status())
        return Answer(render_metrics(), content_type=METRICS_CONTENT_TYPE)

    def _measure(self, status: StoreStatus) -> None:
        HEAD_SEQ.set(status.head)
        SEALED_SEQ.set(status.sealed_through)
        FOLLOWER_LAG.set(max(0, status.head - self._context.live.stretch.head))
        DISK_BYTES.set(status.bytes_on_disk)

    async def _store_status(self) -> StoreStatus:
        now_s = self._context.clock.steady_s()
        if self._status is None or now_s - self._asked_s > _STATUS_AGE_S:
            self._status = await self._context.store.status()
            self._asked_s = now_s
        return self._status


class _Reference:
    """The API's documentation, made once when first asked for."""

    def __init__(self, context: Context, resources: Sequence[Resource], guides: Mapping[str, str]) -> None:
        self._context = context
        self._resources = resources
        self._guides = guides
        self._made: dict[str, bytes] = {}

    async def openapi(self, _: Scope) -> Answer:
        """The OpenAPI document."""
        return Answer(self._make("openapi", self._openapi))

    async def docs(self, _: Scope) -> Answer:
        """The same for people: one page, no script, nothing from anywhere else."""
        return Answer(self._make("docs", self._docs), content_type="text/html; charset=utf-8", headers=_SAFE)

    async def index(self, _: Scope) -> Answer:
        """The same for language models: where everything is written."""
        return Answer(self._make("index", self._index), content_type="text/plain; charset=utf-8", headers=_SAFE)

    def _make(self, name: str, make: Callable[[], bytes]) -> bytes:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _openapi(self) -> bytes:
        return msgspec.json.format(to_json(openapi.document(self._resources, self._context.public_url)), indent=1)

    def _docs(self) -> bytes:
        document = openapi.document(self._resources, self._context.public_url)
        return render_docs(document, list(self._guides), self._context.geocoder.attribution).encode()

    def _index(self) -> bytes:
        url = self._context.public_url
        lines = [
            "# Odograph",
            "",
            "> A self-hosted server for fleet locations: devices send fixes, a REST API compatible with the",
            "> fleet-location part of Samsara's gives the newest, everything since a cursor, and history.",
            "",
            "## Reference",
            "",
            f"- [OpenAPI 3.1]({url}/openapi.json): every endpoint, exactly",
            f"- [The same to read]({url}/docs): one page of HTML",
            f"- [Liveness]({url}/healthz), [readiness]({url}/readyz), [Prometheus metrics]({url}/metrics)",
        ]
        if self._guides:
            lines += ["", "## Guides", ""]
            lines += [f"- [{_title(text, name)}]({url}/docs/{name})" for name, text in self._guides.items()]
        for resource in self._resources:
            lines += ["", f"## {resource.name}", ""]
            lines += [
                f"- `{one.method} {one.path}`: {one.summary}. {openapi.describe(one)}"
                for one in resource.endpoints()
            ]
        lines += ["", f"Place names: {self._context.geocoder.attribution}", ""]
        return "\n".join(lines).encode()


def _title(text: str, name: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ").strip() or name
