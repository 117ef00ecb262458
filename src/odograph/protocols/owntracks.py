"""OwnTracks in HTTP mode: location messages, one or an array of them; every other type is answered and ignored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Final

import msgspec

from odograph.model.fixes import Report
from odograph.protocols.base import BadFrame, Claim, Delivery, HttpAnswer, HttpRequest, Taken
from odograph.protocols.times import read_time
from odograph.protocols.web import (
    MAX_MESSAGES,
    Scalar,
    ingest_path,
    read_device,
    read_form,
    read_json,
    read_measure,
    read_position,
)

LOCATION: Final = "location"


class _Kind(msgspec.Struct):
    """What a message is about."""

    type: Scalar = msgspec.field(name="_type", default=None)


class _Message(_Kind):
    """The fields that we use; other messages than locations may use them otherwise."""

    tst: Scalar = None
    lat: Scalar = None
    lon: Scalar = None
    cog: Scalar = None
    vel: Scalar = None
    topic: Scalar = None
    tid: Scalar = None


_BODY = msgspec.json.Decoder(_Message | Annotated[list[_Message], msgspec.Meta(max_length=MAX_MESSAGES)])
_APART = msgspec.json.Decoder(Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_MESSAGES)])
_KIND = msgspec.json.Decoder(_Kind)
_ONE = msgspec.json.Decoder(_Message)
_ENCODER = msgspec.json.Encoder()


class OwnTracks:
    """Many phones may send through one relay, so each message names its device, unless the headers do."""

    name = "owntracks"

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        """The locations by device, in the order sent; an empty body is a deleted friend. Raises BadFrame."""
        if not request.body:
            return ()
        messages = _messages_of(request.body)
        named = _device_of_request(request)
        heard = [
            (named or _device_of_message(message), report)
            for message in messages
            if (report := _read_location(message, request.received_ms)) is not None
        ]
        return tuple(
            Delivery(Claim(device=device), tuple(report for _, report in group))
            for device, group in groupby(heard, key=lambda pair: pair[0])
        )

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:  # noqa: ARG002 - the port's signature; the app reads no outcome
        """An empty array: no friends and no commands for the app."""
        return HttpAnswer(200, b"[]")

    def encode(self, claim: Claim, reports: Sequence[Report]) -> Sequence[HttpRequest]:
        """One POST a fix; times that are no whole second are sent as such, which the app itself never does."""
        path, headers = ingest_path(self.name, claim), {"content-type": "application/json"}
        if claim.device is not None:
            user, _, device = claim.device.rpartition("/")
            headers |= {"x-limit-u": user, "x-limit-d": device} if user else {"x-limit-d": device}
        bodies = (_ENCODER.encode(_message_of(report)) for report in reports)
        return [HttpRequest("POST", path, headers=headers, body=body) for body in bodies]


def _messages_of(body: bytes) -> list[_Message]:
    """Those that may be locations."""
    try:
        heard = read_json(_BODY, body)
    except BadFrame:
        parts = read_json(_APART, body) if body.lstrip()[:1] == b"[" else [msgspec.Raw(body)]
        return [read_json(_ONE, part) for part in parts if read_json(_KIND, part).type == LOCATION]
    return heard if isinstance(heard, list) else [heard]


def _device_of_request(request: HttpRequest) -> str | None:
    query = read_form(request._replace(body=b"")) if request.query else {}
    user = request.headers.get("x-limit-u") or query.get("u")
    device = request.headers.get("x-limit-d") or query.get("d")
    return "/".join(part for part in (user, device) if part) or None


def _device_of_message(message: _Message) -> str | None:
    """`jane/phone` of the topic `owntracks/jane/phone`; the two letters of the tracker id where there is none."""
    topic = message.topic if isinstance(message.topic, str) else ""
    return read_device("/".join(topic.strip("/").split("/")[-2:]), message.tid)


def _read_location(message: _Message, received_ms: int | None) -> Report | None:
    if message.type != LOCATION:
        return None
    position = read_position(message.lat, message.lon)
    if position is None:
        return None
    return Report(
        read_time(message.tst, "tst", received_ms),
        *position,
        read_measure(message.cog, "cog"),
        read_measure(message.vel, "vel"),
    )


def _message_of(report: Report) -> dict[str, object]:
    whole, ms = divmod(report.time_ms, 1000)
    message: dict[str, object] = {
        "_type": LOCATION,
        "tst": report.time_ms / 1000 if ms else whole,
        "lat": report.lat,
        "lon": report.lon,
    }
    if report.heading_deg is not None:
        message["cog"] = report.heading_deg
    if report.speed_kmh is not None:
        message["vel"] = report.speed_kmh
    return message


PROTOCOL = OwnTracks()
