"""Drivers: who they are, that no two have one name to sign in with, and that each has one vehicle at most."""

from __future__ import annotations

import pytest

from odograph.catalog import assets, drivers, orgs, tags
from odograph.catalog.assets import AssetFields
from odograph.catalog.drivers import DriverFields
from odograph.catalog.tags import TagFields
from odograph.errors import Kind, Refusal
from odograph.model.ids import AssetId, OrgId, TagId, render_asset_id
from tests.unit.catalog.conftest import NOON_MS

DAY_MS = 86_400_000


def make(catalog, org, username="dee", limit=None, **fields):
    return drivers.create(catalog, org, DriverFields(**{"name": "Dee", "username": username, **fields}), limit)


def change(catalog, org, driver, limit=None, **fields):
    return drivers.update(catalog, org, driver.body.number, DriverFields(**fields), limit)


async def van(catalog, org, **fields):
    return await assets.create(catalog, org, AssetFields(**{"name": "Van", **fields}))


def public(asset) -> str:
    return render_asset_id(AssetId(asset.body.number))


def of(catalog, org, driver) -> list[int]:
    return [one.body.number for one in catalog.directory.assets.list_of_driver(org, driver.body.number)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "^name: has 0 characters; 1 to 255"),
        ({"name": "x" * 256}, "^name: has 256 characters"),
        ({"username": ""}, "^username: has 0 characters; 1 to 189"),
        ({"username": "x" * 190}, "^username: has 190 characters"),
        ({"username": "d e"}, "^username: 'd e' holds a blank or an @"),
        ({"username": "d@e"}, "^username: 'd@e' holds a blank or an @"),
        ({"phone": "1" * 256}, "^phone: has 256"),
        ({"notes": "x" * 4097}, "^notes: has 4097 characters; at most 4096"),
        ({"license_number": "x" * 256}, "^licenseNumber: has 256"),
        ({"timezone": "Mars/Phobos"}, "^timezone: 'Mars/Phobos' is not known"),
        ({"status": "asleep"}, "^driverActivationStatus: 'asleep' is none; allowed: active, deactivated"),
        ({"tag_ids": ["7"]}, "^tagIds: there is no tag '7'"),
        ({"external_ids": {"samsara.x": "1"}}, "^externalIds: "),
        ({"vehicle": "281474976710999"}, "^staticAssignedVehicleId: there is no vehicle"),
    ],
)
async def test_a_driver_who_cannot_be_is_refused_by_the_name_of_the_field(catalog, org, fields, message):
    with pytest.raises(Refusal, match=message) as refused:
        await drivers.create(catalog, org, DriverFields(**{"name": "Dee", "username": "dee", **fields}))
    assert refused.value.kind is Kind.INVALID
    assert catalog.directory.drivers.list_(org) == []


async def test_a_user_name_is_taken_once_in_an_org_whatever_its_case(catalog, org):
    dee = await make(catalog, org, "dee")
    with pytest.raises(Refusal, match=r"^username: 'DEE' is taken already"):
        await make(catalog, org, "DEE")
    other = await make(catalog, org, "other")
    with pytest.raises(Refusal, match=r"^username: 'Dee' is taken already"):
        await change(catalog, org, other, username="Dee")
    assert (await change(catalog, org, dee, username="Dee")).body.username == "Dee"
    await make(catalog, OrgId((await orgs.create(catalog, "Other")).id), "dee")


async def test_deactivation_has_its_moment(catalog, org):
    dee = await make(catalog, org)
    assert drivers.status_of(dee.body) == "active"
    off = await change(catalog, org, dee, status="deactivated")
    assert off.body.deactivated_ms == NOON_MS
    catalog.clock.time_ms += DAY_MS
    assert (await change(catalog, org, dee, status="deactivated")).body.deactivated_ms == NOON_MS
    assert (await change(catalog, org, dee, name="D")).body.deactivated_ms == NOON_MS
    earlier = await change(catalog, org, dee, deactivated_ms=NOON_MS - DAY_MS)
    assert earlier.body.deactivated_ms == NOON_MS - DAY_MS
    assert (await change(catalog, org, dee, status="active")).body.deactivated_ms == 0
    at = await change(catalog, org, dee, status="deactivated", deactivated_ms=NOON_MS)
    assert at.body.deactivated_ms == NOON_MS
    for fields, message in (
        ({"status": "active", "deactivated_ms": NOON_MS}, "^deactivatedAtTime: can't be given together"),
        ({"deactivated_ms": NOON_MS - 200 * DAY_MS}, "^deactivatedAtTime: must lie between 20"),
        ({"deactivated_ms": NOON_MS + 2 * DAY_MS}, "^deactivatedAtTime: must lie between"),
    ):
        with pytest.raises(Refusal, match=message):
            await change(catalog, org, dee, **fields)


