"""The catalogue in memory: look-ups, filters, order of arrival, and what a vehicle costs."""

from __future__ import annotations

import hashlib
import tracemalloc
from time import perf_counter
from typing import TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.errors import Refusal
from odograph.live import assets as live_assets
from odograph.live.directory import Directory
from odograph.model.access import Principal, Scope
from odograph.model.catalog import Asset, Device, Org, Tag, Token, Traits, Weight
from odograph.model.ids import AssetId, OrgId, RecordId, TagId, render_asset_id
from odograph.store.base import INSTALL, Record

A, B = OrgId(1), OrgId(2)
EVERYONE = Principal(org=A, scopes=frozenset())


T = TypeVar("T")


def some(found: T | None) -> T:
    """What a look-up found; fails where it found nothing."""
    assert found is not None
    return found


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def record(org, kind, record_id, rev, body=None) -> Record:
    return Record(org, kind, RecordId(record_id), rev, None if body is None else msgspec.json.encode(body))


def make_asset(number: int, **fields) -> Asset:
    return Asset(**{"number": number, "name": f"Van {number}", "created_ms": 1, "updated_ms": 1, **fields})


def asset_record(number, org=A, record_id=None, rev=None, **fields) -> Record:
    record_id = 1000 + number if record_id is None else record_id
    return record(org, "asset", record_id, record_id if rev is None else rev, make_asset(number, **fields))


def device_record(record_id, org=A, rev=None, **fields) -> Record:
    body = Device(**{"name": "box", "created_ms": 1, **fields})
    return record(org, "device", record_id, record_id if rev is None else rev, body)


def tag_record(number, org=A, parent_id=0, rev=None, **fields) -> Record:
    body = Tag(**{"number": number, "name": f"tag {number}", "parent_id": parent_id, **fields})
    return record(org, "tag", 500 + number, number if rev is None else rev, body)


@pytest.fixture
def fleet() -> Directory:
    """Org A: tags 10 > 11 > 12 and 13; vans 1..4 with tags 10, 11, 12+13, none. Org B: van 5 with tag 20."""
    directory = Directory()
    directory.apply(
        [
            asset_record(1, tag_ids=(10,), vin="1FTBW2CM5GKA12345", external_ids={"erp": "V-1"}),
            asset_record(2, tag_ids=(11,), serial="S2"),
            asset_record(3, tag_ids=(12, 13)),
            asset_record(4),
            asset_record(5, org=B, tag_ids=(20,), external_ids={"erp": "V-1"}),
            tag_record(12, parent_id=11),
            tag_record(11, parent_id=10),
            tag_record(10, external_ids={"crm": "ten"}),
            tag_record(13),
            tag_record(20, org=B),
        ]
    )
    return directory


def chosen(directory, principal=EVERYONE, **filters) -> list[int] | None:
    numbers = directory.select(principal, **filters)
    return None if numbers is None else numbers.tolist()


def public(number: int) -> str:
    return render_asset_id(AssetId(number))


def test_no_filter_means_every_asset_of_the_org(fleet):
    assert chosen(fleet) is None


def test_a_tag_selects_what_carries_it_directly(fleet):
    assert chosen(fleet, tag_ids=["10"]) == [1]
    assert chosen(fleet, tag_ids=["crm:ten"]) == [1]


def test_a_parent_tag_selects_its_whole_subtree(fleet):
    assert chosen(fleet, parent_tag_ids=["10"]) == [1, 2, 3]
    assert chosen(fleet, parent_tag_ids=["11"]) == [2, 3]


def test_filters_are_united_and_each_asset_comes_once(fleet):
    assert chosen(fleet, tag_ids=["13", "10"], parent_tag_ids=["12"], vehicle_ids=[public(4), public(3)]) == [
        1,
        3,
        4,
    ]


def test_vehicles_are_selected_by_external_and_automatic_ids(fleet):
    names = ["erp:V-1", "samsara.serial:S2"]
    assert chosen(fleet, vehicle_ids=names) == [1, 2]
    assert chosen(fleet, vehicle_ids=["samsara.vin:1FTBW2CM5GKA12345"]) == [1]


def test_unknown_ids_add_nothing_and_never_mean_no_filter(fleet):
    assert chosen(fleet, tag_ids=["999"]) == []
    assert chosen(fleet, vehicle_ids=[public(77), "12", "erp:none", "9" * 30]) == []
    assert chosen(fleet, tag_ids=["999"], vehicle_ids=[public(1)]) == [1]


