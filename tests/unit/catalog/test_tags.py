"""Tags: a forest without rings, members on both sides, one commit however many."""

from __future__ import annotations

from time import perf_counter

import pytest

from odograph.catalog import assets, bulk, membership, orgs, tags
from odograph.catalog.assets import AssetFields
from odograph.catalog.sheets import Row
from odograph.catalog.tags import TagFields
from odograph.errors import Kind, Refusal
from odograph.model.ids import AssetId, OrgId, TagId, render_asset_id


def make(catalog, org, name="T", **fields):
    return tags.create(catalog, org, TagFields(name=name, **fields))


async def vans(catalog, org, count) -> list[str]:
    made = [await assets.create(catalog, org, AssetFields(name=f"Van {n}")) for n in range(count)]
    return [render_asset_id(AssetId(one.body.number)) for one in made]


def carriers(catalog, org, tag) -> list[str]:
    numbers = catalog.directory.assets.roll(org).tagged([tag.body.number]).tolist()
    return [render_asset_id(AssetId(number)) for number in numbers]


async def test_a_tag_is_made_with_its_members_in_one_commit(catalog, org):
    one, two, three = await vans(catalog, org, 3)
    before = catalog.directory.rev
    tag = await make(catalog, org, vehicles=[one, two, one], assets=[three])
    assert carriers(catalog, org, tag) == [one, two, three]
    assert catalog.directory.find_asset(org, one).body.tag_ids == (tag.body.number,)
    assert catalog.directory.rev > before


async def test_members_can_be_named_by_external_id(catalog, org):
    van = await assets.create(catalog, org, AssetFields(external_ids={"erp": "1"}, serial="S1"))
    tag = await make(catalog, org, vehicles=["erp:1", "samsara.serial:S1"])
    assert carriers(catalog, org, tag) == [render_asset_id(AssetId(van.body.number))]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "^name: has 0 characters; 1 to 191"),
        ({"name": "x" * 192}, "^name: has 192 characters; 1 to 191"),
        ({"vehicles": ["281474976710999"]}, "^vehicles: there is no vehicle '281474976710999'"),
        ({"assets": ["x"]}, "^assets: there is no vehicle 'x'"),
        ({"parent": "12"}, "^parentTagId: there is no tag '12'"),
        ({"external_ids": {"samsara.name": "x"}}, "^externalIds: "),
    ],
)
async def test_a_tag_that_cannot_be_is_refused_and_leaves_nothing(catalog, org, fields, message):
    (van,) = await vans(catalog, org, 1)
    with pytest.raises(Refusal, match=message) as refused:
        await tags.create(catalog, org, TagFields(**{"name": "T", "vehicles": [van], **fields}))
    assert refused.value.kind is Kind.INVALID
    assert catalog.directory.tags.list_(org) == []
    assert catalog.directory.find_asset(org, van).body.tag_ids == ()


async def test_a_patch_replaces_the_lists_it_names_and_keeps_the_rest(catalog, org):
    one, two = await vans(catalog, org, 2)
    tag = await make(catalog, org, vehicles=[one], external_ids={"crm": "1"})
    number = tag.body.number
    renamed = await tags.update(catalog, org, number, TagFields(name="New", assets=[]))
    assert (renamed.body.name, renamed.body.external_ids) == ("New", {"crm": "1"})
    assert carriers(catalog, org, tag) == [one]
    same = await tags.update(catalog, org, number, TagFields())
    assert same.rev == renamed.rev
    swapped = await tags.update(catalog, org, number, TagFields(vehicles=[two]))
    assert swapped.rev == renamed.rev
    assert carriers(catalog, org, tag) == [two]
    await tags.update(catalog, org, number, TagFields(vehicles=None))
    assert carriers(catalog, org, tag) == []


async def test_a_put_empties_what_it_does_not_name(catalog, org):
    (van,) = await vans(catalog, org, 1)
    root = await make(catalog, org, "Root")
    tag = await make(catalog, org, parent=str(root.body.number), vehicles=[van], external_ids={"crm": "1"})
    put = await tags.replace(catalog, org, tag.body.number, TagFields(name="Put"))
    assert (put.body.name, put.body.parent_id, put.body.external_ids) == ("Put", 0, {"crm": "1"})
    assert carriers(catalog, org, tag) == []
    with pytest.raises(Refusal, match=r"^name: "):
        await tags.replace(catalog, org, tag.body.number, TagFields())


async def test_a_tag_cannot_lie_below_itself(catalog, org):
    top = await make(catalog, org, "Top")
    middle = await make(catalog, org, "Middle", parent=str(top.body.number))
    low = await make(catalog, org, "Low", parent="samsara.name:Middle")
    assert low.body.parent_id == middle.body.number
    for below in (top, middle, low):
        with pytest.raises(Refusal, match=r"^parentTagId: .* its own ancestor"):
            await tags.update(catalog, org, top.body.number, TagFields(parent=str(below.body.number)))
    freed = await tags.update(catalog, org, middle.body.number, TagFields(parent=None))
    assert freed.body.parent_id == 0
    await tags.update(catalog, org, top.body.number, TagFields(parent=str(middle.body.number)))


async def test_deleting_a_tag_frees_children_and_members(catalog, org):
    (van,) = await vans(catalog, org, 1)
    other = await make(catalog, org, "Other", vehicles=[van])
    top = await make(catalog, org, "Top", vehicles=[van])
    child = await make(catalog, org, "Child", parent=str(top.body.number))
    await tags.remove(catalog, org, top.body.number)
    assert catalog.directory.find_tag(org, str(top.body.number)) is None
    assert catalog.directory.find_asset(org, van).body.tag_ids == (other.body.number,)
    assert catalog.directory.tags.find(org, child.id).body.parent_id == 0
    with pytest.raises(Refusal, match="no such tag"):
        await tags.remove(catalog, org, top.body.number)


async def test_another_orgs_tags_and_vehicles_do_not_exist(catalog, org):
    (van,) = await vans(catalog, org, 1)
    tag = await make(catalog, org)
    other = OrgId((await orgs.create(catalog, "Other")).id)
    with pytest.raises(Refusal, match=r"^vehicles: there is no vehicle"):
        await make(catalog, other, vehicles=[van])
    with pytest.raises(Refusal, match=r"^parentTagId: there is no tag"):
        await make(catalog, other, parent=str(tag.body.number))
    with pytest.raises(Refusal) as refused:
        await tags.update(catalog, other, TagId(tag.body.number), TagFields(name="x"))
    assert refused.value.kind is Kind.NOT_FOUND


async def test_two_thousand_members_join_and_leave_in_one_commit_each(catalog, org):
    rows = [Row(line=line, name=f"Van {line}") for line in range(2000)]
    made = await bulk.import_rows(catalog, org, rows)
    ids = [line.id for line in made.lines]
    started = perf_counter()
    tag = await make(catalog, org, vehicles=ids)
    assert len(carriers(catalog, org, tag)) == 2000
    await tags.update(catalog, org, tag.body.number, TagFields(vehicles=[]))
    assert carriers(catalog, org, tag) == []
    assert perf_counter() - started < 5


async def test_a_tag_holds_a_bounded_number_of_members(catalog, org, monkeypatch):
    monkeypatch.setattr(membership, "MAX_MEMBERS", 2)
    ids = await vans(catalog, org, 3)
    await make(catalog, org, vehicles=ids[:2])
    with pytest.raises(Refusal, match=r"^vehicles: 3 members are too many; a tag holds at most 2"):
        await make(catalog, org, vehicles=ids)
