"""Makes the runs of recurring routes: routes for the days to come, each once.

A run is its recurring route, its date and its start time there. A local time that the clocks skip moves forward by
as much as they do; one that comes twice means the first. Runs that began or ended are never touched again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from odograph.catalog import stops as stopping
from odograph.catalog.changes import Catalog, Plan, delete, put
from odograph.catalog.routes import driven, number_routes, number_stops, run_name
from odograph.errors import Refusal
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.live.view import Live
from odograph.model.catalog import PlannedStop, RecurringRoute, Route, Stop
from odograph.model.ids import OrgId, RouteId
from odograph.model.schedule import scheduled_start_ms
from odograph.store.base import INSTALL, Change, Committed

DAYS_AHEAD: Final = 7
LOOK_EVERY_S: Final = 900.0  # midnight comes to every time zone on a quarter of an hour
KEEP_MS: Final = 92 * 86_400_000  # a quarter's runs stay to be looked at; all of them are in memory
MAX_RUNS: Final = 100  # a commit
RETRY_S: Final = 5.0
_log = logging.getLogger(__name__)


def start_ms(timezone: str, run_date: str, run_time: str) -> int:
    """When the run of a date (YYYY-MM-DD) and time (HH:MM) there begins, in epoch milliseconds."""
    local = datetime.combine(date.fromisoformat(run_date), time.fromisoformat(run_time), ZoneInfo(timezone))
    return round(local.astimezone(UTC).timestamp()) * 1000


def runs_of(pattern: RecurringRoute, now_ms: int) -> Iterator[tuple[str, str, int]]:
    """Date, time and start (epoch ms) of each run that is to be planned now: from now on, DAYS_AHEAD days."""
    today = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(pattern.timezone)).date()
    for ahead in range(DAYS_AHEAD + 1):
        day = today + timedelta(days=ahead)
        run_date = day.isoformat()
        if day.weekday() not in pattern.weekdays or run_date < pattern.first_date:
            continue
        if pattern.last_date and run_date > pattern.last_date:
            return
        for run_time in pattern.start_times:
            begins_ms = start_ms(pattern.timezone, run_date, run_time)
            if begins_ms > now_ms and f"{run_date}T{run_time}" not in pattern.cancelled:
                yield run_date, run_time, begins_ms


class Planner:
    """A service: plans at its start, whenever a recurring route changed, and as days go by."""

    def __init__(self, live: Live, catalog: Catalog) -> None:
        self._live = live
        self._catalog = catalog
        self._wake = asyncio.Event()

    def take(self, committed: Committed) -> None:
        """See whether there is anything new to plan; for `Live.watchers`."""
        if any(record.kind == "recurring" for record in committed.records):
            self._wake.set()

    async def run(self) -> None:
        """Plan until cancelled."""
        await self._live.ready.wait()
        while True:
            self._wake.clear()
            wait_s = LOOK_EVERY_S
            try:
                await self.plan()
            except Refusal as refusal:
                _log.warning("runs are not planned yet", extra={"reason": refusal.message})
                wait_s = RETRY_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def plan(self) -> None:
        """Bring every org's runs up to date. Raises Refusal where it can't."""
        for org in self._live.directory.orgs.list_(INSTALL):
            for pattern in self._live.directory.recurring.list_(OrgId(org.id)):
                await plan_runs(self._catalog, OrgId(org.id), RouteId(pattern.body.number))
                await asyncio.sleep(0)


async def plan_runs(catalog: Catalog, org: OrgId, number: RouteId) -> None:
    """Bring the runs of a pattern up to date, at most MAX_RUNS in a commit. Raises Refusal where it can't."""
    while await catalog.change(partial(_batch, catalog, org, number)):
        pass


def _batch(catalog: Catalog, org: OrgId, number: RouteId) -> Plan[bool]:
    """The next changes; the answer says whether there are more."""
    directory = catalog.directory
    pattern = directory.recurring.find_by_number(org, number)
    if pattern is None:  # deleted meanwhile, and its runs with it
        return Plan([], lambda _: False)
    differences = list(islice(_differences(directory, org, pattern, catalog.clock.now_ms()), MAX_RUNS + 1))
    some = differences[:MAX_RUNS]
    gone = [delete(old) for old, body in some if old is not None and body is None]
    made = [(old, body) for old, body in some if body is not None]
    return Plan([*gone, *_puts(directory, org, made)], lambda _: len(differences) > MAX_RUNS)


