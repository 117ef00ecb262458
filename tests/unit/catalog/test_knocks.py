"""Who was turned away: merged, bounded, accepted with one command; and those who may register themselves."""

from __future__ import annotations

import asyncio

import pytest

from odograph.catalog import devices, enrolment, knocks, orgs
from odograph.catalog.assets import AssetFields
from odograph.catalog.devices import DeviceFields
from odograph.catalog.secrets import digest
from odograph.errors import Kind, Refusal
from odograph.model.catalog import Knock
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL


def make_knock(device_id="d", time_ms=1, **fields) -> Knock:
    known = {"protocol": "osmand", "address": "203.0.113.9", "reason": "id_alone"}
    return Knock(**{**known, "device_id": device_id, "first_ms": time_ms, "last_ms": time_ms, **fields})


async def test_refusals_of_one_sender_become_one_knock(catalog, org):
    await knocks.record(catalog, [(org, make_knock(time_ms=1)), (org, make_knock(time_ms=2, count=3))])
    await knocks.record(catalog, [(org, make_knock(time_ms=5, reason="disabled"))])
    (known,) = knocks.list_(catalog.directory, org)
    assert known.body == make_knock(first_ms=1, last_ms=5, count=5, reason="disabled")


async def test_senders_without_an_id_are_told_apart_by_address(catalog):
    some = [make_knock("", address="203.0.113.1"), make_knock("", address="203.0.113.2")]
    await knocks.record(catalog, [(INSTALL, knock) for knock in some])
    assert len(knocks.list_(catalog.directory, INSTALL)) == 2


async def test_the_list_is_bounded_and_keeps_the_latest(catalog, org, monkeypatch):
    monkeypatch.setattr(knocks, "MAX_KNOCKS", 3)
    await knocks.record(catalog, [(org, make_knock(f"d{n}", n)) for n in range(1, 4)])
    await knocks.record(catalog, [(org, make_knock(f"d{n}", n)) for n in (1, 4, 5)])
    await knocks.record(catalog, [(org, make_knock("d1", 9))])
    assert [one.body.device_id for one in knocks.list_(catalog.directory, org)] == ["d1", "d5", "d4"]
    records = {one.id for one in knocks.list_(catalog.directory, org)}
    await knocks.record(catalog, [(org, make_knock(f"e{n}", 10 + n)) for n in range(10)])
    assert [one.body.device_id for one in knocks.list_(catalog.directory, org)] == ["e9", "e8", "e7"]
    assert {one.id for one in knocks.list_(catalog.directory, org)} == records, "deleted records would pile up"


async def test_what_is_no_sign_is_kept_as_one_that_says_so(catalog):
    made_up = ("a\ud800", "b\x1b]0;owned\x07", "\u202ec", "سيارة رقم")
    await knocks.record(catalog, [(INSTALL, make_knock(each)) for each in made_up])
    kept = {one.body.device_id for one in knocks.list_(catalog.directory, INSTALL)}
    assert kept == {"a\ufffd", "b\ufffd]0;owned\ufffd", "\ufffdc", "سيارة رقم"}


async def test_accepting_a_knock_makes_a_vehicle_with_a_device_and_strikes_it_off(catalog, org):
    await knocks.record(catalog, [(INSTALL, make_knock("356307042441013"))])
    (knock,) = knocks.list_(catalog.directory, INSTALL)
    made = await knocks.accept(catalog, org, knock.id)
    directory = catalog.directory
    assert made.asset.body.name == "356307042441013"
    assert directory.devices.find_by_key(digest(made.key or "")) == made.device
    assert directory.devices.find_by_device_id(org, "356307042441013") == made.device
    assert directory.find_asset(org, "samsara.serial:356307042441013") == made.asset
    assert knocks.list_(directory, INSTALL) == []
    with pytest.raises(Refusal, match="no such knock"):
        await knocks.accept(catalog, org, knock.id)


async def test_a_knock_can_be_accepted_by_network_or_by_id_alone(catalog, org):
    await knocks.record(catalog, [(org, make_knock("a")), (org, make_knock("b"))])
    b, a = sorted(knocks.list_(catalog.directory, org), key=lambda one: one.body.device_id, reverse=True)
    by_network = await knocks.accept(catalog, org, a.id, AssetFields(name="Van"), from_network=True)
    assert (by_network.key, by_network.device.body.networks) == (None, ("203.0.113.9/32",))
    assert (by_network.asset.body.name, by_network.device.body.name) == ("Van", "Van")
    by_id = await knocks.accept(catalog, org, b.id, trust_id=True)
    assert (by_id.key, by_id.device.body.trust_id) == (None, True)


async def test_among_several_orgs_the_operator_alone_accepts_a_knock_without_a_key(catalog, org):
    await orgs.create(catalog, "Other")
    await knocks.record(catalog, [(org, make_knock("a"))])
    (knock,) = knocks.list_(catalog.directory, org)
    for attempt in (
        knocks.accept(catalog, org, knock.id, from_network=True),
        knocks.accept(catalog, org, knock.id, trust_id=True),
    ):
        with pytest.raises(Refusal, match="operator") as refused:
            await attempt
        assert refused.value.kind is Kind.FORBIDDEN
    assert (await knocks.accept(catalog, org, knock.id, from_network=True, is_operator=True)).key is None


