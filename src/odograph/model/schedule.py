"""When a route is planned to begin and to end."""

from __future__ import annotations

from odograph.model.catalog import Route


def scheduled_start_ms(route: Route) -> int:
    """When it is planned to begin; 0 where no stop has a time."""
    first = route.stops[0]
    times = (first.scheduled_departure_ms, first.scheduled_arrival_ms)
    if route.starting == "arriveFirstStop":
        times = (times[1], times[0])
    return times[0] or times[1] or min(_times(route), default=0)


def scheduled_end_ms(route: Route) -> int:
    """When it is planned to end; 0 where no stop has a time."""
    last = route.stops[-1]
    times = (last.scheduled_arrival_ms, last.scheduled_departure_ms)
    if route.completion == "departLastStop":
        times = (times[1], times[0])
    return times[0] or times[1] or max(_times(route), default=0)


def _times(route: Route) -> list[int]:
    both = ((stop.scheduled_arrival_ms, stop.scheduled_departure_ms) for stop in route.stops)
    return [time_ms for pair in both for time_ms in pair if time_ms]
