"""Who has to go when there is no room: strangers, by their address and altogether."""

from __future__ import annotations

import resource

import pytest

from odograph.ingest import crowd
from odograph.ingest.crowd import Crowd, allow_descriptors, most_connections
from odograph.telemetry import REGISTRY

STRANGE = "203.0.113.9"


class Somebody:
    """A connection from an address."""

    protocol = "http"

    def __init__(self, party: str, *, is_trusted: bool, is_served: bool) -> None:
        self.party = party
        self.is_out = False
        self._is_trusted = is_trusted
        self._is_served = is_served

    def is_trusted(self) -> bool:
        return self._is_trusted

    def is_served(self) -> bool:
        return self._is_served

    def turn_out(self) -> None:
        self.is_out = True


def entered(
    hall: Crowd, count: int, party: str = STRANGE, *, is_trusted: bool = False, is_served: bool = False
) -> list[Somebody]:
    guests = [Somebody(party, is_trusted=is_trusted, is_served=is_served) for _ in range(count)]
    for guest in guests:
        hall.enter(guest)
    return guests


def out(guests: list[Somebody]) -> list[int]:
    return [index for index, guest in enumerate(guests) if guest.is_out]


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_the_longest_idle_of_an_address_go_first_and_others_stay():
    hall = Crowd(40)
    others = entered(hall, 5, "198.51.100.7")
    many = entered(hall, 13)
    assert (out(others), out(many)) == ([], [0, 1, 2])


async def test_those_who_are_known_are_not_counted_by_their_address():
    hall = Crowd(40)
    many = entered(hall, 10)
    for guest in many:
        hall.know(guest)
    assert out(many + entered(hall, 10)) == []


@pytest.mark.parametrize(("party", "is_trusted"), [("", False), ("203.0.113.9", True)])
async def test_this_machine_and_trusted_proxies_are_not_bounded_by_their_address(party, is_trusted):
    assert out(entered(Crowd(40), 40, party, is_trusted=is_trusted)) == []


async def test_when_all_places_are_taken_strangers_go_and_friends_stay():
    hall = Crowd(4)
    friends = entered(hall, 3, "")
    for guest in friends:
        hall.know(guest)
    strangers = entered(hall, 3, "")
    assert (out(friends), out(strangers)) == ([], [0, 1])
    hall.know(strangers[2])
    assert out(entered(hall, 2, "")) == [0, 1], "nobody goes for a stranger but a stranger"


async def test_who_has_gone_leaves_a_place():
    hall = Crowd(2)
    first, second = entered(hall, 2, "")
    hall.know(first)
    hall.leave(first)
    hall.leave(second)
    assert out(entered(hall, 2, "")) == []


async def test_who_is_being_answered_is_passed_over(monkeypatch):
    monkeypatch.setattr(crowd, "_LOOKED_AT", 2)
    hall = Crowd(4)
    served = entered(hall, 3, "", is_served=True)
    [idle, newest, another] = entered(hall, 3, "")
    assert out(served) == []
    assert (idle.is_out, newest.is_out, another.is_out) == (True, True, False)


async def test_what_is_closed_and_open_is_counted_and_told_of_once_a_minute(caplog):
    before = sample("odograph_connections", protocol="http")
    closed = sample("odograph_strangers_closed_total", reason="descriptors")
    hall = Crowd(2)
    guests = entered(hall, 5, "")
    assert sample("odograph_connections", protocol="http") == before + 5
    assert sample("odograph_strangers_closed_total", reason="descriptors") == closed + 3
    assert len(caplog.records) == 1
    hall._say_from_s = 0.0  # a minute later
    guests += entered(hall, 1, "")
    assert [record.closed for record in caplog.records] == [1, 3]
    for guest in guests:
        hall.leave(guest)
    assert sample("odograph_connections", protocol="http") == before


@pytest.mark.parametrize(("descriptors", "most"), [(65_536, 65_280), (1024, 768), (256, 128)])
def test_some_descriptors_are_held_back_for_all_else(caplog, descriptors, most):
    assert most_connections(descriptors) == most
    assert len(caplog.records) == (descriptors < 4096)


def test_as_many_descriptors_are_taken_as_the_system_gives(monkeypatch):
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 524_288))
    assert allow_descriptors() == 524_288
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    assert allow_descriptors() == crowd.ENOUGH_DESCRIPTORS
    assert set_to == [(524_288, 524_288), (crowd.ENOUGH_DESCRIPTORS, resource.RLIM_INFINITY)]
