"""`/odograph/recurring-routes`: patterns of routes; each of their runs is a route of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api import embedded
from odograph.api.embedded import Links, Mini, MiniLink
from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, read_new, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination
from odograph.api.resources.vehicles import ExternalIds, seen_tags
from odograph.api.route_bodies import (
    Completion,
    Name,
    Notes,
    SingleUseLocation,
    Starting,
    WindowMs,
    location_of,
    place_of,
)
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import recurring
from odograph.catalog.planner import plan_runs
from odograph.catalog.recurring import MAX_SPAN_S, WEEKDAYS, PlannedStopFields
from odograph.catalog.routes import is_visible
from odograph.catalog.stops import Place
from odograph.errors import not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import PlannedStop, RecurringRoute
from odograph.model.ids import RouteId

KIND: Final = "recurring-routes"

AfterStart = Annotated[int, msgspec.Meta(ge=0, le=MAX_SPAN_S)]


class RecurringStop(msgspec.Struct, rename="camel", kw_only=True):
    """A stop; times in seconds after the start of the run. One of `addressId`, `singleUseLocation`."""

    name: Annotated[str, msgspec.Meta(max_length=255)] | UnsetType | None = UNSET
    address_id: str | UnsetType | None = UNSET
    single_use_location: SingleUseLocation | UnsetType | None = UNSET
    arrival_after_start_seconds: AfterStart | UnsetType | None = UNSET
    departure_after_start_seconds: AfterStart | UnsetType | None = UNSET
    ontime_window_before_arrival_ms: WindowMs | UnsetType | None = UNSET
    ontime_window_after_arrival_ms: WindowMs | UnsetType | None = UNSET
    notes: Notes | UnsetType | None = UNSET


class RecurringSettings(msgspec.Struct, rename="camel", kw_only=True):
    """When a run starts and when it is complete."""

    route_starting_condition: Starting
    route_completion_condition: Completion


class RecurringSettingsPatch(msgspec.Struct, rename="camel", kw_only=True):
    """As `RecurringSettings`; what is not given is as for routes, or stays."""

    route_starting_condition: Starting | UnsetType | None = UNSET
    route_completion_condition: Completion | UnsetType | None = UNSET


class RecurringRoutePatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; lists are replaced whole, external ids by key."""

    name: Name | UnsetType = UNSET
    time_zone: str | UnsetType | None = UNSET
    start_times: list[str] | UnsetType | None = UNSET
    weekdays: list[str] | UnsetType | None = UNSET
    first_date: str | UnsetType | None = UNSET
    last_date: str | UnsetType | None = UNSET
    stops: list[RecurringStop] | UnsetType | None = UNSET
    vehicle_id: str | UnsetType | None = UNSET
    driver_id: str | UnsetType | None = UNSET
    notes: Notes | UnsetType | None = UNSET
    settings: RecurringSettingsPatch | UnsetType | None = UNSET
    tag_ids: list[str] | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET


class NewRecurringRoute(RecurringRoutePatch, rename="camel", kw_only=True):
    """A new recurring route. `startTimes` are local times such as 06:30; without `weekdays` it runs every day."""

    name: Name
    start_times: list[str]
    stops: list[RecurringStop]


class RecurringStopAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A stop of every run."""

    name: str
    address: Mini | UnsetType = UNSET
    single_use_location: SingleUseLocation | UnsetType = UNSET
    arrival_after_start_seconds: int | UnsetType = UNSET
    departure_after_start_seconds: int | UnsetType = UNSET
    ontime_window_before_arrival_ms: int | UnsetType = UNSET
    ontime_window_after_arrival_ms: int | UnsetType = UNSET
    notes: str | UnsetType = UNSET


class RecurringRouteAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A recurring route; what is not known of it is left out. Its runs are listed with the routes."""

    id: str
    name: str
    time_zone: str
    start_times: list[str]
    weekdays: list[str]
    stops: list[RecurringStopAnswer]
    settings: RecurringSettings
    created_at_time: Time
    updated_at_time: Time
    first_date: str | UnsetType = UNSET
    last_date: str | UnsetType = UNSET
    vehicle: Mini | UnsetType = UNSET
    driver: Mini | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    tag_ids: list[str] | UnsetType = UNSET
    external_ids: dict[str, str] | UnsetType = UNSET
    recurring_route_live_sharing_links: list[MiniLink] | UnsetType = UNSET


