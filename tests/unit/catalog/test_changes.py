"""Changes: planned from what is there, planned again when somebody else was first, never half."""

from __future__ import annotations

import pytest

from odograph.catalog import assets, orgs
from odograph.catalog.assets import AssetFields
from odograph.catalog.changes import Catalog
from odograph.errors import Kind, Refusal
from odograph.live.directory import Directory
from odograph.model.ids import AssetId
from tests.unit.catalog.conftest import SteppedClock


async def test_a_change_made_elsewhere_meanwhile_is_merged(catalog, org):
    van = await assets.create(catalog, org, AssetFields(name="Van", external_ids={"a": "1"}))
    late = elsewhere(catalog)
    await hear(late)
    await assets.update(catalog, org, AssetId(van.body.number), AssetFields(external_ids={"b": "2"}))
    merged = await assets.update(late, org, AssetId(van.body.number), AssetFields(external_ids={"c": "3"}))
    assert merged.body.external_ids == {"a": "1", "b": "2", "c": "3"}


async def test_a_second_conflict_is_told(catalog, org):
    van = await assets.create(catalog, org, AssetFields(name="Van"))
    stale = Catalog(catalog.store, Directory(), catalog.clock)
    await hear(stale)
    await assets.update(catalog, org, AssetId(van.body.number), AssetFields(name="Bus"))
    with pytest.raises(Refusal) as refused:
        await assets.update(stale, org, AssetId(van.body.number), AssetFields(name="Car"))
    assert refused.value.kind is Kind.CONFLICT
    assert catalog.directory.assets.find_by_number(org, van.body.number).body.name == "Bus"


async def test_a_name_taken_elsewhere_meanwhile_is_refused_as_taken(catalog):
    late = elsewhere(catalog)
    await orgs.create(catalog, "Acme")
    with pytest.raises(Refusal, match=r"^name: an org 'Acme' exists already") as refused:
        await orgs.create(late, "acme")
    assert refused.value.kind is Kind.INVALID


async def test_a_refused_plan_lets_the_next_one_through(catalog, org):
    with pytest.raises(Refusal):
        await assets.create(catalog, org, AssetFields(vin="x"))
    assert (await assets.create(catalog, org, AssetFields(name="Van"))).body.number == 1


def elsewhere(catalog: Catalog) -> Catalog:
    """Another process on the same store: its directory hears of the others' changes only while it sleeps."""
    clock = NappingClock()
    clock.late = Catalog(catalog.store, Directory(), clock)
    return clock.late


async def hear(catalog: Catalog) -> None:
    """Take in all that is in the store."""
    async for committed in catalog.store.follow():
        catalog.directory.apply(committed.records)
        if committed.is_current:
            return


class NappingClock(SteppedClock):
    """Hears the news while it sleeps."""

    late: Catalog

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await hear(self.late)
