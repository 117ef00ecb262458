"""`/odograph/export`: fixes of a time range as a file, streamed, in bounded memory."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import quoteattr

import msgspec
import numpy as np

from odograph.api import columns
from odograph.api.columns import Numbers, Paper
from odograph.api.positions import END, FILTERS, START, Assets, assets_of
from odograph.api.resources.base import Answer, Call, Endpoint, Param
from odograph.api.wire import degrees, heading_degrees, mph, render_time
from odograph.errors import invalid
from odograph.model.access import Scope
from odograph.model.fixes import UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes
from odograph.model.ids import AssetId, render_asset_id

PIECE: Final = 8_192  # fixes in memory at a time: half a megabyte of text, some 15 ms of work

NUL: Final = "\0"  # which stands for nothing in a column

FORMAT: Final = Param("format", "string", "What to write.", values=("csv", "geojson", "gpx"))


@dataclass(frozen=True, slots=True)
class _Track:
    """The vehicle whose fixes are being written."""

    vehicle_id: str
    name: str
    is_first: bool


@dataclass(frozen=True, slots=True)
class _Format:
    """How a file of this format begins, goes on and ends."""

    content_type: str
    begin: str
    end: str
    begin_track: Callable[[_Track], str]
    end_track: str
    rows: Callable[[], Callable[[_Track, Fixes, bool], bytes]]
    """Makes what writes rows: for one export, because it runs in threads."""


class _Csv:
    """Rows of one export by column, which is several times as fast as one by one."""

    def __init__(self) -> None:
        self._headings = Numbers(",", heading_degrees, UNKNOWN_HEADING, nothing=",")
        self._speeds = Numbers(",", mph, UNKNOWN_SPEED, nothing=",")
        self._paper = Paper()

    def rows(self, track: _Track, fixes: Fixes, _: bool) -> bytes:
        name = io.StringIO()
        csv.writer(name, lineterminator="").writerow([track.name])
        end = columns.table([f",{name.getvalue().replace(NUL, '')}\n"])
        made = [
            *columns.times(f"{track.vehicle_id},", fixes["time_ms"]),
            *columns.degrees(",", np.ascontiguousarray(fixes["lat_e7"])),
            *columns.degrees(",", np.ascontiguousarray(fixes["lon_e7"])),
            self._headings.column(fixes["heading_cdeg"]),
            self._speeds.column(fixes["speed_ckmh"]),
            (end, np.zeros(len(fixes), dtype=np.intp)),
        ]
        return b"".join(self._paper.written(made, len(fixes)))


def _geojson_rows(track: _Track, fixes: Fixes, is_first: bool) -> bytes:
    name = msgspec.json.encode(track.name).decode()
    head = f'{{"type":"Feature","properties":{{"vehicleId":"{track.vehicle_id}","name":{name},"time":"'
    parts = []
    for _asset, time_ms, lat_e7, lon_e7, heading_cdeg, speed_ckmh, _marks in fixes.tolist():
        heading = "" if heading_cdeg == UNKNOWN_HEADING else f',"headingDegrees":{heading_degrees(heading_cdeg)}'
        speed = "" if speed_ckmh == UNKNOWN_SPEED else f',"speedMilesPerHour":{mph(speed_ckmh)}'
        parts.append(
            f'{head}{render_time(time_ms)}"{heading}{speed}}},"geometry":{{"type":"Point",'
            f'"coordinates":[{degrees(lon_e7)},{degrees(lat_e7)}]}}}}'
        )
    return (("" if is_first and track.is_first else ",\n") + ",\n".join(parts)).encode()


def _gpx_rows(_: _Track, fixes: Fixes, __: bool) -> bytes:
    return "".join(
        f'<trkpt lat="{degrees(lat_e7)}" lon="{degrees(lon_e7)}"><time>{render_time(time_ms)}</time>'
        f"{_gpx_motion(heading_cdeg, speed_ckmh)}</trkpt>\n"
        for _asset, time_ms, lat_e7, lon_e7, heading_cdeg, speed_ckmh, _marks in fixes.tolist()
    ).encode()


def _gpx_motion(heading_cdeg: int, speed_ckmh: int) -> str:
    """Speed and course where GPX 1.1 has them: in Garmin's extension, which is what others read."""
    speed = "" if speed_ckmh == UNKNOWN_SPEED else f"<gpxtpx:speed>{_mps(speed_ckmh)}</gpxtpx:speed>"
    course = (
        "" if heading_cdeg == UNKNOWN_HEADING else f"<gpxtpx:course>{heading_degrees(heading_cdeg)}</gpxtpx:course>"
    )
    if not (speed or course):
        return ""
    return f"<extensions><gpxtpx:TrackPointExtension>{speed}{course}</gpxtpx:TrackPointExtension></extensions>"


