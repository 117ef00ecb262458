"""GPSLogger for Android, "log to custom URL": one fix a request, in the fields that its user put in the URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlencode

from odograph.model.fixes import Report
from odograph.protocols.base import Claim, Delivery, HttpAnswer, HttpRequest, Taken
from odograph.protocols.times import read_time, render_time
from odograph.protocols.web import (
    KMH_PER_MPS,
    ingest_path,
    read_device,
    read_form,
    read_measure,
    read_position,
)

_DEVICE: Final = ("id", "deviceid", "device", "androidId", "aid", "serial", "ser")
_TIME: Final = ("time", "timeoff", "timestamp", "epoch")  # the finer ones first: %TIMESTAMP has whole seconds
_HEADING: Final = ("dir", "direction", "bearing")
_SPEED_MPS: Final = ("spd", "speed")


class GpsLogger:
    """Reads the field names of the app's own example URL, and the other usual ones."""

    name = "gpslogger"

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        """The fix in a query or form; none where there is no position. Raises BadFrame."""
        fields = read_form(request)
        position = read_position(
            fields.get("lat", fields.get("latitude")), fields.get("lon", fields.get("longitude"))
        )
        if position is None:
            return ()
        time_ms = read_time(_first(fields, _TIME), "time", request.received_ms)
        report = Report(time_ms, *position, read_measure(_first(fields, _HEADING), "dir"), _read_speed(fields))
        return (Delivery(Claim(device=read_device(_first(fields, _DEVICE))), (report,)),)

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:  # noqa: ARG002 - the port's signature; the app reads no body
        """200 and nothing: what was refused would be refused again."""
        return HttpAnswer(200, b"", "text/plain")

    def encode(self, claim: Claim, reports: Sequence[Report]) -> Sequence[HttpRequest]:
        """One GET a fix."""
        path = ingest_path(self.name, claim)
        return [HttpRequest("GET", path, urlencode(list(_fields_of(claim, report)))) for report in reports]


def _first(fields: dict[str, str], names: Sequence[str]) -> str | None:
    # Android 10 and later tells apps no serial number but "unknown".
    return next((fields[name] for name in names if fields.get(name, "") not in ("", "unknown")), None)


def _read_speed(fields: dict[str, str]) -> float | None:
    mps = _first(fields, _SPEED_MPS)
    if mps is not None:
        return read_measure(mps, "spd", KMH_PER_MPS)
    return read_measure(fields.get("spd_kph"), "spd_kph")


def _fields_of(claim: Claim, report: Report) -> Iterator[tuple[str, str]]:
    if claim.device is not None:
        yield "id", claim.device
    yield "lat", repr(float(report.lat))
    yield "lon", repr(float(report.lon))
    yield "time", render_time(report.time_ms)
    if report.speed_kmh is not None:
        yield "spd", repr(report.speed_kmh / KMH_PER_MPS)
    if report.heading_deg is not None:
        yield "dir", repr(float(report.heading_deg))


PROTOCOL = GpsLogger()
