"""Recurring routes: patterns of routes, made, changed and deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog import stops as stopping
from odograph.catalog.changes import Catalog, Plan, delete, found, put, written
from odograph.catalog.routes import (
    PlanFields,
    TagLimit,
    check_visible,
    described,
    is_visible,
    number_routes,
    one_of,
)
from odograph.catalog.stops import Place, StopPlace
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import PlannedStop, RecurringRoute
from odograph.model.ids import OrgId, RouteId

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MAX_RUNS_A_DAY: Final = 96  # every quarter of an hour
MAX_STOPS_A_DAY: Final = 3000  # over all of its runs: a week of them is kept in memory
MAX_SPAN_S: Final = 7 * 86_400
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


class PlannedStopFields(msgspec.Struct, frozen=True, kw_only=True):
    """A stop of a pattern, whole; times in seconds after the start of the run, None for none."""

    name: str | None = None
    address: str | None = None
    place: Place | None = None
    arrival_s: int | None = None
    departure_s: int | None = None
    early_ms: int = 0
    late_ms: int = 0
    notes: str = ""


class RecurringFields(PlanFields, frozen=True, kw_only=True):
    """What is asked for of a recurring route."""

    stops: Sequence[PlannedStopFields] | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    start_times: Sequence[str] | UnsetType | None = UNSET
    weekdays: Sequence[str] | UnsetType | None = UNSET
    first_date: str | UnsetType | None = UNSET
    last_date: str | UnsetType | None = UNSET


async def create(
    catalog: Catalog, org: OrgId, fields: RecurringFields, tag_limit: TagLimit = None
) -> Entity[RecurringRoute]:
    """A new pattern; its runs are planned by `catalog.planner`. INVALID names the field that can't be kept."""

    def plan() -> Plan[Entity[RecurringRoute]]:
        numbers, counting = number_routes(catalog.directory, 1)
        now_ms = catalog.clock.now_ms()
        blank = RecurringRoute(
            number=numbers[0],
            name="",
            stops=(),
            created_ms=now_ms,
            updated_ms=now_ms,
            timezone=_org_timezone(catalog.directory, org),
            start_times=(),
            weekdays=(),
        )
        body = _checked(catalog.directory, org, None, blank, fields, tag_limit)
        return Plan([put(None, org, body), counting], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(
    catalog: Catalog, org: OrgId, number: RouteId, fields: RecurringFields, tag_limit: TagLimit = None
) -> Entity[RecurringRoute]:
    """Put the given fields in; lists are replaced whole, external ids merged by key. Runs to come follow.

    NOT_FOUND, also for one that `tag_limit` hides; INVALID names the field that can't be kept.
    """

    def plan() -> Plan[Entity[RecurringRoute]]:
        old = get(catalog.directory, org, number, tag_limit)
        body = _checked(catalog.directory, org, old, old.body, fields, tag_limit)
        if body == old.body:
            return Plan([], lambda _: old)
        body = msgspec.structs.replace(body, updated_ms=max(catalog.clock.now_ms(), old.body.updated_ms + 1))
        return Plan([put(old, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def remove(catalog: Catalog, org: OrgId, number: RouteId, tag_limit: TagLimit = None) -> None:
    """Delete a pattern and its runs to come; those under way and those that ended stay.

    NOT_FOUND, also for one that `tag_limit` hides.
    """

    def plan() -> Plan[None]:
        directory = catalog.directory
        old = get(directory, org, number, tag_limit)
        planned = [
            one for one in directory.routes.runs(org, number) if not (one.body.started_ms or one.body.ended_ms)
        ]
        return Plan([delete(old), *map(delete, planned)], lambda _: None)

    await catalog.change(plan)


def get(directory: Directory, org: OrgId, number: RouteId, tag_limit: TagLimit = None) -> Entity[RecurringRoute]:
    """A pattern by its number; NOT_FOUND, also for one that `tag_limit` hides."""
    entity = found(directory.recurring.find_by_number(org, number), "recurring route")
    return found(entity if is_visible(directory, org, entity.body, tag_limit) else None, "recurring route")


def _org_timezone(directory: Directory, org: OrgId) -> str:
    found_org = directory.orgs.find_org(org)
    return "UTC" if found_org is None else found_org.body.timezone


def _checked(
    directory: Directory,
    org: OrgId,
    old: Entity[RecurringRoute] | None,
    body: RecurringRoute,
    fields: RecurringFields,
    limit: TagLimit,
) -> RecurringRoute:
    body = described(directory, org, old, _with_schedule(directory, org, body, fields), fields, limit)
    body = _with_stops(directory, org, body, fields, limit)
    check_visible(directory, org, body, limit)
    return body


def _with_schedule(
    directory: Directory, org: OrgId, body: RecurringRoute, fields: RecurringFields
) -> RecurringRoute:
    """The times and days on which it runs. Without weekdays it runs on all of them."""
    if not isinstance(fields.timezone, UnsetType):
        zone = check.timezone(fields.timezone or _org_timezone(directory, org))
        body = msgspec.structs.replace(body, timezone=zone)
    if not isinstance(fields.start_times, UnsetType):
        body = msgspec.structs.replace(body, start_times=_start_times(fields.start_times or ()))
    if not isinstance(fields.weekdays, UnsetType):
        body = msgspec.structs.replace(body, weekdays=_weekdays(fields.weekdays or WEEKDAYS))
    elif not body.weekdays:
        body = msgspec.structs.replace(body, weekdays=tuple(range(7)))
    if not isinstance(fields.first_date, UnsetType):
        body = msgspec.structs.replace(body, first_date=_date("firstDate", fields.first_date))
    if not isinstance(fields.last_date, UnsetType):
        body = msgspec.structs.replace(body, last_date=_date("lastDate", fields.last_date))
    if not body.start_times:
        raise invalid("startTimes: none is given; at least one local time such as 06:30 is required.")
    if body.first_date and body.last_date and body.last_date < body.first_date:
        raise invalid("lastDate: is before firstDate; the same day or later is allowed.")
    return body


def _start_times(given: Sequence[str]) -> tuple[str, ...]:
    for one in given:
        if not _TIME.fullmatch(one):
            raise invalid(f"startTimes: {one[:20]!r} is no time of day; give hours and minutes, such as 06:30.")
    if len(given) > MAX_RUNS_A_DAY:
        raise invalid(f"startTimes: there are {len(given)}; at most {MAX_RUNS_A_DAY} are allowed.")
    return tuple(sorted(set(given)))


def _weekdays(given: Sequence[str]) -> tuple[int, ...]:
    return tuple(sorted({WEEKDAYS.index(one_of("weekdays", one.lower(), WEEKDAYS)) for one in given}))


def _date(field: str, given: str | None) -> str:
    if not given:
        return ""
    try:
        if len(given) == len("YYYY-MM-DD"):
            return date.fromisoformat(given).isoformat()
    except ValueError:
        pass
    raise invalid(f"{field}: {given[:20]!r} is no date; give one such as 2025-03-30.")


def _with_stops(
    directory: Directory, org: OrgId, body: RecurringRoute, fields: RecurringFields, limit: TagLimit
) -> RecurringRoute:
    starting, completion = body.starting, body.completion
    if not isinstance(fields.starting, UnsetType):
        starting = one_of("settings.routeStartingCondition", fields.starting, stopping.STARTINGS)
    if not isinstance(fields.completion, UnsetType):
        completion = one_of("settings.routeCompletionCondition", fields.completion, stopping.COMPLETIONS)
    stops = body.stops
    if not isinstance(fields.stops, UnsetType):
        asked = fields.stops or ()
        stopping.check_count(len(asked))
        stops = tuple(_stop(directory, org, f"stops[{at}]", one, stops, limit) for at, one in enumerate(asked))
    else:
        stopping.check_count(len(stops))
    if len(stops) * len(body.start_times) > MAX_STOPS_A_DAY:
        raise invalid(f"startTimes: {len(body.start_times)} runs a day are too many for {len(stops)} stops.")
    _check_times(stops, starting, completion)
    return msgspec.structs.replace(body, stops=stops, starting=starting, completion=completion)


def _stop(
    directory: Directory,
    org: OrgId,
    field: str,
    one: PlannedStopFields,
    before: Sequence[PlannedStop],
    limit: TagLimit,
) -> PlannedStop:
    place: StopPlace = stopping.place_of(directory, org, field, (one.name, one.address, one.place), None, limit)
    own = (place.lat, place.lon)
    is_private = not place.address_id and any(stop.is_private and (stop.lat, stop.lon) == own for stop in before)
    return PlannedStop(
        **msgspec.structs.asdict(msgspec.structs.replace(place, is_private=is_private)),
        arrival_s=-1 if one.arrival_s is None else one.arrival_s,
        departure_s=-1 if one.departure_s is None else one.departure_s,
        early_ms=one.early_ms,
        late_ms=one.late_ms,
        notes=check.text(f"{field}.notes", one.notes, stopping.MAX_NOTES, may_break=True),
    )


def _check_times(stops: Sequence[PlannedStop], starting: str, completion: str) -> None:
    """Each stop needs the time that its place in the route asks for, and none may lie before another's."""
    before_s = 0
    for at, stop in enumerate(stops):
        is_departing = at == 0 if at < len(stops) - 1 else completion == "departLastStop"
        if at == 0 and starting == "arriveFirstStop":
            is_departing = False
        time_s = stop.departure_s if is_departing else stop.arrival_s
        word = "departureAfterStartSeconds" if is_departing else "arrivalAfterStartSeconds"
        if time_s < 0:
            raise invalid(f"stops[{at}].{word}: is required there.")
        for name, value in (("arrival", stop.arrival_s), ("departure", stop.departure_s)):
            if 0 <= value < before_s:
                raise invalid(f"stops[{at}].{name}AfterStartSeconds: {value} is before what comes before it.")
            before_s = max(before_s, value)