def _differences(
    directory: Directory, org: OrgId, pattern: Entity[RecurringRoute], now_ms: int
) -> Iterator[tuple[Entity[Route] | None, Route | None]]:
    """What is planned and what should be, where they differ: None left is missing, right is to go.

    A run that was changed by itself after its pattern stays as it is; what ended KEEP_MS ago goes. Where the start
    times were changed, the runs of a day whose times are gone get the new ones in order: their links are known.
    """
    body = pattern.body
    planned = {run_name(one.body): one for one in directory.routes.runs(org, RouteId(body.number))}
    missing: dict[str, deque[Route]] = {}
    for run_date, run_time, begins_ms in runs_of(body, now_ms):
        old = planned.pop(f"{run_date}T{run_time}", None)
        if old is not None and not _is_outdated(old.body, body):
            continue
        run = driven(directory, org, planned_run(body, run_date, run_time, begins_ms, now_ms))
        if old is None:
            missing.setdefault(run_date, deque()).append(run)
        else:
            yield old, _renewed(old.body, run, now_ms)
    for _, old in sorted(planned.items()):
        if 0 < old.body.ended_ms < now_ms - KEEP_MS:
            yield old, None
        elif _is_outdated(old.body, body) and scheduled_start_ms(old.body) > now_ms:
            runs = missing.get(old.body.run_date)
            yield old, _renewed(old.body, runs.popleft(), now_ms) if runs else None
    for runs in missing.values():
        for run in runs:
            yield None, run


def _is_outdated(run: Route, pattern: RecurringRoute) -> bool:
    """Whether a run that has not begun is older than what its pattern says now."""
    return run.updated_ms < pattern.updated_ms and not (run.started_ms or run.ended_ms)


def _puts(directory: Directory, org: OrgId, made: Sequence[tuple[Entity[Route] | None, Route]]) -> list[Change]:
    if not made:
        return []
    routes, counting = number_routes(directory, sum(old is None for old, _ in made))
    missing = sum(not stop.number for _, body in made for stop in body.stops)
    stops, stop_counting = number_stops(directory, missing)
    fresh_routes, fresh_stops = iter(routes), iter(stops)
    changes = []
    for old, body in made:
        numbered = tuple(
            stop if stop.number else msgspec.structs.replace(stop, number=next(fresh_stops)) for stop in body.stops
        )
        number = body.number if old is not None else next(fresh_routes)
        changes.append(put(old, org, msgspec.structs.replace(body, number=number, stops=numbered)))
    return [*changes, *([counting] if len(routes) else []), *([stop_counting] if len(stops) else [])]


def planned_run(pattern: RecurringRoute, run_date: str, run_time: str, begins_ms: int, now_ms: int) -> Route:
    """A run as the pattern says it; it and its stops have no numbers yet."""
    stops = tuple(
        Stop(
            number=0,
            name=stop.name,
            address_id=stop.address_id,
            lat=stop.lat,
            lon=stop.lon,
            place_text=stop.place_text,
            radius_m=stop.radius_m,
            is_private=stop.is_private,
            scheduled_arrival_ms=0 if stop.arrival_s < 0 else begins_ms + stop.arrival_s * 1000,
            scheduled_departure_ms=_departure_ms(stop, begins_ms),
            early_ms=stop.early_ms,
            late_ms=stop.late_ms,
            notes=stop.notes,
            sequence=place,
        )
        for place, stop in enumerate(pattern.stops, 1)
    )
    return Route(
        number=0,
        name=pattern.name,
        stops=stopping.in_order(stops, pattern.starting, pattern.completion, "unknown"),
        created_ms=now_ms,
        updated_ms=pattern.updated_ms,
        asset_id=pattern.asset_id,
        driver_id=pattern.driver_id,
        notes=pattern.notes,
        starting=pattern.starting,
        completion=pattern.completion,
        sequencing="manual",
        tag_ids=pattern.tag_ids,
        recurring_id=pattern.number,
        run_date=run_date,
        run_time=run_time,
    )


def _departure_ms(stop: PlannedStop, begins_ms: int) -> int:
    """Where only an arrival is planned, it goes on at once."""
    seconds = stop.arrival_s if stop.departure_s < 0 else stop.departure_s
    return 0 if seconds < 0 else begins_ms + seconds * 1000


def _renewed(old: Route, body: Route, now_ms: int) -> Route:
    """The run under its old numbers, stops by their place in the order: what refers to it goes on to mean it."""
    stops = tuple(
        msgspec.structs.replace(stop, number=old.stops[place].number if place < len(old.stops) else 0)
        for place, stop in enumerate(body.stops)
    )
    assigned_ms = old.assigned_ms if body.vehicle_id == old.vehicle_id else now_ms
    return msgspec.structs.replace(
        body, number=old.number, created_ms=old.created_ms, stops=stops, assigned_ms=assigned_ms
    )