async def test_a_knock_that_cannot_be_accepted_says_why(catalog, org):
    device, _ = await devices.add(catalog, org, DeviceFields(device_id="known", name="Box"))
    bound = make_knock("a name", device=device.id, reason="disabled")
    await knocks.record(catalog, [(org, make_knock("known")), (org, bound), (org, make_knock(""))])
    by_id = {one.body.device_id: one.id for one in catalog.directory.knocks.list_(org)}
    for ours in ("known", "a name"):
        with pytest.raises(Refusal, match=rf"no stranger but device 'Box' \(id {device.id}\), turned away"):
            await knocks.accept(catalog, org, by_id[ours])
    with pytest.raises(Refusal, match=r"^deviceId: this sender named none"):
        await knocks.accept(catalog, org, by_id[""])
    await knocks.dismiss(catalog, org, by_id[""])
    assert knocks.list_(catalog.directory, org) == []


async def test_refusals_of_a_device_are_one_under_whatever_name_and_go_with_it(catalog, org):
    device, _ = await devices.add(catalog, org, DeviceFields(name="Box"))
    other, _ = await devices.add(catalog, org, DeviceFields(name="Other"))
    some = [
        make_knock(name, n, device=device.id, address=f"192.0.2.{n}") for n, name in enumerate(("", "a", "b"), 1)
    ]
    await knocks.record(catalog, [(org, knock) for knock in [*some, make_knock("", device=other.id)]])
    assert knocks.list_(catalog.directory, org) == []
    known = knocks.last_refusals(catalog.directory, org)
    assert (known[device.id].last_ms, known[device.id].count) == (3, 3)
    await devices.remove(catalog, org, device.id)
    assert set(knocks.last_refusals(catalog.directory, org)) == {other.id}
    await knocks.record(catalog, [(org, some[0])])
    assert len(catalog.directory.knocks.list_(org)) == 1, "a device that is gone is turned away no more"


async def test_a_stranger_is_none_once_a_device_has_its_id(catalog, org):
    await knocks.record(catalog, [(INSTALL, make_knock("a")), (org, make_knock("b"))])
    a, _ = await devices.add(catalog, org, DeviceFields(device_id="a"))
    b, _ = await devices.add(catalog, org, DeviceFields(device_id="b"))
    assert set(knocks.last_refusals(catalog.directory, org)) == {a.id, b.id}
    assert knocks.list_(catalog.directory, INSTALL) == knocks.list_(catalog.directory, org) == []
    other = OrgId((await orgs.create(catalog, "Other")).id)
    await devices.add(catalog, other, DeviceFields(device_id="a"))
    assert set(knocks.last_refusals(catalog.directory, org)) == {b.id}, "it may have been either"
    assert knocks.last_refusals(catalog.directory, other) == {}


async def test_another_orgs_knocks_can_be_neither_accepted_nor_dismissed(catalog, org):
    other = OrgId((await orgs.create(catalog, "Other")).id)
    await knocks.record(catalog, [(org, make_knock()), (INSTALL, make_knock("nobody's"))])
    (mine,), (nobodys,) = knocks.list_(catalog.directory, org), knocks.list_(catalog.directory, INSTALL)
    for attempt in (
        knocks.accept(catalog, other, mine.id),
        knocks.dismiss(catalog, other, mine.id),
        knocks.dismiss(catalog, other, nobodys.id),
    ):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.kind is Kind.NOT_FOUND


async def test_a_device_registers_itself_once_however_often_it_asks(catalog, org):
    await orgs.open_registration(catalog, org)
    await asyncio.gather(*(enrolment.enrol(catalog, org, "phone-1", "owntracks") for _ in range(5)))
    (device,), (van,) = catalog.directory.devices.list_(org), catalog.directory.assets.list_(org)
    assert (device.body.device_id, device.body.key_hash, device.body.asset_id) == ("phone-1", "", van.body.number)
    assert (van.body.name, van.body.serial) == ("phone-1", "phone-1")


@pytest.mark.parametrize("device_id", ["", " padded", "nul\x00", "x" * 201])
async def test_a_device_must_say_properly_who_it_is(catalog, org, device_id):
    await orgs.open_registration(catalog, org)
    with pytest.raises(Refusal, match=r"^deviceId: "):
        await enrolment.enrol(catalog, org, device_id, "osmand")


async def test_nobody_registers_where_the_operator_did_not_ask_for_it(catalog, org):
    with pytest.raises(Refusal, match="switched off") as refused:
        await enrolment.enrol(catalog, org, "phone-1", "owntracks")
    assert refused.value.kind is Kind.FORBIDDEN
    assert catalog.directory.devices.list_(org) == []
