"""Protocols that ride on HTTP, at `/ingest/<protocol>` and `/ingest/<protocol>/<key>`: one exchange a request.

An exchange is fed by whatever reads the connection and never waits for anything itself; `ingest.connection` is what
devices meet, the ASGI face is for whoever runs the application without sockets.

The answer goes out after the commit. Phone apps hold their whole queue back until they get a 2xx, so whatever
sending again would not change gets one: duplicates, reports that can never be stored, messages without a position.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from odograph.clock import Clock
from odograph.errors import Kind, Refusal
from odograph.ingest.committer import RETRY_AFTER_S
from odograph.ingest.door import Newcomer, Sender
from odograph.ingest.intake import Intake
from odograph.model.ids import RecordId
from odograph.protocols.base import BadFrame, Delivery, HttpAnswer, HttpProtocol, HttpRequest, Taken
from odograph.room import Room
from odograph.telemetry import BAD_FRAMES, ENDPOINT, Receive, Scope, Send, new_request_id, request_id

PREFIX: Final = "/ingest/"
MAX_BODY: Final = 16 << 20  # inflated; ten times our own largest batch
MAX_STRANGER_BODY: Final = 2 << 20  # of senders known by their network, our own largest batch; of others to say who
MAX_UNFINISHED: Final = 48 << 20  # of all bodies of senders whose key is known, while more of them is to come
MAX_STRANGERS_UNFINISHED: Final = 8 << 20  # of all others: whoever has no key can't take the room of those who have
MAX_STRANGER_INFLATED: Final = 64 << 10  # two kilobytes, compressed, could be two megabytes to read
LONG_BODY: Final = 4096  # what is longer is no live device's and can wait for a turn
LONG_BYTES: Final = 8_192  # read in one turn: some 400 fixes, a third of a millisecond
INFLATED: Final = 8  # times as long as it came is what compressed JSON becomes, about
_STATUS: Final = {Kind.UNAUTHENTICATED: 401, Kind.FORBIDDEN: 403, Kind.UNAVAILABLE: 503}
_METHODS: Final = ("GET", "POST")
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_WINDOW_BITS: Final = -15  # what some clients mean by deflate: without the two bytes that announce it

Headers = tuple[tuple[bytes, bytes], ...]


_TAKEN: Final = b"odograph-taken"
_MOST_REASONS: Final = 20  # a header has to stay short; a batch's own answer has them all
_log = logging.getLogger(__name__)


class Head(NamedTuple):
    """What comes before a request's body: `path` decoded, `headers` with lower-case names, where it came from."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    address: str


class Reply(NamedTuple):
    """What to send back; `headers` beside content-type and content-length."""

    answer: HttpAnswer
    headers: Headers = ()


Tell = Callable[[Reply], None]


