"""Reading everything back, and comparing it with what was sent: nothing lost, nothing twice, nothing altered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import numpy as np

from odograph.bench.load import Answered, Asker
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING, UNKNOWN_SPEED, Fixes
from odograph.model.ids import ASSET_ID_BASE

FEED: Final = "/fleet/vehicles/locations/feed"
HISTORY: Final = "/fleet/vehicles/locations/history"
SNAPSHOT: Final = "/fleet/vehicles/locations"
CKMH_PER_MPH: Final = 160.9344
_VEHICLES_A_REQUEST: Final = 50  # keeps the URL short


class Unexpected(Exception):
    """The server answered something that a benchmark has no use for."""


class _Location(msgspec.Struct, gc=False):
    time: str
    latitude: float
    longitude: float
    heading: float | None = None
    speed: float | None = None


class _Vehicle(msgspec.Struct, gc=False):
    id: str
    locations: list[_Location]


class _Pagination(msgspec.Struct, rename="camel"):
    end_cursor: str
    has_next_page: bool


class Page(msgspec.Struct):
    """One page of feed or history."""

    data: list[_Vehicle]
    pagination: _Pagination

    @property
    def cursor(self) -> str:
        """Where the next page begins."""
        return self.pagination.end_cursor


_PAGE: Final = msgspec.json.Decoder(Page)
_FIELDS: Final = ("asset", "time_ms", "lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh")


def decode_page(answer: Answered) -> Page:
    """The page. Raises Unexpected where the answer is no page."""
    if answer.status != 200:
        raise Unexpected(f"{answer.status}: {answer.body[:300]!r}")
    return _PAGE.decode(answer.body)


def cursor_of(body: bytes) -> tuple[str, bool]:
    """Cursor and hasNextPage of a page, read from its last bytes alone: what a mere consumer would need."""
    tail = body[-200:]
    at = tail.index(b'"endCursor":"') + 13
    return tail[at : tail.index(b'"', at)].decode(), tail.endswith(b'"hasNextPage":true}}')


def fixes_of(pages: Sequence[Page]) -> Fixes:
    """Every fix of these pages, in the order of the answer; the asset column holds the vehicle's number."""
    vehicles = [vehicle for page in pages for vehicle in page.data]
    found = [location for vehicle in vehicles for location in vehicle.locations]
    rows = np.zeros(len(found), dtype=FIX_DTYPE)
    if not found:
        return rows
    numbers = [int(vehicle.id) - ASSET_ID_BASE for vehicle in vehicles]
    rows["asset"] = np.repeat(numbers, [len(vehicle.locations) for vehicle in vehicles])
    rows["time_ms"] = np.array([one.time[:-1] for one in found], dtype="datetime64[ms]").astype(np.int64)
    rows["lat_e7"] = np.rint(np.array([one.latitude for one in found]) * 1e7)
    rows["lon_e7"] = np.rint(np.array([one.longitude for one in found]) * 1e7)
    headings = np.array([np.nan if one.heading is None else one.heading for one in found])
    speeds = np.array([np.nan if one.speed is None else one.speed for one in found])
    rows["heading_cdeg"] = np.where(np.isnan(headings), UNKNOWN_HEADING, np.rint(np.nan_to_num(headings) * 100))
    rows["speed_ckmh"] = np.where(np.isnan(speeds), UNKNOWN_SPEED, np.rint(np.nan_to_num(speeds) * CKMH_PER_MPH))
    return rows


async def first_cursor(asker: Asker) -> str:
    """The feed's position now: the first call's pages are read and passed over."""
    cursor = ""
    while True:
        cursor, more = cursor_of(checked(await asker.get(f"{FEED}?{urlencode({'after': cursor})}")).body)
        if not more:
            return cursor


def checked(answer: Answered) -> Answered:
    """The answer, if it is a 200. Raises Unexpected."""
    if answer.status != 200:
        raise Unexpected(f"{answer.status}: {answer.body[:300]!r}")
    return answer


async def read_feed(asker: Asker, cursor: str) -> AsyncIterator[Fixes]:
    """Everything after the cursor, page by page, until the feed says that there is no more."""
    while True:
        page = decode_page(await asker.get(f"{FEED}?{urlencode({'after': cursor})}"))
        yield fixes_of([page])
        cursor = page.cursor
        if not page.pagination.has_next_page:
            return


async def read_history(asker: Asker, assets: Sequence[int], start_ms: int, end_ms: int) -> Fixes:
    """Every fix of these vehicles in a range of time."""
    found: list[Fixes] = []
    for first in range(0, len(assets), _VEHICLES_A_REQUEST):
        ids = ",".join(str(ASSET_ID_BASE + one) for one in assets[first : first + _VEHICLES_A_REQUEST])
        query: dict[str, Any] = {
            "startTime": render_time(start_ms),
            "endTime": render_time(end_ms),
            "vehicleIds": ids,
        }
        more = True
        while more:
            page = decode_page(await asker.get(f"{HISTORY}?{urlencode(query)}"))
            found.append(fixes_of([page]))
            query["after"], more = page.cursor, page.pagination.has_next_page
    return np.concatenate(found) if found else np.zeros(0, dtype=FIX_DTYPE)


def render_time(time_ms: int) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Difference:
    """How what came back differs from what was sent."""

    lost: int
    twice: int
    altered: int
    foreign: int

    def __bool__(self) -> bool:
        return bool(self.lost or self.twice or self.altered or self.foreign)

    def __str__(self) -> str:
        return f"{self.lost} lost, {self.twice} twice, {self.altered} altered, {self.foreign} never sent"


def compare(sent: Fixes, got: Fixes) -> Difference:
    """Compare as sets by vehicle and time, then field by field. `sent` holds each fix once."""
    sent, got = _sorted(sent), _sorted(got)
    keys_sent, keys_got = _keys(sent), _keys(got)
    firsts = np.concatenate(([True], keys_got[1:] != keys_got[:-1])) if len(got) else np.zeros(0, dtype=bool)
    unique = got[firsts]
    common, from_sent, from_got = np.intersect1d(
        keys_sent, keys_got[firsts], assume_unique=True, return_indices=True
    )
    altered = np.zeros(len(common), dtype=bool)
    for name in _FIELDS[2:]:
        altered |= sent[name][from_sent] != unique[name][from_got]
    return Difference(
        lost=len(sent) - len(common),
        twice=len(got) - len(unique),
        altered=int(altered.sum()),
        foreign=len(unique) - len(common),
    )


def _keys(fixes: Fixes) -> Any:
    return fixes["asset"].astype(np.int64) << 42 | fixes["time_ms"]


def _sorted(fixes: Fixes) -> Fixes:
    return fixes[np.argsort(_keys(fixes), kind="stable")]
