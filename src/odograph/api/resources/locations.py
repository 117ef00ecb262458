"""`/fleet/vehicles/locations`: snapshot, feed and history in the vendor's older spelling."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.params import AFTER
from odograph.api.positions import END, FILTERS, START, TIME, Positions
from odograph.api.resources.base import Endpoint, Pagination
from odograph.api.spelling import LOCATIONS
from odograph.api.wire import Doubt, Heading, Latitude, Longitude, SpeedMph, Time
from odograph.model.access import Scope


class ReverseGeo(msgspec.Struct, rename="camel", kw_only=True):
    """A place near a position."""

    formatted_location: str


class Location(msgspec.Struct, rename="camel", kw_only=True):
    """One fix. `speed` in miles per hour, `heading` in degrees from north; left out where unknown."""

    time: Time
    latitude: Latitude
    longitude: Longitude
    heading: Heading | UnsetType = UNSET
    speed: SpeedMph | UnsetType = UNSET
    doubtful: list[Doubt] | UnsetType = UNSET
    reverse_geo: ReverseGeo


class VehicleLocation(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle and its newest fix."""

    id: str
    name: str
    location: Location


class VehicleLocations(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle and some of its fixes."""

    id: str
    name: str
    locations: list[Location]


class LocationsSnapshot(msgspec.Struct, kw_only=True):
    """One entry for each vehicle that has a fix."""

    data: list[VehicleLocation]
    pagination: Pagination


class LocationsList(msgspec.Struct, kw_only=True):
    """One entry for each vehicle that has something on this page."""

    data: list[VehicleLocations]
    pagination: Pagination


class Locations:
    """The three calls."""

    name = "Vehicle locations"

    def __init__(self) -> None:
        self._positions = Positions(LOCATIONS)

    def endpoints(self) -> Sequence[Endpoint]:
        """Snapshot, feed and history."""
        scope = Scope.READ_VEHICLE_STATISTICS
        path = "/fleet/vehicles/locations"
        return (
            Endpoint(
                "GET", path, scope, self._positions.snapshot, "Last known location of each vehicle",
                params=(AFTER, TIME, *FILTERS), answers=LocationsSnapshot,
            ),
            Endpoint(
                "GET", f"{path}/feed", scope, self._positions.feed, "Everything that arrived after a cursor",
                params=(AFTER, *FILTERS), answers=LocationsList,
            ),
            Endpoint(
                "GET", f"{path}/history", scope, self._positions.history, "Locations of a time range",
                params=(START, END, AFTER, *FILTERS), answers=LocationsList,
            ),
        )  # fmt: skip


RESOURCE = Locations()
