"""`/live-shares`: public links that show where something is, until they should not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, read_new, read_patch, read_time
from odograph.api.resources.base import Answer, Call, Endpoint, Limit, Pagination, Param
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import shares
from odograph.errors import invalid, not_found, unavailable
from odograph.live.entity import Entity
from odograph.model.access import Principal, Scope
from odograph.model.catalog import LiveShare
from odograph.sharing.base import Sight
from odograph.sharing.by_asset import AssetShareConfig, NewAssetShareConfig
from odograph.sharing.by_location import LocationShareConfig
from odograph.sharing.by_route import RouteShareConfig
from odograph.sharing.registry import SHARE_TYPES

KIND: Final = "live-shares"
MAX_PAGE: Final = 100
WRITES: Final = Limit(100, 60)
READS: Final = Limit(5, 1)
LIMIT: Final = Param("limit", "int", "Links a page.", minimum=1, maximum=MAX_PAGE)
IDS: Final = Param("ids", "csv", "Only these links.")
TYPE: Final = Param("type", "string", "Only links of this type.", values=("all", *SHARE_TYPES))
ID: Final = Param("id", "string", "The link.", required=True)
_TRAIL: Final = re.compile(r"minutes:(\d{1,4})", re.ASCII)

ShareName = Annotated[str, msgspec.Meta(max_length=shares.MAX_TEXT)]
Metres = Annotated[int, msgspec.Meta(ge=100, le=1_000_000)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=1440)]


class DiscloseWithin(msgspec.Struct, rename="camel", kw_only=True):
    """Shown only this near to where it is bound, or this long before it is planned or expected there.

    In a PATCH what is absent stays, and null removes.
    """

    meters: Metres | UnsetType | None = UNSET
    minutes: Minutes | UnsetType | None = UNSET


class ShareOptions(msgspec.Struct, rename="camel", kw_only=True):
    """Our extensions. `trail` is `none`, `sinceStart` or `minutes:N` (1 to 1440). In a PATCH null removes."""

    starts_at_time: str | UnsetType | None = UNSET
    trail: str | UnsetType | None = UNSET
    ends_on_arrival: bool | UnsetType | None = UNSET
    planned_arrival_time: str | UnsetType | None = UNSET
    disclose_within: DiscloseWithin | UnsetType | None = UNSET
    shown_name: ShareName | UnsetType | None = UNSET


class NewLiveShare(msgspec.Struct, rename="camel", kw_only=True):
    """A new link. Of the three configs the one that belongs to `type` counts; the others are not looked at."""

    name: ShareName
    type: Literal["assetsLocation", "assetsNearLocation", "assetsOnRoute"]
    assets_location_link_config: NewAssetShareConfig | UnsetType = UNSET
    assets_near_location_link_config: LocationShareConfig | UnsetType = UNSET
    assets_on_route_link_config: RouteShareConfig | UnsetType = UNSET
    description: ShareName | UnsetType = UNSET
    expires_at_time: str | UnsetType = UNSET
    odograph: ShareOptions | UnsetType = UNSET


class _Typed(msgspec.Struct):
    """What says which of the configs counts."""

    type: Literal["assetsLocation", "assetsNearLocation", "assetsOnRoute"]


class LiveSharePatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null removes. Type and config stay as they are."""

    name: ShareName
    description: ShareName | UnsetType | None = UNSET
    expires_at_time: str | UnsetType | None = UNSET
    odograph: ShareOptions | UnsetType | None = UNSET


class LiveShareAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A link; without `expiresAtTime` it never expires."""

    id: str
    live_sharing_url: str
    name: str
    type: str
    assets_location_link_config: AssetShareConfig | UnsetType = UNSET
    assets_near_location_link_config: LocationShareConfig | UnsetType = UNSET
    assets_on_route_link_config: RouteShareConfig | UnsetType = UNSET
    description: str | UnsetType = UNSET
    expires_at_time: Time | UnsetType = UNSET
    odograph: ShareOptions | UnsetType = UNSET


class LiveShares(msgspec.Struct, kw_only=True):
    """A page of links that have not expired, oldest first."""

    data: list[LiveShareAnswer]
    pagination: Pagination


class OneLiveShare(msgspec.Struct, kw_only=True):
    """One link."""

    data: LiveShareAnswer


async def list_live_shares(call: Call) -> Answer:
    """A page of links that have not expired."""
    now_ms = call.context.clock.now_ms()
    rest = (one for one in visible(call, KIND) if not shares.is_expired(one.body, now_ms))
    page, pagination = await take_page(call, KIND, call.query.integer(LIMIT, MAX_PAGE), rest, place_of)
    return Answer(to_json(LiveShares(data=[_shown(call, one) for one in page], pagination=pagination)))


async def create_live_share(call: Call) -> Answer:
    """A new link."""
    share_type = SHARE_TYPES[read_new(call.body, _Typed).type]
    foreign = {one.config_key for one in SHARE_TYPES.values() if one is not share_type}
    body = read_new(call.body, NewLiveShare, without=foreign)
    config = getattr(body, share_type.field)
    if isinstance(config, UnsetType):
        raise invalid(f"Field '{share_type.config_key}' is required for the type {share_type.name}.")
    share = await shares.create(
        call.context.catalog,
        call.context.server_key,
        call.principal.org,
        share_type.name,
        config,
        _fields(body),
        limit=call.principal.tag_ids,
    )
    return one_share(call, share)


async def change_live_share(call: Call) -> Answer:
    """Change name, description, expiry or options of a link that has not expired."""
    share = _living(call)
    body = read_patch(call.body, LiveSharePatch)
    url_of(call, share)  # before anything is changed: refuses where the answer could not say it
    changed = await shares.update(call.context.catalog, share.org, share.body.share_id, _fields(body))
    return one_share(call, changed)


async def delete_live_share(call: Call) -> Answer:
    """Revoke a link that has not expired: its URL opens nothing from now on."""
    share = _living(call)
    await shares.remove(call.context.catalog, share.org, share.body.share_id)
    return Answer(status=204)


def visible(call: Call, kind: str) -> Iterator[Entity[LiveShare]]:
    """What this call may see of what it asks for, expired ones too, after the place of its cursor."""
    ids, wanted = call.query.csv(IDS), call.query.text(TYPE) or "all"
    is_filtered = bool(ids)
    for share in call.context.live.directory.shares.list_(call.principal.org, started_after(call, kind)):
        is_asked = not is_filtered or share.body.share_id in ids
        if is_asked and wanted in {"all", share.body.type} and sees(call.principal, share):
            yield share


def place_of(share: Entity[LiveShare]) -> int:
    """Links are listed by record, which is the order in which they were made."""
    return share.id


def sees(principal: Principal, share: Entity[LiveShare]) -> bool:
    """A token that is limited to tags knows of links within its own limits alone.

    Nobody sees a link of a type that only a later version knows.
    """
    if share.body.type not in SHARE_TYPES:
        return False
    if principal.tag_ids is None:
        return True
    return bool(share.body.limit_tag_ids) and principal.tag_ids.issuperset(share.body.limit_tag_ids)


def asked(call: Call, share_id: str) -> Entity[LiveShare]:
    """The link of this id, expired or not. NOT_FOUND also where this token may not see it."""
    share = call.context.live.directory.shares.find_by_share_id(call.principal.org, share_id)
    if share is None or not sees(call.principal, share):
        raise not_found(f"There is no live share {share_id[:80]!r}.")
    return share


def url_of(call: Call, share: Entity[LiveShare]) -> str:
    """The link's URL. UNAVAILABLE where the server key is another than it was made with."""
    url = shares.url(call.context.server_key, call.context.public_url, share)
    if url is None:
        raise unavailable(
            f"The server key was replaced after the link {share.body.share_id} was made, so that its URL can't be"
            " shown. Put the old server.key back, or give the link a new URL:"
            " POST /odograph/live-shares/{id}/rotate, or odograph share rotate.",
            retry_after_s=60,
        )
    return url


def one_share(call: Call, share: Entity[LiveShare]) -> Answer:
    """The link as an answer."""
    return Answer(to_json(OneLiveShare(data=_shown(call, share))))


def fields_shown(call: Call, share: Entity[LiveShare]) -> dict[str, Any]:
    """The fields of LiveShareAnswer, apart from the URL."""
    body = share.body
    share_type = SHARE_TYPES[body.type]
    return {
        "id": body.share_id,
        "name": body.name,
        "type": body.type,
        share_type.field: share_type.render(
            body, Sight(call.context.live.directory, share.org, call.principal.tag_ids)
        ),
        "description": body.description or UNSET,
        "expires_at_time": _time(body.expires_ms),
        "odograph": _options(body),
    }


def _living(call: Call) -> Entity[LiveShare]:
    share_id = call.query.text(ID) or ""
    share = asked(call, share_id)
    if shares.is_expired(share.body, call.context.clock.now_ms()):
        raise not_found(
            f"The live share {share_id!r} has expired. POST /odograph/live-shares/{{id}}/reactivate opens it."
        )
    return share


