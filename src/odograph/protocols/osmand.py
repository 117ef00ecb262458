"""OsmAnd and Traccar Client: a query or form with speed in knots, or JSON of version 9 in metres a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from odograph.model.fixes import Report
from odograph.protocols.base import BadFrame, Claim, Delivery, HttpAnswer, HttpRequest, Taken
from odograph.protocols.times import SECONDS_BELOW, read_time, render_time
from odograph.protocols.web import (
    KMH_PER_KNOT,
    KMH_PER_MPS,
    MAX_MESSAGES,
    Scalar,
    ingest_path,
    is_false,
    read_device,
    read_form,
    read_json,
    read_measure,
    read_position,
)


class _Coords(msgspec.Struct):
    latitude: Scalar = None
    longitude: Scalar = None
    speed: Scalar = None
    heading: Scalar = None


class _Location(msgspec.Struct):
    coords: _Coords | None = None
    timestamp: Scalar = None


class _Body(msgspec.Struct):
    location: _Location | Annotated[list[_Location], msgspec.Meta(max_length=MAX_MESSAGES)] | None = None
    device_id: Scalar = None


_BODY = msgspec.json.Decoder(_Body)


class OsmAnd:
    """One fix a request; everything that was understood is answered 200, for a phone's queue waits for that."""

    name = "osmand"

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        """The fix in a query, form or JSON; none where there is no position. Raises BadFrame."""
        if request.body[:1] == b"{":
            return self._decode_json(request)
        fields = read_form(request)
        report = _read_fields(fields, request.received_ms)
        if report is None:
            return ()
        return (Delivery(Claim(device=read_device(fields.get("id"), fields.get("deviceid"))), (report,)),)

    def _decode_json(self, request: HttpRequest) -> Sequence[Delivery]:
        body = read_json(_BODY, request.body)
        locations = body.location if isinstance(body.location, list) else [body.location]
        reports = tuple(_read_locations(locations, request.received_ms))
        return (Delivery(Claim(device=read_device(body.device_id)), reports),) if reports else ()

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:  # noqa: ARG002 - the port's signature; the app reads no body
        """200 and nothing: what was refused would be refused again."""
        return HttpAnswer(200, b"", "text/plain")

    def encode(self, claim: Claim, reports: Sequence[Report]) -> Sequence[HttpRequest]:
        """One POST a fix with everything in the query, as Traccar Client up to 8 does."""
        path = ingest_path(self.name, claim)
        return [HttpRequest("POST", path, urlencode(list(_fields_of(claim, report)))) for report in reports]


def _read_fields(fields: dict[str, str], received_ms: int | None) -> Report | None:
    lat, lon = fields.get("lat"), fields.get("lon")
    if lat is None and lon is None and "location" in fields:
        lat, comma, lon = fields["location"].partition(",")
        if not comma:
            raise BadFrame(f"location must be lat,lon, got {fields['location']!r:.40}")
    position = read_position(lat, lon)
    if position is None or is_false(fields.get("valid")):
        return None
    return Report(
        read_time(fields.get("timestamp"), "timestamp", received_ms),
        *position,
        read_measure(fields.get("bearing", fields.get("heading")), "bearing"),
        read_measure(fields.get("speed"), "speed", KMH_PER_KNOT),
    )


def _read_locations(locations: Sequence[_Location | None], received_ms: int | None) -> Iterator[Report]:
    for location in locations:
        coords = location.coords if location else None
        position = read_position(coords.latitude, coords.longitude) if coords else None
        if location and coords and position:
            yield Report(
                read_time(location.timestamp, "location.timestamp", received_ms),
                *position,
                read_measure(coords.heading, "location.coords.heading"),
                read_measure(coords.speed, "location.coords.speed", KMH_PER_MPS),
            )


def _fields_of(claim: Claim, report: Report) -> Iterator[tuple[str, object]]:
    if claim.device is not None:
        yield "id", claim.device
    small = abs(report.time_ms) < SECONDS_BELOW  # as a bare number it would be read as seconds
    yield "timestamp", render_time(report.time_ms) if small else report.time_ms
    yield "lat", repr(float(report.lat))
    yield "lon", repr(float(report.lon))
    if report.speed_kmh is not None:
        yield "speed", repr(report.speed_kmh / KMH_PER_KNOT)
    if report.heading_deg is not None:
        yield "bearing", repr(float(report.heading_deg))


PROTOCOL = OsmAnd()
