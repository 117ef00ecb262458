"""What requests and answers say of routes and their stops."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.embedded import Mini, MiniLink
from odograph.api.resources.base import Pagination
from odograph.api.resources.vehicles import ExternalIds
from odograph.api.wire import Latitude, Longitude, Time
from odograph.catalog.stops import MAX_WINDOW_MS, Place
from odograph.model.catalog import PlannedStop, Stop

Notes = Annotated[str, msgspec.Meta(max_length=2000)]
WindowMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_WINDOW_MS)]
Starting = Literal["departFirstStop", "arriveFirstStop"]
Completion = Literal["arriveLastStop", "departLastStop"]
Sequencing = Literal["scheduledArrivalTime", "manual", "unknown"]
State = Literal["unassigned", "scheduled", "en route", "skipped", "arrived", "departed"]


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class SingleUseLocation(msgspec.Struct, rename="camel", kw_only=True):
    """A place of a stop's own: a circle of 100 m where no radius is given."""

    latitude: Latitude
    longitude: Longitude
    address: Annotated[str, msgspec.Meta(max_length=255)] | UnsetType | None = UNSET
    radius_meters: Annotated[float, msgspec.Meta(ge=0.1, le=100_000)] | UnsetType | None = UNSET


class Settings(msgspec.Struct, rename="camel", kw_only=True):
    """When the route starts, when it is complete, and how its stops are ordered."""

    route_starting_condition: Starting
    route_completion_condition: Completion
    sequencing_method: Sequencing


class SettingsPatch(msgspec.Struct, rename="camel", kw_only=True):
    """As `Settings`; what is not given is as the vendor has it, or stays."""

    route_starting_condition: Starting | UnsetType | None = UNSET
    route_completion_condition: Completion | UnsetType | None = UNSET
    sequencing_method: Sequencing | UnsetType | None = UNSET


class StopPatch(msgspec.Struct, rename="camel", kw_only=True):
    """A stop: with `id` one of the route's, without a new one. Exactly one of `addressId`, `singleUseLocation`."""

    id: str | UnsetType = UNSET
    name: Annotated[str, msgspec.Meta(max_length=255)] | UnsetType | None = UNSET
    address_id: str | UnsetType | None = UNSET
    single_use_location: SingleUseLocation | UnsetType | None = UNSET
    notes: Notes | UnsetType | None = UNSET
    scheduled_arrival_time: str | UnsetType | None = UNSET
    scheduled_departure_time: str | UnsetType | None = UNSET
    ontime_window_before_arrival_ms: WindowMs | UnsetType | None = UNSET
    ontime_window_after_arrival_ms: WindowMs | UnsetType | None = UNSET
    sequence_number: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET


class RoutePatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; stops that are not named go, external ids are merged by key."""

    name: Name | UnsetType = UNSET
    stops: list[StopPatch] | UnsetType | None = UNSET
    vehicle_id: str | UnsetType | None = UNSET
    driver_id: str | UnsetType | None = UNSET
    notes: Notes | UnsetType | None = UNSET
    settings: SettingsPatch | UnsetType | None = UNSET
    tag_ids: list[str] | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET
    recompute_scheduled_times: bool | UnsetType | None = UNSET


class NewRoute(RoutePatch, rename="camel", kw_only=True):
    """A new route: two stops at least."""

    name: Name
    stops: list[StopPatch]


class Order(msgspec.Struct, rename="camel", kw_only=True):
    """An order at a stop; there are none here, but clients want the list."""

    id: str
    task_id: str


class StopAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A stop, what is planned there and what has happened; what is not known is left out."""

    id: str
    name: str
    state: State
    orders: list[Order]
    address: Mini | UnsetType = UNSET
    single_use_location: SingleUseLocation | UnsetType = UNSET
    scheduled_arrival_time: Time | UnsetType = UNSET
    scheduled_departure_time: Time | UnsetType = UNSET
    en_route_time: Time | UnsetType = UNSET
    actual_arrival_time: Time | UnsetType = UNSET
    actual_departure_time: Time | UnsetType = UNSET
    skipped_time: Time | UnsetType = UNSET
    ontime_window_before_arrival_ms: int | UnsetType = UNSET
    ontime_window_after_arrival_ms: int | UnsetType = UNSET
    sequence_number: int | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    external_ids: dict[str, str] | UnsetType = UNSET
    live_sharing_url: str
    location_live_sharing_links: list[MiniLink] | UnsetType = UNSET


class Recurrence(msgspec.Struct, rename="camel", kw_only=True):
    """Our extension: which recurring route a route is a run of, and which run."""

    recurring_route_id: str
    run_date: str
    run_time: str


class RouteAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A route; what is not known of it is left out."""

    id: str
    name: str
    stops: list[StopAnswer]
    settings: Settings
    org_local_timezone: str
    vehicle: Mini | UnsetType = UNSET
    driver: Mini | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    tag_ids: list[str] | UnsetType = UNSET
    external_ids: dict[str, str] | UnsetType = UNSET
    scheduled_route_start_time: Time | UnsetType = UNSET
    scheduled_route_end_time: Time | UnsetType = UNSET
    actual_route_start_time: Time | UnsetType = UNSET
    actual_route_end_time: Time | UnsetType = UNSET
    recurring_route_live_sharing_links: list[MiniLink] | UnsetType = UNSET
    odograph: Recurrence | UnsetType = UNSET


class Routes(msgspec.Struct, kw_only=True):
    """A page of routes, by id."""

    data: list[RouteAnswer]
    pagination: Pagination


class OneRoute(msgspec.Struct, kw_only=True):
    """One route."""

    data: RouteAnswer


class V1Delete(msgspec.Struct, kw_only=True):
    """What else goes with a run of a recurring route: true takes the later ones, and ends the recurrence."""

    apply_to_future_routes: bool = False


def place_of(given: SingleUseLocation | UnsetType | None) -> Place | UnsetType | None:
    """The place of a request."""
    if given is None or isinstance(given, UnsetType):
        return given
    return Place(given.latitude, given.longitude, given.address or "", given.radius_meters or 0.0)


def location_of(stop: Stop | PlannedStop) -> SingleUseLocation:
    """The place of an answer."""
    return SingleUseLocation(
        latitude=stop.lat,
        longitude=stop.lon,
        address=stop.place_text or UNSET,
        radius_meters=stop.radius_m or UNSET,
    )
