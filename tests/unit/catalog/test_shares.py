"""Live shares: what may be kept, and that nothing widens what they show of the past."""

from __future__ import annotations

import re

import msgspec
import pytest

from odograph.catalog import assets, shares
from odograph.catalog.changes import Catalog
from odograph.catalog.shares import ShareFields
from odograph.errors import Kind, Refusal
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare
from odograph.model.ids import AssetId, OrgId, render_asset_id
from odograph.sharing.by_asset import NewAssetShareConfig, ShareLocation
from odograph.sharing.keys import key_hash
from odograph.sharing.keys import link_key as key_of

KEY = b"k" * 32
HOUR_MS = 3_600_000
DOCK = ShareLocation(name="Dock", formatted_address="Quay 1", latitude=52.1, longitude=4.3)


@pytest.fixture
async def van(catalog: Catalog, org: OrgId) -> str:
    asset = await assets.create(catalog, org, assets.AssetFields(name="Van"))
    return render_asset_id(AssetId(asset.body.number))


@pytest.fixture
def make(catalog: Catalog, org: OrgId, van: str):
    async def make(*, to: ShareLocation | None = DOCK, **fields: object) -> Entity[LiveShare]:
        config = NewAssetShareConfig(asset_id=van)
        if to is not None:
            config.location = to
        asked = msgspec.convert({"name": "Link", **fields}, ShareFields)
        return await shares.create(catalog, KEY, org, "assetsLocation", config, asked)

    return make


async def changed(catalog: Catalog, share: Entity[LiveShare], **fields: object) -> LiveShare:
    asked = msgspec.convert(fields, ShareFields)
    return (await shares.update(catalog, share.org, share.body.share_id, asked)).body


async def test_a_link_has_an_id_of_its_own_and_the_hash_of_its_key(catalog, make):
    made = [await make() for _ in range(50)]
    assert len({share.body.share_id for share in made}) == 50
    for share in made:
        assert re.fullmatch(r"[a-z0-9]{20}", share.body.share_id)
        key = key_of(KEY, share.body.share_id, 0)
        assert catalog.directory.shares.find_by_key(key_hash(key)) == share
    assert shares.url(KEY, "https://x", made[0]) == (
        f"https://x/o/{made[0].org}/fleet/viewer/address/{key_of(KEY, made[0].body.share_id, 0)}"
    )


async def test_no_key_and_no_url_is_in_what_is_stored(store, make):
    share = await make()
    key = key_of(KEY, share.body.share_id, 0)
    stored = b"".join(record.body or b"" for record in store._written)
    assert share.body.share_id.encode() in stored
    assert key.encode() not in stored


async def test_a_new_link_shows_where_a_parked_vehicle_has_been_since_before(catalog, make):
    assert (await make()).body.shown_from_ms == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"disclose_m": 500}, {"disclose_m": 501}),
        ({"disclose_m": 500}, {"disclose_m": 0}),
        ({"disclose_m": 500}, {"disclose_min": 5}),
        ({"disclose_m": 500, "disclose_min": 5}, {"disclose_m": 100, "disclose_min": 6}),
        ({"disclose_min": 5, "planned_arrival_ms": 1}, {"planned_arrival_ms": 2}),
    ],
)
async def test_whoever_widens_a_link_moves_its_floor_to_now(catalog, make, before, after):
    share = await make(**relative(catalog, before))
    after = relative(catalog, after)
    catalog.clock.time_ms += 1000
    body = await changed(catalog, share, **after)
    assert (body.shown_from_ms, body.past_from_ms) == (catalog.clock.now_ms(), 0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"trail_min": 0}, {"trail_min": 10}),
        ({"trail_min": 10}, {"trail_min": 11}),
        ({"trail_min": 1440}, {"trail_min": shares.SINCE_START}),
        ({"starts_ms": HOUR_MS}, {"starts_ms": 0}),
        ({"starts_ms": HOUR_MS}, {"starts_ms": HOUR_MS // 2}),
    ],
)
async def test_more_past_begins_now_and_the_newest_position_stays(catalog, make, before, after):
    share = await make(**relative(catalog, before))
    after = relative(catalog, after)
    catalog.clock.time_ms += 1000
    body = await changed(catalog, share, **after)
    assert (body.shown_from_ms, body.past_from_ms) == (0, catalog.clock.now_ms())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"trail_min": 10}, {"trail_min": 9}),
        ({"trail_min": shares.SINCE_START}, {"trail_min": 1440}),
        ({}, {"disclose_m": 500}),
        ({"disclose_m": 500}, {"disclose_m": 400}),
        ({"disclose_m": 500, "disclose_min": 5}, {"disclose_min": 0}),
        ({"planned_arrival_ms": 1}, {"planned_arrival_ms": 2}),
        ({}, {"starts_ms": HOUR_MS}),
        ({}, {"expires_ms": HOUR_MS, "name": "Other", "shown_name": "Courier", "ends_on_arrival": True}),
    ],
)
async def test_narrowing_and_naming_leave_the_floor_where_it_is(catalog, make, before, after):
    share = await make(**relative(catalog, before))
    after = relative(catalog, after)
    catalog.clock.time_ms += 1000
    body = await changed(catalog, share, **after)
    assert (body.shown_from_ms, body.past_from_ms) == (0, 0)
    assert body.updated_ms == catalog.clock.now_ms()


def relative(catalog: Catalog, fields: dict[str, int]) -> dict[str, int]:
    """Times after now."""
    now = catalog.clock.now_ms()
    return {name: value + now if name.endswith("_ms") and value else value for name, value in fields.items()}