def test_a_foreign_orgs_ids_select_nothing(fleet):
    assert chosen(fleet, tag_ids=["20"], parent_tag_ids=["20"], vehicle_ids=[public(5)]) == []
    assert chosen(fleet, Principal(org=B, scopes=frozenset()), vehicle_ids=["erp:V-1"]) == [5]


@pytest.mark.parametrize("field", ["tag_ids", "parent_tag_ids", "vehicle_ids"])
@pytest.mark.parametrize("text", ["van", "-3", "١٢", ""])
def test_what_could_never_be_an_id_is_refused(fleet, field, text):
    with pytest.raises(Refusal, match="is not an id"):
        fleet.select(EVERYONE, **{field: [text]})


def test_a_token_with_tags_sees_only_what_carries_them(fleet):
    limited = Principal(org=A, scopes=frozenset(), tag_ids=frozenset([TagId(10), TagId(13)]))
    assert chosen(fleet, limited) == [1, 3]
    assert chosen(fleet, limited, vehicle_ids=[public(2), public(3)]) == [3]
    assert chosen(fleet, limited, parent_tag_ids=["10"]) == [1], "what is below it is no tag of the token's"
    assert chosen(fleet, limited, tag_ids=["12"], parent_tag_ids=["11"]) == []
    assert chosen(fleet, limited, tag_ids=["12", "13"], parent_tag_ids=["11"]) == [3]
    assert [fleet.sees(limited, AssetId(number)) for number in (1, 2, 3, 4, 5, 6)] == [True, False, True] + [
        False
    ] * 3
    assert [fleet.sees(EVERYONE, AssetId(number)) for number in (4, 5)] == [True, False]


def test_membership_counts_at_the_moment_of_the_request(fleet):
    assert chosen(fleet, tag_ids=["13"]) == [3]
    fleet.apply([asset_record(3, rev=5000), asset_record(4, rev=5001, tag_ids=(13,))])
    assert chosen(fleet, tag_ids=["13"]) == [4]


def test_a_deleted_asset_is_gone_from_every_look_up(fleet):
    fleet.apply([record(A, "asset", 1001, 6000)])
    assert chosen(fleet, tag_ids=["10"]) == []
    assert fleet.assets.heads([1])[0] is None
    assert fleet.assets.find(A, RecordId(1001)) is None
    assert fleet.find_asset(A, public(1)) is None
    assert fleet.find_asset(A, "erp:V-1") is None
    assert fleet.assets.org_of(AssetId(1)) is None
    assert len(fleet.assets) == 4


def test_an_older_state_that_arrives_late_changes_nothing(fleet):
    fleet.apply([asset_record(1, rev=7000, name="new"), asset_record(1, rev=6999, name="old")])
    found = fleet.find_asset(A, public(1))
    assert (found.body.name, found.rev) == ("new", 7000)
    fleet.apply([record(A, "tag", 513, 7001), tag_record(13, rev=7000)])
    assert fleet.tags.find_by_number(A, TagId(13)) is None


def test_what_is_found_equals_what_was_put(fleet):
    body = make_asset(9, vin="1FTBW2CM5GKA99999", license_plate="ÄB 12", year=2019, tag_ids=(10, 13))
    fleet.apply([record(A, "asset", 1009, 8000, body)])
    found = fleet.assets.find(A, RecordId(1009))
    assert (found.org, found.id, found.rev, found.body) == (A, 1009, 8000, body)
    assert type(found.body) is Asset
    said = make_asset(
        9, traits=Traits(vehicle_type="truck", gross_weight=Weight(3, "kg"), aux_inputs={"1": "door"})
    )
    for later, changed in enumerate((said, make_asset(9, tag_ids=(10,), tagged_ms=(5,)), make_asset(9)), 8001):
        fleet.apply([record(A, "asset", 1009, later, changed)])
        assert fleet.assets.find(A, RecordId(1009)).body == changed
    assert msgspec.json.decode(msgspec.json.encode(found.body), type=Asset) == body


def test_the_head_of_an_answer_is_valid_json_once_closed(fleet):
    fleet.apply([asset_record(1, rev=9000, name='Quo"te \u2028 Ünï')])
    head = fleet.assets.heads([1])[0]
    assert msgspec.json.decode(head + b"}") == {"id": public(1), "name": 'Quo"te \u2028 Ünï'}


