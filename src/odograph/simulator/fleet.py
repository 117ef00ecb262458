"""A small fleet that behaves: vehicles about a town, their trackers speaking real protocols over real sockets."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypedDict

from odograph.clock import Clock
from odograph.model.fixes import Report
from odograph.protocols.base import Claim
from odograph.simulator.radio import DeviceLog, Outages, Radio
from odograph.simulator.routes import Call, RoundTrip, Town, drive, drive_round, reports_of, stand
from odograph.simulator.senders import Patience, Server, check_speakable, make_sender, open_client

KANSAS_CITY: Final = Town(39.0465, -94.5890)
NOTED_AT_ONCE: Final = 500  # fixes of the past noted between two turns of the event loop

DELIVERY: Final = RoundTrip((Call(-8, -9, 20), Call(9, 7, 120)), every_s=1800)
"""From a yard to a customer across town, and back, some 12 minutes each way."""
COLLECTION: Final = RoundTrip(
    (Call(0, 0, 60), Call(6, 4, 45), Call(11, -1, 45), Call(8, -8, 45), Call(1, -9, 45), Call(-5, -4, 45)),
    every_s=1800,
)
"""A recurring route of six stops, every half hour."""

_IMEI_START: Final = "35630704"


@dataclass(frozen=True, slots=True)
class VehicleSpec:
    """A vehicle, its tracker and its habits.

    `seed` decides all of its ways; `history_s` is how long it drove unheard before the start;
    `outages` are times without a connection, counted from the start; after each the tracker sends its backlog.
    """

    name: str
    plate: str
    device_id: str
    protocol: str
    seed: int
    town: Town = KANSAS_CITY
    history_s: int = 7200
    is_parked: bool = False
    round_trip: RoundTrip | None = None
    outages: Outages | None = None
    batch_size: int = 100
    pause_s: float = 0.0


class _Habits(TypedDict, total=False):
    history_s: int
    is_parked: bool
    round_trip: RoundTrip
    outages: Outages
    batch_size: int
    pause_s: float


class Member(NamedTuple):
    """A vehicle with what its tracker says to be let in."""

    spec: VehicleSpec
    claim: Claim


OnTrouble = Callable[[VehicleSpec, str], None]


def demo_fleet(seed: int = 1, town: Town = KANSAS_CITY) -> list[VehicleSpec]:
    """Eight vehicles, every protocol: one parked, with hours of backlog, cut off at times, two on rounds."""
    habits: tuple[tuple[str, str, _Habits], ...] = (
        ("Van 1", "batch", {"round_trip": DELIVERY}),
        ("Van 2", "osmand", {}),
        ("Van 3", "owntracks", {}),
        ("Truck 4", "teltonika", {}),
        ("Truck 5", "traccar", {"round_trip": COLLECTION}),
        ("Van 6", "gpslogger", {"outages": Outages(first_s=60, lasts_s=90, every_s=300)}),
        ("Truck 7", "batch", {"history_s": 6 * 3600, "batch_size": 50, "pause_s": 0.5}),
        ("Van 8", "osmand", {"is_parked": True, "history_s": 6 * 3600}),
    )
    return [
        VehicleSpec(
            name=name,
            plate=f"DEMO {number:03}",
            device_id=_device_id(protocol, seed, number),
            protocol=protocol,
            seed=seed * 1000 + number,
            town=town,
            **habit,
        )
        for number, (name, protocol, habit) in enumerate(habits, 1)
    ]


def setting_out(fleet: Sequence[VehicleSpec], at_s: int) -> list[VehicleSpec]:
    """The same fleet, those on rounds beginning one at this epoch second."""
    return [
        spec
        if spec.round_trip is None
        else replace(spec, round_trip=spec.round_trip._replace(phase_s=at_s % spec.round_trip.every_s))
        for spec in fleet
    ]


async def run_fleet(
    members: Sequence[Member],
    server: Server,
    clock: Clock,
    on_trouble: OnTrouble = lambda spec, why: None,  # noqa: ARG005 - nobody listens
) -> None:
    """Drive and report until cancelled. INVALID for a protocol that nobody speaks, or whose port is not known.

    The same specs begun at the same time say the same things, whatever happens to the connections.
    """
    for member in members:
        check_speakable(member.spec.protocol, server)
    start_ms = clock.now_ms()
    async with asyncio.TaskGroup() as group:
        for member in members:
            group.create_task(_run_member(member, server, clock, start_ms, on_trouble))


def journey(spec: VehicleSpec, start_ms: int) -> Iterator[Report]:
    """Everything the vehicle's tracker notes, from `history_s` before `start_ms`, without end."""
    chance = random.Random(spec.seed)  # noqa: S311 - a route, not a secret
    first_ms = start_ms - spec.history_s * 1000
    if spec.round_trip is not None:
        seconds = drive_round(chance, spec.round_trip, first_ms // 1000)
    else:
        seconds = stand(chance) if spec.is_parked else drive(chance)
    return reports_of(seconds, spec.town, first_ms, random.Random(spec.seed + 1))  # noqa: S311


async def _run_member(member: Member, server: Server, clock: Clock, start_ms: int, on_trouble: OnTrouble) -> None:
    spec = member.spec
    log = DeviceLog()

    def tell(why: str) -> None:
        on_trouble(spec, why)

    chance = random.Random(spec.seed + 2)  # noqa: S311 - spreads the tries of many trackers
    patience = Patience(clock, chance, patience_s=math.inf, on_wait=tell)
    async with open_client(server, 1) as client, asyncio.TaskGroup() as group:
        sender = make_sender(spec.protocol, member.claim, server, client, patience, clock)
        radio = Radio(
            log,
            sender,
            clock,
            batch_size=spec.batch_size,
            pause_s=spec.pause_s,
            outages=spec.outages,
            on_trouble=tell,
        )
        group.create_task(radio.run())
        await _note_journey(log, journey(spec, start_ms), clock)


async def _note_journey(log: DeviceLog, reports: Iterator[Report], clock: Clock) -> None:
    """Note each fix when it happens; those of the past at once."""
    for count, report in enumerate(reports):
        wait_s = (report.time_ms - clock.now_ms()) / 1000
        if wait_s > 0:
            await clock.sleep(wait_s)
        elif not count % NOTED_AT_ONCE:
            await asyncio.sleep(0)
        log.note(report)


def _device_id(protocol: str, seed: int, number: int) -> str:
    return _imei(seed, number) if protocol == "teltonika" else f"demo-{seed}-{number}"


def _imei(seed: int, number: int) -> str:
    """Fifteen digits, the last of which is the check digit after Luhn."""
    digits = f"{_IMEI_START}{seed % 1000:03}{number:03}"
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(digits)]
    return digits + str(-sum(value // 10 + value % 10 for value in doubled) % 10)
