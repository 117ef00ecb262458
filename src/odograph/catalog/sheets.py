"""Lists as people keep them, of vehicles and of places: CSV in, with any usual header; keys out."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from odograph.errors import invalid

MAX_ROWS: Final = 50_000
_SEPARATORS: Final = ",;\t"
_VEHICLE_COLUMNS: Final[Mapping[str, str]] = {
    "name": "name",
    "vehicle": "name",
    "plate": "license_plate",
    "licenseplate": "license_plate",
    "vin": "vin",
    "serial": "serial",
    "serialnumber": "serial",
    "make": "make",
    "model": "model",
    "year": "year",
    "notes": "notes",
    "externalid": "external_ids",
    "externalids": "external_ids",
    "deviceid": "device_id",
    "device": "device_id",
    "imei": "device_id",
    "tag": "tags",
    "tags": "tags",
}
"""Headers in lower case without blanks and underscores, and the field each one means."""
_PLACE_COLUMNS: Final[Mapping[str, str]] = {
    "name": "name",
    "address": "formatted_address",
    "formattedaddress": "formatted_address",
    "lat": "lat",
    "latitude": "lat",
    "lon": "lon",
    "lng": "lon",
    "longitude": "lon",
    "radius": "radius_m",
    "radiusm": "radius_m",
    "radiusmeters": "radius_m",
    "notes": "notes",
    "externalid": "external_ids",
    "externalids": "external_ids",
    "tag": "tags",
    "tags": "tags",
}


class Sheet(NamedTuple):
    """What a list holds: its columns by their titles, and an example of a header."""

    columns: Mapping[str, str]
    header: str


_VEHICLES: Final = Sheet(
    _VEHICLE_COLUMNS, "name, plate, vin, serial, make, model, year, notes, external_id, device_id, tags"
)
_PLACES: Final = Sheet(_PLACE_COLUMNS, "name, address, lat, lon, radius, notes, external_id, tags")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of places; an empty field says nothing about the place.

    `lat` and `lon` are degrees and `radius_m` metres, as they are written; `external_ids` holds `key:value`, `tags`
    names or ids. `error` says why the line can't be read; it is empty else.
    """

    line: int
    error: str = ""
    name: str = ""
    formatted_address: str = ""
    lat: str = ""
    lon: str = ""
    radius_m: str = ""
    notes: str = ""
    external_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of vehicles; an empty field says nothing about the vehicle.

    `external_ids` holds `key:value`, `tags` names or ids. `error` is why the line can't be read, else empty.
    """

    line: int
    error: str = ""
    name: str = ""
    license_plate: str = ""
    vin: str = ""
    serial: str = ""
    make: str = ""
    model: str = ""
    year: str = ""
    notes: str = ""
    device_id: str = ""
    external_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def parse_rows(data: bytes) -> list[Row]:
    """The rows of a CSV file of vehicles (UTF-8; comma, semicolon or tab).

    Several tags or external ids in one cell stand between `;` or `|`. A row with too many cells has an `error`.
    INVALID for what is not CSV, another encoding, a header without known columns, or more than MAX_ROWS rows.
    """
    return [msgspec.convert(cells, Row) for cells in _parse(data, _VEHICLES)]


def parse_places(data: bytes) -> list[Place]:
    """The rows of a CSV file of places, read as `parse_rows` reads vehicles."""
    return [msgspec.convert(cells, Place) for cells in _parse(data, _PLACES)]


def _parse(data: bytes, sheet: Sheet) -> list[dict[str, object]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise invalid(f"line {line}: is not UTF-8; save the list as CSV in UTF-8.") from None
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_SEPARATORS, key=first.count), strict=True)
    try:
        return _rows(((reader.line_num, cells) for cells in reader), sheet)
    except csv.Error as error:
        raise invalid(f"line {reader.line_num}: is not CSV: {error}.") from None


def keys_csv(made: Iterable[tuple[str, str, str, str]]) -> str:
    """(id, name, device id, key) of new devices as CSV with a header."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("id", "name", "device_id", "key"))
    writer.writerows(made)
    return out.getvalue()


def _rows(lines: Iterator[tuple[int, list[str]]], sheet: Sheet) -> list[dict[str, object]]:
    _, titles = next(lines, (1, []))
    columns = [_column(title, sheet) for title in titles]
    if not columns:
        raise invalid(f"line 1: is empty; give a header with any of: {sheet.header}.")
    if len(set(columns)) < len(columns):
        raise invalid("line 1: two columns mean the same; keep one of them.")
    rows: list[dict[str, object]] = []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(columns):
            why = f"has {len(cells)} cells, and the header has {len(columns)}; quote text with commas."
            rows.append({"line": line, "error": why})
        else:
            rows.append(_row(line, dict(zip(columns, cells, strict=False))))
        if len(rows) > MAX_ROWS:
            raise invalid(f"line {line}: is too far; a list may hold {MAX_ROWS} rows.")
    return rows


def _row(line: int, cells: Mapping[str, str]) -> dict[str, object]:
    texts = {field: cell.strip() for field, cell in cells.items() if field not in {"tags", "external_ids"}}
    return {
        "line": line,
        **texts,
        "tags": _several(cells.get("tags", "")),
        "external_ids": _several(cells.get("external_ids", "")),
    }


def _several(cell: str) -> tuple[str, ...]:
    parts = (part.strip() for part in cell.replace("|", ";").split(";"))
    return tuple(dict.fromkeys(part for part in parts if part))


def _column(title: str, sheet: Sheet) -> str:
    plain = "".join(char for char in title.lower() if char.isalnum())
    if plain in sheet.columns:
        return sheet.columns[plain]
    near = difflib.get_close_matches(plain, sheet.columns, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise invalid(f"line 1: column {title.strip()[:40]!r} is not known.{meant} Known: {sheet.header}.")
