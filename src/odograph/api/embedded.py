"""What answers show of other objects: vehicles, drivers, addresses, and the links that lead to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.resources.base import Call
from odograph.api.resources.vehicles import external_ids
from odograph.api.wire import Time, render_time
from odograph.catalog.routes import sees_vehicle
from odograph.live.entity import Entity
from odograph.model.access import carries
from odograph.model.catalog import LiveShare
from odograph.model.ids import AddressId, AssetId, render_asset_id
from odograph.sharing.keys import key_hash, link_key, link_url, stop_key


class Mini(msgspec.Struct, rename="camel", kw_only=True):
    """Another object, in short."""

    id: str
    name: str
    external_ids: dict[str, str] | UnsetType = UNSET


class MiniLink(msgspec.Struct, rename="camel", kw_only=True):
    """A live sharing link that shows this; without `expiresAtTime` it never ends."""

    name: str
    live_sharing_url: str
    expires_at_time: Time | UnsetType = UNSET


def vehicle(call: Call, number: int) -> Mini | UnsetType:
    """A vehicle, as far as this principal may see it."""
    principal, directory = call.principal, call.context.live.directory
    if not number or not sees_vehicle(directory, principal.org, AssetId(number), principal.tag_ids):
        return UNSET
    asset = directory.assets.find_by_number(principal.org, AssetId(number))
    if asset is None:
        return UNSET
    return Mini(
        id=render_asset_id(AssetId(number)), name=asset.body.name, external_ids=external_ids(asset.body) or UNSET
    )


def driver(call: Call, number: int) -> Mini | UnsetType:
    """A driver, as far as this principal may see him."""
    return _mini(call, call.context.live.directory.drivers.find_by_number(call.principal.org, number))


def address(call: Call, number: int) -> Mini | UnsetType:
    """An address, as far as this principal may see it."""
    return _mini(call, call.context.live.directory.addresses.find_by_number(call.principal.org, AddressId(number)))


def _mini(call: Call, one: Entity[Any] | None) -> Mini | UnsetType:
    if one is None or not carries(one.body.tag_ids, call.principal.tag_ids):
        return UNSET
    return Mini(id=str(one.body.number), name=one.body.name, external_ids=one.body.external_ids or UNSET)


def stop_url(call: Call, stop: int) -> str:
    """Where a stop's own live page is."""
    context = call.context
    return f"{context.public_url}/fleet/viewer/job/{stop_key(context.server_key, call.principal.org, stop)}"


class Links:
    """The org's links that have not expired and that this principal may see, by what they show."""

    def __init__(self, call: Call) -> None:
        self._call = call
        now_ms = call.context.clock.now_ms()
        self._by_route: dict[int, list[LiveShare]] = {}
        self._by_address: dict[int, list[LiveShare]] = {}
        for share in call.context.live.directory.shares.list_(call.principal.org):
            body = share.body
            if 0 < body.expires_ms <= now_ms or not self._is_visible(body):
                continue
            if body.type == "assetsOnRoute":
                self._by_route.setdefault(body.route_id, []).append(body)
            elif body.type == "assetsNearLocation":
                self._by_address.setdefault(body.address_id, []).append(body)

    def of_routes(self, numbers: Iterable[int]) -> list[MiniLink]:
        """Those that show one of these routes or recurring routes."""
        return [found for number in numbers for one in self._by_route.get(number, ()) for found in self._mini(one)]

    def of_address(self, number: int) -> list[MiniLink]:
        """Those that show what is near this address."""
        return [found for one in self._by_address.get(number, ()) for found in self._mini(one)]

    def _is_visible(self, body: LiveShare) -> bool:
        mine = self._call.principal.tag_ids
        return mine is None or (bool(body.limit_tag_ids) and mine.issuperset(body.limit_tag_ids))

    def _mini(self, body: LiveShare) -> Iterable[MiniLink]:
        """The link with its URL; nothing where the server's key is another one than it was made with."""
        context = self._call.context
        key = link_key(context.server_key, body.share_id, body.rotation)
        if key_hash(key).hex() == body.key_hash:
            yield MiniLink(
                name=body.name,
                live_sharing_url=link_url(context.public_url, self._call.principal.org, key),
                expires_at_time=render_time(body.expires_ms) if body.expires_ms else UNSET,
            )