def _shown(call: Call, share: Entity[LiveShare]) -> LiveShareAnswer:
    return LiveShareAnswer(live_sharing_url=url_of(call, share), **fields_shown(call, share))


def _options(body: LiveShare) -> ShareOptions | UnsetType:
    within = DiscloseWithin(meters=body.disclose_m or UNSET, minutes=body.disclose_min or UNSET)
    trail = "sinceStart" if body.trail_min == shares.SINCE_START else f"minutes:{body.trail_min}"
    options = ShareOptions(
        starts_at_time=_time(body.starts_ms),
        trail=trail if body.trail_min else UNSET,
        ends_on_arrival=body.ends_on_arrival or UNSET,
        planned_arrival_time=_time(body.planned_arrival_ms),
        disclose_within=within if body.disclose_m or body.disclose_min else UNSET,
        shown_name=body.shown_name or UNSET,
    )
    return UNSET if options == ShareOptions() else options


def _time(time_ms: int) -> str | UnsetType:
    return render_time(time_ms) if time_ms else UNSET


def _fields(body: NewLiveShare | LiveSharePatch) -> shares.ShareFields:
    return shares.ShareFields(
        name=body.name,
        description=_text(body.description),
        expires_ms=_moment("expiresAtTime", body.expires_at_time),
        **_given_options(body.odograph),
    )


def _given_options(options: ShareOptions | UnsetType | None) -> dict[str, Any]:
    """The fields of ShareFields that these options mean; null for all of them resets all."""
    if isinstance(options, UnsetType):
        return {}
    if options is None:
        options = ShareOptions(**dict.fromkeys(ShareOptions.__struct_fields__))
    arrival = options.ends_on_arrival
    return {
        "starts_ms": _moment("odograph.startsAtTime", options.starts_at_time),
        "trail_min": _trail_min(options.trail),
        "ends_on_arrival": arrival if isinstance(arrival, UnsetType) else bool(arrival),
        "planned_arrival_ms": _moment("odograph.plannedArrivalTime", options.planned_arrival_time),
        "shown_name": _text(options.shown_name),
        **_given_limits(options.disclose_within),
    }


def _given_limits(within: DiscloseWithin | UnsetType | None) -> dict[str, int | UnsetType]:
    if isinstance(within, UnsetType):
        return {}
    if within is None:
        return {"disclose_m": 0, "disclose_min": 0}
    if isinstance(within.meters, UnsetType) and isinstance(within.minutes, UnsetType):
        raise invalid("Field 'odograph.discloseWithin': give meters, minutes or both.")
    return {
        "disclose_m": 0 if within.meters is None else within.meters,
        "disclose_min": 0 if within.minutes is None else within.minutes,
    }


def _trail_min(trail: str | UnsetType | None) -> int | UnsetType:
    if isinstance(trail, UnsetType):
        return UNSET
    known = {None: 0, "": 0, "none": 0, "sinceStart": shares.SINCE_START}
    if trail in known:
        return known[trail]
    minutes = _TRAIL.fullmatch(trail or "")
    if minutes is None or not 1 <= int(minutes[1]) <= shares.MAX_TRAIL_MIN:
        raise invalid("Field 'odograph.trail' must be none, sinceStart, or minutes:N with N between 1 and 1440.")
    return int(minutes[1])


def _moment(field: str, text: str | UnsetType | None) -> int | UnsetType:
    if isinstance(text, UnsetType):
        return UNSET
    return read_time(field, text) if text else 0


def _text(text: str | UnsetType | None) -> str | UnsetType:
    return text if isinstance(text, UnsetType) else text or ""


class LiveSharesResource:
    """The vendor's four calls."""

    name = "Live sharing links"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_SHARES, Scope.WRITE_SHARES, "/live-shares"
        return (
            Endpoint(
                "GET", path, read, list_live_shares, "List live sharing links that have not expired",
                params=(IDS, TYPE, LIMIT, AFTER), answers=LiveShares, limit=READS,
            ),
            Endpoint(
                "POST", path, write, create_live_share, "Make a live sharing link",
                takes=NewLiveShare, answers=OneLiveShare, limit=WRITES,
            ),
            Endpoint(
                "PATCH", path, write, change_live_share, "Change a live sharing link",
                params=(ID,), takes=LiveSharePatch, answers=OneLiveShare, limit=WRITES,
            ),
            Endpoint(
                "DELETE", path, write, delete_live_share, "Revoke a live sharing link", params=(ID,), limit=WRITES
            ),
        )  # fmt: skip


RESOURCE = LiveSharesResource()
