"""Protocols that ride on HTTP, at `/ingest/<protocol>` and `/ingest/<protocol>/<key>`: plain ASGI, no framework.

The answer goes out after the commit. Phone apps hold their whole queue back until they get a 2xx, so whatever
sending again would not change gets one: duplicates, reports that can never be stored, messages without a position.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from odograph.clock import Clock
from odograph.errors import Kind, Refusal
from odograph.ingest.door import Sender
from odograph.ingest.intake import Intake
from odograph.protocols.base import BadFrame, HttpAnswer, HttpProtocol, HttpRequest, Taken
from odograph.telemetry import BAD_FRAMES, ENDPOINT, Receive, Scope, Send, new_request_id, request_id

PREFIX: Final = "/ingest/"
MAX_BODY: Final = 16 << 20  # inflated; ten times our own largest batch
MAX_STRANGER_BODY: Final = 2 << 20  # of senders known by their network, our own largest batch; of others to say who
_STATUS: Final = {Kind.UNAUTHENTICATED: 401, Kind.FORBIDDEN: 403, Kind.UNAVAILABLE: 503}
_METHODS: Final = ("GET", "POST")
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_WINDOW_BITS: Final = -15  # what some clients mean by deflate: without the two bytes that announce it

Headers = tuple[tuple[bytes, bytes], ...]


_TAKEN: Final = b"odograph-taken"
_MOST_REASONS: Final = 20  # a header has to stay short; a batch's own answer has them all


class _Declined(Exception):
    """A request that HTTP itself has a status for."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class _Gone(Exception):
    """The sender went away in the middle of its request: nothing of it counts, nobody hears an answer."""


class IngestHttp:
    """An ASGI application for all HTTP protocols."""

    def __init__(self, protocols: Sequence[HttpProtocol], intake: Intake, clock: Clock) -> None:
        self._protocols = {protocol.name: protocol for protocol in protocols}
        self._intake = intake
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request whose path begins with PREFIX."""
        headers: Headers = ()
        try:
            answer, headers = await self._serve(scope, receive)
        except _Gone:
            return
        except _Declined as declined:
            answer, headers = _problem(declined.status, str(declined)), declined.headers
        except BadFrame as error:
            BAD_FRAMES.labels(_name_in(scope["path"])).inc()
            answer = _problem(400, f"Not understood: {error}.")
        except Refusal as refusal:
            answer, headers = _problem(_STATUS.get(refusal.kind, 400), refusal.message), _headers_of(refusal)
        await _reply(send, answer, headers)

    async def _serve(self, scope: Scope, receive: Receive) -> tuple[HttpAnswer, Headers]:
        method: str = scope["method"]
        path: str = scope["path"]
        protocol, path_key = self._route(scope, method, path)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        client = scope.get("client")
        sender = Sender(client[0] if client else "", _key_of(headers, path_key, query))
        body = b"" if method == "GET" else await self._read(protocol, sender, headers, receive)
        request = HttpRequest(method, path, query, headers, body, self._clock.now_ms())
        try:
            deliveries = protocol.decode(request)
        except BadFrame:
            self._check_key(protocol, sender)
            raise
        if not deliveries:
            self._check_key(protocol, sender)
            return protocol.answer(()), ()
        taken = await self._intake.take(protocol.name, deliveries, sender)
        return protocol.answer(taken), ((_TAKEN, _counts(taken)),)

    def _route(self, scope: Scope, method: str, path: str) -> tuple[HttpProtocol, str]:
        name, _, key = path.removeprefix(PREFIX).rstrip("/").partition("/")
        protocol = self._protocols.get(name)
        if protocol is None or "/" in key:
            names = ", ".join(f"{PREFIX}{known}" for known in self._protocols)
            raise _Declined(404, f"Nothing is here. Devices are heard at {names}, each with /KEY if need be.")
        scope[ENDPOINT] = PREFIX + name
        if method not in _METHODS:
            allowed = ", ".join(_METHODS)
            raise _Declined(
                405, f"Method {method} is not allowed here. Allowed: {allowed}.", ((b"allow", allowed.encode()),)
            )
        return protocol, key

    async def _read(
        self, protocol: HttpProtocol, sender: Sender, headers: Mapping[str, str], receive: Receive
    ) -> bytes:
        """The whole body, inflated."""
        encoding = headers.get("content-encoding", "").strip().lower()
        length = headers.get("content-length", "")
        size = int(length) if length.isdigit() else None
        if encoding in {"", "identity"}:
            return await _receive_body(receive, self._limit(protocol, sender, size), size)
        bits = _WINDOW_BITS.get(encoding)
        if bits is None:
            raise _Declined(
                415, f"Content-Encoding {encoding!r:.40} is not read. Send gzip, deflate or none.", _ACCEPTED
            )
        limit = self._limit(protocol, sender, None)
        return _inflate(await _receive_body(receive, limit, size), bits, limit)

    def _limit(self, protocol: HttpProtocol, sender: Sender, size: int | None) -> int:
        """How much we read: of what is, or may be, longer than a stranger's share, all only for a known key."""
        if sender.key is None or (size is not None and size <= MAX_STRANGER_BODY):
            return MAX_STRANGER_BODY
        self._check_key(protocol, sender)
        return MAX_BODY

    def _check_key(self, protocol: HttpProtocol, sender: Sender) -> None:
        """A wrong key is told even where there is nothing to store: it is how people try their set-up."""
        if sender.key:
            self._intake.check_key(protocol.name, sender)


