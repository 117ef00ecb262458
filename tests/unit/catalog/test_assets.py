"""Vehicles: what their fields may hold, what must be unique, and numbers that never come back."""

from __future__ import annotations

import asyncio

import pytest

from odograph.catalog import assets, devices, orgs, tags
from odograph.catalog.assets import AssetFields
from odograph.catalog.changes import take_numbers
from odograph.catalog.devices import DeviceFields
from odograph.catalog.secrets import digest
from odograph.catalog.tags import TagFields
from odograph.errors import Kind, Refusal
from odograph.model.ids import AssetId, OrgId, TagId


def make(catalog, org, **fields):
    return assets.create(catalog, org, AssetFields(**fields))


async def test_a_new_vehicle_is_in_the_directory_at_once(catalog, org):
    van = await make(catalog, org, name="Van", vin="1FTBW2CM5GKA12345", license_plate="AB-1", year=2020)
    assert catalog.directory.assets.find_by_number(org, van.body.number) == van
    assert van.body.created_ms == van.body.updated_ms == catalog.clock.now_ms()


async def test_numbers_grow_and_are_never_given_twice(catalog, org):
    first, second = await make(catalog, org), await make(catalog, org)
    await assets.remove(catalog, org, AssetId(second.body.number))
    third = await make(catalog, org)
    assert [one.body.number for one in (first, second, third)] == [1, 2, 3]


async def test_vehicles_made_at_once_get_numbers_of_their_own(catalog, org):
    made = await asyncio.gather(*(make(catalog, org) for _ in range(20)))
    assert sorted(one.body.number for one in made) == list(range(1, 21))


async def test_an_install_without_numbers_left_says_so(catalog, org):
    await make(catalog, org)
    with pytest.raises(Refusal, match="3 are left"):
        take_numbers(catalog.directory, "assets", 4, 5)
    assert take_numbers(catalog.directory, "assets", 3, 5)[0] == range(2, 5)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"serial": "GX-1", "license_plate": "P1"}, "GX-1"),
        ({"license_plate": "P1", "vin": "1FTBW2CM5GKA12345"}, "P1"),
        ({"name": None, "vin": "1FTBW2CM5GKA12345"}, "1FTBW2CM5GKA12345"),
        ({"name": "  "}, "Vehicle 1"),
    ],
)
async def test_a_vehicle_always_has_a_name(catalog, org, fields, name):
    assert (await make(catalog, org, **fields)).body.name == name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vin": "SHORT"}, "^vin: 'SHORT' is not a VIN; 11 to 17"),
        ({"vin": "1FTBW2CM5GKA12345X"}, "^vin: has 18 characters; at most 17"),
        ({"vin": "1FTBW2CM5GKA1234!"}, "^vin: .* letters and digits"),
        ({"license_plate": "X" * 13}, "^licensePlate: has 13 characters; at most 12"),
        ({"notes": "X" * 256}, "^notes: has 256 characters; at most 255"),
        ({"name": "X" * 256}, "^name: has 256 characters; 1 to 255"),
        ({"name": "a\x00b"}, "^name: holds a control character"),
        ({"year": 12}, "^year: 12 is not a model year"),
        ({"type": "hovercraft"}, "^type: 'hovercraft' can't be followed yet; allowed: vehicle"),
        ({"tag_ids": ["77"]}, "^tagIds: there is no tag '77'"),
        ({"external_ids": {"a b": "1"}}, "^externalIds: key 'a b' is not allowed"),
        ({"external_ids": {"k" * 33: "1"}}, "^externalIds: key .* is not allowed"),
        ({"external_ids": {"samsara.vin": "1"}}, "^externalIds: .* filled by the server"),
        ({"external_ids": {"k": "x" * 256}}, "^externalIds: value of 'k'"),
        ({"external_ids": {"k": ["x"]}}, "^externalIds: value of 'k'"),
        ({"external_ids": {"k": "a\nb"}}, "^externalIds: value of 'k'"),
    ],
)
async def test_a_field_that_cannot_be_kept_is_named(catalog, org, fields, message):
    with pytest.raises(Refusal, match=message) as refused:
        await make(catalog, org, **fields)
    assert refused.value.kind is Kind.INVALID
    assert catalog.directory.assets.list_(org) == []


