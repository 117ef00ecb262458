"""How a vehicle moves about a town: a grid of streets, lights, turns, stops with the engine on, and parking."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from odograph.model.fixes import Report

BLOCK_M: Final = 160.0
ARTERIAL_EVERY: Final = 5  # streets
STREET_MPS: Final = 40 / 3.6
ARTERIAL_MPS: Final = 60 / 3.6
TURN_MPS: Final = 15 / 3.6
SPEED_UP: Final = 1.6  # m/s², a loaded van
SLOW_DOWN: Final = 2.2
REACH_BLOCKS: Final = 25  # 4 km from the middle of town, each way
RED_SHARE: Final = 0.25
NOISE_M: Final = 1.5  # of a receiver under open sky
ON_EVERY_S: Final = 5
OFF_EVERY_S: Final = 3600

_METRES_PER_DEGREE: Final = 111_195.0


class Town(NamedTuple):
    """Where the grid lies, and how far it is turned from north."""

    lat: float
    lon: float
    turned_deg: float = 0.0

    def position(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Latitude and longitude of a place on the grid."""
        turn = math.radians(self.turned_deg)
        east_m = x_m * math.cos(turn) + y_m * math.sin(turn)
        north_m = y_m * math.cos(turn) - x_m * math.sin(turn)
        lon = self.lon + east_m / (_METRES_PER_DEGREE * math.cos(math.radians(self.lat)))
        return round(self.lat + north_m / _METRES_PER_DEGREE, 7), round(lon, 7)


class Call(NamedTuple):
    """A crossing, in blocks east and north of the middle, where a vehicle stands for a while."""

    column: int
    row: int
    stands_s: int


class RoundTrip(NamedTuple):
    """The same calls in the same order, from the first one every `every_s`, and back to it.

    Rounds begin `phase_s` after the full period of the clock.
    """

    calls: tuple[Call, ...]
    every_s: int
    phase_s: int = 0


class Second(NamedTuple):
    """A vehicle at one second: metres from the middle along the grid, heading along the grid, and its ignition."""

    x_m: float
    y_m: float
    heading_deg: float
    speed_mps: float
    is_on: bool = True


def drive(chance: random.Random) -> Iterator[Second]:
    """A working day without end, second by second: trips, and between them deliveries or parking."""
    column, row = (chance.randint(-REACH_BLOCKS, REACH_BLOCKS) for _ in range(2))
    heading = 0.0
    while True:
        goal = Call(chance.randint(-REACH_BLOCKS, REACH_BLOCKS), chance.randint(-REACH_BLOCKS, REACH_BLOCKS), 0)
        for second in _between(chance, Call(column, row, 0), goal):
            heading = second.heading_deg
            yield second
        column, row = goal.column, goal.row
        is_on = chance.random() < 0.95
        here = Second(column * BLOCK_M, row * BLOCK_M, heading, 0.0, is_on)
        for _ in range(chance.randint(120, 480) if is_on else chance.randint(600, 1800)):
            yield here


def drive_round(chance: random.Random, trip: RoundTrip, start_s: int) -> Iterator[Second]:
    """Rounds without end, from the epoch second `start_s` on; one that another overruns is left out."""
    now_s, first = start_s, trip.calls[0]
    here = Second(first.column * BLOCK_M, first.row * BLOCK_M, 0.0, 0.0)
    while True:
        for _ in range((trip.phase_s - now_s) % trip.every_s):
            now_s += 1
            yield here
        for call, following in zip(trip.calls, (*trip.calls[1:], first), strict=True):
            for _ in range(call.stands_s):
                now_s += 1
                yield here
            for second in _between(chance, call, following):
                now_s += 1
                here = second._replace(speed_mps=0.0)
                yield second


