"""How far a run of a route has come, by the times that its stops hold."""

from __future__ import annotations

from typing import Literal

from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Route, Stop
from odograph.model.ids import OrgId, RouteId

RunState = Literal["planned", "underway", "ended"]
_LATE_UNTIL_MS = 3_600_000  # a planned run that is an hour late and has not begun is no longer the next one


def run_state(route: Route) -> RunState:
    """Whether it is yet to come, under way, or over."""
    if route.ended_ms:
        return "ended"
    return "underway" if route.started_ms else "planned"


def next_stop(route: Route) -> tuple[Stop | None, int]:
    """The stop that the run goes to, and since when: it has left all those before, and is not at one of them."""
    since_ms = max(route.started_ms, route.assigned_ms)
    for stop in route.stops:
        left_ms = stop.departed_ms or stop.skipped_ms
        if not left_ms:
            return stop, since_ms
        since_ms = max(since_ms, left_ms)
    return None, since_ms


def begins_ms(route: Route) -> int:
    """When it is planned to begin; 0 where no stop has a time."""
    times = (stop.scheduled_departure_ms or stop.scheduled_arrival_ms for stop in route.stops)
    return next((time for time in times if time), 0)


def find_stop(route: Route, number: int) -> Stop | None:
    """A stop by its id."""
    return next((stop for stop in route.stops if stop.number == number), None)


def run_to_show(directory: Directory, org: OrgId, number: int, now_ms: int) -> Entity[Route] | None:
    """The run of a recurring route that is under way, else the next, else the last; or the single route itself."""
    if directory.recurring.find_by_number(org, RouteId(number)) is None:
        return directory.routes.find_by_number(org, RouteId(number))
    runs = directory.routes.runs(org, RouteId(number))
    underway = [run for run in runs if run_state(run.body) == "underway"]
    if underway:
        return max(underway, key=lambda run: run.body.started_ms)
    planned = [run for run in runs if run_state(run.body) == "planned"]
    coming = [run for run in planned if begins_ms(run.body) >= now_ms - _LATE_UNTIL_MS]
    if coming:
        return min(coming, key=lambda run: begins_ms(run.body))
    return max(runs, key=lambda run: run.body.ended_ms or begins_ms(run.body), default=None)
