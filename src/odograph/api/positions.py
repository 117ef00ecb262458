"""Snapshot, feed and history of positions: the one implementation behind both of the vendor's spellings.

Why the feed misses nothing is argued in ARCHITECTURE.md; the sentence it rests on is that a cursor is only
ever a seq up to which this reader was shown everything that matched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.api.columns import starts_of
from odograph.api.params import AFTER, PARENT_TAG_IDS, TAG_IDS, VEHICLE_IDS
from odograph.api.resources.base import Answer, Call, Param
from odograph.api.spelling import Endings, Groups, Piece, Rows, Speller, Spelling
from odograph.api.wire import to_json
from odograph.errors import invalid
from odograph.live.assets import Assets as Shelf
from odograph.live.directory import Directory
from odograph.model.catalog import Address
from odograph.model.fixes import Fixes, empty_fixes
from odograph.model.ids import Seq

SNAPSHOT_PAGE: Final = 512  # vehicles a page, as on the vendor's lists
FEED_PAGE: Final = 5_000  # fixes a page: about 1 MB of JSON
FEED_SCAN: Final = 50_000  # fixes looked at for one page, when a filter lets few of them through
HISTORY_PAGE: Final = 5_000
SLICE: Final = 5_000  # of a page at a time, whose columns are less than a millisecond of work: a fix counts 1,
VEHICLE: Final = 2  # and a vehicle as much as so many fixes
KEPT_OPENINGS: Final = 50_000  # vehicles; some 10 MB
HISTORY_GROUP: Final = 32  # vehicles whose fixes in memory are gathered in one scan
HISTORY_SCAN: Final = 512  # vehicles looked at for one page, when few have fixes in the range

TIME: Final = Param("time", "time", "The newest not after this moment, instead of the newest of all.")
START: Final = Param("startTime", "time", "Begin of the range, inclusive (RFC 3339).", required=True, is_bound=True)
END: Final = Param("endTime", "time", "End of the range, exclusive (RFC 3339).", required=True, is_bound=True)
FILTERS: Final = (VEHICLE_IDS, TAG_IDS, PARENT_TAG_IDS)

Assets = npt.NDArray[np.uint32]
_FIRST, _AFTER = 0, 1  # what a feed cursor holds: a place in the first call's pages, or a seq


class Positions:
    """Reads positions in one spelling. What it keeps between calls saves work; all else is in call and cursor."""

    def __init__(self, spelling: Spelling, *, is_shown: bool = True) -> None:
        """`is_shown` False pages and moves cursors alike, and shows nothing: for stats that nobody reports."""
        self._spelling = spelling
        self._is_shown = is_shown
        self._speller: Speller | None = None
        self._kept: dict[bytes, dict[int, bytes]] = {}
        self._kept_in: Shelf | None = None
        self._kept_as_of = 0

    async def snapshot(self, call: Call) -> Answer:
        """The newest fix of each vehicle, or the newest not after `time`."""
        kind = f"{self._spelling.name}.snapshot"
        last = self._fields(call, kind)
        assets, more = _page(assets_of(call), last[0] if last else 0, SNAPSHOT_PAGE)
        time_ms = call.query.time_ms(TIME)
        fixes = (
            _newest(call, assets)
            if time_ms is None
            else await call.context.live.seam.read_at(call.principal.org, assets, time_ms)
        )
        cursor = self._cursor(call, kind, int(assets[-1])) if more else ""
        return _answer(self._one_each(call, fixes), cursor, more)

    async def feed(self, call: Call) -> Answer:
        """Everything that arrived after the cursor; without one, each vehicle's newest and a cursor."""
        kind = f"{self._spelling.name}.feed"
        fields = self._fields(call, kind) or (_FIRST, call.context.live.stretch.head, 0)
        if fields[0] == _FIRST:
            return await self._feed_first(call, kind, Seq(fields[1]), fields[2])
        return await self._feed_after(call, kind, Seq(fields[1]))

    async def history(self, call: Call) -> Answer:
        """Each vehicle's fixes with startTime <= time < endTime, by vehicle and time."""
        kind = f"{self._spelling.name}.history"
        start_ms, end_ms = call.query.required_time_ms(START), call.query.required_time_ms(END)
        if end_ms < start_ms:
            raise invalid("Parameter 'endTime' is before 'startTime'; it must be the same or later.")
        start_ms, end_ms = max(start_ms, 0), max(end_ms, 0)  # no fix is older, and no cursor holds less
        asset, from_ms = self._fields(call, kind) or (0, start_ms)
        fixes, place = await self._range(call, asset, from_ms, start_ms, end_ms)
        cursor = self._cursor(call, kind, *place) if place else ""
        return _answer(await self._many_each(call, fixes), cursor, place is not None)

    # -- feed

    async def _feed_first(self, call: Call, kind: str, position: Seq, last: int) -> Answer:
        """Pages of newest fixes. The position was fixed at the first call: a fix since then may be seen twice."""
        assets, more = _page(assets_of(call), last, SNAPSHOT_PAGE)
        fixes = _newest(call, assets)
        fields = (_FIRST, position, int(assets[-1])) if more else (_AFTER, position)
        entries = await self._many_each(call, fixes)
        return _answer(entries, self._cursor(call, kind, *fields), more)

    async def _feed_after(self, call: Call, kind: str, after: Seq) -> Answer:
        fixes, reached, more = await call.context.live.seam.read_after(
            call.principal.org, after, _filter(call), FEED_PAGE, FEED_SCAN
        )
        entries = await self._many_each(call, fixes)
        return _answer(entries, self._cursor(call, kind, _AFTER, reached), more)

    # -- history

    async def _range(
        self, call: Call, asset: int, from_ms: int, start_ms: int, end_ms: int
    ) -> tuple[Fixes, tuple[int, int] | None]:
        """Up to a page of fixes, and the (asset, time) where the next page begins; None at the end.

        It begins right behind what this one shows, not at the next fix of now: one between them may come late.
        """
        assets = assets_of(call)
        assets = assets[int(np.searchsorted(assets, asset)) :]
        found: list[Fixes] = []
        room = HISTORY_PAGE
        for first in range(0, min(len(assets), HISTORY_SCAN), HISTORY_GROUP):
            group = assets[first : first + HISTORY_GROUP]
            begins = [max(from_ms, start_ms) if one == asset else start_ms for one in group.tolist()]
            ranges = await call.context.live.seam.read_range(call.principal.org, group, begins, end_ms, room + 1)
            for one, begin_ms, fixes in zip(group.tolist(), begins, ranges, strict=True):
                found.append(fixes[:room])
                if len(fixes) > room:
                    return np.concatenate(found), (one, int(fixes["time_ms"][room - 1]) + 1 if room else begin_ms)
                room -= len(fixes)
        fixes = np.concatenate(found) if found else empty_fixes()
        return fixes, ((int(assets[HISTORY_SCAN]), start_ms) if len(assets) > HISTORY_SCAN else None)

    # -- pages

    def _addresses(self, call: Call, fixes: Fixes) -> Endings | None:
        """The address that holds each fix, where this spelling names it and the org has any."""
        if not self._spelling.names_address:
            return None
        fences = _directory(call).addresses.fences(call.principal.org)
        if not len(fences):
            return None
        places = fences.locate(fixes["lat_e7"] / 1e7, fixes["lon_e7"] / 1e7, call.principal.tag_ids)
        distinct, which = np.unique(places, return_inverse=True)
        return [_address(fences[place]) if place >= 0 else "" for place in distinct.tolist()], which

    def _one_each(self, call: Call, fixes: Fixes) -> list[Piece]:
        """One entry for each fix."""
        if not (self._is_shown and len(fixes)):
            return []
        return list(self._entries(call, fixes, np.arange(len(fixes)), f',"{self._spelling.one}":'.encode(), b"}"))

    async def _many_each(self, call: Call, fixes: Fixes) -> list[Piece]:
        """One entry for each vehicle in these fixes; its own stay in the order they are in."""
        if not (self._is_shown and len(fixes)):
            return []
        parts = self._by_vehicle(call, fixes.take(_by_asset(fixes)))
        return await call.context.live.seam.turns.take(parts, len(fixes))

    def _by_vehicle(self, call: Call, fixes: Fixes) -> Iterator[Piece]:
        """Some vehicles' entries at a time, of fixes sorted by vehicle."""
        assets = fixes["asset"]
        starts = np.flatnonzero(starts_of(assets))
        before = f',"{self._spelling.many}":['.encode()
        for first, last in _parted(starts):
            some = starts[first:last]
            stop = starts[last] if last < len(starts) else len(fixes)
            yield from self._entries(call, fixes[some[0] : stop], some - some[0], before, b"]}")

    def _entries(self, call: Call, fixes: Fixes, starts: Rows, before: bytes, ending: bytes) -> Iterator[Piece]:
        """A vehicle's head and fixes each, from each of `starts` to the next, a comma before each entry.

        Nothing of one that was deleted meanwhile.
        """
        openings = self._openings(_directory(call).assets, before, fixes["asset"][starts].tolist())
        there = [one for one in openings if one is not None]
        if not there:
            return
        if len(there) < len(openings):
            is_there = np.array([one is not None for one in openings])
            rows = np.repeat(is_there, np.diff(starts, append=len(fixes)))
            fixes, starts = fixes[rows], np.cumsum(rows)[starts[is_there]] - 1
        if self._speller is None or self._speller.geocoder is not call.context.geocoder:
            self._speller = Speller(self._spelling, call.context.geocoder)
        yield from self._speller.spell(fixes, Groups(starts, there, ending), self._addresses(call, fixes))

    def _openings(self, shelf: Shelf, before: bytes, assets: list[int]) -> list[bytes | None]:
        """What entries begin with; None for vehicles that are gone. Kept while all vehicles stay as they are."""
        if self._kept_in is not shelf or self._kept_as_of != shelf.changes:
            self._kept, self._kept_in, self._kept_as_of = {}, shelf, shelf.changes
        kept = self._kept.setdefault(before, {})
        if len(kept) > KEPT_OPENINGS:
            kept.clear()
        found = [kept.get(asset) for asset in assets]
        if None in found:
            heads = shelf.heads_with_external_ids if self._spelling.names_external_ids else shelf.heads
            for asset, head in zip(assets, heads(assets), strict=True):
                if head is not None:
                    kept[asset] = b"".join((b",", head, before))
            found = [kept.get(asset) for asset in assets]
        return found

    def _fields(self, call: Call, kind: str) -> tuple[int, ...]:
        after = call.query.text(AFTER)
        if not after:
            return ()
        return call.context.cursors.decode(kind, call.principal.org, after, call.context.clock.now_ms())

    def _cursor(self, call: Call, kind: str, *fields: int) -> str:
        return call.context.cursors.encode(kind, call.principal.org, fields, call.context.clock.now_ms())


