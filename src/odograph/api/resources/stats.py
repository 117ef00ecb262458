"""`/fleet/vehicles/stats`: snapshot, feed and history in the spelling that most integrations read.

Every stat type of the vendor is accepted; the ones that no device of ours reports yet yield no key, which
is what the contract says of a stat that is not known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.params import AFTER
from odograph.api.positions import END, FILTERS, START, TIME, Positions
from odograph.api.resources.base import Answer, Call, Endpoint, Handler, Pagination, Param
from odograph.api.resources.locations import ReverseGeo
from odograph.api.resources.vehicles import Named
from odograph.api.spelling import STATS
from odograph.api.wire import Doubt, Heading, Latitude, Longitude, SpeedMph, Time
from odograph.errors import invalid
from odograph.model.access import Scope

MAX_TYPES: Final = 3  # the vendor's limit; four is that of equipment stats
MAX_DECORATIONS: Final = 2
_AUX_COUNTED_ONCE: Final = frozenset(f"auxInput{number}" for number in range(3, 11))

TYPES: Final = (
    "ambientAirTemperatureMilliC", *(f"auxInput{number}" for number in range(1, 14)), "barometricPressurePa",
    "batteryMilliVolts", "defLevelMilliPercent", "ecuDoorStatus", "ecuSpeedMph", "engineCoolantTemperatureMilliC",
    "engineImmobilizer", "engineLoadPercent", "engineOilPressureKPa", "engineRpm", "engineStates",
    "evAverageBatteryTemperatureMilliCelsius", "evBatteryCurrentMilliAmp", "evBatteryStateOfHealthMilliPercent",
    "evBatteryVoltageMilliVolt", "evChargingCurrentMilliAmp", "evChargingEnergyMicroWh", "evChargingStatus",
    "evChargingVoltageMilliVolt", "evConsumedEnergyMicroWh", "evDistanceDrivenMeters",
    "evRegeneratedEnergyMicroWh", "evStateOfChargeMilliPercent", "faultCodes", "fuelConsumedMilliliters",
    "fuelPercents", "gps", "gpsDistanceMeters", "gpsOdometerMeters", "idlingDurationMilliseconds",
    "intakeManifoldTemperatureMilliC", "nfcCardScans", "obdEngineSeconds", "obdOdometerMeters", "seatbeltDriver",
    "spreaderActive", "spreaderAirTemp", "spreaderBlastState", "spreaderGranularName", "spreaderGranularRate",
    "spreaderLiquidName", "spreaderLiquidRate", "spreaderOnState", "spreaderPlowStatus", "spreaderPrewetName",
    "spreaderPrewetRate", "spreaderRoadTemp", "syntheticEngineSeconds", "tellTales",
)  # fmt: skip

_NO_DECORATIONS: Final = frozenset(
    name for name in TYPES if name.startswith("ev") or name in ("gpsOdometerMeters", "syntheticEngineSeconds")
)

_TYPES = Param(
    "types",
    "csv",
    f"Up to {MAX_TYPES} stat types; auxInput3 to auxInput10 count as one.",
    required=True,
    most=MAX_TYPES - 1 + len(_AUX_COUNTED_ONCE),
    values=TYPES,
)
_DECORATIONS = Param(
    "decorations",
    "csv",
    f"Up to {MAX_DECORATIONS} stat types to add to each event. They add nothing yet: an event is all that is"
    " known of its moment.",
    most=MAX_DECORATIONS,
    values=tuple(name for name in TYPES if name not in _NO_DECORATIONS),
)


class Gps(msgspec.Struct, rename="camel", kw_only=True):
    """One fix. Speed in miles per hour, heading in degrees from north; left out where unknown.

    `address` is the address whose geofence holds it, as the address book is now.
    """

    time: Time
    latitude: Latitude
    longitude: Longitude
    heading_degrees: Heading | UnsetType = UNSET
    speed_miles_per_hour: SpeedMph | UnsetType = UNSET
    is_ecu_speed: bool
    doubtful: list[Doubt] | UnsetType = UNSET
    reverse_geo: ReverseGeo
    address: Named | UnsetType = UNSET


class VehicleStats(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle and the last known value of each stat asked for."""

    id: str
    name: str
    external_ids: dict[str, str] | UnsetType = UNSET
    gps: Gps | UnsetType = UNSET


class VehicleStatsEvents(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle and the events of each stat asked for, oldest first."""

    id: str
    name: str
    external_ids: dict[str, str] | UnsetType = UNSET
    gps: list[Gps] | UnsetType = UNSET


class StatsSnapshot(msgspec.Struct, kw_only=True):
    """One entry for each vehicle of which one of the stats is known."""

    data: list[VehicleStats]
    pagination: Pagination


class StatsList(msgspec.Struct, kw_only=True):
    """One entry for each vehicle that has something on this page."""

    data: list[VehicleStatsEvents]
    pagination: Pagination


def _asked(call: Call) -> frozenset[str]:
    """The types asked for. INVALID names what is unknown, or how many are allowed."""
    types = frozenset(call.query.csv(_TYPES))
    if len({"auxInput3" if name in _AUX_COUNTED_ONCE else name for name in types}) > MAX_TYPES:
        raise invalid(f"Parameter 'types' holds {len(types)} stat types; at most {MAX_TYPES} are allowed.")
    if len(call.query.csv(_DECORATIONS)) > MAX_DECORATIONS:
        raise invalid(f"Parameter 'decorations' holds more than the {MAX_DECORATIONS} stat types allowed.")
    return types


class Stats:
    """The three calls."""

    name = "Vehicle stats"

    def __init__(self) -> None:
        self._gps = Positions(STATS)
        self._unknown = Positions(STATS, is_shown=False)

    def endpoints(self) -> Sequence[Endpoint]:
        """Snapshot, feed and history."""
        scope, path = Scope.READ_VEHICLE_STATISTICS, "/fleet/vehicles/stats"
        snapshot, feed = self._answer(Positions.snapshot), self._answer(Positions.feed)
        history = self._answer(Positions.history)
        listed = (_TYPES, _DECORATIONS)
        return (
            Endpoint(
                "GET", path, scope, snapshot, "Last known stats of each vehicle",
                params=(_TYPES, AFTER, TIME, *FILTERS), answers=StatsSnapshot,
            ),
            Endpoint(
                "GET", f"{path}/feed", scope, feed, "Every stat that arrived after a cursor",
                params=(*listed, AFTER, *FILTERS), answers=StatsList,
            ),
            Endpoint(
                "GET", f"{path}/history", scope, history, "Stats of a time range",
                params=(*listed, START, END, AFTER, *FILTERS), answers=StatsList,
            ),
        )  # fmt: skip

    def _answer(self, read: Callable[[Positions, Call], Awaitable[Answer]]) -> Handler:
        async def handle(call: Call) -> Answer:
            return await read(self._gps if "gps" in _asked(call) else self._unknown, call)

        return handle


RESOURCE = Stats()
