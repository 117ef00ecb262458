"""Pages of catalogue objects: a full page wherever there is enough, and an empty cursor at the end.

Some clients stop at the first empty page and others loop until the cursor is empty, so a page is cut by what
it holds and never by what was looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import numpy as np

from odograph.api.params import AFTER, PARENT_TAG_IDS, TAG_IDS
from odograph.api.resources.base import Call, Pagination, Param
from odograph.live.entity import Entity
from odograph.live.numbered import Tagged
from odograph.model.catalog import Address, Asset, Driver
from odograph.model.ids import AssetId, TagId

T = TypeVar("T")
C = TypeVar("C", bound=Address | Driver)

_PAUSE_AFTER: Final = 512  # objects looked at between two chances for other requests

CREATED_AFTER: Final = Param(
    "createdAfterTime", "time", "Only what was made at or after this moment.", is_bound=True
)
UPDATED_AFTER: Final = Param(
    "updatedAfterTime", "time", "Only what was changed at or after this moment.", is_bound=True
)
ATTRIBUTES: Final = (
    Param("attributeValueIds", "csv", "Accepted; nothing has attributes here, so that nothing matches."),
    Param("attributes", "csv", "Accepted; nothing has attributes here, so that nothing matches."),
)


def started_after(call: Call, kind: str) -> int:
    """The place in this call's cursor, 0 without one. INVALID for a cursor that is not this list's."""
    after = call.query.text(AFTER)
    if after is None:
        return 0
    context = call.context
    fields = context.cursors.decode(kind, call.principal.org, after, context.clock.now_ms())
    return fields[0]


async def take_page(
    call: Call, kind: str, size: int, rest: Iterator[T], place: Callable[[T], int]
) -> tuple[list[T], Pagination]:
    """The next `size` of `rest`, and where to go on: after the `place` of the last one."""
    taken: list[T] = []
    for looked_at, one in enumerate(rest, 1):
        if len(taken) == size:
            context = call.context
            cursor = context.cursors.encode(kind, call.principal.org, (place(taken[-1]),), context.clock.now_ms())
            return taken, Pagination(cursor, has_next_page=True)
        taken.append(one)
        if looked_at % _PAUSE_AFTER == 0:
            await asyncio.sleep(0)
    return taken, Pagination("", has_next_page=False)


def carriers_after(call: Call, shelf: Tagged[C], after: int) -> Iterator[Entity[C]]:
    """Of this call's filters those with number > `after` that the principal sees; the tag filters are united."""
    query, org, limit = call.query, call.principal.org, call.principal.tag_ids
    tag_ids, parent_ids, created_ms = query.csv(TAG_IDS), query.csv(PARENT_TAG_IDS), query.time_ms(CREATED_AFTER)
    is_filtered = bool(tag_ids or parent_ids)
    wanted = call.context.live.directory.tags_meant(call.principal, tag_ids, parent_ids)
    for one in shelf.list_(org, after):
        carried = set(map(TagId, one.body.tag_ids))
        is_wanted = not (is_filtered and wanted.isdisjoint(carried)) and (created_ms or 0) <= one.body.created_ms
        if is_wanted and not (limit is not None and limit.isdisjoint(carried)):
            yield one


def place_of_asset(entity: Entity[Asset]) -> int:
    """Assets are listed by number."""
    return entity.body.number


def assets_after(call: Call, after: int, ids: tuple[str, ...] = ()) -> Iterator[Entity[Asset]]:
    """Assets of this call's filters with number > `after`, each read when it is its turn.

    `ids` (public or external) are united with the tag filters.
    """
    query, directory, org = call.query, call.context.live.directory, call.principal.org
    if any(query.csv(param) for param in ATTRIBUTES):
        return
    chosen = directory.select(call.principal, query.csv(TAG_IDS), query.csv(PARENT_TAG_IDS), ids, "ids")
    numbers = directory.assets.roll(org).numbers if chosen is None else chosen
    updated_ms, created_ms = query.time_ms(UPDATED_AFTER), query.time_ms(CREATED_AFTER)
    for number in numbers[int(np.searchsorted(numbers, after, side="right")) :].tolist():
        asset = directory.assets.find_by_number(org, AssetId(number))
        if asset is None:
            continue
        if (updated_ms or 0) <= asset.body.updated_ms and (created_ms or 0) <= asset.body.created_ms:
            yield asset
