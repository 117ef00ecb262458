"""Live shares: made, changed, ended, opened again, given another key, and how much of the past each then shows."""

from __future__ import annotations

import hmac
import math
import secrets
import string
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog.changes import Catalog, Plan, delete, found, put, written
from odograph.catalog.orgs import get as get_org
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare
from odograph.model.ids import OrgId, TagId
from odograph.sharing.base import Sight
from odograph.sharing.keys import key_hash, link_key, link_url
from odograph.sharing.registry import SHARE_TYPES
from odograph.store.base import INSTALL

MAX_TEXT: Final = 255
MAX_TRAIL_MIN: Final = 1440
SINCE_START: Final = -1
_ID_LENGTH: Final = 20
_ID_DIGITS: Final = string.ascii_lowercase + string.digits


class ShareFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is; 0, "" and False empty it. Times in epoch ms."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    expires_ms: int | UnsetType = UNSET
    starts_ms: int | UnsetType = UNSET
    trail_min: int | UnsetType = UNSET
    ends_on_arrival: bool | UnsetType = UNSET
    planned_arrival_ms: int | UnsetType = UNSET
    disclose_m: int | UnsetType = UNSET
    disclose_min: int | UnsetType = UNSET
    shown_name: str | UnsetType = UNSET


async def create(
    catalog: Catalog,
    server_key: bytes,
    org: OrgId,
    type_name: str,
    config: msgspec.Struct,
    fields: ShareFields,
    *,
    limit: frozenset[TagId] | None = None,
) -> Entity[LiveShare]:
    """A new link of a type of `SHARE_TYPES`, whose request struct `config` is.

    `limit` holds the tags of the token that makes it: the link never shows anything beyond them. INVALID names
    the field that can't be kept; NOT_FOUND for the org.
    """

    def plan() -> Plan[Entity[LiveShare]]:
        get_org(catalog.directory, org)
        now_ms = catalog.clock.now_ms()
        share_type = SHARE_TYPES[type_name]
        share_id = "".join(secrets.choice(_ID_DIGITS) for _ in range(_ID_LENGTH))
        bare = LiveShare(
            share_id=share_id,
            name="",
            type=type_name,
            created_ms=now_ms,
            updated_ms=now_ms,
            key_hash=_key_hash(server_key, share_id, 0),
            limit_tag_ids=tuple(sorted(limit or ())),
        )
        view = share_type.parse(config, Sight(catalog.directory, org, limit))
        body = _checked(msgspec.structs.replace(bare, **view), fields, now_ms)
        return Plan([put(None, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(catalog: Catalog, org: OrgId, share_id: str, fields: ShareFields) -> Entity[LiveShare]:
    """Put the given fields in. NOT_FOUND, also of one that has expired; INVALID names the field.

    What could show more of the past than before shows none of it: the past then begins now, and where a limit
    was widened, all that it shows.
    """

    def plan() -> Plan[Entity[LiveShare]]:
        now_ms = catalog.clock.now_ms()
        old = get_living(catalog.directory, org, share_id, now_ms)
        body = _checked(old.body, fields, now_ms)
        if body == old.body:
            return Plan([], lambda _: old)
        body = msgspec.structs.replace(
            body,
            updated_ms=now_ms,
            shown_from_ms=now_ms if _widens(old.body, body) else body.shown_from_ms,
            past_from_ms=now_ms if _lengthens(old.body, body) else body.past_from_ms,
        )
        return Plan([put(old, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def reactivate(catalog: Catalog, org: OrgId, share_id: str, expires_ms: int) -> Entity[LiveShare]:
    """Open an expired link again, under the URL that it had, until `expires_ms` (0: for ever).

    Like a new one it shows where everything is now, and no past from before. NOT_FOUND; INVALID where it has not
    expired.
    """

    def plan() -> Plan[Entity[LiveShare]]:
        now_ms = catalog.clock.now_ms()
        old = get(catalog.directory, org, share_id)
        if not is_expired(old.body, now_ms):
            raise invalid("This live share has not expired; change its expiresAtTime instead.")
        fields = ShareFields(expires_ms=expires_ms)
        body = _checked(old.body, fields, now_ms)
        body = msgspec.structs.replace(body, updated_ms=now_ms, past_from_ms=now_ms, has_arrived=False)
        return Plan([put(old, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def rotate(catalog: Catalog, server_key: bytes, org: OrgId, share_id: str) -> Entity[LiveShare]:
    """Give a link another key: the URL that it had opens nothing from now on. NOT_FOUND."""

    def plan() -> Plan[Entity[LiveShare]]:
        old = get(catalog.directory, org, share_id)
        rotation = old.body.rotation + 1
        body = msgspec.structs.replace(
            old.body,
            rotation=rotation,
            key_hash=_key_hash(server_key, share_id, rotation),
            updated_ms=catalog.clock.now_ms(),
        )
        return Plan([put(old, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def end(catalog: Catalog, share: Entity[LiveShare]) -> None:
    """Let a link that ends on arrival expire now; nothing happens where it has ended, or is no such link now."""

    def plan() -> Plan[None]:
        now_ms = catalog.clock.now_ms()
        old = catalog.directory.shares.find(share.org, share.id)
        if old is None or not old.body.ends_on_arrival or is_expired(old.body, now_ms):
            return Plan([], lambda _: None)
        body = msgspec.structs.replace(old.body, expires_ms=now_ms, updated_ms=now_ms, has_arrived=True)
        return Plan([put(old, share.org, body)], lambda _: None)

    await catalog.change(plan)


async def remove(catalog: Catalog, org: OrgId, share_id: str, *, may_be_expired: bool = False) -> None:
    """Revoke a link for good. NOT_FOUND, also of one that has expired unless it may."""

    def plan() -> Plan[None]:
        old = get(catalog.directory, org, share_id)
        if not may_be_expired:
            old = get_living(catalog.directory, org, share_id, catalog.clock.now_ms())
        return Plan([delete(old)], lambda _: None)

    await catalog.change(plan)


def get(directory: Directory, org: OrgId, share_id: str) -> Entity[LiveShare]:
    """A link by its id, expired or not. NOT_FOUND."""
    return found(directory.shares.find_by_share_id(org, share_id), "live share")


def get_living(directory: Directory, org: OrgId, share_id: str, now_ms: int) -> Entity[LiveShare]:
    """A link by its id that has not expired, started or not. NOT_FOUND."""
    share = directory.shares.find_by_share_id(org, share_id)
    return found(None if share is None or is_expired(share.body, now_ms) else share, "live share")


def is_expired(share: LiveShare, now_ms: int) -> bool:
    """Whether it has ended."""
    return 0 < share.expires_ms <= now_ms


def url(server_key: bytes, public_url: str, share: Entity[LiveShare]) -> str | None:
    """The URL that opens a link; None where the server key is another than the one it was made with."""
    key = link_key(server_key, share.body.share_id, share.body.rotation)
    if not hmac.compare_digest(key_hash(key), bytes.fromhex(share.body.key_hash)):
        return None
    return link_url(public_url, share.org, key)


def count_lost(directory: Directory, server_key: bytes) -> int:
    """How many links of the install have a URL that this server key no longer makes."""
    links = (share for org in directory.orgs.list_(INSTALL) for share in directory.shares.list_(OrgId(org.id)))
    return sum(url(server_key, "", share) is None for share in links)


def _key_hash(server_key: bytes, share_id: str, rotation: int) -> str:
    return key_hash(link_key(server_key, share_id, rotation)).hex()


def _checked(old: LiveShare, fields: ShareFields, now_ms: int) -> LiveShare:
    """The share with the given fields put in. INVALID names the one that can't be kept."""
    given = {field: value for field, value in msgspec.structs.asdict(fields).items() if value is not UNSET}
    new = msgspec.structs.replace(old, **given)
    has_description = SHARE_TYPES[new.type].has_description
    new = msgspec.structs.replace(
        new,
        name=check.name("name", new.name, MAX_TEXT),
        description=check.text("description", new.description, MAX_TEXT, may_break=True) if has_description else "",
        shown_name=check.text("odograph.shownName", new.shown_name, MAX_TEXT),
    )
    if "expires_ms" in given:
        _check_ahead("expiresAtTime", new.expires_ms, now_ms, "a link that never expires")
    if new.starts_ms != old.starts_ms:
        _check_ahead("odograph.startsAtTime", new.starts_ms, now_ms, "a link that has started")
    if new.expires_ms and new.starts_ms >= new.expires_ms:
        raise invalid("odograph.startsAtTime: must be before expiresAtTime.")
    _check_bound(new)
    return new


def _check_ahead(field: str, time_ms: int, now_ms: int, without: str) -> None:
    if time_ms and time_ms <= now_ms:
        raise invalid(f"{field}: lies in the past; give a later time, or none for {without}.")


def _check_bound(share: LiveShare) -> None:
    """Refuse what only means something of a vehicle that is bound somewhere."""
    is_bound = share.destination is not None or bool(share.address_id or share.route_id)
    is_by_asset = bool(share.asset_id or share.tag_ids)
    if share.ends_on_arrival and not (share.asset_id and is_bound):
        raise invalid("odograph.endsOnArrival: needs one vehicle, by assetId, and a location or addressId.")
    if share.planned_arrival_ms and not (is_by_asset and is_bound):
        raise invalid("odograph.plannedArrivalTime: needs a vehicle or tags with a location or addressId.")
    if (share.disclose_m or share.disclose_min) and not is_bound:
        raise invalid("odograph.discloseWithin: needs a location or addressId to be near to.")


def _lengthens(old: LiveShare, new: LiveShare) -> bool:
    """Whether more could be shown than before of what is not the newest."""
    return new.starts_ms < old.starts_ms or _trail(new) > _trail(old)


def _widens(old: LiveShare, new: LiveShare) -> bool:
    """Whether the newest could be shown where it was hidden before."""
    if new.disclose_min and new.planned_arrival_ms != old.planned_arrival_ms:
        return True
    if not (old.disclose_m or old.disclose_min):
        return False
    is_unlimited = not (new.disclose_m or new.disclose_min)
    return is_unlimited or new.disclose_m > old.disclose_m or new.disclose_min > old.disclose_min


def _trail(share: LiveShare) -> float:
    """Minutes of it."""
    return math.inf if share.trail_min == SINCE_START else share.trail_min
