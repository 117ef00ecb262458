"""`/fleet/routes`: planned trips, and how far they came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api import embedded
from odograph.api.embedded import Links
from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, PARENT_TAG_IDS, TAG_IDS, parse_time, read_new, read_patch
from odograph.api.positions import END, START
from odograph.api.resources.base import Answer, Call, Endpoint, Limit, Param
from odograph.api.resources.vehicles import seen_tags
from odograph.api.route_bodies import (
    NewRoute,
    OneRoute,
    Recurrence,
    RouteAnswer,
    RoutePatch,
    Routes,
    Settings,
    SettingsPatch,
    State,
    StopAnswer,
    StopPatch,
    V1Delete,
    location_of,
    place_of,
)
from odograph.api.wire import render_time, to_json
from odograph.catalog import routes
from odograph.catalog.stops import StopFields
from odograph.errors import invalid, not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Route, Stop
from odograph.model.ids import AssetId, RouteId
from odograph.model.schedule import scheduled_end_ms, scheduled_start_ms

KIND: Final = "routes"
_INCLUDE: Final = Param(
    "include",
    "csv",
    "Accepted; driven distances are not measured, so that nothing is added.",
    values=("stops.actualDistanceMeters",),
)


async def list_routes(call: Call) -> Answer:
    """The routes that are planned for some part of a range."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    page, pagination = await take_page(call, KIND, size, _listed(call), lambda one: one.body.number)
    links = Links(call)
    return Answer(to_json(Routes(data=[_route(call, one, links) for one in page], pagination=pagination)))


async def get_route(call: Call) -> Answer:
    """One route by its id or an external id."""
    return _one(call, _asked(call))


async def create_route(call: Call) -> Answer:
    """A new route."""
    principal, body = call.principal, read_new(call.body, NewRoute)
    return _one(call, await routes.create(call.context.catalog, principal.org, _fields(body), principal.tag_ids))


async def change_route(call: Call) -> Answer:
    """Change some fields."""
    principal, number = call.principal, RouteId(_asked(call).body.number)
    fields = _fields(read_patch(call.body, RoutePatch))
    return _one(call, await routes.update(call.context.catalog, principal.org, number, fields, principal.tag_ids))


async def delete_route(call: Call) -> Answer:
    """Delete a route with its stops."""
    principal, number = call.principal, RouteId(_asked(call).body.number)
    await routes.remove(call.context.catalog, principal.org, number, principal.tag_ids)
    return Answer(status=204)


async def delete_dispatch_route(call: Call) -> Answer:
    """The same as clients of the vendor's first version ask for it."""
    principal, number = call.principal, RouteId(_asked(call).body.number)
    body = read_new(call.body or b"{}", V1Delete)
    await routes.remove(
        call.context.catalog, principal.org, number, principal.tag_ids, with_later=body.apply_to_future_routes
    )
    return Answer()


def _listed(call: Call) -> Iterator[Entity[Route]]:
    query, principal, directory = call.query, call.principal, call.context.live.directory
    start_ms, end_ms = query.required_time_ms(START), query.required_time_ms(END)
    if end_ms < start_ms:
        raise invalid("Parameter 'endTime' is before 'startTime'; it must be the same or later.")
    by_tag, by_parent = query.csv(TAG_IDS), query.csv(PARENT_TAG_IDS)
    wanted = directory.tags_meant(principal, by_tag, by_parent) if by_tag or by_parent else None
    after = started_after(call, KIND)
    for route in directory.routes.planned(principal.org, start_ms, end_ms):
        body = route.body
        if (
            body.number > after
            and (wanted is None or not wanted.isdisjoint(body.tag_ids))
            and routes.is_visible(directory, principal.org, body, principal.tag_ids)
        ):
            yield route


def _asked(call: Call) -> Entity[Route]:
    principal, directory = call.principal, call.context.live.directory
    route = directory.routes.find_by_text(principal.org, call.path["id"])
    if route is None or not routes.is_visible(directory, principal.org, route.body, principal.tag_ids):
        raise not_found(f"There is no route {call.path['id'][:80]!r}.")
    return route


def _fields(body: RoutePatch) -> routes.RouteFields:
    if body.recompute_scheduled_times is True:
        raise invalid("recomputeScheduledTimes: times are not computed here; give those of every stop instead.")
    settings = SettingsPatch() if isinstance(body.settings, UnsetType) else body.settings
    if settings is None:
        settings = SettingsPatch(
            route_starting_condition=None, route_completion_condition=None, sequencing_method=None
        )
    stops: list[StopFields] | UnsetType | None
    if body.stops is None or isinstance(body.stops, UnsetType):
        stops = body.stops
    else:
        stops = [_stop_fields(f"stops[{at}]", stop) for at, stop in enumerate(body.stops)]
    return routes.RouteFields(
        name=body.name,
        stops=stops,
        vehicle=body.vehicle_id,
        driver=body.driver_id,
        notes=body.notes,
        starting=settings.route_starting_condition,
        completion=settings.route_completion_condition,
        sequencing=settings.sequencing_method,
        tag_ids=body.tag_ids,
        external_ids=body.external_ids,
    )


def _stop_fields(field: str, stop: StopPatch) -> StopFields:
    return StopFields(
        id=stop.id,
        name=stop.name,
        address=stop.address_id,
        place=place_of(stop.single_use_location),
        arrival_ms=_time_ms(f"{field}.scheduledArrivalTime", stop.scheduled_arrival_time),
        departure_ms=_time_ms(f"{field}.scheduledDepartureTime", stop.scheduled_departure_time),
        early_ms=stop.ontime_window_before_arrival_ms,
        late_ms=stop.ontime_window_after_arrival_ms,
        notes=stop.notes,
        sequence=stop.sequence_number,
        external_ids=stop.external_ids,
    )


