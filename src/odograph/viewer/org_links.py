"""The open links of one org, and which of them a fix or a record concerns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from odograph.live.directory import Directory
from odograph.live.snapshot import Snapshot
from odograph.model.fixes import Fixes
from odograph.model.ids import AssetId, OrgId
from odograph.sharing.policy import Zones
from odograph.store.base import Record
from odograph.viewer.open_link import OpenLink

_OF_ALL: Final = frozenset({"tag", "address", "org"})
_OF_ROUTES: Final = frozenset({"route", "recurring"})
KINDS: Final = _OF_ALL | _OF_ROUTES | {"share", "asset"}
"""Kinds of records that decide what a link shows."""


class OrgLinks:
    """Found by asset, and by place for those near one."""

    def __init__(self, org: OrgId, directory: Directory) -> None:
        self.org = org
        self.links: dict[int, OpenLink] = {}
        """By the id of their record."""
        self._directory = directory
        self._by_asset: dict[int, set[OpenLink]] = {}
        self._places: list[OpenLink] = []
        self._place_zones: Zones | None = None
        self._private: Zones | None = None

    @property
    def private(self) -> Zones:
        """The org's private zones, past ones too; made when first asked for after a change."""
        if self._private is None:
            fences = [address.body.fence for address in self._directory.addresses.private(self.org)]
            org = self._directory.orgs.find_org(self.org)
            past = () if org is None else org.body.past_zones
            self._private = Zones(fences, [(zone.fence, zone.ended_ms) for zone in past])
        return self._private

    def add(self, link: OpenLink) -> None:
        """A link that somebody looks at now."""
        self.links[link.entity.id] = link

    def remove(self, link: OpenLink) -> None:
        """Nobody does any more, or it is over."""
        if self.links.get(link.entity.id) is link:
            del self.links[link.entity.id]
        self.index(link, set(link.held), ())
        self._place_zones = None

    def index(self, link: OpenLink, before: Iterable[int], after: Iterable[int]) -> None:
        """Find it by the assets that it holds now."""
        old, new = set(before), set(after)
        for number in old - new:
            links = self._by_asset.get(number)
            if links is not None:
                links.discard(link)
                if not links:
                    del self._by_asset[number]
        for number in new - old:
            self._by_asset.setdefault(number, set()).add(link)
        self._place_zones = None

    def touched(self, fixes: Fixes) -> dict[OpenLink, list[int]]:
        """For each link that holds an asset of these fixes: their rows."""
        found: dict[OpenLink, list[int]] = {}
        by_asset = self._by_asset
        for row, number in enumerate(fixes["asset"].tolist()):
            for link in by_asset.get(number, ()):
                found.setdefault(link, []).append(row)
        return found

    def visited(self, fixes: Fixes, snapshot: Snapshot) -> list[OpenLink]:
        """Links near a place where an asset has come that they don't hold."""
        if self._place_zones is None:
            self._places = [link for link in self.links.values() if link.fence is not None]
            self._place_zones = Zones([link.fence for link in self._places if link.fence is not None])
        if not self._places:
            return []
        lat, lon = fixes["lat_e7"] / 1e7, fixes["lon_e7"] / 1e7
        found = []
        for at, rows in self._place_zones.near(lat, lon):
            link = self._places[at]
            assert link.fence is not None
            inside = rows[link.fence.contain(lat[rows], lon[rows])]
            if any(self._is_new(link, fixes[row], snapshot) for row in inside.tolist()):
                found.append(link)
        return found

    def concerned(self, record: Record) -> list[OpenLink]:
        """Links that may show something else since this record changed."""
        if record.kind in {"address", "org"}:
            self._private = None
        if record.kind in _OF_ALL:
            return list(self.links.values())
        if record.kind in _OF_ROUTES:
            return [link for link in self.links.values() if link.view.is_by_route]
        if record.kind == "share":
            link = self.links.get(record.id)
            return [] if link is None else [link]
        return self._of_asset(record)

    def _of_asset(self, record: Record) -> list[OpenLink]:
        """Those that hold it, or may hold it by its tags; all of them once it is deleted."""
        asset = self._directory.assets.find(self.org, record.id)
        if asset is None:
            return list(self.links.values())
        tags = set(asset.body.tag_ids)
        return [
            link
            for link in self.links.values()
            if asset.body.number in link.held
            or link.share.asset_id == asset.body.number
            or not tags.isdisjoint(link.share.tag_ids)
            or link.view.is_by_route
        ]

    def _is_new(self, link: OpenLink, fix: np.void, snapshot: Snapshot) -> bool:
        """An old fix of something that has moved on since is no visit."""
        number = int(fix["asset"])
        return number not in link.held and int(fix["time_ms"]) == snapshot.newest_time_ms(AssetId(number))
