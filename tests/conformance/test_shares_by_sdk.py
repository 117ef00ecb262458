"""The vendor's own Python SDK on live sharing links: four calls, three types, and its own errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from samsara import (
    AssetsLocationLinkConfigAddressDetailsObject,
    AssetsLocationLinkRequestConfigObject,
    AssetsNearLocationLinkConfigObject,
    AssetsOnRouteLinkConfigObject,
    AsyncSamsara,
)
from samsara.core.api_error import ApiError
from samsara.errors import NotFoundError, TooManyRequestsError, UnauthorizedError

from odograph.api.app import build
from odograph.api.resources.registry import RESOURCES
from odograph.catalog import tags
from tests.conformance.test_catalogue_by_sdk import sdk
from tests.support.api import EVERY_SCOPE, World, open_world, public_id
from tests.support.shared import make_address, make_recurring

LATER = "2031-01-01T00:00:00Z"


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World):
    return await world.make_org("Acme")


@pytest_asyncio.fixture
async def samsara(world, acme) -> AsyncSamsara:
    return sdk(world, await world.make_token(acme))


@pytest_asyncio.fixture
async def van(world, acme) -> str:
    return public_id(await world.make_vehicle(acme, name="Van"))


async def test_the_request_of_the_vendors_guide_makes_a_link(world, acme, samsara, van):
    """With an asset and tags both, as the guide has it: the asset wins."""
    some = [await tags.create(world.catalog, acme, tags.TagFields(name=name)) for name in ("East Coast", "North")]
    made = (
        await samsara.live_sharing_links.create_live_sharing_link(
            name="Example Live Sharing Link name",
            type="assetsLocation",
            assets_location_link_config=AssetsLocationLinkRequestConfigObject(
                asset_id=van,
                tag_ids=[str(tag.body.number) for tag in some],
                location=AssetsLocationLinkConfigAddressDetailsObject(
                    formatted_address="1990 Alameda Street, San Francisco, CA 94103",
                    latitude=37.456345,
                    longitude=34.5633749,
                    name="Suburbs",
                ),
            ),
            description="Sample description",
            expires_at_time=LATER,
        )
    ).data
    assert re.fullmatch(
        rf"http://testserver/o/{acme}/fleet/viewer/address/[0-9A-Za-z]{{22,}}", made.live_sharing_url
    )
    assert made.id not in made.live_sharing_url
    assert made.assets_location_link_config.asset_id == van
    assert made.assets_location_link_config.tags is None
    assert made.assets_location_link_config.location.name == "Suburbs"
    assert (made.description, made.expires_at_time) == (
        "Sample description",
        datetime(2031, 1, 1, tzinfo=UTC) if isinstance(made.expires_at_time, datetime) else LATER,
    )


async def test_tags_go_out_as_ids_and_come_back_as_tags(world, acme, samsara):
    above = (await tags.create(world.catalog, acme, tags.TagFields(name="All"))).body.number
    tag = (await tags.create(world.catalog, acme, tags.TagFields(name="North", parent=str(above)))).body.number
    made = await samsara.live_sharing_links.create_live_sharing_link(
        name="North",
        type="assetsLocation",
        assets_location_link_config=AssetsLocationLinkRequestConfigObject(tag_ids=[str(tag)]),
    )
    (shown,) = made.data.assets_location_link_config.tags
    assert (shown.id, shown.name, shown.parent_tag_id) == (str(tag), "North", str(above))
    assert made.data.assets_location_link_config.asset_id is None
    assert made.data.expires_at_time is None


async def test_links_near_a_place_and_of_a_route_are_made_by_id_and_external_id(world, acme, samsara):
    address = await make_address(world.catalog, acme, external_ids={"crmId": "abc123"})
    route = await make_recurring(world.catalog, acme)
    links = samsara.live_sharing_links
    for text in (address, "crmId:abc123"):
        near = await links.create_live_sharing_link(
            name="Dock",
            type="assetsNearLocation",
            assets_near_location_link_config=AssetsNearLocationLinkConfigObject(address_id=text),
        )
        assert near.data.assets_near_location_link_config.address_id == address
    on_route = await links.create_live_sharing_link(
        name="Line",
        type="assetsOnRoute",
        assets_on_route_link_config=AssetsOnRouteLinkConfigObject(recurring_route_id=route),
        description="Not applicable",
    )
    assert on_route.data.assets_on_route_link_config.recurring_route_id == route
    assert on_route.data.description is None
    only = await links.get_live_sharing_links(type="assetsOnRoute")
    assert [one.id for one in only.data] == [on_route.data.id]


async def test_links_are_listed_by_pages_and_by_ids_as_the_sdk_repeats_them(samsara, van):
    links = samsara.live_sharing_links
    config = AssetsLocationLinkRequestConfigObject(asset_id=van)
    made = [
        (
            await links.create_live_sharing_link(
                name=f"{number}", type="assetsLocation", assets_location_link_config=config
            )
        ).data.id
        for number in range(5)
    ]
    seen, after = [], None
    while True:
        page = await links.get_live_sharing_links(limit=2, after=after)
        seen += [one.id for one in page.data]
        if not page.pagination.has_next_page:
            break
        after = page.pagination.end_cursor
    assert page.pagination.end_cursor == ""
    assert seen == made
    some = await links.get_live_sharing_links(ids=[made[3], made[1], "nobody"], type="all")
    assert [one.id for one in some.data] == [made[1], made[3]]


async def test_a_link_is_changed_and_revoked(samsara, van):
    links = samsara.live_sharing_links
    config = AssetsLocationLinkRequestConfigObject(asset_id=van)
    made = (
        await links.create_live_sharing_link(
            name="Link", type="assetsLocation", assets_location_link_config=config, expires_at_time=LATER
        )
    ).data
    renamed = (await links.update_live_sharing_link(id=made.id, name="New")).data
    assert (renamed.name, renamed.expires_at_time) == ("New", made.expires_at_time), "absent keeps"
    assert renamed.live_sharing_url == made.live_sharing_url
    for_ever = (await links.update_live_sharing_link(id=made.id, name="New", expires_at_time=None)).data
    assert for_ever.expires_at_time is None, "null clears"
    await links.delete_live_sharing_link(id=made.id)
    assert (await links.get_live_sharing_links()).data == []
    with pytest.raises(NotFoundError):
        await links.delete_live_sharing_link(id=made.id)
    with pytest.raises(NotFoundError):
        await links.update_live_sharing_link(id=made.id, name="x")


async def test_refusals_arrive_as_the_sdks_own_errors(world, acme, samsara, van):
    config = AssetsLocationLinkRequestConfigObject(asset_id=van)

    async def make(client: AsyncSamsara, **fields: str) -> None:
        await client.live_sharing_links.create_live_sharing_link(
            name="x", type="assetsLocation", assets_location_link_config=config, **fields
        )

    with pytest.raises(ApiError) as caught:
        await make(samsara, expires_at_time="2020-01-27T07:06:25Z")
    assert caught.value.status_code == 400
    others = [label for label in EVERY_SCOPE if label != "Write Live Sharing Links"]
    with pytest.raises(ApiError) as caught:
        await make(sdk(world, await world.make_token(acme, others)))
    assert caught.value.status_code == 403
    with pytest.raises(UnauthorizedError):
        await make(sdk(world, "odo_nobody"))
    world.clock.step_s = 0.0
    world.app = build(world.context, RESOURCES)
    hasty = sdk(world, await world.make_token(acme))
    for _ in range(100):
        await make(hasty)
    with pytest.raises(TooManyRequestsError):
        await hasty.live_sharing_links.create_live_sharing_link(
            name="x",
            type="assetsLocation",
            assets_location_link_config=config,
            request_options={"max_retries": 0},
        )