class RecurringRoutes(msgspec.Struct, kw_only=True):
    """A page of recurring routes, by id."""

    data: list[RecurringRouteAnswer]
    pagination: Pagination


class OneRecurringRoute(msgspec.Struct, kw_only=True):
    """One recurring route."""

    data: RecurringRouteAnswer


async def list_recurring(call: Call) -> Answer:
    """A page of recurring routes."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    principal, directory = call.principal, call.context.live.directory
    some = directory.recurring.list_(principal.org, started_after(call, KIND))
    rest = (one for one in some if is_visible(directory, principal.org, one.body, principal.tag_ids))
    page, pagination = await take_page(call, KIND, size, rest, lambda one: one.body.number)
    links = Links(call)
    return Answer(to_json(RecurringRoutes(data=[_shown(call, one, links) for one in page], pagination=pagination)))


async def get_recurring(call: Call) -> Answer:
    """One recurring route by its id or an external id."""
    return _one(call, _asked(call))


async def create_recurring(call: Call) -> Answer:
    """A new recurring route; the runs of its first week are there when this answers."""
    principal, body = call.principal, read_new(call.body, NewRecurringRoute)
    made = await recurring.create(call.context.catalog, principal.org, _fields(body), principal.tag_ids)
    await plan_runs(call.context.catalog, principal.org, RouteId(made.body.number))
    return _one(call, made)


async def change_recurring(call: Call) -> Answer:
    """Change some fields; the runs that have not begun follow."""
    principal, number = call.principal, RouteId(_asked(call).body.number)
    fields = _fields(read_patch(call.body, RecurringRoutePatch))
    changed = await recurring.update(call.context.catalog, principal.org, number, fields, principal.tag_ids)
    await plan_runs(call.context.catalog, principal.org, number)
    return _one(call, changed)


async def delete_recurring(call: Call) -> Answer:
    """Delete a recurring route and its runs to come."""
    principal, number = call.principal, RouteId(_asked(call).body.number)
    await recurring.remove(call.context.catalog, principal.org, number, principal.tag_ids)
    return Answer(status=204)


def _asked(call: Call) -> Entity[RecurringRoute]:
    principal, directory = call.principal, call.context.live.directory
    found = directory.recurring.find_by_text(principal.org, call.path["id"])
    if found is None or not is_visible(directory, principal.org, found.body, principal.tag_ids):
        raise not_found(f"There is no recurring route {call.path['id'][:80]!r}.")
    return found


def _fields(body: RecurringRoutePatch) -> recurring.RecurringFields:
    settings = RecurringSettingsPatch() if isinstance(body.settings, UnsetType) else body.settings
    if settings is None:
        settings = RecurringSettingsPatch(route_starting_condition=None, route_completion_condition=None)
    stops: list[PlannedStopFields] | UnsetType | None
    if body.stops is None or isinstance(body.stops, UnsetType):
        stops = body.stops
    else:
        stops = [_stop_fields(stop) for stop in body.stops]
    return recurring.RecurringFields(
        name=body.name,
        stops=stops,
        timezone=body.time_zone,
        start_times=body.start_times,
        weekdays=body.weekdays,
        first_date=body.first_date,
        last_date=body.last_date,
        vehicle=body.vehicle_id,
        driver=body.driver_id,
        notes=body.notes,
        starting=settings.route_starting_condition,
        completion=settings.route_completion_condition,
        tag_ids=body.tag_ids,
        external_ids=body.external_ids,
    )


def _stop_fields(stop: RecurringStop) -> PlannedStopFields:
    place = place_of(stop.single_use_location)
    arrival_s, departure_s = stop.arrival_after_start_seconds, stop.departure_after_start_seconds
    return PlannedStopFields(
        name=stop.name or None,
        address=stop.address_id or None,
        place=place if isinstance(place, Place) else None,
        arrival_s=None if isinstance(arrival_s, UnsetType) else arrival_s,
        departure_s=None if isinstance(departure_s, UnsetType) else departure_s,
        early_ms=stop.ontime_window_before_arrival_ms or 0,
        late_ms=stop.ontime_window_after_arrival_ms or 0,
        notes=stop.notes or "",
    )


def _one(call: Call, found: Entity[RecurringRoute]) -> Answer:
    return Answer(to_json(OneRecurringRoute(data=_shown(call, found, Links(call)))))


def _shown(call: Call, found: Entity[RecurringRoute], links: Links) -> RecurringRouteAnswer:
    body = found.body
    return RecurringRouteAnswer(
        id=str(body.number),
        name=body.name,
        time_zone=body.timezone,
        start_times=list(body.start_times),
        weekdays=[WEEKDAYS[day] for day in body.weekdays],
        stops=[_stop(call, stop) for stop in body.stops],
        settings=msgspec.convert(
            {"routeStartingCondition": body.starting, "routeCompletionCondition": body.completion},
            RecurringSettings,
        ),
        created_at_time=render_time(body.created_ms),
        updated_at_time=render_time(body.updated_ms),
        first_date=body.first_date or UNSET,
        last_date=body.last_date or UNSET,
        vehicle=embedded.vehicle(call, body.asset_id),
        driver=embedded.driver(call, body.driver_id),
        notes=body.notes or UNSET,
        tag_ids=[str(tag) for tag in seen_tags(call.principal, body.tag_ids)] or UNSET,
        external_ids=body.external_ids or UNSET,
        recurring_route_live_sharing_links=links.of_routes((body.number,)) or UNSET,
    )


def _stop(call: Call, stop: PlannedStop) -> RecurringStopAnswer:
    address = embedded.address(call, stop.address_id) if stop.address_id else UNSET
    has_place = isinstance(address, UnsetType) and bool(stop.lat or stop.lon)
    return RecurringStopAnswer(
        name=stop.name,
        address=address,
        single_use_location=location_of(stop) if has_place else UNSET,
        arrival_after_start_seconds=UNSET if stop.arrival_s < 0 else stop.arrival_s,
        departure_after_start_seconds=UNSET if stop.departure_s < 0 else stop.departure_s,
        ontime_window_before_arrival_ms=stop.early_ms or UNSET,
        ontime_window_after_arrival_ms=stop.late_ms or UNSET,
        notes=stop.notes or UNSET,
    )


class RecurringRoutesResource:
    """List, get, create, change, delete."""

    name = "Recurring routes"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_ROUTES, Scope.WRITE_ROUTES, "/odograph/recurring-routes"
        one = f"{path}/{{id}}"
        return (
            Endpoint(
                "GET", path, read, list_recurring, "List recurring routes",
                params=(LIMIT, AFTER), answers=RecurringRoutes, is_extension=True,
            ),
            Endpoint(
                "POST", path, write, create_recurring, "Make a recurring route",
                takes=NewRecurringRoute, answers=OneRecurringRoute, is_extension=True,
            ),
            Endpoint(
                "GET", one, read, get_recurring, "One recurring route", answers=OneRecurringRoute, is_extension=True
            ),
            Endpoint(
                "PATCH", one, write, change_recurring, "Change a recurring route and its runs to come",
                takes=RecurringRoutePatch, answers=OneRecurringRoute, is_extension=True,
            ),
            Endpoint(
                "DELETE", one, write, delete_recurring, "Delete a recurring route and its runs to come",
                is_extension=True,
            ),
        )  # fmt: skip


RESOURCE = RecurringRoutesResource()
