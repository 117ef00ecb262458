"""Routes and recurring routes of every org, and who drives which."""

from __future__ import annotations

from odograph.live.entity import Entity
from odograph.live.numbered import Numbered
from odograph.model.catalog import RecurringRoute, Route
from odograph.model.ids import AssetId, OrgId, RouteId


class Routes(Numbered[Route]):
    """Looked up by number or name, by vehicle while they are not ended, and by their recurring route."""

    def __init__(self) -> None:
        super().__init__(Route)
        self._open_of_asset: dict[int, set[int]] = {}
        self._runs: dict[int, set[int]] = {}

    def changed(self, old: Entity[Route] | None, new: Entity[Route] | None) -> None:
        """Keep both indexes in step."""
        super().changed(old, new)
        if old is not None:
            self._open_of_asset.get(old.body.asset_id, set()).discard(old.body.number)
            self._runs.get(old.body.recurring_id, set()).discard(old.body.number)
        if new is not None:
            if new.body.asset_id and not new.body.ended_ms:
                self._open_of_asset.setdefault(new.body.asset_id, set()).add(new.body.number)
            if new.body.recurring_id:
                self._runs.setdefault(new.body.recurring_id, set()).add(new.body.number)

    def open_of_asset(self, org: OrgId, asset: AssetId) -> list[Entity[Route]]:
        """Those that this vehicle is to drive or drives, by number."""
        return self._named(org, self._open_of_asset.get(asset, set()))

    def open_assets(self) -> set[int]:
        """Every vehicle that has one."""
        return {asset for asset, routes in self._open_of_asset.items() if routes}

    def runs(self, org: OrgId, recurring: RouteId) -> list[Entity[Route]]:
        """The runs of a recurring route, by number."""
        return self._named(org, self._runs.get(recurring, set()))

    def _named(self, org: OrgId, numbers: set[int]) -> list[Entity[Route]]:
        found = (self.find_by_number(org, number) for number in sorted(numbers))
        return [one for one in found if one is not None]


class RecurringRoutes(Numbered[RecurringRoute]):
    """Looked up by number or name, listed by number."""

    def __init__(self) -> None:
        super().__init__(RecurringRoute)
