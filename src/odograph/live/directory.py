"""The catalogue in memory: every look-up that a request or a device needs, without a query."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from odograph.errors import invalid
from odograph.live.addresses import Addresses
from odograph.live.arrivals import Arrivals
from odograph.live.assets import NONE, AssetIds, Assets
from odograph.live.devices import Devices
from odograph.live.entity import Entity, Few
from odograph.live.numbered import Numbered, Tagged
from odograph.live.routes import RecurringRoutes, Routes
from odograph.live.shares import Shares
from odograph.live.tags import Tags
from odograph.model.access import SCOPES_BY_LABEL, Principal, carries
from odograph.model.catalog import (
    Asset,
    Contact,
    Counter,
    Driver,
    Knock,
    Org,
    Tag,
    Token,
)
from odograph.model.ids import AssetId, OrgId, RecordId, TagId, parse_asset_id
from odograph.store.base import INSTALL, Record


class _Shelf(Protocol):
    def put(self, record: Record) -> None: ...
    def drop(self, record_id: RecordId) -> None: ...


class Orgs(Few[Org]):
    """The tenants; their records lie in the org INSTALL, and a record's id is the OrgId."""

    def __init__(self) -> None:
        super().__init__(Org)
        self._by_enrolment: dict[bytes, RecordId] = {}

    def changed(self, old: Entity[Org] | None, new: Entity[Org] | None) -> None:
        """Keep the enrolment keys in step."""
        if old is not None and old.body.enrolment_hash:
            self._by_enrolment.pop(bytes.fromhex(old.body.enrolment_hash), None)
        if new is not None and new.body.enrolment_hash:
            self._by_enrolment[bytes.fromhex(new.body.enrolment_hash)] = new.id

    def find_org(self, org: OrgId) -> Entity[Org] | None:
        """By its id."""
        return self.find(INSTALL, RecordId(org))

    def find_by_enrolment(self, key_hash: bytes) -> Entity[Org] | None:
        """The org whose enrolment key has this SHA-256 (32 bytes), whether or not new devices may come with it."""
        record_id = self._by_enrolment.get(key_hash)
        org = None if record_id is None else self.find(INSTALL, record_id)
        if org is None or not hmac.compare_digest(bytes.fromhex(org.body.enrolment_hash), key_hash):
            return None
        return org


class Tokens(Few[Token]):
    """API tokens, each beside the Principal it stands for."""

    def __init__(self) -> None:
        super().__init__(Token)
        self._by_hash: dict[bytes, tuple[Entity[Token], Principal]] = {}

    def changed(self, old: Entity[Token] | None, new: Entity[Token] | None) -> None:
        """Keep the secrets in step."""
        if old is not None:
            self._by_hash.pop(bytes.fromhex(old.body.secret_hash), None)
        if new is not None:
            self._by_hash[bytes.fromhex(new.body.secret_hash)] = (new, principal_of(new))

    def principal(self, secret_hash: bytes, now_ms: int) -> Principal | None:
        """Who holds the token with this SHA-256 (32 bytes); None where it is unknown or has expired.

        Found by the hash and compared in constant time: how long it takes tells nothing about any token.
        """
        known = self._by_hash.get(secret_hash)
        if known is None:
            return None
        token, principal = known
        if not hmac.compare_digest(bytes.fromhex(token.body.secret_hash), secret_hash):
            return None
        return None if 0 < token.body.expires_ms <= now_ms else principal


def principal_of(token: Entity[Token]) -> Principal:
    """What a token may do; scopes of a later version, which we don't know, give nothing."""
    labels = token.body.scopes
    return Principal(
        org=token.org,
        scopes=frozenset(SCOPES_BY_LABEL[label] for label in labels if label in SCOPES_BY_LABEL),
        token=token.id,
        tag_ids=frozenset(TagId(tag) for tag in token.body.tag_ids) or None,
    )


