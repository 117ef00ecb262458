"""Routes and recurring routes of every org, and who drives which."""

from __future__ import annotations

from collections.abc import Iterator, KeysView

from odograph.live.entity import Entity
from odograph.live.numbered import Numbered
from odograph.model.catalog import RecurringRoute, Route
from odograph.model.ids import AssetId, OrgId, RouteId


class Routes(Numbered[Route]):
    """Looked up by number or name, by vehicle (all, or while they are not ended), and by their recurring route."""

    def __init__(self) -> None:
        super().__init__(Route)
        self._of_asset: dict[int, set[int]] = {}
        self._open_of_asset: dict[int, set[int]] = {}
        self._runs: dict[int, set[int]] = {}

    def changed(self, old: Entity[Route] | None, new: Entity[Route] | None) -> None:
        """Keep the indexes in step."""
        super().changed(old, new)
        if old is not None:
            for index, key in self._places(old.body):
                index[key].discard(old.body.number)
                if not index[key]:
                    del index[key]
        if new is not None:
            for index, key in self._places(new.body):
                index.setdefault(key, set()).add(new.body.number)

    def of_asset(self, org: OrgId, asset: AssetId) -> list[Entity[Route]]:
        """Those that this vehicle drove, drives or is to drive, by number."""
        return self._named(org, self._of_asset.get(asset, set()))

    def open_of_asset(self, org: OrgId, asset: AssetId) -> list[Entity[Route]]:
        """Those that this vehicle is to drive or drives, by number."""
        return self._named(org, self._open_of_asset.get(asset, set()))

    def open_assets(self) -> KeysView[int]:
        """Every vehicle that has one that is not ended; a view, which costs nothing."""
        return self._open_of_asset.keys()

    def assets(self) -> KeysView[int]:
        """Every vehicle that has one at all; a view, which costs nothing."""
        return self._of_asset.keys()

    def runs(self, org: OrgId, recurring: RouteId) -> list[Entity[Route]]:
        """The runs of a recurring route, by number."""
        return self._named(org, self._runs.get(recurring, set()))

    def _places(self, body: Route) -> Iterator[tuple[dict[int, set[int]], int]]:
        if body.asset_id:
            yield self._of_asset, body.asset_id
            if not body.ended_ms:
                yield self._open_of_asset, body.asset_id
        if body.recurring_id:
            yield self._runs, body.recurring_id

    def _named(self, org: OrgId, numbers: set[int]) -> list[Entity[Route]]:
        found = (self.find_by_number(org, number) for number in sorted(numbers))
        return [one for one in found if one is not None]


class RecurringRoutes(Numbered[RecurringRoute]):
    """Looked up by number or name, listed by number."""

    def __init__(self) -> None:
        super().__init__(RecurringRoute)