def test_a_head_names_external_ids_where_it_is_asked_to_and_there_are_any(fleet):
    first, second, fourth, gone = fleet.assets.heads_with_external_ids([1, 2, 4, 99])
    assert msgspec.json.decode(first + b"}")["externalIds"] == {"erp": "V-1", "samsara.vin": "1FTBW2CM5GKA12345"}
    assert msgspec.json.decode(second + b"}")["externalIds"] == {"samsara.serial": "S2"}
    assert msgspec.json.decode(fourth + b"}") == {"id": public(4), "name": "Van 4"}
    assert gone is None


def test_what_few_vehicles_have_costs_the_others_nothing(fleet):
    def size(**fields):
        return len(live_assets._packer.encode(live_assets._told(make_asset(9, **fields))))

    bare = size(serial="S1")
    assert size(serial="S1", driver_id=0, external_ids={}, traits=None) == bare
    assert bare < len(live_assets._packer.encode(live_assets._Packed(*msgspec.structs.astuple(make_asset(9)))))
    assert size(serial="S1", traits=Traits(vehicle_type="truck")) > bare


def test_every_change_of_an_asset_and_of_nothing_else_is_counted(fleet):
    before = fleet.assets.changes
    fleet.apply([tag_record(14), device_record(77)])
    assert fleet.assets.changes == before
    fleet.apply([asset_record(1, rev=9000)])
    renamed = fleet.assets.changes
    assert renamed > before
    fleet.apply([record(A, "asset", 1001, 9001)])
    assert fleet.assets.changes > renamed


def test_assets_are_paged_by_number(fleet):
    first = fleet.assets.list_(A, limit=3)
    assert [entity.body.number for entity in first] == [1, 2, 3]
    assert [entity.body.number for entity in fleet.assets.list_(A, after=3, limit=3)] == [4]
    assert fleet.assets.list_(OrgId(9)) == []


def test_tags_are_found_by_id_name_parent_and_children(fleet):
    assert fleet.find_tag(A, "10").body.name == "tag 10"
    assert fleet.find_tag(A, "crm:ten").id == fleet.find_tag(A, "samsara.name:tag 10").id == 510
    assert fleet.find_tag(B, "10") is None
    assert fleet.find_tag(A, "x") is None
    assert [tag.body.number for tag in fleet.tags.children(A, TagId(10))] == [11]
    assert fleet.tags.subtree(A, [TagId(10), TagId(20)]) == {10, 11, 12}
    assert [tag.body.number for tag in fleet.tags.list_(A, after=10, limit=2)] == [11, 12]


def test_a_ring_of_tags_in_old_data_does_not_hang_anyone(fleet):
    fleet.apply([tag_record(10, parent_id=12, rev=9000)])
    assert chosen(fleet, parent_tag_ids=["11"]) == [1, 2, 3]


def test_an_external_id_is_found_whoever_holds_it(fleet):
    assert fleet.find_external(A, "crm:ten").id == 510
    assert fleet.find_external(A, "erp:V-1").id == 1001
    fleet.apply([asset_record(1, rev=9000, external_ids={"erp": "V-9"})])
    assert fleet.find_external(A, "erp:V-1") is None
    assert fleet.find_external(A, "erp:V-9").id == 1001
    assert fleet.find_external(B, "erp:V-1").id == 1005


def test_a_token_becomes_a_principal_until_it_expires():
    directory = Directory()
    scopes = ("Read Vehicles", "Read Minds")
    body = Token("api", 1, digest("odo_x").hex(), "…x", scopes, tag_ids=(7,), expires_ms=1000)
    directory.apply([record(A, "token", 30, 1, body)])
    assert directory.tokens.principal(digest("odo_x"), 999) == Principal(
        A, frozenset([Scope.READ_VEHICLES]), RecordId(30), frozenset([TagId(7)])
    )
    assert directory.tokens.principal(digest("odo_x"), 1000) is None
    assert directory.tokens.principal(digest("odo_y"), 1) is None
    directory.apply([record(A, "token", 30, 2)])
    assert directory.tokens.principal(digest("odo_x"), 1) is None


