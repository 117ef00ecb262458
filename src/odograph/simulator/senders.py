"""The device's side of every protocol: over real sockets, patient, and believing nothing but an answer.

A report counts as taken once the server said so, never before. Until then it is sent again, with growing waits or
those that the server asks for.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx
import msgspec

from odograph.clock import Clock
from odograph.errors import invalid
from odograph.model.fixes import Report
from odograph.protocols import batch
from odograph.protocols.base import Claim, Event, Hello, HttpProtocol, HttpRequest, StreamProtocol
from odograph.protocols.registry import PROTOCOLS

OUTCOME_HEADER: Final = "odograph-taken"
"""In answers to protocols whose own answer tells no counts: the same JSON as a batch is answered with."""

ANSWER_WITHIN_S: Final = 30.0  # a commit on a slow disk takes a tenth of this; longer is a server that is gone
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0  # of our own; what the server asks for is waited, up to PATIENCE_S
PATIENCE_S: Final = 900.0  # without any answer: a restart, an upgrade or a full disk being cleared
GZIP_FROM: Final = 1024  # bytes; below, the header and the work outweigh what is saved

_TRY_AGAIN: Final = {408, 425, 429, 500, 502, 503, 504, 507}
_UNWELCOME: Final = {401, 403, 404, 405}
_SAME_TIME: Final = "same_time_different"
_UNSAYABLE: Final = (ValueError, OverflowError, struct.error)


class Unwelcome(Exception):
    """The server does not let this device in, or is no Odograph; sending again as it is would be useless."""


class NoAnswer(Exception):
    """Nobody took it for as long as the sender's patience lasted; nothing is lost, it can be sent later."""


@dataclass(slots=True)
class Tally:
    """What became of reports. `taken` were answered yes: stored, known or the loser of two at one moment.

    Where a protocol's answer does not tell those apart, taken exceeds their sum.
    """

    sent: int = 0
    taken: int = 0
    stored: int = 0
    known: int = 0
    same_time_different: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count in another's."""
        self.sent += other.sent
        self.taken += other.taken
        self.stored += other.stored
        self.known += other.known
        self.same_time_different += other.same_time_different
        self.refused.update(other.refused)


@dataclass(frozen=True, slots=True)
class Server:
    """Where devices send to: `base_url` as in `https://fleet.example`, and stream protocols' ports by name."""

    base_url: str
    stream_ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The name or address in the URL."""
        return urlsplit(self.base_url).hostname or "localhost"


class Sender(Protocol):
    """One device's connection. Not for two tasks at once: a device says one thing after the other."""

    max_reports: int
    """How many reports one `send` may hold."""

    async def send(self, reports: Sequence[Report], first_number: int | None = None) -> Tally:
        """Say it, wait for the answer, and again until there is one. Raises Unwelcome or NoAnswer.

        `first_number` is the place of the first report in the device's own log, for protocols that tell it.
        """
        ...

    async def close(self) -> None:
        """Give back the connection."""
        ...


class Patience:
    """Waits between tries: doubling with some chance in them, or what the server asked for."""

    def __init__(
        self,
        clock: Clock,
        chance: random.Random,
        patience_s: float = PATIENCE_S,
        on_wait: Callable[[str], None] = lambda why: None,  # noqa: ARG005 - nobody listens
    ) -> None:
        self._clock = clock
        self._on_wait = on_wait
        self._chance = chance
        self._patience_s = patience_s
        self._since: float | None = None
        self._wait_s = FIRST_WAIT_S

    def renew(self) -> None:
        """There was an answer."""
        self._since = None
        self._wait_s = FIRST_WAIT_S

    async def wait(self, why: str, asked_s: float | None = None) -> None:
        """Raises NoAnswer once the patience is at its end."""
        now = self._clock.steady_s()
        self._since = now if self._since is None else self._since
        wait_s = asked_s if asked_s is not None else self._wait_s * self._chance.uniform(0.5, 1.0)
        if now + wait_s - self._since > self._patience_s:
            raise NoAnswer(f"no answer for {self._patience_s:.0f} s: {why}")
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)
        self._on_wait(f"{why}; trying again in {wait_s:.1f} s")
        await self._clock.sleep(wait_s)