class _Declined(Exception):
    """A request that HTTP itself has a status for."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class _Queue:
    """Long requests, LONG_BYTES of them a turn of the event loop: what live devices say comes in between."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def add(self, size: int, step: Callable[[], None]) -> None:
        """Call `step` when it is its turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._waiting.append((size, step))

    def _run(self) -> None:
        room = LONG_BYTES
        while self._waiting and room > 0:
            size, step = self._waiting[0]
            room -= size
            step()
            self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)


class IngestHttp:
    """All HTTP protocols behind one door."""

    def __init__(self, protocols: Sequence[HttpProtocol], intake: Intake, clock: Clock) -> None:
        self.protocols = {protocol.name: protocol for protocol in protocols}
        self.intake = intake
        self.clock = clock
        self.queue = _Queue()
        self.room = Room(MAX_UNFINISHED)
        self.strangers_room = Room(MAX_STRANGERS_UNFINISHED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request whose path begins with PREFIX, as an ASGI application."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        query = scope["query_string"].decode("latin-1")
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        head = Head(scope["method"], scope["path"], query, headers, client[0] if client else "")
        exchange = Exchange(self, head, told.set_result)
        exchange.begin()
        scope[ENDPOINT] = exchange.endpoint
        while not told.done():
            message = await receive()
            if message["type"] != "http.request":
                return  # gone in the middle of its request: nothing of it counts, nobody hears an answer
            exchange.take(message.get("body", b""))
            if not message.get("more_body"):
                exchange.finish()
                break
        reply = await told
        start = [
            (b"content-type", reply.answer.content_type.encode()),
            (b"content-length", b"%d" % len(reply.answer.body)),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.answer.status, "headers": start})
        await send({"type": "http.response.body", "body": reply.answer.body})


class Exchange:
    """One request and its answer: `begin`, `take` for each piece of the body, `finish`, in this order.

    `tell` is called once, as soon as the answer is known, which may be before the body has come; what comes then is
    ignored. Whoever reads a body in pieces says `wait` after each but the last, and `leave` where no more comes.
    """

    __slots__ = (
        "_announced",
        "_bits",
        "_head",
        "_held",
        "_id",
        "_ingest",
        "_limit",
        "_parts",
        "_protocol",
        "_room",
        "_sender",
        "_size",
        "_task",
        "_tell",
        "endpoint",
        "is_welcome",
    )

    def __init__(self, ingest: IngestHttp, head: Head, tell: Tell) -> None:
        self._ingest = ingest
        self._head = head
        self._id = request_id()  # empty where nobody has given it one: only what is refused needs it
        self._tell: Tell | None = tell
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = MAX_BODY
        self._bits: int | None = None
        self._announced = 0
        self._room: Room | None = None
        self._held = 0
        self._protocol: HttpProtocol
        self._sender: Sender
        self._task: asyncio.Task[None]
        self.endpoint = PREFIX.rstrip("/")
        """The path template, for the metrics."""
        self.is_welcome = False
        """Whether its sender is known to be one of ours."""

    def begin(self) -> None:
        """Find out whose protocol this is, and how long a body may be."""
        self._attempt(self._begin)

    def take(self, part: bytes) -> None:
        """Take in a piece of the body."""
        if self._tell is None or self._head.method == "GET":
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
            self._attempt(self._refuse_size)

    def wait(self) -> None:
        """More of the body is to come, and what has come is kept for it."""
        if self._tell is not None:
            self._attempt(self._hold)

    def leave(self) -> None:
        """The rest of the body will not come."""
        self._tell = None
        self._parts.clear()
        self._let_go()

    def finish(self) -> None:
        """The body is whole."""
        size = self._size if self._bits is None else self._size * INFLATED
        if size > LONG_BODY:
            self._ingest.queue.add(size, self._finish_now)
        else:
            self._finish_now()

    def _finish_now(self) -> None:
        if self._tell is not None:
            self._attempt(self._finish)

    def _attempt(self, step: Callable[..., None], *arguments: object) -> None:
        try:
            step(*arguments)
        except _Declined as declined:
            self._answer(self._problem(declined.status, str(declined)), declined.headers)
        except BadFrame as error:
            BAD_FRAMES.labels(self._protocol.name).inc()
            self._answer(self._problem(400, f"Not understood: {error}."))
        except Refusal as refusal:
            problem = self._problem(_STATUS.get(refusal.kind, 400), refusal.message)
            self._answer(problem, _headers_of(refusal))
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        problem = self._problem(500, "Something went wrong here. Send this again later.")
        _log.error("a device's request failed", exc_info=error, extra={"endpoint": self.endpoint})
        self._answer(problem)

    def _problem(self, status: int, message: str) -> HttpAnswer:
        body = {"message": message, "requestId": self._id or new_request_id()}
        return HttpAnswer(status, msgspec.json.encode(body))

    def _begin(self) -> None:
        method, path, query, headers, address = self._head
        name, _, path_key = path.removeprefix(PREFIX).rstrip("/").partition("/")
        protocol = self._ingest.protocols.get(name)
        if protocol is None or "/" in path_key:
            names = ", ".join(f"{PREFIX}{known}" for known in self._ingest.protocols)
            raise _Declined(404, f"Nothing is here. Devices are heard at {names}, each with /KEY if need be.")
        self.endpoint = PREFIX + name
        if method not in _METHODS:
            allowed = ", ".join(_METHODS)
            raise _Declined(
                405, f"Method {method} is not allowed here. Allowed: {allowed}.", ((b"allow", allowed.encode()),)
            )
        self._protocol = protocol
        self._sender = Sender(address, _key_of(headers, path_key, query))
        if method != "GET":
            self._measure(headers)

    def _measure(self, headers: Mapping[str, str]) -> None:
        """How long the body may be, and how it is compressed."""
        encoding = headers.get("content-encoding", "").strip().lower()
        length = headers.get("content-length", "")
        size = int(length) if length.isdecimal() else None
        self._announced = size or 0
        if encoding in {"", "identity"}:
            self._limit = self._find_limit(size)
        else:
            self._bits = _WINDOW_BITS.get(encoding)
            if self._bits is None:
                raise _Declined(
                    415, f"Content-Encoding {encoding!r:.40} is not read. Send gzip, deflate or none.", _ACCEPTED
                )
            self._limit = self._find_limit(None)
            if self._sender.key is None:
                self._limit = MAX_STRANGER_INFLATED
        if (size is not None and size > self._limit) or self._size > self._limit:
            self._refuse_size()

    def _find_limit(self, size: int | None) -> int:
        """How much we read: of what is, or may be, longer than a stranger's share, all only for a known key."""
        if self._sender.key is None or (size is not None and size <= MAX_STRANGER_BODY):
            return MAX_STRANGER_BODY
        self._check_key()
        return MAX_BODY

    def _hold(self) -> None:
        """Have room for the whole body as early as it is known how long it will be: a half is of no use."""
        if self._room is None:
            self._check_key()
            self.is_welcome = bool(self._sender.key)
            self._room = self._ingest.room if self.is_welcome else self._ingest.strangers_room
        missing = max(self._announced, self._size) - self._held
        if missing <= 0:
            return
        if not self._room.take(missing):
            self._parts.clear()
            raise _Declined(503, "Too much is being sent at once. Send this again later.", _LATER)
        self._held += missing

    def _let_go(self) -> None:
        if self._room is not None:
            self._room.give_back(self._held)
            self._room, self._held = None, 0

    def _refuse_size(self) -> None:
        raise _too_large(self._limit)

    def _check_key(self) -> RecordId | None:
        """A wrong key is told even where there is nothing to store: it is how people try their set-up."""
        return self._ingest.intake.check_key(self._protocol.name, self._sender) if self._sender.key else None

    def _finish(self) -> None:
        method, path, query, headers, _ = self._head
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        if self._bits is not None:
            body = _inflate(body, self._bits, self._limit)
        request = HttpRequest(method, path, query, headers, body, self._ingest.clock.now_ms())
        try:
            deliveries = self._protocol.decode(request)
        except BadFrame:
            device = self._check_key()
            if device is not None:
                self._ingest.intake.misunderstand(device)
            raise
        if len(deliveries) == 1:
            try:
                self._ingest.intake.offer(self._protocol.name, deliveries[0], self._sender, self._taken)
            except Newcomer:
                self._wait_for(deliveries)
        elif deliveries:
            self._wait_for(deliveries)
        else:
            self._check_key()
            self._answer(self._protocol.answer(()))

    def _wait_for(self, deliveries: Sequence[Delivery]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._take(deliveries))

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        said: Sequence[Taken] | Refusal
        try:
            said = await self._ingest.intake.take(self._protocol.name, deliveries, self._sender)
        except Refusal as refusal:
            said = refusal
        except Exception as error:
            self._fail(error)
            return
        self._taken(said)

    def _taken(self, said: Sequence[Taken] | Refusal) -> None:
        self._attempt(self._answer_taken, said)

    def _answer_taken(self, said: Sequence[Taken] | Refusal) -> None:
        if isinstance(said, Refusal):
            raise said
        self.is_welcome = True
        self._answer(self._protocol.answer(said), ((_TAKEN, _counts(said)),))

    def _answer(self, answer: HttpAnswer, headers: Headers = ()) -> None:
        tell, self._tell = self._tell, None  # whoever hears it may hold us: no cycle is left behind
        if self._room is not None:
            self._let_go()
        if tell is not None:
            tell(Reply(answer, headers))


_LATER: Final[Headers] = ((b"retry-after", b"%d" % RETRY_AFTER_S), (b"connection", b"close"))
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


def _headers_of(refusal: Refusal) -> Headers:
    if refusal.retry_after_s is not None:
        return ((b"retry-after", b"%d" % refusal.retry_after_s),)
    return ((b"www-authenticate", b"Bearer"),) if refusal.kind is Kind.UNAUTHENTICATED else ()