_ACCEPTED: Final[Headers] = ((b"accept-encoding", b"gzip, deflate"),)


def _key_of(headers: Mapping[str, str], path_key: str, query: str) -> str | None:
    """The key outside the body: of Authorization (Bearer, Basic's password), X-Device-Key, the path or `key=`."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme:
        key = _password(credentials) if scheme.lower() == "basic" else credentials.strip()
        if key:
            return key
    key = headers.get("x-device-key", "") or path_key
    if not key and "key=" in query:
        key = next((value for name, value in parse_qsl(query) if name == "key"), "")
    return key or None


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return credentials  # not what Basic looks like: let it be refused as a key


async def _receive_body(receive: Receive, limit: int, announced: int | None) -> bytes:
    """All of it, as it was sent. Raises _Gone where it ends before its end."""
    if announced is not None and announced > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, size = [], 0
    while message["type"] == "http.request":
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise _Gone


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    """The body as it was before compression: never more than `limit`, and never a part of it."""
    try:
        inflater = zlib.decompressobj(wbits=window_bits)
        try:
            inflated = inflater.decompress(body, limit + 1)
        except zlib.error:
            if window_bits != _WINDOW_BITS["deflate"]:
                raise
            inflater = zlib.decompressobj(wbits=_RAW_WINDOW_BITS)
            inflated = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise _Declined(400, "The body is not what its Content-Encoding says.") from error
    if len(inflated) > limit:
        raise _too_large(limit)
    if not inflater.eof:
        raise _Declined(400, "The compressed body is cut off.")
    if inflater.unused_data:
        raise _Declined(400, "Something follows the compressed body.")
    return inflated


def _counts(taken: Sequence[Taken]) -> bytes:
    """What became of a request, for senders whose protocol has no words for it; the first reasons will do."""
    if len(taken) == 1 and not taken[0].rejected:
        one = taken[0]
        return b'{"stored":%d,"known":%d,"sameTimeDifferent":%d,"rejected":[]}' % (
            one.stored,
            one.known,
            one.same_time_different,
        )
    rejected = [
        {"index": index, "reason": reason} for one in taken for index, reason in islice(one.rejected, _MOST_REASONS)
    ]
    return msgspec.json.encode(
        {
            "stored": sum(one.stored for one in taken),
            "known": sum(one.known for one in taken),
            "sameTimeDifferent": sum(one.same_time_different for one in taken),
            "rejected": rejected[:_MOST_REASONS],
        }
    )


def _too_large(limit: int) -> _Declined:
    # The rest of the body is not read, so that the connection can't go on.
    return _Declined(
        413, f"The body is longer than {limit} bytes. Send less at a time.", ((b"connection", b"close"),)
    )


def _name_in(path: str) -> str:
    return path.removeprefix(PREFIX).partition("/")[0]


def _headers_of(refusal: Refusal) -> Headers:
    if refusal.retry_after_s is not None:
        return ((b"retry-after", b"%d" % refusal.retry_after_s),)
    return ((b"www-authenticate", b"Bearer"),) if refusal.kind is Kind.UNAUTHENTICATED else ()


def _problem(status: int, message: str) -> HttpAnswer:
    body = msgspec.json.encode({"message": message, "requestId": request_id() or new_request_id()})
    return HttpAnswer(status, body)


async def _reply(send: Send, answer: HttpAnswer, headers: Headers) -> None:
    start = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        *headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": start})
    await send({"type": "http.response.body", "body": answer.body})
