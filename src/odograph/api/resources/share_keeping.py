"""`/odograph/live-shares`: links beyond the vendor's calls: expired ones, opened again, another URL, the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import take_page
from odograph.api.params import AFTER, read_new, read_time
from odograph.api.positions import feed_cursor
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination, Param
from odograph.api.resources.live_shares import (
    IDS,
    LIMIT,
    MAX_PAGE,
    READS,
    TYPE,
    WRITES,
    OneLiveShare,
    ShareOptions,
    asked,
    fields_shown,
    one_share,
    place_of,
    url_of,
    visible,
)
from odograph.api.spelling import LOCATIONS
from odograph.api.wire import Count, Time, render_time, to_json
from odograph.catalog import shares
from odograph.errors import invalid
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import LiveShare
from odograph.model.ids import AssetId, Seq, render_asset_id
from odograph.sharing.by_asset import AssetShareConfig
from odograph.sharing.by_location import LocationShareConfig
from odograph.sharing.by_route import RouteShareConfig
from odograph.sharing.ledger import MINUTE_MS, Disclosed
from odograph.store.base import LedgerEntry

KIND: Final = "odograph.live-shares"
LEDGER_ROWS: Final = 5000  # of a page: some days of a link that is looked at all the time
State = Literal["active", "scheduled", "expired"]
STATE: Final = Param(
    "state", "string", "Only links in this state; `active` has those that are scheduled too.",
    values=("all", "active", "expired"),
)  # fmt: skip
START: Final = Param("startTime", "time", "From this minute on; without it, since the link was made.")
END: Final = Param("endTime", "time", "Up to this moment; without it, until now.", is_bound=True)


class KeptShare(msgspec.Struct, rename="camel", kw_only=True):
    """A link with its state. Without `liveSharingUrl` it must be rotated: the server key was replaced."""

    id: str
    state: State
    live_sharing_url: str | UnsetType = UNSET
    name: str
    type: str
    assets_location_link_config: AssetShareConfig | UnsetType = UNSET
    assets_near_location_link_config: LocationShareConfig | UnsetType = UNSET
    assets_on_route_link_config: RouteShareConfig | UnsetType = UNSET
    description: str | UnsetType = UNSET
    expires_at_time: Time | UnsetType = UNSET
    created_at_time: Time
    updated_at_time: Time
    odograph: ShareOptions | UnsetType = UNSET


class KeptShares(msgspec.Struct, kw_only=True):
    """A page of links, oldest first."""

    data: list[KeptShare]
    pagination: Pagination


class Reactivation(msgspec.Struct, rename="camel", kw_only=True):
    """Until when the link is open; for ever without a time."""

    expires_at_time: str | UnsetType = UNSET


class LedgerMinute(msgspec.Struct, rename="camel", kw_only=True):
    """What a link disclosed within one minute.

    The cursors are of `/fleet/vehicles/locations/feed`: from `firstCursor` on it begins with the first fix that
    was disclosed, from `lastCursor` on with what came after the last one. `streamsHighest` counts streams that were
    open at once, not persons.
    """

    time: Time
    asset_ids: list[str]
    page_loads: Count
    polls: Count
    streams_highest: Count
    first_cursor: str | UnsetType = UNSET
    last_cursor: str | UnsetType = UNSET


class Ledger(msgspec.Struct, rename="camel", kw_only=True):
    """Minutes in which anything was disclosed, oldest first. With `nextStartTime` there are more from there on."""

    data: list[LedgerMinute]
    next_start_time: Time | UnsetType = UNSET


async def list_kept(call: Call) -> Answer:
    """A page of links, expired ones too."""
    now_ms = call.context.clock.now_ms()
    wanted = call.query.text(STATE) or "all"
    rest = (
        one
        for one in visible(call, KIND)
        if wanted == "all" or (wanted == "expired") == shares.is_expired(one.body, now_ms)
    )
    page, pagination = await take_page(call, KIND, call.query.integer(LIMIT, MAX_PAGE), rest, place_of)
    return Answer(to_json(KeptShares(data=[_kept(call, one) for one in page], pagination=pagination)))


async def reactivate(call: Call) -> Answer:
    """Open an expired link again, under its old URL."""
    share = asked(call, call.path["id"])
    body = read_new(call.body, Reactivation)
    expires = body.expires_at_time
    expires_ms = read_time("expiresAtTime", expires) if not isinstance(expires, UnsetType) and expires else 0
    url_of(call, share)
    opened = await shares.reactivate(call.context.catalog, share.org, share.body.share_id, expires_ms)
    return one_share(call, opened)


async def rotate(call: Call) -> Answer:
    """Give a link another URL; the one it had opens nothing from now on."""
    share = asked(call, call.path["id"])
    catalog, key = call.context.catalog, call.context.server_key
    return one_share(call, await shares.rotate(catalog, key, share.org, share.body.share_id))


async def delete_kept(call: Call) -> Answer:
    """Delete a link, expired or not."""
    share = asked(call, call.path["id"])
    await shares.remove(call.context.catalog, share.org, share.body.share_id, may_be_expired=True)
    return Answer(status=204)


async def read_ledger(call: Call) -> Answer:
    """What a link disclosed, minute by minute."""
    share = asked(call, call.path["id"])
    start_ms, end_ms = call.query.time_ms(START), call.query.time_ms(END)
    start = max(share.body.created_ms if start_ms is None else start_ms, 0) // MINUTE_MS
    end = -(-max(call.context.clock.now_ms() if end_ms is None else end_ms, 0) // MINUTE_MS)
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        raise invalid("Parameter 'endTime' is before 'startTime'; it must be the same or later.")
    entries = await call.context.store.read_ledger(share.org, share.id, start, end, LEDGER_ROWS + 1)
    rest: Time | UnsetType = UNSET
    if len(entries) > LEDGER_ROWS:
        last = entries[-1].minute  # perhaps not whole
        rest = render_time(last * MINUTE_MS)
        entries = [one for one in entries if one.minute < last]
    minutes = [_minute(call, minute, some) for minute, some in groupby(entries, key=lambda one: one.minute)]
    return Answer(to_json(Ledger(data=minutes, next_start_time=rest)))


def _kept(call: Call, share: Entity[LiveShare]) -> KeptShare:
    context, body = call.context, share.body
    now_ms = context.clock.now_ms()
    is_expired = shares.is_expired(body, now_ms)
    return KeptShare(
        live_sharing_url=shares.url(context.server_key, context.public_url, share) or UNSET,
        state="expired" if is_expired else "scheduled" if body.starts_ms > now_ms else "active",
        created_at_time=render_time(body.created_ms),
        updated_at_time=render_time(body.updated_ms),
        **fields_shown(call, share),
    )


def _minute(call: Call, minute: int, entries: Iterable[LedgerEntry]) -> LedgerMinute:
    """Several runs of the server may have been open in one minute, one after the other."""
    parts = [msgspec.json.decode(one.body, type=Disclosed) for one in entries]
    firsts = [part.first_seq for part in parts if part.first_seq]
    last = max(part.last_seq for part in parts)
    assets = {number for part in parts for number in part.assets}
    return LedgerMinute(
        time=render_time(minute * MINUTE_MS),
        asset_ids=[render_asset_id(AssetId(number)) for number in sorted(assets)],
        page_loads=sum(part.page_loads for part in parts),
        polls=sum(part.polls for part in parts),
        streams_highest=max(part.streams_highest for part in parts),
        first_cursor=feed_cursor(call, LOCATIONS, Seq(min(firsts) - 1)) if firsts else UNSET,
        last_cursor=feed_cursor(call, LOCATIONS, Seq(last)) if firsts else UNSET,
    )


class ShareKeeping:
    """List all, open again, rotate, delete, read the ledger."""

    name = "Keeping live sharing links"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_SHARES, Scope.WRITE_SHARES, "/odograph/live-shares"
        one = f"{path}/{{id}}"
        return (
            Endpoint(
                "GET", path, read, list_kept, "List live sharing links, expired ones too",
                params=(IDS, TYPE, STATE, LIMIT, AFTER), answers=KeptShares, limit=READS, is_extension=True,
            ),
            Endpoint(
                "POST", f"{one}/reactivate", write, reactivate, "Open an expired live sharing link again",
                takes=Reactivation, answers=OneLiveShare, limit=WRITES, is_extension=True,
            ),
            Endpoint(
                "POST", f"{one}/rotate", write, rotate, "Give a live sharing link another URL",
                answers=OneLiveShare, limit=WRITES, is_extension=True,
            ),
            Endpoint(
                "DELETE", one, write, delete_kept, "Delete a live sharing link, expired or not",
                limit=WRITES, is_extension=True,
            ),
            Endpoint(
                "GET", f"{one}/ledger", read, read_ledger, "What a live sharing link disclosed",
                params=(START, END), answers=Ledger, limit=READS, is_extension=True,
            ),
        )  # fmt: skip


RESOURCE = ShareKeeping()
