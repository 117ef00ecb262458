"""Stops of routes and of recurring routes: what a request may say of one, and in which order they are driven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Address, Stop
from odograph.model.ids import AddressId, OrgId, TagId

MIN_STOPS: Final = 2
MAX_STOPS: Final = 500  # a city bus calls at 100; every fix of a run is held against each
MAX_NOTES: Final = 2000
MAX_PLACE_TEXT: Final = 255
MAX_WINDOW_MS: Final = 3 * 86_400_000

STARTINGS: Final = ("departFirstStop", "arriveFirstStop")
COMPLETIONS: Final = ("arriveLastStop", "departLastStop")
SEQUENCINGS: Final = ("scheduledArrivalTime", "manual", "unknown")

Numbered = tuple[int, Stop]
"""A stop with its place in the request, for the messages."""


class Place(NamedTuple):
    """A place of a stop's own. `radius_m` 0: as wide as usual."""

    lat: float
    lon: float
    text: str
    radius_m: float


class StopPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stop is, as both kinds of stops keep it."""

    name: str
    address_id: int = 0
    lat: float = 0.0
    lon: float = 0.0
    place_text: str = ""
    radius_m: float = 0.0
    is_private: bool = False


class StopFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field (as it begins, for a new stop), None empties it.

    `id` names a stop of the route that stays; times in epoch ms.
    """

    id: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET
    place: Place | UnsetType | None = UNSET
    arrival_ms: int | UnsetType | None = UNSET
    departure_ms: int | UnsetType | None = UNSET
    early_ms: int | UnsetType | None = UNSET
    late_ms: int | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET
    sequence: int | UnsetType | None = UNSET
    external_ids: Mapping[str, object] | UnsetType | None = UNSET


def check_count(count: int) -> None:
    """Refuse a route that is none, or one that nobody could drive."""
    if not MIN_STOPS <= count <= MAX_STOPS:
        raise invalid(f"stops: there are {count}; {MIN_STOPS} to {MAX_STOPS} are allowed.")


def place_of(
    directory: Directory,
    org: OrgId,
    field: str,
    asked: tuple[str | UnsetType | None, str | UnsetType | None, Place | UnsetType | None],
    old: StopPlace | None,
    tag_limit: frozenset[TagId] | None,
) -> StopPlace:
    """Where the stop `field` is: `asked` holds a name, an address and a place of its own, `old` what was before.

    Exactly one of address and place. Without a name of its own a stop is called by its place, also when it
    is given another one. INVALID names the field.
    """
    name, address, place = asked
    if address and place:
        raise invalid(f"{field}: has both addressId and singleUseLocation; give one of them.")
    if address:
        there = _address(directory, org, field, address, tag_limit)
        found = StopPlace(name=there.body.name, address_id=there.body.number)
    elif isinstance(place, Place):
        text = check.text(f"{field}.singleUseLocation.address", place.text, MAX_PLACE_TEXT)
        is_private = old is not None and old.is_private and (old.lat, old.lon) == (place.lat, place.lon)
        found = StopPlace(
            name=_name_of_place(text, place.lat, place.lon),
            lat=place.lat,
            lon=place.lon,
            place_text=text,
            radius_m=place.radius_m,
            is_private=is_private,
        )
    elif old is not None and (address is UNSET or not old.address_id) and (place is UNSET or old.address_id):
        found = old
    else:
        raise invalid(f"{field}: has neither addressId nor singleUseLocation; one of them is required.")
    if isinstance(name, UnsetType) and old is not None and _has_own_name(directory, org, old, found):
        name = old.name
    if not name or isinstance(name, UnsetType):
        return found
    return msgspec.structs.replace(found, name=check.name(f"{field}.name", name))


def _has_own_name(directory: Directory, org: OrgId, old: StopPlace, new: StopPlace) -> bool:
    """Whether a stop keeps its name at a new place: not one that it has from the old place."""
    if old.is_private and not new.is_private:
        return False
    if not old.address_id:
        return old.name != _name_of_place(old.place_text, old.lat, old.lon)
    address = directory.addresses.find_by_number(org, AddressId(old.address_id))
    return address is None or old.name != address.body.name


def _name_of_place(text: str, lat: float, lon: float) -> str:
    return text or f"{lat:.5f}, {lon:.5f}"


def _address(
    directory: Directory, org: OrgId, field: str, text: str, tag_limit: frozenset[TagId] | None
) -> Entity[Address]:
    found = check.visible(directory.addresses.find_by_text(org, text), tag_limit)
    if found is None:
        raise invalid(f"{field}.addressId: there is no address {text[:60]!r}; list the addresses to see their ids.")
    return found


