"""Our own upload: up to 10,000 fixes of one device as JSON, numbered if the device keeps a log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Final, cast

import msgspec

from odograph.model.fixes import Report, ReportTable
from odograph.protocols.base import BadFrame, Claim, Delivery, HttpAnswer, HttpRequest, Taken
from odograph.protocols.times import ms_since_epoch
from odograph.protocols.web import ingest_path, read_json

MAX_FIXES: Final = 10_000  # a tenth of a second of decoding, and under 1.5 MB as JSON
MAX_NUMBER: Final = 1 << 53  # beyond it, JSON numbers are no longer exact everywhere

_Zoned = Annotated[datetime, msgspec.Meta(tz=True)]
_Ms = Annotated[int, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]


class _Fix(msgspec.Struct, gc=False):
    time: _Zoned | _Ms
    lat: float
    lon: float
    heading: float | None = None
    speed: float | None = None


_Row = tuple[_Zoned | _Ms, float, float, float | None, float | None]


class _Batch(msgspec.Struct):
    fixes: Annotated[list[_Fix | _Row], msgspec.Meta(max_length=MAX_FIXES)]
    device: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    first: Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)] | None = None


_BODY = msgspec.json.Decoder(_Batch)
_ENCODER = msgspec.json.Encoder()

_FAULT: Final = re.compile(r"(?P<fault>.*) - at `\$\.?(?P<place>.*)`", re.DOTALL)
_ROW_PLACE: Final = re.compile(r"(fixes\[[0-9]+\])\[([0-4])\]")
_COLUMNS: Final = ("time", "lat", "lon", "heading", "speed")
_ALLOWED: Final = {
    "time": "RFC 3339 text with its zone, such as 2025-01-31T10:00:00Z, or whole milliseconds since 1970",
    "lat": "a number of degrees",
    "lon": "a number of degrees",
    "heading": "degrees clockwise from north, or null where unknown",
    "speed": "km/h, or null where unknown",
    "device": "the device's id as text, or nothing where its key says enough",
    "first": f"the number of the first fix in the device's own log, from 0 to {MAX_NUMBER}",
    "fixes": f"an array of at most {MAX_FIXES} fixes",
    "fixes[]": "an object with time, lat, lon and perhaps heading and speed, or a row of all five in that order",
    "": "an object with fixes and perhaps device and first",
}


class Batch:
    """One request is one delivery. A batch with one malformed fix is refused whole: nothing of it is stored."""

    name = "batch"

    def decode(self, request: HttpRequest) -> Sequence[Delivery]:
        """The batch; an empty one is a delivery of nothing, which tries the key. Raises BadFrame."""
        if request.method != "POST":
            raise BadFrame(f"a batch comes by POST, not {request.method}")
        try:
            batch = read_json(_BODY, request.body)
        except BadFrame as error:
            raise BadFrame(_explain(error)) from error
        return (Delivery(Claim(device=batch.device), _reports_of(batch.fixes), batch.first),)

    def answer(self, taken: Sequence[Taken]) -> HttpAnswer:
        """Counts, and of the fixes that were not stored which and why; the gap, if the device numbers its fixes."""
        outcome = taken[0] if taken else Taken()
        body: dict[str, object] = {
            "stored": outcome.stored,
            "known": outcome.known,
            "sameTimeDifferent": outcome.same_time_different,
            "rejected": [{"index": index, "reason": reason} for index, reason in outcome.rejected],
        }
        if outcome.gap is not None:
            body["gap"] = {"from": outcome.gap[0], "to": outcome.gap[1]}
        return HttpAnswer(200, _ENCODER.encode(body))

    def encode(self, claim: Claim, reports: Sequence[Report], first: int | None = None) -> Sequence[HttpRequest]:
        """One request for each MAX_FIXES reports, numbered from `first` on."""
        path, headers = ingest_path(self.name, claim), {"content-type": "application/json"}
        pending = iter(reports)
        requests: list[HttpRequest] = []
        while fixes := [_fix_of(report) for report in islice(pending, MAX_FIXES)]:
            number = None if first is None else first + len(requests) * MAX_FIXES
            body = {"device": claim.device, "first": number, "fixes": fixes}
            requests.append(HttpRequest("POST", path, headers=headers, body=_ENCODER.encode(body)))
        return requests


def _reports_of(fixes: Sequence[_Fix | _Row]) -> Sequence[Report]:
    """By column where all fixes are written alike, as a device does: that is what long batches are made of."""
    kinds = set(map(type, fixes))
    if kinds == {_Fix}:
        objects = cast(Sequence[_Fix], fixes)
        times = [fix.time for fix in objects]
        lat, lon = [fix.lat for fix in objects], [fix.lon for fix in objects]
        heading, speed = [fix.heading for fix in objects], [fix.speed for fix in objects]
    elif kinds == {tuple}:
        times, lat, lon, heading, speed = map(list, zip(*cast(Sequence[_Row], fixes), strict=True))
    else:
        return [_report_of(fix) for fix in fixes]
    return ReportTable(_in_ms(times), lat, lon, heading, speed)


def _in_ms(times: list[datetime | int]) -> list[int]:
    if set(map(type, times)) == {int}:
        return cast(list[int], times)
    return [time if isinstance(time, int) else ms_since_epoch(time) for time in times]


def _report_of(fix: _Fix | _Row) -> Report:
    if isinstance(fix, tuple):
        time, lat, lon, heading, speed = fix
    else:
        time, lat, lon, heading, speed = fix.time, fix.lat, fix.lon, fix.heading, fix.speed
    return Report(time if isinstance(time, int) else ms_since_epoch(time), lat, lon, heading, speed)


def _fix_of(report: Report) -> dict[str, object]:
    time_ms, lat, lon, heading_deg, speed_kmh = report
    fix: dict[str, object] = {"time": time_ms, "lat": lat, "lon": lon}
    if heading_deg is not None:
        fix["heading"] = heading_deg
    if speed_kmh is not None:
        fix["speed"] = speed_kmh
    return fix


def _explain(error: BadFrame) -> str:
    """The place, what is wrong there, and what is allowed."""
    found = _FAULT.fullmatch(str(error.__cause__))
    if found is None:
        return f"{error}; allowed is {_ALLOWED['']}".replace("`", "")
    place, what = found["place"], found["fault"].replace("`", "")
    row = _ROW_PLACE.fullmatch(place)
    if row:
        place = f"{row[1]}.{_COLUMNS[int(row[2])]}"
    name = "fixes[]" if place.endswith("]") else place.rpartition(".")[2]
    return f"{place}: {what}; allowed is {_ALLOWED[name]}"


PROTOCOL = Batch()
