"""Things that links are made of, as records: for tests of links alone."""

from __future__ import annotations

from typing import Any

from odograph.catalog.changes import Catalog, Plan, put
from odograph.model.catalog import Address, PlannedStop, RecurringRoute, Route, Stop
from odograph.model.ids import OrgId
from odograph.model.place import Geofence

SOON_MS = 1_714_561_200_000


async def _keep(catalog: Catalog, org: OrgId, body: Any) -> str:
    await catalog.change(lambda: Plan([put(None, org, body)], lambda _: None))
    return str(body.number)


async def make_address(catalog: Catalog, org: OrgId, number: int = 77, **fields: Any) -> str:
    """An address with a circle of 80 m; its id."""
    known: dict[str, Any] = {
        "name": f"Dock {number}",
        "formatted_address": "Quay 1",
        "fence": Geofence(52.1, 4.3, 80),
        "created_ms": 1,
        "updated_ms": 1,
        "lat": 52.1,
        "lon": 4.3,
    }
    return await _keep(catalog, org, Address(number=number, **known | fields))


async def make_route(catalog: Catalog, org: OrgId, number: int = 900, **fields: Any) -> str:
    """A single route of two stops; its id."""
    stops = (Stop(number * 10, "Dock", 0, 52.1, 4.3, scheduled_arrival_ms=SOON_MS), Stop(number * 10 + 1, "Shop"))
    known: dict[str, Any] = {"name": f"Line {number}", "stops": stops, "created_ms": 1, "updated_ms": 1}
    return await _keep(catalog, org, Route(number=number, **known | fields))


async def make_recurring(catalog: Catalog, org: OrgId, number: int = 800, **fields: Any) -> str:
    """A recurring route; its id."""
    known: dict[str, Any] = {
        "name": f"Daily {number}",
        "stops": (PlannedStop("Dock"), PlannedStop("Shop")),
        "created_ms": 1,
        "updated_ms": 1,
        "timezone": "UTC",
        "start_times": ("06:30",),
        "weekdays": (0, 1),
    }
    return await _keep(catalog, org, RecurringRoute(number=number, **known | fields))
