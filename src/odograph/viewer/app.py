"""The public side: pages, streams, polling and GeoJSON of links, for whoever holds one.

Unknown, rotated, deleted and revoked keys are one case here: each is hashed and looked up, and the same bytes
answer.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from odograph.clock import Clock
from odograph.live.entity import Entity
from odograph.live.view import Live
from odograph.model.catalog import LiveShare
from odograph.network import WELCOME, client_of
from odograph.sharing.ledger import LedgerBook
from odograph.sharing.policy import status
from odograph.telemetry import ENDPOINT, VIEWER_PAGES, VIEWER_REFUSED, Receive, Scope, Send, request_id
from odograph.viewer import headers
from odograph.viewer.answers import Reply
from odograph.viewer.catchup import Missed, missed_events, read_missed
from odograph.viewer.geojson import geojson
from odograph.viewer.hub import Hub
from odograph.viewer.limits import Guard
from odograph.viewer.look import Dress, Look
from odograph.viewer.open_link import OpenLink, event
from odograph.viewer.pages import HTML, Pages
from odograph.viewer.paths import ASSETS, LINKS, TILES, Form, LinkPath, read_link
from odograph.viewer.streams import Stream
from odograph.viewer.targets import Targets
from odograph.viewer.texts import ENDINGS, Ending, Language, language_of
from odograph.viewer.tiles import Tiles

JSON: Final = "application/json"
GEOJSON: Final = "application/geo+json"
EVENTS: Final = "text/event-stream; charset=utf-8"
_GZIP_FROM: Final = 1400  # one packet
_STATUS: Final[dict[Ending, int]] = {"gone": 404, "expired": 410, "arrived": 410, "later": 403, "busy": 429}
_TEMPLATES: Final[dict[Form, str]] = {
    "page": "/fleet/viewer/{key}",
    "stream": "/fleet/viewer/{key}/stream",
    "state": "/fleet/viewer/{key}/state",
    "geojson": "/fleet/viewer/{key}/geojson",
}


@dataclass(frozen=True, slots=True)
class Viewer:
    """The parts that a request meets."""

    hub: Hub
    live: Live
    targets: Targets
    pages: Pages
    guard: Guard
    ledger: LedgerBook
    clock: Clock
    look: Look
    tiles: Tiles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await _Request(self, scope, receive, send).serve()


class _Request:
    def __init__(self, viewer: Viewer, scope: Scope, receive: Receive, send: Send) -> None:
        self._viewer = viewer
        self._scope = scope
        self._receive = receive
        self._send = send
        client = scope.get("client")
        self._client = client_of(client[0] if client else None)
        self._language: Language = language_of(self._header(b"accept-language"))

    async def serve(self) -> None:
        """The one answer of this request; a link's stream goes on."""
        if self._scope["method"] not in {"GET", "HEAD"}:
            await self._reply(Reply(405, headers=((b"allow", b"GET, HEAD"), *headers.UNKEPT)))
            return
        path: str = self._scope["path"]
        asked = read_link(path)
        if asked is not None:
            await self._link(asked)
        elif path.startswith(TILES):
            await self._reply(await self._viewer.tiles(self._scope))
        elif path.startswith(ASSETS):
            await self._file(path.removeprefix(ASSETS))
        elif path == LINKS:
            await self._link_maker()
        else:
            await self._reply(
                Reply(404, b"There is nothing at this path.\n", "text/plain; charset=utf-8", headers.UNKEPT)
            )

    # -- links

    async def _link(self, asked: LinkPath) -> None:
        self._scope[ENDPOINT] = _TEMPLATES[asked.form]
        wait_s = self._viewer.guard.wait_s(self._client)
        if wait_s > 0:
            await self._refuse("busy", asked.form, wait_s)
            return
        entity = self._viewer.targets.find(asked.key)
        ending = self._ending(entity)
        if ending is None and entity is not None:
            link = await self._viewer.hub.open(entity)
            if link is not None:
                self._scope[WELCOME] = True
                await self._open(link, asked.form)
                return
            ending = self._ending(self._viewer.targets.find(asked.key)) or "gone"
        if ending == "gone":
            self._viewer.guard.missed(self._client)
        await self._refuse(ending or "gone", asked.form)

    def _ending(self, entity: Entity[LiveShare] | None) -> Ending | None:
        if entity is None:
            return "gone"
        found = status(entity.body, self._viewer.clock.now_ms())
        return None if found == "open" else found

    async def _open(self, link: OpenLink, form: Form) -> None:
        if form == "stream":
            await self._stream(link)
            return
        VIEWER_PAGES.labels(form).inc()
        if form == "page":
            await self._page(link)
        elif form == "state":
            await self._poll(link)
        else:
            self._loaded(link)
            self._viewer.hub.state_of(link)
            body = geojson(link.state(self._viewer.clock.now_ms()))
            await self._reply(Reply(200, body, GEOJSON, (*headers.UNKEPT, *headers.ANY_ORIGIN)))

    async def _page(self, link: OpenLink) -> None:
        viewer, dress = self._viewer, self._viewer.look.dress()
        self._loaded(link)
        state_json = viewer.hub.state_of(link)
        body = viewer.pages.share(link.state(viewer.clock.now_ms()), state_json, dress.map_json, self._language)
        await self._html(body, dress)

    async def _poll(self, link: OpenLink) -> None:
        viewer = self._viewer
        if link.entity.id > 0:
            viewer.ledger.polled(link.entity)
        missed = Missed({}, viewer.live.stretch.head, has_more=False)
        after = viewer.hub.seq(link, self._after())
        if after is not None:
            missed = await read_missed(viewer.hub, viewer.live, link, after, viewer.clock.now_ms())
            if not viewer.hub.freshen(link):
                await self._refuse(link.over or "gone", "state")
                return
        body = b'{"state":%b,"missed":%b,"cursor":"%b","hasMore":%b}' % (
            viewer.hub.state_of(link),
            msgspec.json.encode(missed.points),
            viewer.hub.cursor(link, missed.reached).encode(),
            b"true" if missed.has_more else b"false",
        )
        await self._reply(Reply(200, body, JSON, headers.UNKEPT))

    def _loaded(self, link: OpenLink) -> None:
        if link.entity.id > 0:
            self._viewer.ledger.loaded(link.entity)

    def _after(self) -> str:
        """The cursor of the query, else of the Last-Event-ID that browsers send when they reconnect."""
        query = parse_qs(self._scope.get("query_string", b"").decode("latin-1"))
        return query.get("after", [""])[0] or self._header(b"last-event-id")

    # -- streams

    async def _stream(self, link: OpenLink) -> None:
        guard, hub = self._viewer.guard, self._viewer.hub
        if not guard.open_stream(self._client):
            await self._refuse("busy", "stream", 60)
            return
        stream: Stream | None = None
        gone: asyncio.Future[None] | None = None
        try:
            VIEWER_PAGES.labels("stream").inc()
            await self._start(200, EVENTS, headers.STREAM)
            if self._scope["method"] == "HEAD":
                await self._send({"type": "http.response.body", "body": b""})
                return
            stream = hub.subscribe(link)
            gone = asyncio.ensure_future(self._hang_up(stream))
            try:
                await self._say(stream, b"retry: 3000\n\n")
                await self._tell(link, stream)
                await self._say(stream, b"", is_last=True)
            except asyncio.CancelledError:
                if not stream.is_stalled:
                    raise
        finally:
            if gone is not None:
                gone.cancel()
            if stream is not None:
                hub.unsubscribe(link, stream)
            guard.close_stream(self._client)

    async def _tell(self, link: OpenLink, stream: Stream) -> None:
        """The state, what was missed, and then whatever happens, until it is over."""
        await self._begin(link, stream, self._viewer.hub.seq(link, self._after()))
        while True:
            events = await stream.next()
            if events:
                await self._say(stream, events)
            elif stream.is_over:
                return
            elif stream.is_behind:
                await self._begin(link, stream, stream.reached)

    async def _begin(self, link: OpenLink, stream: Stream, after: int | None) -> None:
        hub, viewer = self._viewer.hub, self._viewer
        if not hub.freshen(link):
            stream.end(link.last_word())
            return
        stream.begin_again(int(viewer.live.stretch.head))
        await self._say(stream, event("state", hub.state_of(link)))
        if after is not None:
            async for missed in missed_events(hub, viewer.live, link, after, viewer.clock.now_ms()):
                if stream.is_over:
                    return
                await self._say(stream, missed)

    async def _say(self, stream: Stream, events: bytes, *, is_last: bool = False) -> None:
        stream.sending(asyncio.current_task(), self._viewer.clock.steady_s())
        await self._send({"type": "http.response.body", "body": events, "more_body": not is_last})
        stream.sending(None, 0.0)

    async def _hang_up(self, stream: Stream) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        stream.end(b"")

    # -- the rest

    async def _link_maker(self) -> None:
        self._scope[ENDPOINT] = LINKS
        dress = self._viewer.look.dress()
        await self._html(self._viewer.pages.links(dress.map_json, self._language), dress)

    async def _file(self, name: str) -> None:
        self._scope[ENDPOINT] = ASSETS
        found = self._viewer.pages.file(name, self._header(b"accept-encoding"))
        await self._reply(
            found or Reply(404, b"There is no such file.\n", "text/plain; charset=utf-8", headers.UNKEPT)
        )

    async def _refuse(self, ending: Ending, form: Form, wait_s: float = 0.0) -> None:
        VIEWER_REFUSED.labels(ending).inc()
        retry = ((b"retry-after", b"%d" % max(1, round(wait_s))),) if ending == "busy" else ()
        if form == "page":
            dress = self._viewer.look.dress()
            body = self._viewer.pages.ending(ending, self._language)
            await self._reply(Reply(_STATUS[ending], body, HTML, (*dress.headers, *retry)))
            return
        cors = headers.ANY_ORIGIN if form == "geojson" else ()
        body = msgspec.json.encode({"reason": ending, "message": ENDINGS["en"][ending].title})
        await self._reply(Reply(_STATUS[ending], body, JSON, (*headers.UNKEPT, *cors, *retry)))

    async def _html(self, body: bytes | None, dress: Dress) -> None:
        if body is None:
            sentence = b"The pages of this server were not built into it.\n"
            await self._reply(Reply(503, sentence, "text/plain; charset=utf-8", headers.UNKEPT))
            return
        await self._reply(Reply(200, body, HTML, dress.headers))

    async def _reply(self, reply: Reply) -> None:
        body, extra = reply.body, list(reply.headers)
        is_packed = any(name == b"content-encoding" for name, _ in extra)
        if len(body) >= _GZIP_FROM and not is_packed and reply.content_type in {HTML, JSON, GEOJSON}:
            extra.append((b"vary", b"accept-encoding, accept-language"))
            if "gzip" in self._header(b"accept-encoding"):
                body = zlib.compress(body, 1, 31)  # 31: with a gzip header; 1: the fastest
                extra.append((b"content-encoding", b"gzip"))
        if reply.content_type:
            extra.append((b"content-length", b"%d" % len(body)))
        await self._start(reply.status, reply.content_type, tuple(extra))
        await self._send({"type": "http.response.body", "body": b"" if self._scope["method"] == "HEAD" else body})

    async def _start(self, status_code: int, content_type: str, extra: headers.Headers) -> None:
        head: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id().encode()), *extra]
        if content_type:
            head.append((b"content-type", content_type.encode()))
        elif status_code != 204:
            head.append((b"content-length", b"0"))
        await self._send({"type": "http.response.start", "status": status_code, "headers": head})

    def _header(self, name: bytes) -> str:
        found: Any = next((value for known, value in self._scope["headers"] if known == name), b"")
        return bytes(found).decode("latin-1")