class Directory:
    """All living records, by kind. Only `apply` changes it, and never while a reader runs."""

    def __init__(self) -> None:
        self.orgs = Orgs()
        self.tokens = Tokens()
        self.assets = Assets()
        self.tags = Tags()
        self.devices = Devices()
        self.contacts: Numbered[Contact] = Numbered(Contact)
        self.drivers: Tagged[Driver] = Tagged(Driver)
        self.addresses = Addresses()
        self.routes = Routes()
        self.recurring = RecurringRoutes()
        self.shares = Shares()
        self.arrivals = Arrivals()
        self.knocks: Few[Knock] = Few(Knock)
        self.counters: Few[Counter] = Few(Counter)
        self.rev = 0
        """Of the newest record taken in: whatever was derived from the directory holds while it stays."""
        self._gone: set[RecordId] = set()
        self._shelves: dict[str, _Shelf] = {
            "org": self.orgs,
            "token": self.tokens,
            "asset": self.assets,
            "tag": self.tags,
            "device": self.devices,
            "contact": self.contacts,
            "driver": self.drivers,
            "address": self.addresses,
            "route": self.routes,
            "recurring": self.recurring,
            "share": self.shares,
            "arrival": self.arrivals,
            "knock": self.knocks,
            "counter": self.counters,
        }

    def apply(self, records: Sequence[Record]) -> None:
        """Take in what was written: twice does no harm, nor does an older state after a newer one.

        Kinds that this version doesn't know are left alone.
        """
        for record in records:
            shelf = self._shelves.get(record.kind)
            if shelf is None or record.id in self._gone:
                continue
            if record.body is None:
                self._gone.add(record.id)
                shelf.drop(record.id)
            else:
                shelf.put(record)
            self.rev = max(self.rev, record.rev)

    def find_asset(self, org: OrgId, text: str, limit: frozenset[TagId] | None = None) -> Entity[Asset] | None:
        """By its public id or a name `key:value`, as both stand in paths; `limit`: a principal's `tag_ids`."""
        if ":" in text:
            return self.assets.find_by_name(org, text, limit)
        number = parse_asset_id(text)
        asset = None if number is None else self.assets.find_by_number(org, number)
        return asset if asset is not None and carries(asset.body.tag_ids, limit) else None

    def find_tag(self, org: OrgId, text: str, limit: frozenset[TagId] | None = None) -> Entity[Tag] | None:
        """By its id or a name `key:value`, as both stand in paths; `limit`: a principal's `tag_ids`."""
        return self.tags.find_seen(org, text, limit)

    def find_external(self, org: OrgId, text: str) -> Entity[Any] | None:
        """Whoever holds the external id `key:value`, of whichever kind: a pair is unique in an org."""
        shelves = (self.assets, self.tags, self.addresses, self.drivers, self.routes, self.recurring)
        return next((found for shelf in shelves if (found := shelf.find_by_name(org, text)) is not None), None)

    def select(
        self,
        principal: Principal,
        tag_ids: Sequence[str] = (),
        parent_tag_ids: Sequence[str] = (),
        vehicle_ids: Sequence[str] = (),
        called: str = "vehicleIds",
    ) -> AssetIds | None:
        """The assets that a request means, ascending; None for every asset of the org.

        The filters are united, an id that is not known adds nothing, and a token with tags sees of it only
        what carries one of them now. INVALID for an id that could never be one, of those `vehicle_ids` that are
        `called` so by the request.
        """
        roll = self.assets.roll(principal.org)
        mine = None if principal.tag_ids is None else roll.tagged(principal.tag_ids)
        if not (tag_ids or parent_tag_ids or vehicle_ids):
            return mine
        wanted = self.tags_meant(principal, tag_ids, parent_tag_ids)
        chosen = _united(roll.tagged(wanted), self._numbers(principal, called, vehicle_ids))
        return chosen if mine is None else np.intersect1d(chosen, mine, assume_unique=True)

    def tags_meant(self, principal: Principal, tag_ids: Sequence[str], parent_tag_ids: Sequence[str]) -> set[TagId]:
        """The tags of which one is to be carried; an id that is not known adds nothing.

        To who is limited to tags no others are known. INVALID for an id that could never be one.
        """
        mine = principal.tag_ids
        wanted = self._tag_ids(principal, "tagIds", tag_ids)
        wanted |= self.tags.subtree(principal.org, self._tag_ids(principal, "parentTagIds", parent_tag_ids))
        return wanted if mine is None else wanted & mine

    def sees(self, principal: Principal, number: AssetId) -> bool:
        """Whether this asset is among what `select` gives without filters."""
        if self.assets.org_of(number) != principal.org:
            return False
        mine = self.select(principal)
        if mine is None:
            return True
        place = int(np.searchsorted(mine, number))
        return place < len(mine) and int(mine[place]) == number

    def _tag_ids(self, principal: Principal, field: str, texts: Sequence[str]) -> set[TagId]:
        for text in texts:
            _check_id(field, text)
        found = (self.find_tag(principal.org, text, principal.tag_ids) for text in texts)
        return {TagId(tag.body.number) for tag in found if tag is not None}

    def _numbers(self, principal: Principal, field: str, texts: Sequence[str]) -> AssetIds:
        for text in texts:
            _check_id(field, text)
        numbers = {number for text in texts if (number := self._number(principal, text)) is not None}
        return np.array(sorted(numbers), dtype=np.uint32) if numbers else NONE

    def _number(self, principal: Principal, text: str) -> AssetId | None:
        if ":" in text:
            asset = self.assets.find_by_name(principal.org, text, principal.tag_ids)
            return None if asset is None else AssetId(asset.body.number)
        number = parse_asset_id(text)
        return number if number is not None and self.assets.org_of(number) == principal.org else None


def _check_id(field: str, text: str) -> None:
    if ":" not in text and not (text.isascii() and text.isdigit()):
        raise invalid(f"{field}: {text[:40]!r} is not an id: give digits, or an external id as key:value.")


def _united(some: AssetIds, others: AssetIds) -> AssetIds:
    if not len(some):
        return others
    return np.union1d(some, others) if len(others) else some