def _mps(speed_ckmh: int) -> float:
    """Exact enough to be the same 0.01 km/h when it is read again."""
    return round(speed_ckmh / 360, 4)


_FORMATS: Final = {
    "csv": _Format(
        "text/csv; charset=utf-8",
        "vehicle_id,time_iso,lat,lon,heading_deg,speed_mph,vehicle_name\n",
        "",
        lambda _: "",
        "",
        lambda: _Csv().rows,
    ),
    "geojson": _Format(
        "application/geo+json",
        '{"type":"FeatureCollection","features":[\n',
        "\n]}\n",
        lambda _: "",
        "",
        lambda: _geojson_rows,
    ),
    "gpx": _Format(
        "application/gpx+xml",
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="Odograph" xmlns="http://www.topografix.com/GPX/1/1" '
        'xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">\n',
        "</gpx>\n",
        lambda track: f"<trk><name>{_xml_text(track.name)}</name><trkseg>\n",
        "</trkseg></trk>\n",
        lambda: _gpx_rows,
    ),
}


def _xml_text(text: str) -> str:
    """Escaped, and without the control characters that no XML 1.0 file may hold."""
    return quoteattr("".join(c for c in text if c >= " " or c in "\t\n"))[1:-1]


async def export(call: Call) -> Answer:
    """Every fix of the vehicles with startTime <= time < endTime, by vehicle and time."""
    start_ms, end_ms = call.query.required_time_ms(START), call.query.required_time_ms(END)
    if end_ms < start_ms:
        raise invalid("Parameter 'endTime' is before 'startTime'; it must be the same or later.")
    chosen = _FORMATS[call.query.text(FORMAT) or "csv"]
    return Answer(stream=_file(call, chosen, assets_of(call), start_ms, end_ms), content_type=chosen.content_type)


async def _file(call: Call, form: _Format, assets: Assets, start_ms: int, end_ms: int) -> AsyncIterator[bytes]:
    yield form.begin.encode()
    rows, is_first = form.rows(), True
    for place in range(len(assets)):
        one = assets[place : place + 1]
        track = _Track(render_asset_id(AssetId(int(one[0]))), _name(call, int(one[0])), is_first)
        begin_ms, wrote = start_ms, False
        while True:
            (fixes,) = await call.context.live.seam.read_range(call.principal.org, one, [begin_ms], end_ms, PIECE)
            if len(fixes):
                text = await asyncio.to_thread(rows, track, fixes, not wrote)
                yield text if wrote else form.begin_track(track).encode() + text
                wrote, is_first = True, False
            if len(fixes) < PIECE:
                break
            begin_ms = int(fixes["time_ms"][-1]) + 1
        if wrote:
            yield form.end_track.encode()
    yield form.end.encode()


def _name(call: Call, number: int) -> str:
    asset = call.context.live.directory.assets.find_by_number(call.principal.org, AssetId(number))
    return asset.body.name if asset else ""


class Export:
    """One call."""

    name = "Export"

    def endpoints(self) -> Sequence[Endpoint]:
        """The export."""
        return (
            Endpoint(
                "GET",
                "/odograph/export",
                Scope.READ_VEHICLE_STATISTICS,
                export,
                "Fixes of a time range as CSV, GeoJSON or GPX",
                params=(START, END, FORMAT, *FILTERS),
                produces=("text/csv", "application/geo+json", "application/gpx+xml"),
                is_extension=True,
            ),
        )


RESOURCE = Export()