def test_a_device_is_found_by_its_key_and_only_by_its_newest():
    directory = Directory()
    directory.apply([device_record(40, key_hash=digest("k1").hex(), device_id="356307042441013")])
    found = some(directory.devices.find_by_key(digest("k1")))
    assert (found.id, found.body.key_hash) == (40, digest("k1").hex())
    directory.apply([device_record(40, rev=41, key_hash=digest("k2").hex())])
    assert directory.devices.find_by_key(digest("k1")) is None
    assert some(directory.devices.find_by_key(digest("k2"))).rev == 41
    assert directory.devices.list_by_device_id("356307042441013") == []
    directory.apply([record(A, "device", 40, 42)])
    assert directory.devices.find_by_key(digest("k2")) is None


def test_a_device_without_a_key_is_found_by_no_key():
    directory = Directory()
    directory.apply([device_record(40, device_id="d")])
    assert directory.devices.find_by_key(bytes(32)) is None
    assert some(directory.devices.find_by_device_id(A, "d")).body.key_hash == ""


def test_the_same_device_id_in_two_orgs_gives_two_candidates():
    directory = Directory()
    directory.apply([device_record(41, B, device_id="d", asset_id=9), device_record(40, device_id="d")])
    assert [(one.org, one.id) for one in directory.devices.list_by_device_id("d")] == [(A, 40), (B, 41)]
    assert some(directory.devices.find_by_device_id(B, "d")).id == 41
    assert directory.devices.find(A, RecordId(41)) is None
    assert [one.id for one in directory.devices.list_of_asset(B, AssetId(9))] == [41]
    assert directory.devices.list_of_asset(A, AssetId(0)) == []
    assert [one.id for one in directory.devices.list_(A)] == [40]


def test_an_enrolment_key_leads_to_its_org_until_it_ends_also_when_no_new_devices_may_come():
    directory = Directory()
    body = Org("Acme", 1, self_registration=True, enrolment_hash=digest("join").hex())
    directory.apply([record(INSTALL, "org", 1, 1, body)])
    assert some(directory.orgs.find_by_enrolment(digest("join"))).id == 1
    closed = msgspec.structs.replace(body, self_registration=False)
    directory.apply([record(INSTALL, "org", 1, 2, closed)])
    assert some(directory.orgs.find_by_enrolment(digest("join"))).body == closed
    directory.apply([record(INSTALL, "org", 1, 3, msgspec.structs.replace(closed, enrolment_hash=""))])
    assert directory.orgs.find_by_enrolment(digest("join")) is None


def test_devices_that_others_must_bring_are_counted_by_org():
    devices = Directory().devices
    assert devices.count_brought(A) == 0
    devices.put(device_record(40, device_id="a"))
    devices.put(device_record(41, device_id="b", networks=("10.0.0.0/8",)))
    devices.put(device_record(42, device_id="c", trust_id=True))
    devices.put(device_record(43, device_id="d", key_hash=digest("own").hex()))
    devices.put(device_record(44, B, device_id="e"))
    assert (devices.count_brought(A), devices.count_brought(B)) == (1, 1)
    devices.put(device_record(40, rev=100, device_id="a", key_hash=digest("a").hex()))
    devices.drop(RecordId(44))
    assert (devices.count_brought(A), devices.count_brought(B)) == (0, 0)


def test_a_forwarder_counts_while_it_is_enabled():
    devices = Directory().devices
    key_hash = digest("fw").hex()
    devices.put(device_record(40, key_hash=key_hash, is_forwarder=True, asset_id=0))
    assert (devices.has_forwarder(A), devices.has_forwarder(B)) == (True, False)
    devices.put(device_record(40, rev=100, key_hash=key_hash, is_forwarder=True, asset_id=0, is_enabled=False))
    assert not devices.has_forwarder(A)


def test_kinds_of_a_later_version_are_left_alone():
    directory = Directory()
    directory.apply([Record(A, "hovercraft", RecordId(50), 1, b"{}")])
    assert directory.rev == 0