def timetable(trip: RoundTrip, rounds: int = 12) -> list[int]:
    """Seconds after the start of a round at which each call is usually reached, as a planner would write them down.

    The first call's 0; whole minutes, rounded up from the middle of so many rounds.
    """
    chance = random.Random(0)  # noqa: S311 - a plan, not a secret
    reached: list[list[int]] = [[] for _ in trip.calls]
    for _ in range(rounds):
        second = 0
        for place, (call, following) in enumerate(pairwise(trip.calls), 1):
            second += call.stands_s + sum(1 for _ in _between(chance, call, following))
            reached[place].append(second)
    return [0, *(math.ceil(sorted(times)[rounds // 2] / 60) * 60 for times in reached[1:])]


def stand(chance: random.Random) -> Iterator[Second]:
    """A vehicle that is parked, for good."""
    x_m, y_m = (chance.randint(-REACH_BLOCKS, REACH_BLOCKS) * BLOCK_M for _ in range(2))
    while True:
        yield Second(x_m, y_m, 0.0, 0.0, is_on=False)


def reports_of(seconds: Iterator[Second], town: Town, start_ms: int, chance: random.Random) -> Iterator[Report]:
    """What a tracker notes: a fix every 5 s while the ignition is on, every hour while off, and when it changes."""
    was_on: bool | None = None
    due = 0
    for second, state in enumerate(seconds):
        if second >= due or state.is_on is not was_on:
            due = second + (ON_EVERY_S if state.is_on else OFF_EVERY_S)
            was_on = state.is_on
            yield _report(state, town, start_ms + second * 1000 + chance.randint(0, 400), chance)


def _report(state: Second, town: Town, time_ms: int, chance: random.Random) -> Report:
    lat, lon = town.position(state.x_m + chance.gauss(0, NOISE_M), state.y_m + chance.gauss(0, NOISE_M))
    return Report(
        time_ms,
        lat,
        lon,
        round((state.heading_deg + town.turned_deg) % 360, 1),
        round(state.speed_mps * 3.6, 1),
    )


def _between(chance: random.Random, start: Call, goal: Call) -> Iterator[Second]:
    """From one crossing to another along the streets."""
    column, row = start.column, start.row
    for east, north in _legs(chance, goal.column - column, goal.row - row):
        yield from _leg(chance, column, row, east, north)
        column, row = column + east, row + north


def _legs(chance: random.Random, east: int, north: int) -> list[tuple[int, int]]:
    """Straight pieces in blocks, (east, north): along three streets, or two if the first is the goal's own."""
    if chance.random() < 0.5:
        part = chance.randint(0, abs(east)) * (1 if east > 0 else -1)
        legs = [(part, 0), (0, north), (east - part, 0)]
    else:
        part = chance.randint(0, abs(north)) * (1 if north > 0 else -1)
        legs = [(0, part), (east, 0), (0, north - part)]
    return [leg for leg in legs if leg != (0, 0)]


def _leg(chance: random.Random, column: int, row: int, east: int, north: int) -> Iterator[Second]:
    """One street: up to its limit, to a stand at red lights, slowly into the turn at its end."""
    blocks = abs(east or north)
    step_x, step_y = (east > 0) - (east < 0), (north > 0) - (north < 0)
    heading = math.degrees(math.atan2(east, north)) % 360
    limit_mps = ARTERIAL_MPS if (row if east else column) % ARTERIAL_EVERY == 0 else STREET_MPS
    limit_mps *= chance.uniform(0.85, 1.1)
    stops = [block for block in range(1, blocks) if chance.random() < RED_SHARE]
    done_m, speed_mps = 0.0, TURN_MPS
    for stop, end_mps in [*((block, 0.0) for block in stops), (blocks, TURN_MPS)]:
        end_m = stop * BLOCK_M
        while done_m < end_m:
            speed_mps = _next_speed(speed_mps, limit_mps, end_m - done_m, end_mps)
            done_m = min(done_m + speed_mps, end_m)
            x_m, y_m = column * BLOCK_M + step_x * done_m, row * BLOCK_M + step_y * done_m
            yield Second(x_m, y_m, heading, speed_mps)
        if end_mps == 0.0:
            speed_mps = 0.0
            for _ in range(chance.randint(5, 40)):
                yield Second(column * BLOCK_M + step_x * done_m, row * BLOCK_M + step_y * done_m, heading, 0.0)


def _next_speed(speed_mps: float, limit_mps: float, left_m: float, end_mps: float) -> float:
    """A second later: as fast as allowed, and slow enough to have `end_mps` after `left_m`; never quite still."""
    braking_mps = math.sqrt(end_mps**2 + 2 * SLOW_DOWN * left_m) - SLOW_DOWN / 2
    return max(1.0, min(speed_mps + SPEED_UP, limit_mps, braking_mps))
