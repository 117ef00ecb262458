"""Routes and recurring routes of every org, and who drives which."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, KeysView

from odograph.live.entity import Entity
from odograph.live.numbered import Numbered
from odograph.model.catalog import RecurringRoute, Route
from odograph.model.ids import AssetId, OrgId, RouteId
from odograph.model.schedule import scheduled_end_ms, scheduled_start_ms


class Routes(Numbered[Route]):
    """Looked up by number or name, by vehicle (all, or while they are not ended), and by their recurring route."""

    def __init__(self) -> None:
        super().__init__(Route)
        self._of_asset: dict[int, set[int]] = {}
        self._open_of_asset: dict[int, set[int]] = {}
        self._open_of_driver: dict[int, set[int]] = {}
        self._runs: dict[int, set[int]] = {}
        self._starts: dict[OrgId, list[tuple[int, int]]] = {}  # scheduled start and number, ascending
        self._longest_ms: dict[OrgId, int] = {}  # of any route that there ever was

    def changed(self, old: Entity[Route] | None, new: Entity[Route] | None) -> None:
        """Keep the indexes in step."""
        super().changed(old, new)
        if old is not None:
            starts = self._starts[old.org]
            del starts[bisect_left(starts, (scheduled_start_ms(old.body), old.body.number))]
            for index, key in self._places(old.body):
                index[key].discard(old.body.number)
                if not index[key]:
                    del index[key]
        if new is not None:
            start_ms = scheduled_start_ms(new.body)
            insort(self._starts.setdefault(new.org, []), (start_ms, new.body.number))
            lasts_ms = scheduled_end_ms(new.body) - start_ms
            self._longest_ms[new.org] = max(self._longest_ms.get(new.org, 0), lasts_ms)
            for index, key in self._places(new.body):
                index.setdefault(key, set()).add(new.body.number)

    def of_asset(self, org: OrgId, asset: AssetId) -> list[Entity[Route]]:
        """Those that this vehicle drove, drives or is to drive, by number."""
        return self._named(org, self._of_asset.get(asset, set()))

    def open_of_asset(self, org: OrgId, asset: AssetId) -> list[Entity[Route]]:
        """Those that this vehicle is to drive or drives, by number."""
        return self._named(org, self._open_of_asset.get(asset, set()))

    def open_of_driver(self, org: OrgId, driver_id: int) -> list[Entity[Route]]:
        """Those that are given to a driver, whatever his vehicle, and not ended, by number."""
        return self._named(org, self._open_of_driver.get(driver_id, set()))

    def open_assets(self) -> KeysView[int]:
        """Every vehicle that has one that is not ended; a view, which costs nothing."""
        return self._open_of_asset.keys()

    def assets(self) -> KeysView[int]:
        """Every vehicle that has one at all; a view, which costs nothing."""
        return self._of_asset.keys()

    def planned(self, org: OrgId, start_ms: int, end_ms: int) -> list[Entity[Route]]:
        """Those that are planned for some part of a range (end >= `start_ms`, start < `end_ms`), by number."""
        starts = self._starts.get(org, [])
        first = bisect_left(starts, (start_ms - self._longest_ms.get(org, 0), 0))
        found = self._named(org, {number for _, number in starts[first : bisect_left(starts, (end_ms, 0))]})
        return [one for one in found if scheduled_end_ms(one.body) >= start_ms]

    def runs(self, org: OrgId, recurring: RouteId) -> list[Entity[Route]]:
        """The runs of a recurring route, by number."""
        return self._named(org, self._runs.get(recurring, set()))

    def _places(self, body: Route) -> Iterator[tuple[dict[int, set[int]], int]]:
        if body.vehicle_id:
            yield self._of_asset, body.vehicle_id
            if not body.ended_ms:
                yield self._open_of_asset, body.vehicle_id
        if body.driver_id and not body.ended_ms:
            yield self._open_of_driver, body.driver_id
        if body.recurring_id:
            yield self._runs, body.recurring_id

    def _named(self, org: OrgId, numbers: set[int]) -> list[Entity[Route]]:
        found = (self.find_by_number(org, number) for number in sorted(numbers))
        return [one for one in found if one is not None]


class RecurringRoutes(Numbered[RecurringRoute]):
    """Looked up by number or name, listed by number."""

    def __init__(self) -> None:
        super().__init__(RecurringRoute)