async def test_a_change_that_changes_nothing_writes_nothing(catalog, store, make):
    share = await make(starts_ms=catalog.clock.now_ms() + HOUR_MS)
    before = len(store._written)
    catalog.clock.time_ms += 2 * HOUR_MS
    await changed(catalog, share, name="Link", starts_ms=share.body.starts_ms)
    assert len(store._written) == before


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": "x" * 256}, "description"),
        ({"shown_name": "x" * 256}, "shownName"),
        ({"expires_ms": 1}, "expiresAtTime"),
        ({"expires_ms": 0, "starts_ms": 1}, "startsAtTime"),
    ],
)
async def test_what_can_not_be_kept_is_refused_by_name(make, fields, word):
    with pytest.raises(Refusal, match=word) as caught:
        await make(**fields)
    assert caught.value.kind is Kind.INVALID


async def test_an_expiry_must_be_strictly_later_than_now(catalog, make):
    now = catalog.clock.now_ms()
    with pytest.raises(Refusal, match="expiresAtTime"):
        await make(expires_ms=now)
    assert (await make(expires_ms=now + 1)).body.expires_ms == now + 1


async def test_a_start_lies_before_the_expiry(catalog, make):
    now = catalog.clock.now_ms()
    with pytest.raises(Refusal, match="startsAtTime: must be before"):
        await make(starts_ms=now + 5, expires_ms=now + 5)


@pytest.mark.parametrize(
    "fields", [{"ends_on_arrival": True}, {"planned_arrival_ms": 1}, {"disclose_m": 500}, {"disclose_min": 5}]
)
async def test_what_needs_a_destination_is_refused_without_one(make, fields):
    with pytest.raises(Refusal, match="location or addressId"):
        await make(to=None, **fields)
    await make(**fields)


async def test_a_link_that_has_expired_is_neither_changed_nor_revoked_but_reactivated(catalog, org, make):
    share = await make(expires_ms=catalog.clock.now_ms() + 1000)
    share_id = share.body.share_id
    with pytest.raises(Refusal, match="has not expired"):
        await shares.reactivate(catalog, org, share_id, 0)
    catalog.clock.time_ms += 1000
    for refused in (
        shares.update(catalog, org, share_id, ShareFields(name="New")),
        shares.remove(catalog, org, share_id),
    ):
        with pytest.raises(Refusal) as caught:
            await refused
        assert caught.value.kind is Kind.NOT_FOUND
    with pytest.raises(Refusal, match="expiresAtTime"):
        await shares.reactivate(catalog, org, share_id, catalog.clock.now_ms())
    catalog.clock.time_ms += HOUR_MS
    opened = (await shares.reactivate(catalog, org, share_id, 0)).body
    assert (opened.expires_ms, opened.key_hash) == (0, share.body.key_hash)
    assert (opened.shown_from_ms, opened.past_from_ms) == (0, catalog.clock.now_ms()), "like a new one"


async def test_a_rotated_link_has_another_key_and_shows_no_more_than_before(catalog, org, make):
    share = await make()
    old_hash = bytes.fromhex(share.body.key_hash)
    catalog.clock.time_ms += 1000
    rotated = await shares.rotate(catalog, KEY, org, share.body.share_id)
    assert rotated.body.shown_from_ms == share.body.shown_from_ms
    assert catalog.directory.shares.find_by_key(old_hash) is None
    assert catalog.directory.shares.find_by_key(bytes.fromhex(rotated.body.key_hash)) == rotated
    again = await shares.rotate(catalog, KEY, org, share.body.share_id)
    assert len({share.body.key_hash, rotated.body.key_hash, again.body.key_hash}) == 3


async def test_a_link_that_ends_on_arrival_expires_now_and_only_once(catalog, make):
    share = await make(ends_on_arrival=True)
    catalog.clock.time_ms += 5
    await shares.end(catalog, share)
    ended = shares.get(catalog.directory, share.org, share.body.share_id)
    assert ended.body.expires_ms == catalog.clock.now_ms()
    catalog.clock.time_ms += 5
    await shares.end(catalog, share)
    assert shares.get(catalog.directory, share.org, share.body.share_id) == ended
    await shares.remove(catalog, share.org, share.body.share_id, may_be_expired=True)
    await shares.end(catalog, share)
    assert catalog.directory.shares.list_(share.org) == []


async def test_a_link_that_no_longer_ends_on_arrival_stays_open(catalog, make):
    share = await make(ends_on_arrival=True)
    await changed(catalog, share, ends_on_arrival=False)
    await shares.end(catalog, share)
    assert shares.get(catalog.directory, share.org, share.body.share_id).body.expires_ms == 0


async def test_links_of_another_server_key_are_counted_and_have_no_url_until_rotated(catalog, org, make):
    share, other = await make(), await make()
    new_key = b"n" * 32
    assert shares.count_lost(catalog.directory, KEY) == 0
    assert shares.count_lost(catalog.directory, new_key) == 2
    assert shares.url(new_key, "https://x", share) is None
    rotated = await shares.rotate(catalog, new_key, org, share.body.share_id)
    assert shares.url(new_key, "https://x", rotated)
    assert shares.count_lost(catalog.directory, new_key) == 1
    assert shares.url(KEY, "https://x", other)


async def test_an_id_of_another_org_is_unknown(catalog, make):
    share = await make()
    with pytest.raises(Refusal) as caught:
        await shares.rotate(catalog, KEY, OrgId(99), share.body.share_id)
    assert caught.value.kind is Kind.NOT_FOUND