def _time_ms(field: str, text: str | UnsetType | None) -> int | UnsetType | None:
    if isinstance(text, UnsetType):
        return text
    if not text:
        return None
    time_ms = parse_time(text)
    if time_ms is None or time_ms <= 0:
        raise invalid(f"{field}: {text[:40]!r} is not an RFC 3339 time with a zone, such as 2024-05-01T10:00:00Z.")
    return time_ms


def _one(call: Call, route: Entity[Route]) -> Answer:
    return Answer(to_json(OneRoute(data=_route(call, route, Links(call)))))


def _route(call: Call, route: Entity[Route], links: Links) -> RouteAnswer:
    body, directory = route.body, call.context.live.directory
    org = directory.orgs.find_org(route.org)
    shown_by = links.of_routes({body.number, body.recurring_id} - {0})
    return RouteAnswer(
        id=str(body.number),
        name=body.name,
        stops=[_stop(call, body, stop, links) for stop in body.stops],
        settings=msgspec.convert(
            {
                "routeStartingCondition": body.starting,
                "routeCompletionCondition": body.completion,
                "sequencingMethod": body.sequencing,
            },
            Settings,
        ),
        org_local_timezone="UTC" if org is None else org.body.timezone,
        vehicle=embedded.vehicle(call, body.asset_id),
        driver=embedded.driver(call, body.driver_id),
        notes=body.notes or UNSET,
        tag_ids=[str(tag) for tag in seen_tags(call.principal, body.tag_ids)] or UNSET,
        external_ids=body.external_ids or UNSET,
        scheduled_route_start_time=_time(scheduled_start_ms(body)),
        scheduled_route_end_time=_time(scheduled_end_ms(body)),
        actual_route_start_time=_time(body.started_ms),
        actual_route_end_time=_time(body.ended_ms if body.started_ms else 0),
        recurring_route_live_sharing_links=shown_by or UNSET,
        odograph=_recurrence(body),
    )


def _recurrence(body: Route) -> Recurrence | UnsetType:
    if not body.recurring_id:
        return UNSET
    return Recurrence(recurring_route_id=str(body.recurring_id), run_date=body.run_date, run_time=body.run_time)


def _stop(call: Call, route: Route, stop: Stop, links: Links) -> StopAnswer:
    address = embedded.address(call, stop.address_id) if stop.address_id else UNSET
    has_place = isinstance(address, UnsetType) and bool(stop.lat or stop.lon)
    return StopAnswer(
        id=str(stop.number),
        name=stop.name,
        state=state_of(call, route, stop),
        orders=[],
        address=address,
        single_use_location=location_of(stop) if has_place else UNSET,
        scheduled_arrival_time=_time(stop.scheduled_arrival_ms),
        scheduled_departure_time=_time(stop.scheduled_departure_ms),
        en_route_time=_time(stop.en_route_ms),
        actual_arrival_time=_time(stop.arrived_ms),
        actual_departure_time=_time(stop.departed_ms),
        skipped_time=_time(stop.skipped_ms),
        ontime_window_before_arrival_ms=stop.early_ms or UNSET,
        ontime_window_after_arrival_ms=stop.late_ms or UNSET,
        sequence_number=stop.sequence or UNSET,
        notes=stop.notes or UNSET,
        external_ids=stop.external_ids or UNSET,
        live_sharing_url=embedded.stop_url(call, stop.number),
        location_live_sharing_links=(links.of_address(stop.address_id) if stop.address_id else []) or UNSET,
    )


def state_of(call: Call, route: Route, stop: Stop) -> State:
    """How far it is with a stop."""
    if stop.departed_ms:
        return "departed"
    if stop.arrived_ms:
        return "arrived"
    if stop.skipped_ms:
        return "skipped"
    if stop.en_route_ms:
        return "en route"
    directory, org = call.context.live.directory, call.principal.org
    has_vehicle = route.asset_id and directory.assets.find_by_number(org, AssetId(route.asset_id)) is not None
    return "scheduled" if has_vehicle or route.driver_id else "unassigned"


def _time(time_ms: int) -> str | UnsetType:
    return render_time(time_ms) if time_ms else UNSET


class RoutesResource:
    """List, get, create, change, delete."""

    name = "Routes"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_ROUTES, Scope.WRITE_ROUTES, "/fleet/routes"
        one, writes = f"{path}/{{id}}", Limit(100, 60)
        return (
            Endpoint(
                "GET", path, read, list_routes, "List routes",
                params=(START, END, LIMIT, AFTER, _INCLUDE, TAG_IDS, PARENT_TAG_IDS),
                answers=Routes, limit=Limit(5, 1),
            ),
            Endpoint(
                "POST", path, write, create_route, "Make a route", takes=NewRoute, answers=OneRoute, limit=writes
            ),
            Endpoint(
                "GET", one, read, get_route, "One route", params=(_INCLUDE,), answers=OneRoute, limit=Limit(25, 1)
            ),
            Endpoint(
                "PATCH", one, write, change_route, "Change a route",
                takes=RoutePatch, answers=OneRoute, limit=writes,
            ),
            Endpoint("DELETE", one, write, delete_route, "Delete a route", limit=writes),
            Endpoint(
                "DELETE", "/v1/fleet/dispatch/routes/{id}", write, delete_dispatch_route,
                "Delete a route, or this run and all later ones", done=200, reads_body=True,
            ),
        )  # fmt: skip


RESOURCE = RoutesResource()
