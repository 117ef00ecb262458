"""`/odograph/shareable`: what a link may be made of, by id and name, for who may make links and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final

import msgspec
import numpy as np

from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination, Param
from odograph.api.wire import to_json
from odograph.model.access import Scope
from odograph.model.ids import AssetId, render_asset_id
from odograph.sharing.base import Sight

TYPE: Final = Param(
    "type", "string", "What to list.", required=True, values=("vehicles", "tags", "addresses", "routes")
)
QUERY: Final = Param("q", "string", "Only what has this in its name, or in its plate, in whatever case.")


class Shareable(msgspec.Struct, kw_only=True):
    """Something that a link may be made of."""

    id: str
    name: str


class Shareables(msgspec.Struct, kw_only=True):
    """A page, by id. Routes: recurring ones, and single ones that have not ended."""

    data: list[Shareable]
    pagination: Pagination


Numbered = tuple[int, str, str]
"""Number, name, and what else it is found by."""


async def list_shareable(call: Call) -> Answer:
    """A page of what this token may share."""
    wanted, text = call.query.text(TYPE) or "", (call.query.text(QUERY) or "").casefold()
    kind = f"shareable.{wanted}"
    after = started_after(call, kind)
    rest = (
        (number, name)
        for number, name, other in _EVERY[wanted](call, after)
        if text in name.casefold() or (text and text in other.casefold())
    )
    page, pagination = await take_page(call, kind, call.query.integer(LIMIT, MAX_PAGE), rest, lambda one: one[0])
    data = [Shareable(id=_id(wanted, number), name=name) for number, name in page]
    return Answer(to_json(Shareables(data=data, pagination=pagination)))


def _id(wanted: str, number: int) -> str:
    return render_asset_id(AssetId(number)) if wanted == "vehicles" else str(number)


def _vehicles(call: Call, after: int) -> Iterator[Numbered]:
    directory, org = call.context.live.directory, call.principal.org
    chosen = directory.select(call.principal)
    numbers = directory.assets.roll(org).numbers if chosen is None else chosen
    for number in numbers[int(np.searchsorted(numbers, after, side="right")) :].tolist():
        asset = directory.assets.find_by_number(org, AssetId(number))
        if asset is not None:
            yield number, asset.body.name, asset.body.license_plate


def _tags(call: Call, after: int) -> Iterator[Numbered]:
    sight = _sight(call)
    for tag in sight.directory.tags.list_(sight.org, after):
        if sight.sees((tag.body.number,)):
            yield tag.body.number, tag.body.name, ""


def _addresses(call: Call, after: int) -> Iterator[Numbered]:
    sight = _sight(call)
    for address in sight.directory.addresses.list_(sight.org, after):
        if sight.sees(address.body.tag_ids):
            yield address.body.number, address.body.name, address.body.formatted_address


def _routes(call: Call, after: int) -> Iterator[Numbered]:
    """One counter numbers both. Runs of a recurring route are shared by it."""
    sight = _sight(call)
    recurring = (
        (one.body.number, one.body.name, "")
        for one in sight.directory.recurring.list_(sight.org, after)
        if sight.sees_route(one.body.tag_ids, one.body.asset_id)
    )
    single = (
        (one.body.number, one.body.name, "")
        for one in sight.directory.routes.list_(sight.org, after)
        if not (one.body.ended_ms or one.body.recurring_id)
        and sight.sees_route(one.body.tag_ids, one.body.asset_id)
    )
    return merge(recurring, single)


def _sight(call: Call) -> Sight:
    return Sight(call.context.live.directory, call.principal.org, call.principal.tag_ids)


_EVERY: Final = {"vehicles": _vehicles, "tags": _tags, "addresses": _addresses, "routes": _routes}


class ShareableResource:
    """One list."""

    name = "What can be shared"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        return (
            Endpoint(
                "GET", "/odograph/shareable", Scope.WRITE_SHARES, list_shareable, "What a link may be made of",
                params=(TYPE, QUERY, LIMIT, AFTER), answers=Shareables, is_extension=True,
            ),
        )  # fmt: skip


RESOURCE = ShareableResource()
