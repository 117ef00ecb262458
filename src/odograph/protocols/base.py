"""The port that every device protocol fills: bytes in, reports out, and back. No socket, no clock, no log.

A protocol says what to answer; `ingest` decides when, which is after the commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from odograph.model.fixes import Report


class BadFrame(Exception):
    """These bytes are not this protocol's. The message says where and what was expected."""


class Claim(NamedTuple):
    """Who a sender says it is: its own id, its secret, or both. Knowing an id proves nothing."""

    device: str | None = None
    key: str | None = None


class Delivery(NamedTuple):
    """Reports of one device, in the order in which it sent them.

    `first_number` counts them in the device's own log, so that a gap can be known; None if it doesn't count.
    """

    claim: Claim
    reports: Sequence[Report]
    first_number: int | None = None


class Taken(NamedTuple):
    """What became of one Delivery once everything that could be stored was on disk.

    `rejected` holds (index, reason) of reports that can never be stored: sending them again is useless.
    """

    stored: int = 0
    known: int = 0
    same_time_different: int = 0
    rejected: Sequence[tuple[int, str]] = ()
    gap: tuple[int, int] | None = None
    """First and last number missing between this Delivery and the one before it, if the device counts."""


class HttpRequest(NamedTuple):
    """One request: `path` without the query, `headers` with lower-case names, `body` already inflated.

    `received_ms` is when it came in, from ingest's clock: the time of a fix whose sender gave none. Where it is
    None, such a fix is a BadFrame.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    received_ms: int | None = None


class HttpAnswer(NamedTuple):
    """What to send back."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


class HttpProtocol(Protocol):
    """A protocol in which each message is one HTTP request at `/ingest/<name>` (a key may follow: `/<key>`)."""

    name: str

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        """The deliveries in one request; none for messages without a position. Raises BadFrame.

        Nothing is judged here: a time in 1970 or a latitude of 400 is passed on, for `ingest` to refuse with its
        reason. Every `time_ms` fits in 64 bits.

        A secret found in the protocol's own place goes into the claim; header, URL and Basic password are
        read by ingest for every protocol alike.
        """
        ...

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:
        """After the commit: one Taken per Delivery, in order."""
        ...

    def encode(self, claim: Claim, reports: Sequence[Report]) -> Sequence[HttpRequest]:
        """The requests a device would make to say this; `decode` reads them back."""
        ...


class Hello(NamedTuple):
    """The device introduced itself: send `welcome` if it may go on, else `refuse`, then close."""

    claim: Claim
    welcome: bytes
    refuse: bytes


class Reports(NamedTuple):
    """Reports to store: send `receipt` after the commit. What could not be stored gets no receipt."""

    reports: Sequence[Report]
    receipt: bytes


Event = Hello | Reports


class Decoder(Protocol):
    """Reads one connection. Keeps what it needs between calls; never more than one frame of bytes."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Events that became whole with these bytes, however the stream was cut. Raises BadFrame."""
        ...


class Encoder(Protocol):
    """Speaks one connection as a device would."""

    def hello(self, claim: Claim) -> bytes:
        """The first bytes of a connection; empty where the protocol has no greeting."""
        ...

    def reports(self, reports: Sequence[Report]) -> bytes:
        """One frame; `max_reports` of the protocol at most."""
        ...

    def receipt_size(self) -> int:
        """Bytes the server owes for each frame."""
        ...


class StreamProtocol(Protocol):
    """A protocol over a connection that stays open (TCP)."""

    name: str
    default_port: int
    max_reports: int

    def decoder(self) -> Decoder:
        """For one new connection."""
        ...

    def encoder(self) -> Encoder:
        """For one new connection, the device's side."""
        ...


@dataclass(frozen=True, slots=True)
class Registry:
    """Every protocol this build speaks."""

    http: tuple[HttpProtocol, ...]
    stream: tuple[StreamProtocol, ...] = field(default=())
