"""Routes: made, changed and deleted, with what their fields may hold and who may see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog import stops as stopping
from odograph.catalog.changes import Catalog, Plan, delete, found, put, take_numbers, written
from odograph.catalog.runs import cleared
from odograph.catalog.stops import StopFields
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.access import carries
from odograph.model.catalog import RecurringRoute, Route, Stop
from odograph.model.ids import AssetId, OrgId, RouteId, TagId
from odograph.store.base import Change

MAX_ROUTES: Final = 1 << 48
"""Of one install, deleted ones, recurring routes and their runs included; as many stops."""

P = TypeVar("P", Route, RecurringRoute)

TagLimit = frozenset[TagId] | None
"""A principal's `tag_ids`: what it may see; None sees the whole org."""


class PlanFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for of either kind: UNSET keeps a field as it is, or as it begins; None empties it."""

    name: str | UnsetType | None = UNSET
    vehicle: str | UnsetType | None = UNSET
    driver: str | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET
    starting: str | UnsetType | None = UNSET
    completion: str | UnsetType | None = UNSET
    tag_ids: Sequence[str] | UnsetType | None = UNSET
    external_ids: Mapping[str, object] | UnsetType | None = UNSET


class RouteFields(PlanFields, frozen=True, kw_only=True):
    """What is asked for of a route."""

    stops: Sequence[StopFields] | UnsetType | None = UNSET
    sequencing: str | UnsetType | None = UNSET


async def create(catalog: Catalog, org: OrgId, fields: RouteFields, tag_limit: TagLimit = None) -> Entity[Route]:
    """A new route. INVALID names the field that can't be kept; CONFLICT when the install has no numbers left."""

    def plan() -> Plan[Entity[Route]]:
        numbers, counting = number_routes(catalog.directory, 1)
        now_ms = catalog.clock.now_ms()
        blank = Route(number=numbers[0], name="", stops=(), created_ms=now_ms, updated_ms=now_ms)
        body, stop_counting = _checked(catalog.directory, org, None, blank, fields, tag_limit)
        return Plan([put(None, org, body), counting, *stop_counting], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(
    catalog: Catalog, org: OrgId, number: RouteId, fields: RouteFields, tag_limit: TagLimit = None
) -> Entity[Route]:
    """Put the given fields in. Stops named by their id are changed, others are new, those not named go.

    NOT_FOUND, also for a route that `tag_limit` hides; INVALID names the field that can't be kept.
    """

    def plan() -> Plan[Entity[Route]]:
        old = get(catalog.directory, org, number, tag_limit)
        body, counting = _checked(catalog.directory, org, old, old.body, fields, tag_limit)
        if body == old.body:
            return Plan([], lambda _: old)
        now_ms = catalog.clock.now_ms()
        body = msgspec.structs.replace(_reopened(old.body, body, now_ms), updated_ms=now_ms)
        return Plan([put(old, org, body), *counting], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def remove(
    catalog: Catalog, org: OrgId, number: RouteId, tag_limit: TagLimit = None, *, with_later: bool = False
) -> None:
    """Delete a route with its stops. A run of a recurring route is not planned again.

    `with_later`: the recurring route ends with the run before this one, and its later runs go too.
    NOT_FOUND, also for a route that `tag_limit` hides.
    """

    def plan() -> Plan[None]:
        directory = catalog.directory
        old = get(directory, org, number, tag_limit)
        changes = [delete(old)]
        pattern = directory.recurring.find_by_number(org, old.body.recurring_id)
        if pattern is None:
            return Plan(changes, lambda _: None)
        gone = [run_name(old.body)]
        if with_later:
            later = [one for one in directory.routes.runs(org, RouteId(pattern.body.number)) if _is_later(one, old)]
            changes += [delete(one) for one in later]
            gone += [run_name(one.body) for one in later]
        changes.append(put(pattern, org, _without(pattern.body, gone, old.body, ends_it=with_later)))
        return Plan(changes, lambda _: None)

    await catalog.change(plan)


def get(directory: Directory, org: OrgId, number: RouteId, tag_limit: TagLimit = None) -> Entity[Route]:
    """A route by its number; NOT_FOUND, also for one that `tag_limit` hides."""
    entity = found(directory.routes.find_by_number(org, number), "route")
    return found(entity if is_visible(directory, org, entity.body, tag_limit) else None, "route")


def is_visible(directory: Directory, org: OrgId, body: Route | RecurringRoute, tag_limit: TagLimit) -> bool:
    """Whether it, or its vehicle, carries one of these tags."""
    if carries(body.tag_ids, tag_limit):
        return True
    return bool(body.asset_id) and sees_vehicle(directory, org, AssetId(body.asset_id), tag_limit)


def sees_vehicle(directory: Directory, org: OrgId, number: AssetId, tag_limit: TagLimit) -> bool:
    """Whether the vehicle is there and carries one of these tags."""
    return check.visible(directory.assets.find_by_number(org, number), tag_limit) is not None


def number_routes(directory: Directory, count: int) -> tuple[range, Change]:
    """Numbers for `count` routes or recurring routes, and the change that takes them for good."""
    return take_numbers(directory, "routes", count, MAX_ROUTES)


def number_stops(directory: Directory, count: int) -> tuple[range, Change]:
    """Numbers for `count` stops, and the change that takes them for good."""
    return take_numbers(directory, "stops", count, MAX_ROUTES)


def run_name(body: Route) -> str:
    """Which run of its recurring route it is, as `RecurringRoute.cancelled` lists them."""
    return f"{body.run_date}T{body.run_time}"


def driven(directory: Directory, org: OrgId, body: Route) -> Route:
    """The route with the vehicle that is assigned to its driver now."""
    assets = directory.assets.list_of_driver(org, body.driver_id) if body.driver_id else []
    return msgspec.structs.replace(body, driven_asset_id=assets[0].body.number if assets else 0)


def reassigned(catalog: Catalog, org: OrgId, vehicles: Mapping[int, int]) -> list[Change]:
    """What must change with the open routes of drivers who now have these vehicles, 0 for none, by their numbers.

    Where a vehicle only goes, what it did of a route stays.
    """
    now_ms = catalog.clock.now_ms()
    return [
        put(
            one,
            org,
            msgspec.structs.replace(
                cleared(one.body) if number else one.body, driven_asset_id=number, assigned_ms=now_ms
            ),
        )
        for driver_id, number in vehicles.items()
        for one in catalog.directory.routes.open_of_driver(org, driver_id)
        if one.body.driven_asset_id != number
    ]


def _assigned(
    directory: Directory,
    org: OrgId,
    old: tuple[int, int],
    vehicle: str | UnsetType | None,
    driver: str | UnsetType | None,
    tag_limit: TagLimit,
) -> tuple[int, int]:
    """The numbers of vehicle and driver, 0 for none; `old` as they are. Giving the one takes the other away."""
    if vehicle and driver and not isinstance(vehicle, UnsetType) and not isinstance(driver, UnsetType):
        raise invalid("vehicleId: is given together with driverId; a route has one or the other.")
    asset_id, driver_id = old
    if not isinstance(vehicle, UnsetType):
        asset_id = _vehicle(directory, org, vehicle, tag_limit) if vehicle else 0
        driver_id = 0 if asset_id else driver_id
    if not isinstance(driver, UnsetType):
        driver_id = _driver(directory, org, driver, tag_limit) if driver else 0
        asset_id = 0 if driver_id else asset_id
    return asset_id, driver_id


def check_visible(directory: Directory, org: OrgId, body: Route | RecurringRoute, tag_limit: TagLimit) -> None:
    """Refuse what a token limited to tags would not see itself."""
    if not is_visible(directory, org, body, tag_limit):
        check.check_within_tags(tag_limit, body.tag_ids)


def one_of(field: str, value: str | None, allowed: Sequence[str]) -> str:
    """A word of a short list; None is the first of it."""
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise invalid(f"{field}: {value[:40]!r} is not known; allowed: {', '.join(allowed)}.")
    return value


def _vehicle(directory: Directory, org: OrgId, text: str, tag_limit: TagLimit) -> int:
    asset = directory.find_asset(org, text, tag_limit)
    if asset is None:
        raise invalid(f"vehicleId: there is no vehicle {text[:60]!r}; list the vehicles to see their ids.")
    return asset.body.number


def _driver(directory: Directory, org: OrgId, text: str, tag_limit: TagLimit) -> int:
    driver = check.visible(directory.drivers.find_by_text(org, text), tag_limit)
    if driver is None:
        raise invalid(f"driverId: there is no driver {text[:60]!r}; list the drivers to see their ids.")
    return driver.body.number


def _checked(
    directory: Directory, org: OrgId, old: Entity[Route] | None, body: Route, fields: RouteFields, limit: TagLimit
) -> tuple[Route, list[Change]]:
    body = described(directory, org, old, _with_settings(body, fields), fields, limit)
    if not body.ended_ms or old is None or body.driver_id != old.body.driver_id:
        body = driven(directory, org, body)
    body, counting = _with_stops(directory, org, body, fields.stops, limit)
    check_visible(directory, org, body, limit)
    return body, counting


def described(
    directory: Directory, org: OrgId, old: Entity[P] | None, body: P, fields: PlanFields, limit: TagLimit
) -> P:
    """The body with all put in that routes and recurring routes share, but settings and stops."""
    name = body.name if isinstance(fields.name, UnsetType) else fields.name
    body = msgspec.structs.replace(body, name=check.name("name", name))
    if not isinstance(fields.notes, UnsetType):
        notes = check.text("notes", fields.notes, stopping.MAX_NOTES, may_break=True)
        body = msgspec.structs.replace(body, notes=notes)
    if not isinstance(fields.tag_ids, UnsetType):
        tag_ids = check.tag_ids(directory, org, fields.tag_ids, body.tag_ids, limit)
        body = msgspec.structs.replace(body, tag_ids=tag_ids)
    if not isinstance(fields.external_ids, UnsetType):
        pairs = check.external_ids(body.external_ids, fields.external_ids)
        check.check_external_ids_free(directory, org, None if old is None else old.id, pairs, limit)
        body = msgspec.structs.replace(body, external_ids=pairs)
    asset_id, driver_id = _assigned(
        directory, org, (body.asset_id, body.driver_id), fields.vehicle, fields.driver, limit
    )
    return msgspec.structs.replace(body, asset_id=asset_id, driver_id=driver_id)


def _with_settings(body: Route, fields: RouteFields) -> Route:
    for name, spoken, asked, allowed in (
        ("starting", "settings.routeStartingCondition", fields.starting, stopping.STARTINGS),
        ("completion", "settings.routeCompletionCondition", fields.completion, stopping.COMPLETIONS),
        ("sequencing", "settings.sequencingMethod", fields.sequencing, stopping.SEQUENCINGS),
    ):
        if not isinstance(asked, UnsetType):
            body = msgspec.structs.replace(body, **{name: one_of(spoken, asked, allowed)})
    return body


def _with_stops(
    directory: Directory,
    org: OrgId,
    body: Route,
    asked: Sequence[StopFields] | UnsetType | None,
    tag_limit: TagLimit,
) -> tuple[Route, list[Change]]:
    stops, counting = body.stops, list[Change]()
    if not isinstance(asked, UnsetType):
        asked = asked or ()
        stopping.check_count(len(asked))
        known = {str(stop.number): stop for stop in body.stops}
        numbers, taking = number_stops(directory, sum(isinstance(one.id, UnsetType) for one in asked))
        counting = [taking] if len(numbers) else []
        fresh = iter(numbers)
        stops = tuple(
            stopping.changed(
                directory, org, f"stops[{at}]", one, _stop(f"stops[{at}]", one, known, fresh), tag_limit
            )
            for at, one in enumerate(asked)
        )
    ordered = stopping.in_order(stops, body.starting, body.completion, body.sequencing)
    return msgspec.structs.replace(body, stops=ordered), counting


def _stop(field: str, asked: StopFields, known: dict[str, Stop], fresh: Iterator[int]) -> Stop:
    """The stop that is meant, taken out of `known`; a new one where no id is given."""
    if isinstance(asked.id, UnsetType):
        return Stop(number=next(fresh), name="")
    if asked.id not in known:
        raise invalid(
            f"{field}.id: {asked.id[:40]!r} is no stop of this route, or named twice; a new stop has no id."
        )
    return known.pop(asked.id)


def _reopened(old: Route, body: Route, now_ms: int) -> Route:
    """What was found of a route's progress goes with its vehicle; a change of its plan opens an ended one again."""
    if body.vehicle_id != old.vehicle_id:
        return msgspec.structs.replace(cleared(body), assigned_ms=now_ms)
    if old.ended_ms and (body.stops, body.starting, body.completion) != (old.stops, old.starting, old.completion):
        return msgspec.structs.replace(body, ended_ms=0)
    return body


def _is_later(one: Entity[Route], than: Entity[Route]) -> bool:
    return one.id != than.id and not one.body.started_ms and run_name(one.body) > run_name(than.body)


def _without(pattern: RecurringRoute, gone: Sequence[str], run: Route, *, ends_it: bool) -> RecurringRoute:
    """The recurring route without these runs. What it says else is as old as before: its other runs stay."""
    cancelled = tuple(sorted({*pattern.cancelled, *gone}))
    if not ends_it:
        return msgspec.structs.replace(pattern, cancelled=cancelled)
    today = [f"{run.run_date}T{time}" for time in pattern.start_times if time >= run.run_time]
    last_date = min(pattern.last_date or run.run_date, run.run_date)
    return msgspec.structs.replace(pattern, cancelled=tuple(sorted({*cancelled, *today})), last_date=last_date)