changes = st.lists(
    st.tuples(
        st.integers(1, 6),  # which asset
        st.booleans() | st.just(value=True),  # whether it lives
        st.lists(st.integers(10, 13), unique=True, max_size=3),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(changes, st.randoms(use_true_random=False))
def test_the_end_is_the_same_in_whatever_order_changes_arrive(steps, random):
    records: list[Record] = []
    living: dict[int, Asset | None] = {}
    for rev, (number, lives, tags, value) in enumerate(steps, start=1):
        if not lives:
            records.append(record(A, "asset", number, rev))
            living[number] = None
        elif living.get(number, ()) is not None:  # an id is never used again once deleted
            external_ids = {"erp": f"{number}{value}"} if value else {}
            body = make_asset(number, tag_ids=tuple(tags), external_ids=external_ids)
            records.append(record(A, "asset", number, rev, body))
            living[number] = body
    shuffled = records + random.choices(records, k=len(records)) if records else []
    random.shuffle(shuffled)
    directory = Directory()
    for one in shuffled:
        directory.apply([one])
    model = {number: body for number, body in living.items() if body is not None}
    assert {e.body.number: e.body for e in directory.assets.list_(A)} == model
    for tag in range(10, 14):
        expected = sorted(number for number, body in model.items() if tag in body.tag_ids)
        assert directory.assets.roll(A).tagged([tag]).tolist() == expected
    for number in range(1, 7):
        for value in "ab":
            found = directory.assets.find_by_name(A, f"erp:{number}{value}")
            holds = number in model and model[number].external_ids == {"erp": f"{number}{value}"}
            assert (found is not None) == holds


def load_fleet(directory: Directory, size: int) -> None:
    """Vehicles as an importer makes them: plate, VIN, an external id, two tags, a device with key and IMEI."""
    for number in range(1, size + 1):
        vehicle = asset_record(
            number,
            record_id=100 + 2 * number,
            name=f"Van {number:05d}",
            created_ms=1_700_000_000_000 + number,
            updated_ms=1_700_000_000_000 + number,
            vin=f"1FTBW2CM5GK{number:06d}",
            license_plate=f"AB-{number:05d}",
            tag_ids=(10 + number % 40, 60),
            external_ids={"erp": f"V-{number:05d}"},
        )
        box = device_record(
            101 + 2 * number,
            created_ms=1_700_000_000_000 + number,
            name=f"Van {number:05d}",
            asset_id=number,
            device_id=f"35630704{number:07d}",
            key_hash=digest(str(number)).hex(),
        )
        directory.apply([vehicle, box])


def test_a_vehicle_with_its_device_costs_less_than_400_bytes():
    warm = Directory()
    load_fleet(warm, 10)
    size = 20_000
    tracemalloc.start()
    try:
        directory = Directory()
        load_fleet(directory, size)
        directory.assets.roll(A)
        cost = tracemalloc.get_traced_memory()[0] / size
    finally:
        tracemalloc.stop()
    assert len(directory.assets) == len(directory.devices) == size
    assert cost < 400, f"{cost:.0f} bytes a vehicle"


def test_many_changes_cost_no_more_than_the_last_one():
    directory = Directory()
    rev = 10_000
    tracemalloc.start()
    try:
        for turn in range(120):
            for number in range(1, 51):
                rev += 1
                notes = f"turn {turn} " + "x" * 100
                tags, names = (turn % 7 + 1, number), {"turn": f"{number}-{turn}"}
                vehicle = asset_record(number, rev=rev, notes=notes, tag_ids=tags, external_ids=names)
                box = device_record(2000 + number, rev=rev, device_id=f"d{number}-{turn}", asset_id=number)
                directory.apply([vehicle, box])
        cost = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert cost < 250_000
    for number in range(1, 51):
        found = some(directory.assets.find_by_name(A, f"turn:{number}-119"))
        assert (found.body.number, found.body.notes) == (number, "turn 119 " + "x" * 100)
        assert directory.assets.find_by_name(A, f"turn:{number}-118") is None
        assert some(directory.devices.find_by_device_id(A, f"d{number}-119")).body.asset_id == number
    assert directory.assets.roll(A).tagged([119 % 7 + 1]).tolist() == list(range(1, 51))


def test_filters_are_cheap_for_20_000_vehicles():
    directory = Directory()
    load_fleet(directory, 20_000)
    directory.apply([tag_record(tag, parent_id=0 if tag == 60 else 60) for tag in (*range(10, 50), 60)])
    ids = [public(number) for number in range(1, 2000)]
    limited = Principal(org=A, scopes=frozenset(), tag_ids=frozenset([TagId(60)]))
    directory.select(limited)
    best = 1.0
    for _ in range(5):
        started = perf_counter()
        found = directory.select(limited, tag_ids=["11", "12"], parent_tag_ids=["60"], vehicle_ids=ids)
        best = min(best, perf_counter() - started)
    assert found is not None
    assert len(found) == 20_000
    assert found.dtype == np.uint32
    assert best < 0.050