def changed(
    directory: Directory,
    org: OrgId,
    field: str,
    asked: StopFields,
    old: Stop,
    tag_limit: frozenset[TagId] | None,
) -> Stop:
    """The stop with what is asked for put in; `old` has no name where it is new."""
    before = None
    if old.name:
        before = StopPlace(
            name=old.name,
            address_id=old.address_id,
            lat=old.lat,
            lon=old.lon,
            place_text=old.place_text,
            radius_m=old.radius_m,
            is_private=old.is_private,
        )
    place = place_of(directory, org, field, (asked.name, asked.address, asked.place), before, tag_limit)
    stop = msgspec.structs.replace(old, **msgspec.structs.asdict(place))
    numbers = {
        name: 0 if value is None else value
        for name, value in (
            ("scheduled_arrival_ms", asked.arrival_ms),
            ("scheduled_departure_ms", asked.departure_ms),
            ("early_ms", asked.early_ms),
            ("late_ms", asked.late_ms),
            ("sequence", asked.sequence),
        )
        if not isinstance(value, UnsetType)
    }
    stop = msgspec.structs.replace(stop, **numbers)
    if not isinstance(asked.notes, UnsetType):
        notes = check.text(f"{field}.notes", asked.notes, MAX_NOTES, may_break=True)
        stop = msgspec.structs.replace(stop, notes=notes)
    if not isinstance(asked.external_ids, UnsetType):
        pairs = check.external_ids(old.external_ids, asked.external_ids)
        stop = msgspec.structs.replace(stop, external_ids=pairs)
    return stop


def in_order(stops: Sequence[Stop], starting: str, completion: str, sequencing: str) -> tuple[Stop, ...]:
    """The stops as they are driven, with the times that such a route has. INVALID names what is missing."""
    numbered = list(enumerate(stops))
    if sequencing == "manual":
        numbered = _by_sequence(numbered)
    elif sequencing == "scheduledArrivalTime":
        last = len(numbered) - 1
        numbered.sort(key=lambda one: _order_ms(one, last))
    return tuple(
        _timed(f"stops[{at}]", stop, place, len(numbered), starting, completion)
        for place, (at, stop) in enumerate(numbered)
    )


def _by_sequence(numbered: list[Numbered]) -> list[Numbered]:
    seen: set[int] = set()
    for at, stop in numbered:
        if stop.sequence < 1 or stop.sequence in seen:
            raise invalid(
                f"stops[{at}].sequenceNumber: {stop.sequence or 'none'} is given; "
                "manual sequencing needs a positive number on each stop, none of them twice."
            )
        seen.add(stop.sequence)
    return sorted(numbered, key=lambda one: one[1].sequence)


def _order_ms(one: Numbered, last: int) -> float:
    at, stop = one
    time_ms = stop.scheduled_arrival_ms or stop.scheduled_departure_ms
    if time_ms:
        return time_ms
    return float("-inf") if at == 0 else float("inf") if at == last else 0.0


def _timed(field: str, stop: Stop, place: int, count: int, starting: str, completion: str) -> Stop:
    is_first, is_last = place == 0, place == count - 1
    needs_arrival, needs_departure = not is_first, not is_last
    if is_first and starting == "departFirstStop":
        stop = msgspec.structs.replace(stop, scheduled_arrival_ms=0)
    elif is_first:
        needs_arrival, needs_departure = True, False
    if is_last and completion == "arriveLastStop":
        stop = msgspec.structs.replace(stop, scheduled_departure_ms=0)
    elif is_last:
        needs_arrival, needs_departure = False, True
    if needs_arrival and not stop.scheduled_arrival_ms:
        raise invalid(f"{field}.scheduledArrivalTime: is required{_why(is_first, is_last, starting, completion)}.")
    if needs_departure and not stop.scheduled_departure_ms:
        raise invalid(
            f"{field}.scheduledDepartureTime: is required{_why(is_first, is_last, starting, completion)}."
        )
    if stop.scheduled_departure_ms and stop.scheduled_departure_ms < stop.scheduled_arrival_ms:
        raise invalid(f"{field}.scheduledDepartureTime: is before the arrival; the same time or later is allowed.")
    return stop


def _why(is_first: bool, is_last: bool, starting: str, completion: str) -> str:
    if is_first:
        return f" on the first stop with routeStartingCondition {starting}"
    return f" on the last stop with routeCompletionCondition {completion}" if is_last else ""