async def test_external_ids_are_merged_by_key_and_made_text(catalog, org):
    van = await make(catalog, org, external_ids={"erp": 7, "ok": True, "gone": None, "site": "a@b._-%+ c"})
    assert van.body.external_ids == {"erp": "7", "ok": "true", "site": "a@b._-%+ c"}
    fields = AssetFields(external_ids={"erp": "", "new": "1"})
    van = await assets.update(catalog, org, AssetId(van.body.number), fields)
    assert van.body.external_ids == {"ok": "true", "site": "a@b._-%+ c", "new": "1"}
    van = await assets.update(catalog, org, AssetId(van.body.number), AssetFields(external_ids=None))
    assert van.body.external_ids == {}


async def test_an_external_id_belongs_to_one_object_of_the_org_whatever_its_kind(catalog, org):
    van = await make(catalog, org, name="Van", external_ids={"erp": "1"})
    with pytest.raises(Refusal, match="erp:1 already belongs to 'Van'"):
        await make(catalog, org, external_ids={"erp": "1"})
    with pytest.raises(Refusal, match="erp:1 already belongs to 'Van'"):
        await tags.create(catalog, org, TagFields(name="T", external_ids={"erp": "1"}))
    await tags.create(catalog, org, TagFields(name="Tag", external_ids={"erp": "2"}))
    with pytest.raises(Refusal, match="erp:2 already belongs to 'Tag'"):
        await assets.update(catalog, org, AssetId(van.body.number), AssetFields(external_ids={"erp": "2"}))
    other = OrgId((await orgs.create(catalog, "Other")).id)
    assert (await make(catalog, other, external_ids={"erp": "1"})).body.external_ids == {"erp": "1"}
    await assets.remove(catalog, org, AssetId(van.body.number))
    assert (await make(catalog, org, external_ids={"erp": "1"})).body.external_ids == {"erp": "1"}


async def test_an_update_keeps_what_is_not_given_and_says_when(catalog, org):
    van = await make(catalog, org, name="Van", notes="old\nnotes", vin="1FTBW2CM5GKA12345")
    catalog.clock.time_ms += 5000
    same = await assets.update(catalog, org, AssetId(van.body.number), AssetFields())
    assert same == van
    changed = await assets.update(catalog, org, AssetId(van.body.number), AssetFields(notes=None, name="Bus"))
    assert (changed.body.name, changed.body.notes, changed.body.vin) == ("Bus", "", "1FTBW2CM5GKA12345")
    assert changed.body.updated_ms == changed.body.created_ms + 5000
    assert catalog.directory.assets.find(org, van.id) == changed


async def test_deleting_a_vehicle_ends_its_devices_keys(catalog, org):
    van = await make(catalog, org)
    _, key = await devices.add(catalog, org, DeviceFields(asset_id=van.body.number))
    _, kept = await devices.add(catalog, org, DeviceFields(name="spare"))
    await assets.remove(catalog, org, AssetId(van.body.number))
    assert catalog.directory.devices.find_by_key(digest(key or "")) is None
    assert catalog.directory.devices.find_by_key(digest(kept or "")) is not None
    with pytest.raises(Refusal, match="no such vehicle"):
        await assets.remove(catalog, org, AssetId(van.body.number))


async def test_a_limited_token_makes_and_changes_only_what_it_sees(catalog, org):
    mine = await tags.create(catalog, org, TagFields(name="Mine"))
    theirs = await tags.create(catalog, org, TagFields(name="Theirs"))
    limit = frozenset([TagId(mine.body.number)])
    fields = AssetFields(tag_ids=[str(mine.body.number)])
    with pytest.raises(Refusal, match=r"^tagIds: this token sees only"):
        await assets.create(catalog, org, AssetFields(), limit)
    van = await assets.create(catalog, org, fields, limit)
    away = AssetFields(tag_ids=[str(theirs.body.number)])
    with pytest.raises(Refusal, match=f"^tagIds: there is no tag '{theirs.body.number}'"):
        await assets.update(catalog, org, AssetId(van.body.number), away, limit)
    with pytest.raises(Refusal, match=r"^tagIds: this token sees only"):
        await assets.update(catalog, org, AssetId(van.body.number), AssetFields(tag_ids=[]), limit)
    hidden = await assets.create(catalog, org, away)
    for attempt in (
        assets.update(catalog, org, AssetId(hidden.body.number), fields, limit),
        assets.remove(catalog, org, AssetId(hidden.body.number), limit),
    ):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.kind is Kind.NOT_FOUND


async def test_another_orgs_vehicle_is_not_found(catalog, org):
    other = OrgId((await orgs.create(catalog, "Other")).id)
    van = await make(catalog, org)
    for attempt in (
        assets.update(catalog, other, AssetId(van.body.number), AssetFields(name="x")),
        assets.remove(catalog, other, AssetId(van.body.number)),
    ):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.kind is Kind.NOT_FOUND