def feed_cursor(call: Call, spelling: Spelling, after: Seq) -> str:
    """The cursor with which a feed goes on after this seq."""
    context = call.context
    return context.cursors.encode(
        f"{spelling.name}.feed", call.principal.org, (_AFTER, after), context.clock.now_ms()
    )


def _directory(call: Call) -> Directory:
    return call.context.live.directory


def _filter(call: Call) -> Assets | None:
    """The assets that this call may see and asks for, ascending; None for all of the org."""
    query = call.query
    return _directory(call).select(
        call.principal, query.csv(TAG_IDS), query.csv(PARENT_TAG_IDS), query.csv(VEHICLE_IDS)
    )


def assets_of(call: Call) -> Assets:
    """The assets that this call may see and asks for, ascending."""
    wanted = _filter(call)
    return _directory(call).assets.roll(call.principal.org).numbers if wanted is None else wanted


def _page(assets: Assets, last: int, size: int) -> tuple[Assets, bool]:
    """The next `size` assets after `last`, and whether there are more."""
    rest = assets[int(np.searchsorted(assets, last, side="right")) :]
    return rest[:size], len(rest) > size


def _by_asset(fixes: Fixes) -> npt.NDArray[np.int64]:
    """The order of vehicles, each one's fixes as they are: whole numbers sort faster than a stable sort does."""
    bits = len(fixes).bit_length()
    keys = fixes["asset"].astype(np.int64) << bits | np.arange(len(fixes))
    return np.sort(keys) & ((1 << bits) - 1)


def _parted(starts: Rows) -> Iterator[tuple[int, int]]:
    """First group, and the one behind the last, of parts of about SLICE and of at least one group each."""
    spent = starts + VEHICLE * np.arange(len(starts))
    cuts = np.searchsorted(spent, np.arange(0, int(spent[-1]) + SLICE, SLICE))
    return pairwise(np.unique(np.append(cuts, len(starts))).tolist())


def _address(address: Address) -> str:
    """The end of a fix that names the address it lies in."""
    return f',"address":{to_json({"id": str(address.number), "name": address.name}).decode()}'


def _newest(call: Call, assets: Assets) -> Fixes:
    return call.context.live.snapshot.newest(assets)


def _answer(entries: Sequence[Piece], cursor: str, more: bool) -> Answer:
    """`entries` begin with a comma, which the first does without."""
    has_next = b"true" if more else b"false"
    tail = b'],"pagination":{"endCursor":"%b","hasNextPage":%b}}' % (cursor.encode(), has_next)
    text = [part for part in entries if part]
    return Answer(b"".join((b'{"data":[', memoryview(text[0])[1:] if text else b"", *text[1:], tail)))
