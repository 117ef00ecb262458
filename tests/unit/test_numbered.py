"""Shelves of what has numbers and names: found, listed, listed by tag, private ones apart."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.live.addresses import Addresses
from odograph.live.directory import Directory
from odograph.live.numbered import Numbered, Tagged
from odograph.model.access import Principal
from odograph.model.catalog import Address, Asset, Contact, Driver
from odograph.model.ids import AssetId, OrgId, RecordId
from odograph.model.place import Geofence
from odograph.store.base import Record

A, B = OrgId(1), OrgId(2)
FENCE = Geofence(52.1, 4.3, 100)


def record(number: int, body: msgspec.Struct, org: OrgId = A, rev: int = 1, kind: str = "address") -> Record:
    return Record(org, kind, RecordId(1000 + number), rev, msgspec.json.encode(body))


def address(number: int, **fields) -> Address:
    return Address(number, f"Dock {number}", "Quay 1", FENCE, 1, 1, **fields)


@pytest.fixture
def shelf() -> Addresses:
    shelf = Addresses()
    shelf.put(record(3, address(3, external_ids={"erp": "3", "crm": "c"}, tag_ids=(10, 11))))
    shelf.put(record(1, address(1, is_private=True, tag_ids=(10,))))
    shelf.put(record(2, address(2, external_ids={"erp": "2"})))
    shelf.put(record(9, address(9, external_ids={"erp": "2"}, is_private=True, tag_ids=(10,)), B))
    return shelf


def numbers(some) -> list[int]:
    return [one.body.number for one in some]


def test_what_has_a_number_is_found_by_it_and_by_its_names_within_its_org(shelf):
    assert shelf.find_by_number(A, 3).body.name == "Dock 3"
    assert shelf.find_by_text(A, "3") == shelf.find_by_text(A, "erp:3") == shelf.find_by_text(A, "crm:c")
    assert shelf.find_by_text(A, "erp:2").body.number == 2
    assert shelf.find_by_text(B, "erp:2").body.number == 9
    for org, text in ((A, "9"), (B, "3"), (A, "erp:9"), (A, "x"), (A, ""), (A, "1" * 30), (A, "³")):
        assert shelf.find_by_text(org, text) is None


def test_lists_are_by_number_and_go_on_behind_one(shelf):
    assert numbers(shelf.list_(A)) == [1, 2, 3]
    assert numbers(shelf.list_(A, after=1)) == [2, 3]
    assert numbers(shelf.list_(A, after=1, limit=1)) == [2]
    assert numbers(shelf.list_(B, after=9)) == []
    assert shelf.list_(OrgId(7)) == []


def test_a_change_moves_names_tags_and_privacy(shelf):
    assert numbers(shelf.carriers(A, 10)) == [1, 3]
    assert numbers(shelf.private(A)) == [1]
    shelf.put(record(3, address(3, external_ids={"erp": "33"}, is_private=True, tag_ids=(11,)), rev=2))
    shelf.put(record(1, address(1), rev=2))
    assert shelf.find_by_text(A, "erp:3") is None
    assert shelf.find_by_text(A, "crm:c") is None
    assert shelf.find_by_text(A, "erp:33").body.number == 3
    assert numbers(shelf.carriers(A, 10)) == []
    assert numbers(shelf.carriers(A, 11)) == [3]
    assert numbers(shelf.private(A)) == [3]
    assert numbers(shelf.carriers(B, 10)) == numbers(shelf.private(B)) == [9]


def test_an_older_state_changes_nothing(shelf):
    shelf.put(record(3, address(3), rev=0))
    assert shelf.find_by_text(A, "erp:3").body.number == 3


def test_what_is_dropped_leaves_nothing_behind(shelf):
    for number in (1, 3):
        shelf.drop(RecordId(1000 + number))
    assert numbers(shelf.list_(A)) == [2]
    assert shelf.find_by_text(A, "erp:3") is None
    assert shelf.carriers(A, 10) == []
    assert shelf.private(A) == []


def test_a_name_that_moved_to_another_stays_with_it_when_the_first_one_goes(shelf):
    shelf.put(record(2, address(2), rev=2))
    shelf.put(record(1, address(1, external_ids={"erp": "2"}), rev=3))
    shelf.drop(RecordId(1002))
    assert shelf.find_by_text(A, "erp:2").body.number == 1


def test_contacts_have_no_names_and_are_found_by_number():
    shelf = Numbered(Contact)
    shelf.put(record(1, Contact(1, 1, email="a@b"), kind="contact"))
    (contact,) = shelf.list_(A)
    assert shelf.find_by_text(A, "1") == contact
    assert shelf.find_by_text(A, "email:a@b") is None


def test_the_vehicle_of_a_driver_follows_every_change():
    directory = Directory()
    van = Asset(1, "Van", 1, 1, driver_id=5)
    directory.apply([Record(A, "asset", RecordId(1), 1, msgspec.json.encode(van))])
    assert [one.body.name for one in directory.assets.list_of_driver(A, 5)] == ["Van"]
    assert directory.assets.list_of_driver(B, 5) == []
    freed = msgspec.structs.replace(van, driver_id=0)
    directory.apply([Record(A, "asset", RecordId(1), 2, msgspec.json.encode(freed))])
    assert directory.assets.list_of_driver(A, 5) == []
    directory.apply([Record(A, "asset", RecordId(1), 3, msgspec.json.encode(van))])
    directory.apply([Record(A, "asset", RecordId(1), 4, None)])
    assert directory.assets.list_of_driver(A, 5) == []
    assert not directory.sees(Principal(org=A, scopes=frozenset()), AssetId(1))


changes = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.one_of(
            st.none(),
            st.builds(
                lambda tags, names: {"tag_ids": tuple(sorted(tags)), "external_ids": names},
                st.sets(st.integers(1, 3)),
                st.dictionaries(st.sampled_from("ab"), st.sampled_from("xyz")),
            ),
        ),
    )
)


@given(changes)
def test_after_any_changes_the_shelf_is_what_the_living_records_say(steps):
    """As the store writes them: a record that was deleted never comes back, and no name is held twice."""
    shelf: Tagged[Driver] = Tagged(Driver)
    living: dict[int, Driver] = {}
    gone: set[int] = set()
    for rev, (number, fields) in enumerate(steps, 1):
        held = {pair for other, body in living.items() if other != number for pair in body.external_ids.items()}
        if number in gone or (fields and not held.isdisjoint(fields["external_ids"].items())):
            continue
        if fields is None:
            shelf.drop(RecordId(1000 + number))
            living.pop(number, None)
            gone.add(number)
        else:
            living[number] = Driver(number, f"D{number}", f"d{number}", 1, 1, **fields)
            shelf.put(record(number, living[number], rev=rev, kind="driver"))
        for tag in (1, 2, 3):
            assert numbers(shelf.carriers(A, tag)) == sorted(
                number for number, body in living.items() if tag in body.tag_ids
            )
    assert numbers(shelf.list_(A)) == sorted(living)
    for key in "ab":
        for value in "xyz":
            holder = [n for n, body in living.items() if body.external_ids.get(key) == value]
            found = shelf.find_by_text(A, f"{key}:{value}")
            assert ([] if found is None else [found.body.number]) == holder
