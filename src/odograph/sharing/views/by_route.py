"""Links to a route: its stops, how late it is, and who drives it (`assetsOnRoute`)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from msgspec import UNSET

from odograph.model.catalog import Asset, Route, Stop
from odograph.model.place import Geofence
from odograph.sharing import page
from odograph.sharing.keys import asset_key
from odograph.sharing.runs import begins_ms, next_stop, run_state, run_to_show
from odograph.sharing.trace import Trace
from odograph.sharing.views.base import (
    Bound,
    Frame,
    Scene,
    Shown,
    Subject,
    View,
    asset_of,
    bound_of_stop,
    eta_of,
    find_asset,
    hidden_of,
    if_shown,
    limited_from_ms,
    link_of,
    rules_of,
)

_MINUTE_S = 60  # lateness is told in minutes: a page that changed every second would say no more


class ByRoute:
    """The run under way with its vehicle, else the next one planned, else the last one."""

    name = "assetsOnRoute"
    is_listed_when_hidden = True
    is_by_route = True

    def subjects(self, scene: Scene) -> list[Subject]:
        """The vehicle of the run that is under way."""
        route = _route(scene)
        asset = None if route is None else find_asset(scene, route.vehicle_id)
        if route is None or asset is None or run_state(route) != "underway":
            return []
        stop, _ = next_stop(route)
        bound = None if stop is None else bound_of_stop(scene, stop)
        planned_ms = 0 if stop is None else _planned_ms(stop)
        from_ms = max(route.started_ms, route.assigned_ms)
        rules = rules_of(scene, asset, from_ms, bound, planned_ms=planned_ms, until_ms=route.ended_ms)
        return [] if rules is None else [Subject(asset, rules, if_shown(scene, bound), planned_ms)]

    def fence(self, scene: Scene) -> Geofence | None:
        """None: nobody becomes a subject by moving."""
        del scene
        return None

    def frame(self, scene: Scene, shown: Shown) -> Frame:
        """The link and the run. Nothing is hidden where no run is under way: then there is nothing to hide."""
        route = _route(scene)
        bound = None if route is None else _last_bound(scene, route)
        hidden = hidden_of(shown) if shown or route is None else None
        return Frame(link_of(scene, "route", bound, shown, hidden), UNSET, run_of(scene, route, shown))

    def asset(self, scene: Scene, subject: Subject, trace: Trace) -> page.Asset:
        """The vehicle, without its trail. How far it has come, its stops tell."""
        asset = asset_of(scene, subject, trace)
        asset.progress = UNSET
        return asset


def run_of(scene: Scene, route: Route | None, shown: Shown) -> page.Route:
    """A run as pages have it. Stops inside private zones are left out."""
    if route is None:
        return page.Route(name=scene.share.name, state="none", stops=[])
    run = page.Route(name=_name(scene, route), state=run_state(route), stops=[])
    if begins_ms(route):
        run.starts = begins_ms(route)
    asset = find_asset(scene, route.vehicle_id)
    is_told = asset is not None and limited_from_ms(scene, asset) is not None
    fix = next((trace.fix for _, trace in shown if trace.fix is not None), None)
    if is_told and asset is not None and run.state == "underway" and shown:
        run.asset = asset_key(scene.sources.server_key, scene.share.share_id, asset.number)
    floor_ms = shown[0][0].rules.floor_ms if shown else _floor_ms(scene, asset)
    floor_ms = max(floor_ms, scene.share.starts_ms, scene.share.past_from_ms)  # when it was where is the past
    following, _ = next_stop(route)
    for stop in route.stops:
        bound = if_shown(scene, bound_of_stop(scene, stop))
        if bound is not None:
            run.stops.append(_stop_of(scene, route, stop, following, bound, floor_ms if is_told else None, fix))
    late_s = _late_s(scene, route, floor_ms) if is_told else None
    if late_s is not None:
        run.late_s = late_s
    return run


def _stop_of(
    scene: Scene,
    route: Route,
    stop: Stop,
    following: Stop | None,
    bound: Bound,
    floor_ms: int | None,
    fix: np.void | None,
) -> page.Stop:
    """One stop. What may not be told has no time; `floor_ms` None tells nothing of what happened."""
    state = _state(route, stop, following) if floor_ms is not None else "todo"
    shown = page.Stop(name=bound.name, lat=bound.at.lat, lon=bound.at.lon, state=state)
    planned_ms = _planned_ms(stop)
    if planned_ms:
        shown.planned = planned_ms
    if floor_ms is None:
        return shown
    if _is_told(scene, bound, stop.arrived_ms, floor_ms):
        shown.arrived = stop.arrived_ms
        if planned_ms:
            shown.late_s = (stop.arrived_ms - planned_ms) // 1000
    if _is_told(scene, bound, stop.departed_ms, floor_ms):
        shown.departed = stop.departed_ms
    if fix is not None and state == "next":
        shown.eta = eta_of(scene, route.vehicle_id, fix, bound.at)
    return shown


def _is_told(scene: Scene, bound: Bound | None, time_ms: int, floor_ms: int) -> bool:
    """Whether it may be told that it was at a stop at a time: not of a time at which that lay in a private zone."""
    return bound is not None and time_ms >= max(floor_ms, 1) and not scene.private.holds(*bound.at, time_ms)


def _state(route: Route, stop: Stop, following: Stop | None) -> Literal["done", "here", "next", "todo", "skipped"]:
    if stop.skipped_ms:
        return "skipped"
    if stop.departed_ms or (stop.arrived_ms and route.ended_ms):
        return "done"
    if stop.arrived_ms:
        return "here"
    is_next = following is not None and stop.number == following.number and run_state(route) == "underway"
    return "next" if is_next else "todo"


def _late_s(scene: Scene, route: Route, floor_ms: int) -> int | None:
    """By the last stop that was reached, or, where that says more, by the next one that is missed already."""
    if run_state(route) != "underway":
        return None
    late_s = None
    for stop in reversed(route.stops):
        planned_ms = _planned_ms(stop)
        if (
            planned_ms
            and stop.arrived_ms
            and _is_told(scene, bound_of_stop(scene, stop), stop.arrived_ms, floor_ms)
        ):
            late_s = (stop.arrived_ms - planned_ms) // 1000
            break
    following, _ = next_stop(route)
    planned_ms = 0 if following is None or following.arrived_ms else _planned_ms(following)
    if planned_ms and scene.now_ms > planned_ms:
        missed_s = (scene.now_ms - planned_ms) // 1000
        late_s = missed_s if late_s is None else max(late_s, missed_s)
    return None if late_s is None else late_s // _MINUTE_S * _MINUTE_S


def _floor_ms(scene: Scene, asset: Asset | None) -> int:
    """Of a run whose vehicle is not shown: what the rules of that vehicle would say."""
    rules = None if asset is None else rules_of(scene, asset, 0, None)
    return 0 if rules is None else rules.floor_ms


def _planned_ms(stop: Stop) -> int:
    return stop.scheduled_arrival_ms or stop.scheduled_departure_ms


def _last_bound(scene: Scene, route: Route) -> Bound | None:
    return if_shown(scene, bound_of_stop(scene, route.stops[-1])) if route.stops else None


def _route(scene: Scene) -> Route | None:
    found = run_to_show(scene.directory, scene.org, scene.share.route_id, scene.now_ms)
    return None if found is None else found.body


def _name(scene: Scene, route: Route) -> str:
    recurring = scene.directory.recurring.find_by_number(scene.org, scene.share.route_id)
    return route.name if recurring is None else recurring.body.name


VIEW: View = ByRoute()