def protocol_names() -> list[str]:
    """Every protocol that can be spoken."""
    return [protocol.name for protocol in PROTOCOLS.http] + [stream.name for stream in PROTOCOLS.stream]


def open_client(server: Server, connections: int) -> httpx.AsyncClient:
    """A client whose kept-alive connections the devices of one process share."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=75)
    timeout = httpx.Timeout(ANSWER_WITHIN_S, pool=None)
    return httpx.AsyncClient(base_url=server.base_url, limits=limits, timeout=timeout)


def check_speakable(name: str, server: Server) -> None:
    """INVALID for a protocol that nobody speaks, or one over TCP whose port the server does not name."""
    if name not in protocol_names():
        raise invalid(f"Unknown protocol '{name}'. There are: {', '.join(protocol_names())}.")
    if any(stream.name == name for stream in PROTOCOLS.stream) and not server.stream_ports.get(name):
        raise invalid(f"The port for {name} is not known: it has no URL, only a TCP port.")


def make_sender(
    name: str, claim: Claim, server: Server, client: httpx.AsyncClient, patience: Patience, clock: Clock
) -> Sender:
    """The sender of one device. INVALID as `check_speakable` says."""
    check_speakable(name, server)
    for protocol in PROTOCOLS.http:
        if protocol.name == name:
            return HttpSender(protocol, claim, client, patience, clock)
    stream = next(stream for stream in PROTOCOLS.stream if stream.name == name)
    return StreamSender(stream, claim, server.host, server.stream_ports[name], patience)


class HttpSender:
    """A device that speaks over HTTP."""

    def __init__(
        self, protocol: HttpProtocol, claim: Claim, client: httpx.AsyncClient, patience: Patience, clock: Clock
    ) -> None:
        self.max_reports = batch.MAX_FIXES if protocol is batch.PROTOCOL else 1
        self._protocol = protocol
        self._claim = claim
        self._client = client
        self._patience = patience
        self._clock = clock

    async def send(self, reports: Sequence[Report], first_number: int | None = None) -> Tally:
        """One request, or one for each report where the protocol knows no batches."""
        if self._protocol is batch.PROTOCOL:
            requests = batch.PROTOCOL.encode(self._claim, reports, first_number)
        else:
            requests = self._protocol.encode(self._claim, reports)
        share = len(reports) if len(requests) == 1 else 1
        tally = Tally()
        for request in requests:
            tally.add(_read_answer(await self._request(request), share))
        return tally

    async def close(self) -> None:
        """The connections are the client's."""

    async def _request(self, request: HttpRequest) -> httpx.Response:
        body, headers = _packed(request)
        url = f"{request.path}?{request.query}" if request.query else request.path
        while True:
            asked_s = None
            try:
                response = await self._client.request(request.method, url, content=body, headers=headers)
            except httpx.UnsupportedProtocol as error:
                raise Unwelcome(f"{self._client.base_url} is no URL to send to: {error}") from error
            except httpx.TransportError as error:
                why = f"{type(error).__name__} {error}".strip()
            else:
                if response.status_code not in _TRY_AGAIN:
                    self._patience.renew()
                    return response
                why = f"status {response.status_code}: {_message_of(response)}"
                asked_s = _retry_after_s(response, self._clock.now_ms())
            await self._patience.wait(why, asked_s)


