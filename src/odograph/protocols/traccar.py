"""Traccar's position forwarding (`forward.type` json): a whole fleet behind one key, each device by uniqueId."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from odograph.model.fixes import Report
from odograph.protocols.base import BadFrame, Claim, Delivery, HttpAnswer, HttpRequest, Taken
from odograph.protocols.times import read_time, render_time
from odograph.protocols.web import (
    KMH_PER_KNOT,
    Scalar,
    ingest_path,
    is_false,
    read_device,
    read_json,
    read_measure,
    read_position,
)


class _Position(msgspec.Struct):
    latitude: Scalar = None
    longitude: Scalar = None
    fix_time: Scalar = msgspec.field(name="fixTime", default=None)
    speed: Scalar = None
    course: Scalar = None
    valid: Scalar = True
    outdated: Scalar = False


class _Device(msgspec.Struct):
    unique_id: Scalar = msgspec.field(name="uniqueId", default=None)


class _Event(msgspec.Struct):
    """Whatever it is, we don't read it."""


class _Body(msgspec.Struct):
    position: _Position | None = None
    device: _Device | None = None
    event: _Event | None = None


_BODY = msgspec.json.Decoder(_Body)
_ENCODER = msgspec.json.Encoder()


class Traccar:
    """One position a request. Any 2xx is success to Traccar; else it tries again for a while, if told to."""

    name = "traccar"

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        """The position, unless it is of an event, or Traccar knows it to be no fix of now. Raises BadFrame."""
        body = read_json(_BODY, request.body)
        report = _read_position_of(body, request.received_ms)
        if report is None:
            return ()
        device = read_device(body.device.unique_id) if body.device else None
        if device is None:
            raise BadFrame("device.uniqueId is missing: which of the fleet's devices this is")
        return (Delivery(Claim(device=device), (report,)),)

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:  # noqa: ARG002 - the port's signature; Traccar reads no body
        """200 and nothing: what was refused would be refused again."""
        return HttpAnswer(200, b"", "text/plain")

    def encode(self, claim: Claim, reports: Sequence[Report]) -> Sequence[HttpRequest]:
        """One POST a fix, with the fields that matter; Traccar itself sends 0 for an unknown speed or course."""
        path, headers = ingest_path(self.name, claim), {"content-type": "application/json"}
        bodies = (_ENCODER.encode(_body_of(claim, report)) for report in reports)
        return [HttpRequest("POST", path, headers=headers, body=body) for body in bodies]


def _read_position_of(body: _Body, received_ms: int | None) -> Report | None:
    position = body.position
    if position is None or body.event is not None:
        return None
    place = read_position(position.latitude, position.longitude)
    # Outdated is Traccar's copy of the last position for a message that had none.
    if place is None or is_false(position.valid) or position.outdated is True:
        return None
    return Report(
        read_time(position.fix_time, "position.fixTime", received_ms),
        *place,
        read_measure(position.course, "position.course"),
        read_measure(position.speed, "position.speed", KMH_PER_KNOT),
    )


def _body_of(claim: Claim, report: Report) -> dict[str, object]:
    time = render_time(report.time_ms).replace("Z", "+00:00")
    position: dict[str, object] = {
        "protocol": "odograph",
        "deviceTime": time,
        "fixTime": time,
        "outdated": False,
        "valid": True,
        "latitude": report.lat,
        "longitude": report.lon,
    }
    if report.speed_kmh is not None:
        position["speed"] = report.speed_kmh / KMH_PER_KNOT
    if report.heading_deg is not None:
        position["course"] = report.heading_deg
    return {"position": position, "device": {"name": claim.device, "uniqueId": claim.device}}


PROTOCOL = Traccar()