async def test_a_driver_has_one_vehicle_and_a_vehicle_one_driver_from_both_sides(catalog, org):
    one, two = await van(catalog, org), await van(catalog, org)
    dee = await make(catalog, org, vehicle=public(one), external_ids={"hr": "7"})
    assert of(catalog, org, dee) == [one.body.number]
    await change(catalog, org, dee, vehicle=public(two))
    assert of(catalog, org, dee) == [two.body.number]
    await assets.update(catalog, org, AssetId(one.body.number), AssetFields(driver="hr:7"))
    assert of(catalog, org, dee) == [one.body.number]
    gil = await make(catalog, org, "gil", vehicle=public(one))
    assert (of(catalog, org, dee), of(catalog, org, gil)) == ([], [one.body.number])
    for nobody in ("0", None, ""):
        await assets.update(catalog, org, AssetId(two.body.number), AssetFields(driver=str(dee.body.number)))
        await assets.update(catalog, org, AssetId(two.body.number), AssetFields(driver=nobody))
        assert of(catalog, org, dee) == []
        await change(catalog, org, dee, vehicle=public(two))
        await change(catalog, org, dee, vehicle=nobody)
        assert of(catalog, org, dee) == []
    with pytest.raises(Refusal, match=r"^staticAssignedDriverId: there is no driver '99'"):
        await assets.update(catalog, org, AssetId(one.body.number), AssetFields(driver="99"))
    await assets.remove(catalog, org, AssetId(one.body.number))
    assert of(catalog, org, gil) == []


async def test_a_token_with_tags_meets_only_what_carries_one(catalog, org):
    tag = TagId((await tags.create(catalog, org, TagFields(name="a"))).body.number)
    limit, mine = frozenset({tag}), [str(tag)]
    hidden = await make(catalog, org, "hidden")
    hidden_van = await van(catalog, org)
    with pytest.raises(Refusal, match=r"^tagIds: this token sees only"):
        await make(catalog, org, "x", limit)
    dee = await make(catalog, org, "dee", limit, tag_ids=mine)
    my_van = await van(catalog, org, tag_ids=mine)
    with pytest.raises(Refusal, match=r"^staticAssignedVehicleId: there is no vehicle"):
        await change(catalog, org, dee, limit, vehicle=public(hidden_van))
    fields = AssetFields(driver=str(hidden.body.number))
    with pytest.raises(Refusal, match=r"^staticAssignedDriverId: there is no driver"):
        await assets.update(catalog, org, AssetId(my_van.body.number), fields, limit)
    with pytest.raises(Refusal, match="no such driver"):
        await change(catalog, org, hidden, limit, name="x")
    with pytest.raises(Refusal, match=r"^tagIds: this token sees only"):
        await change(catalog, org, dee, limit, tag_ids=[])
    await change(catalog, org, dee, limit, vehicle=public(my_van))
    assert of(catalog, org, dee) == [my_van.body.number]


async def test_nothing_asked_for_changes_nothing(catalog, org):
    dee = await make(catalog, org, notes="two\nlines", timezone="Europe/Berlin", locale="de")
    assert (await change(catalog, org, dee)).rev == dee.rev
    bare = await change(catalog, org, dee, notes=None, timezone=None, locale=None)
    assert (bare.body.notes, bare.body.timezone, bare.body.locale) == ("", "", "")
    with pytest.raises(Refusal, match=r"^username: has 0"):
        await change(catalog, org, dee, username=None)