class StreamSender:
    """A device that keeps a TCP connection: greets, sends frames, and waits for the receipt of each.

    What the server owes is read off the protocol's own decoder, so that no receipt but the right one counts.
    """

    def __init__(self, protocol: StreamProtocol, claim: Claim, host: str, port: int, patience: Patience) -> None:
        self.max_reports = protocol.max_reports
        self._encoder = protocol.encoder()
        self._mirror = protocol.decoder()
        self._protocol = protocol
        self._claim = claim
        self._address = (host, port)
        self._patience = patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, reports: Sequence[Report], first_number: int | None = None) -> Tally:
        """One frame; reports that the protocol has no words for, such as a latitude of 400, are left out of it."""
        del first_number  # no stream protocol tells it
        sayable = [report for report in reports if self._can_say(report)]
        tally = Tally(sent=len(reports), taken=len(sayable))
        unsayable = len(reports) - len(sayable)
        if unsayable:
            tally.refused[f"can't be said in {self._protocol.name}"] = unsayable
        if sayable:
            await self._deliver(self._encoder.reports(sayable))
        return tally

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _can_say(self, report: Report) -> bool:
        try:
            self._encoder.reports([report])
        except _UNSAYABLE:
            return False
        return True

    async def _deliver(self, frame: bytes) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    reader, writer = self._streams or await self._connect()
                    receipt = await self._exchange(reader, writer, frame)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                why = f"{type(error).__name__} {error}".strip()
            else:
                if receipt:
                    self._patience.renew()
                    return
                why = "the receipt was for fewer reports"
            await self.close()
            await self._patience.wait(why)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frame: bytes) -> bool:
        """Whether the whole frame was receipted."""
        owed = b"".join(_answer_to(event) for event in self._mirror.feed(frame))
        writer.write(frame)
        await writer.drain()
        answer = await reader.readexactly(len(owed))
        return answer == owed

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        greeting = self._greeting()
        reader, writer = await asyncio.open_connection(*self._address)
        self._streams = reader, writer
        self._mirror = self._protocol.decoder()
        if greeting and not await self._exchange(reader, writer, greeting):
            await self.close()
            raise Unwelcome(f"{self._protocol.name} refuses the device {self._claim.device}")
        return self._streams

    def _greeting(self) -> bytes:
        try:
            return self._encoder.hello(self._claim)
        except ValueError as error:
            raise Unwelcome(str(error)) from error


def _answer_to(event: Event) -> bytes:
    return event.welcome if isinstance(event, Hello) else event.receipt


class _Rejected(msgspec.Struct):
    reason: str


class _Answer(msgspec.Struct, rename="camel"):
    """A batch's answer, and the value of OUTCOME_HEADER."""

    stored: int = 0
    known: int = 0
    same_time_different: int = 0
    rejected: list[_Rejected] = []


_ANSWER: Final = msgspec.json.Decoder(_Answer)


def _read_answer(response: httpx.Response, count: int) -> Tally:
    """What the server said about the `count` reports of one request."""
    status = response.status_code
    if status in _UNWELCOME or 300 <= status < 400:
        raise Unwelcome(f"status {status}: {_message_of(response)}")
    tally = Tally(sent=count)
    if status >= 400:
        tally.refused[f"status {status}: {_message_of(response)}"] = count
        return tally
    answer = _told(response)
    if answer is not None:
        tally.stored, tally.known = answer.stored, answer.known
        tally.same_time_different = answer.same_time_different
        tally.refused.update(entry.reason for entry in answer.rejected if entry.reason != _SAME_TIME)
    tally.taken = count - tally.refused.total()
    return tally


def _told(response: httpx.Response) -> _Answer | None:
    """The counts, where the answer has them."""
    told = response.headers.get(OUTCOME_HEADER)
    if told is None and not response.content.startswith(b'{"stored"'):
        return None
    try:
        return _ANSWER.decode(told if told is not None else response.content)
    except msgspec.DecodeError:
        return None


def _packed(request: HttpRequest) -> tuple[bytes, dict[str, str]]:
    if len(request.body) < GZIP_FROM:
        return request.body, dict(request.headers)
    return gzip.compress(request.body, 1, mtime=0), {**request.headers, "content-encoding": "gzip"}


def _message_of(response: httpx.Response) -> str:
    """The server's own words, for the summary: short, and on one line."""
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text
    return " ".join(str(message).split())[:200]


def _retry_after_s(response: httpx.Response, now_ms: int) -> float | None:
    """Seconds from a Retry-After of either form; None where there is none that can be read."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - _from_ms(now_ms)).total_seconds())


def _from_ms(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
