"""The vendor's own Python SDK on routes, told nothing but a base URL and a token."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio
from samsara.core.api_error import ApiError
from samsara.types.create_route_stop_with_orders_request_object_request_body import (
    CreateRouteStopWithOrdersRequestObjectRequestBody as NewStop,
)
from samsara.types.route_settings_request_body import RouteSettingsRequestBody
from samsara.types.routes_single_use_address_object_request_body import (
    RoutesSingleUseAddressObjectRequestBody as Location,
)
from samsara.types.update_routes_stop_request_object_request_body import (
    UpdateRoutesStopRequestObjectRequestBody as Stop,
)

from tests.conformance.test_catalogue_by_sdk import sdk
from tests.support.api import open_world, public_id

LEAVES = datetime(2024, 5, 1, 10, tzinfo=UTC)
COMES = datetime(2024, 5, 1, 11, tzinfo=UTC)
DEPOT, SHOP = (Location(latitude=52.0 + step, longitude=4.0) for step in (0, 1))
DAY = {"start_time": "2024-05-01T00:00:00Z", "end_time": "2024-05-02T00:00:00Z"}


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world):
    return await world.make_org("Acme")


@pytest_asyncio.fixture
async def samsara(world, acme):
    return sdk(world, await world.make_token(acme))


def stops() -> list[NewStop]:
    return [
        NewStop(name="Depot", single_use_location=DEPOT, scheduled_departure_time=LEAVES),
        NewStop(name="Shop", single_use_location=SHOP, scheduled_arrival_time=COMES, orders=[]),
    ]


async def test_routes_are_made_fetched_changed_and_deleted(world, acme, samsara):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "1"})
    made = await samsara.routes.create_route(
        name="Tour",
        stops=stops(),
        vehicle_id="erp:1",
        external_ids={"order": "7"},
        settings=RouteSettingsRequestBody(route_starting_condition="departFirstStop"),
    )
    route = made.data
    assert (route.name, route.vehicle.id, route.vehicle.name) == ("Tour", public_id(van), "Van")
    assert [(stop.name, stop.state, stop.orders) for stop in route.stops] == [
        ("Depot", "scheduled", []),
        ("Shop", "scheduled", []),
    ]
    assert route.stops[1].scheduled_arrival_time == COMES
    assert "/fleet/viewer/job/" in route.stops[1].live_sharing_url
    assert (await samsara.routes.fetch_route("order:7")).data == route
    listed = await samsara.routes.fetch_routes(**DAY)
    assert listed.data[0].id == route.id
    assert (listed.pagination.end_cursor, listed.pagination.has_next_page) == ("", False)
    changed = await samsara.routes.patch_route(
        route.id, name="Tour 2", stops=[Stop(id=stop.id, notes="n") for stop in route.stops]
    )
    assert (changed.data.name, [stop.notes for stop in changed.data.stops]) == ("Tour 2", ["n", "n"])
    assert (await samsara.routes.patch_route(route.id)).data.name == "Tour 2"
    await samsara.routes.delete_route(route.id)
    with pytest.raises(ApiError) as caught:
        await samsara.routes.fetch_route(route.id)
    assert caught.value.status_code == 404


async def test_pages_go_on_and_the_first_versions_delete_works(samsara):
    made = [
        (await samsara.routes.create_route(name=f"Tour {number}", stops=stops())).data.id for number in range(5)
    ]
    seen, after = [], None
    for _ in range(3):
        page = await samsara.routes.fetch_routes(
            **DAY, limit=2, after=after, include=["stops.actualDistanceMeters"]
        )
        seen += [route.id for route in page.data]
        after = page.pagination.end_cursor
    assert (seen, after) == (made, "")
    await samsara.routes.v_1_delete_dispatch_route_by_id(made[0], apply_to_future_routes=True)
    assert len((await samsara.routes.fetch_routes(**DAY)).data) == 4


async def test_what_is_missing_is_refused_with_the_field_named(samsara):
    with pytest.raises(ApiError) as caught:
        await samsara.routes.create_route(name="Tour", stops=stops()[:1])
    assert caught.value.status_code == 400
    assert "stops" in caught.value.body["message"]
