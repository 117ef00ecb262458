"""What every endpoint of the registry promises, whatever it serves; the client checks each answer's shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from odograph.api import positions
from odograph.api.app import build
from odograph.api.limits import PER_ORG, PER_TOKEN, RateLimits
from odograph.api.openapi import EXTENSIONS, document
from odograph.api.resources import assets
from odograph.api.resources.base import Endpoint, Limit, Param
from odograph.api.resources.registry import RESOURCES
from odograph.catalog import contacts, devices, knocks, recurring, routes, shares, tags
from odograph.catalog.stops import Place, StopFields
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Asset, Knock
from odograph.model.ids import OrgId
from odograph.sharing.by_asset import NewAssetShareConfig
from tests.support.api import EVERY_SCOPE, NOON_MS, Client, World, open_world, public_id

ENDPOINTS = [endpoint for resource in RESOURCES for endpoint in resource.endpoints()]
FOR_TOKENS = [endpoint for endpoint in ENDPOINTS if not endpoint.operator_only]
SCOPED = [endpoint for endpoint in ENDPOINTS if endpoint.scope is not None]
LIMITED = [endpoint for endpoint in ENDPOINTS if endpoint.limit is not None]
NAMING_ONE = [one for one in FOR_TOKENS if "{id}" in one.path or any(param.name == "id" for param in one.params)]
PAGED = [endpoint for endpoint in ENDPOINTS if any(param.name == "after" for param in endpoint.params)]


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
every_scoped = pytest.mark.parametrize("endpoint", SCOPED, ids=name_of)
every_paged = pytest.mark.parametrize("endpoint", PAGED, ids=name_of)


@pytest_asyncio.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def acme(world: World) -> OrgId:
    return await world.make_org("Acme")


async def call(
    client: Client,
    endpoint: Endpoint,
    ids: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    slash: str = "",
) -> httpx.Response:
    """The endpoint with the least that it needs; `ids` by the kind of object that its path means."""
    ids = ids or {}
    path = endpoint.path.replace("{id}", ids.get(kind_of(endpoint), "1")) + slash
    needed = {param.name: least(param) for param in endpoint.params if param.required}
    if "id" in needed and ids:
        needed["id"] = id_of(ids, endpoint)
    body: Any = None
    if endpoint.method not in {"GET", "DELETE"}:
        body = b"name\nVan\n" if endpoint.consumes == "text/csv" else b'{"name":"x","directory":"/nowhere"}'
    return await client.request(endpoint.method, path, params={**needed, **(query or {})}, content=body)


def least(param: Param) -> str:
    if param.values:
        return "gps" if "gps" in param.values else param.values[0]
    return {
        "time": "2024-05-02T00:00:00Z" if param.name == "endTime" else "2024-05-01T00:00:00Z",
        "int": str(param.minimum),
        "bool": "true",
    }.get(param.kind, "1")


def kind_of(endpoint: Endpoint) -> str:
    parts = endpoint.path.split("/{id}")[0].strip("/").split("/")
    return parts[-1]


def id_of(ids: Mapping[str, str], endpoint: Endpoint) -> str:
    """What stands for one thing of the endpoint's kind in its parameters."""
    return ids.get(kind_of(endpoint), ids["vehicles"])


async def populate(world: World, org: OrgId, how_many: int = 3) -> dict[str, str]:
    """Some of everything in an org; the id of the first of each kind."""
    ids: dict[str, str] = {"orgs": str(org)}
    for number in range(how_many):
        asset = await world.make_vehicle(org, name=f"Van {number}")
        await world.report(org, asset, NOON_MS - number)
        tag = await tags.create(
            world.catalog, org, tags.TagFields(name=f"Tag {number}", vehicles=[public_id(asset)])
        )
        contact = await contacts.create(world.catalog, org, contacts.ContactFields(first_name=f"Contact {number}"))
        address = await world.make_address(org, name=f"Dock {number}", contacts=[str(contact.body.number)])
        driver = await world.make_driver(
            org, name=f"Driver {number}", username=f"driver-{asset.body.number}", vehicle=public_id(asset)
        )
        device, _ = await devices.add(world.catalog, org, devices.DeviceFields(name=f"Box {number}"))
        knock = Knock(f"imei-{org}-{number}", "osmand", "198.51.100.7", "unknown_device", NOON_MS, NOON_MS)
        await knocks.record(world.catalog, [(org, knock)])
        await world.make_token(org)
        ids.setdefault("vehicles", public_id(asset))
        ids.setdefault("tags", str(tag.body.number))
        ids.setdefault("devices", str(device.id))
        share = await shares.create(
            world.catalog,
            world.context.server_key,
            org,
            "assetsLocation",
            NewAssetShareConfig(asset_id=public_id(asset)),
            shares.ShareFields(name=f"Their secret link {number}"),
        )
        ids.setdefault("live-shares", share.body.share_id)
        ids.setdefault("contacts", str(contact.body.number))
        ids.setdefault("addresses", str(address.body.number))
        ids.setdefault("drivers", str(driver.body.number))
        await plan_routes(world, org, number, asset, ids)
    ids["knocks"] = str(world.directory.knocks.list_(org)[0].id)
    ids["tokens"] = str(world.directory.tokens.list_(org)[0].id)
    return ids


async def plan_routes(world: World, org: OrgId, number: int, asset: Entity[Asset], ids: dict[str, str]) -> None:
    """A route and a recurring route of a vehicle."""
    places = [Place(52.0, 4.0 + step, "", 0.0) for step in (0, 1)]
    leaves, comes = (
        StopFields(place=places[0], departure_ms=NOON_MS),
        StopFields(place=places[1], arrival_ms=NOON_MS + 3_600_000),
    )
    route = await routes.create(
        world.catalog,
        org,
        routes.RouteFields(name=f"Tour {number}", vehicle=public_id(asset), stops=[leaves, comes]),
    )
    pattern = await recurring.create(
        world.catalog,
        org,
        recurring.RecurringFields(
            name=f"Line {number}",
            start_times=["06:30"],
            stops=[
                recurring.PlannedStopFields(place=places[0], departure_s=0),
                recurring.PlannedStopFields(place=places[1], arrival_s=60),
            ],
        ),
    )
    ids.setdefault("routes", str(route.body.number))
    ids.setdefault("recurring-routes", str(pattern.body.number))


@every_endpoint
async def test_nobody_is_let_in_without_a_token_that_lives(world, acme, endpoint):
    dead = await world.make_token(acme, expires_ms=world.clock.time_ms + 1)
    world.clock.time_ms += 1
    for token in (None, "", "odo_unknown", dead):
        answer = await call(world.client(token), endpoint)
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"] == "Bearer"


@every_scoped
async def test_every_other_scope_together_is_not_enough(world, acme, endpoint):
    others = [label for label in EVERY_SCOPE if label != endpoint.scope.label]
    answer = await call(world.client(await world.make_token(acme, others)), endpoint)
    assert answer.status_code == 403
    assert endpoint.scope.label in answer.json()["message"]


@every_endpoint
async def test_only_the_operator_may_do_what_is_the_operators(world, acme, endpoint):
    ids = await populate(world, acme)
    everything = world.client(await world.make_token(acme))
    answer = await call(everything, endpoint, ids)
    assert (answer.status_code == 403) == endpoint.operator_only
    answer = await call(world.client(operator=True), endpoint, await populate(world, acme))
    assert answer.status_code < 500
    assert answer.status_code not in {401, 403, 405}


@every_endpoint
async def test_other_methods_are_refused_with_the_allowed_ones_named(world, acme, endpoint):
    client = world.client(await world.make_token(acme))
    served = {one.method for one in ENDPOINTS if one.path == endpoint.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - served:
        answer = await client.request(method, endpoint.path.replace("{id}", "1"))
        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].split(", ")) == served


@every_endpoint
async def test_a_stranger_learns_neither_paths_nor_methods(world, endpoint):
    answer = await world.client().request("TRACE", endpoint.path)
    assert answer.status_code == 401
    answer = await world.client().get(endpoint.path + "/nowhere/at/all")
    assert answer.status_code == 401


@every_endpoint
async def test_a_trailing_slash_is_the_same_path(world, acme, endpoint):
    ids = await populate(world, acme)
    client = world.client(await world.make_token(acme), operator=endpoint.operator_only)
    answer = await call(client, endpoint, ids, slash="/")
    assert answer.status_code not in {307, 308, 404, 405}


@every_endpoint
async def test_the_global_limits_hold_for_tokens_and_not_for_the_operator(world, acme, endpoint):
    limits = RateLimits(world.clock, per_token=Limit(2, 1), per_org=Limit(3, 1))
    world.app = build(world.context, RESOURCES, limits=limits)
    ids = await populate(world, acme)
    world.clock.step_s = 0.0
    client = world.client(await world.make_token(acme), operator=endpoint.operator_only)
    statuses = [(await call(client, endpoint, ids)).status_code for _ in range(3)]
    if endpoint.operator_only:
        assert 429 not in statuses
        return
    assert 429 not in statuses[:2]
    assert statuses[2] == 429
    other = world.client(await world.make_token(acme))
    assert (await call(other, endpoint, ids)).status_code != 429
    refused = await call(other, endpoint, ids)
    assert refused.status_code == 429, "three of the org in a second are enough, whoever asks"
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize("endpoint", LIMITED, ids=name_of)
async def test_a_class_of_its_own_is_counted_over_all_tokens_of_the_org(world, acme, endpoint):
    wide = Limit(10_000, 1)
    world.app = build(world.context, RESOURCES, limits=RateLimits(world.clock, per_token=wide, per_org=wide))
    clients = [world.client(await world.make_token(acme)) for _ in range(2)]
    stranger = world.client(await world.make_token(await world.make_org("Other")))
    world.clock.step_s = 0.0
    for number in range(endpoint.limit.calls):
        assert (await call(clients[number % 2], endpoint)).status_code != 429
    refused = await call(clients[0], endpoint)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await call(stranger, endpoint)).status_code != 429
    world.clock.steady += endpoint.limit.seconds
    assert (await call(clients[0], endpoint)).status_code != 429


def test_the_global_limits_are_the_vendors():
    assert (Limit(150, 1), Limit(200, 1)) == (PER_TOKEN, PER_ORG)


@every_endpoint
async def test_ids_of_another_org_are_as_unknown_as_any(world, acme, endpoint):
    theirs = await populate(world, await world.make_org("Other"))
    mine = await populate(world, acme)
    client = world.client(await world.make_token(acme), org="Acme", operator=endpoint.operator_only)
    if "{id}" in endpoint.path and not endpoint.operator_only:
        answer = await call(client, endpoint, theirs)
        assert answer.status_code == 404
    for param in endpoint.params:
        if param.name in {"vehicleIds", "tagIds", "parentTagIds", "ids"}:
            foreign = theirs["tags"] if "ag" in param.name else id_of(theirs, endpoint)
            answer = await call(client, endpoint, mine, {param.name: foreign})
            assert answer.status_code == 200
            assert answer.headers["content-type"] != "application/json" or answer.json()["data"] == []
    if any(param.name == "id" for param in endpoint.params):
        assert (await call(client, endpoint, mine, {"id": id_of(theirs, endpoint)})).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/tags", {"name": "x", "vehicles": ["{vehicles}"]}),
        ("POST", "/tags", {"name": "x", "addresses": ["{addresses}"]}),
        ("POST", "/tags", {"name": "x", "drivers": ["{drivers}"]}),
        ("POST", "/tags", {"name": "x", "parentTagId": "{tags}"}),
        ("POST", "/assets", {"type": "vehicle", "name": "x", "tagIds": ["{tags}"]}),
        ("PATCH", "/fleet/vehicles/[vehicles]", {"tagIds": ["{tags}"]}),
        ("PATCH", "/fleet/vehicles/[vehicles]", {"staticAssignedDriverId": "{drivers}"}),
        ("PATCH", "/fleet/drivers/[drivers]", {"staticAssignedVehicleId": "{vehicles}"}),
        ("PATCH", "/fleet/drivers/[drivers]", {"tagIds": ["{tags}"]}),
        ("PATCH", "/addresses/[addresses]", {"contactIds": ["{contacts}"]}),
        ("PATCH", "/addresses/[addresses]", {"tagIds": ["{tags}"]}),
        ("POST", "/odograph/devices", {"name": "x", "vehicleId": "{vehicles}"}),
        ("POST", "/odograph/tokens", {"name": "x", "tagIds": ["{tags}"]}),
    ],
)
async def test_ids_of_another_org_in_a_body_are_refused_as_those_of_nothing_are(world, acme, method, path, body):
    theirs = await populate(world, await world.make_org("Other"))
    mine = await populate(world, acme)
    client = world.client(await world.make_token(acme))
    for kind, one in mine.items():
        path = path.replace(f"[{kind}]", one)
    refusals = []
    for ids in (theirs, dict.fromkeys(theirs, "1999999999")):
        text = json.dumps(body)
        for kind, one in ids.items():
            text = text.replace(f"{{{kind}}}", one)
        answer = await client.request(method, path, content=text)
        assert answer.status_code in {400, 404}, answer.text
        refusals.append(answer.json()["message"].replace(ids[_meant(body)], "…"))
    assert refusals[0] == refusals[1]
    text = json.dumps(body)
    for kind, one in mine.items():
        text = text.replace(f"{{{kind}}}", one)
    assert (await client.request(method, path, content=text)).status_code == 200


def _meant(body: Mapping[str, Any]) -> str:
    match = re.search(r"\{(\w+)\}", json.dumps(list(body.values())))
    assert match
    return match[1]


@pytest.mark.parametrize("endpoint", NAMING_ONE, ids=name_of)
async def test_what_a_token_may_not_see_is_as_unknown_to_it_as_what_is_not_there(world, acme, endpoint):
    hidden = await populate(world, acme)
    mine = await tags.create(world.catalog, acme, tags.TagFields(name="Mine"))
    limited = world.client(await world.make_token(acme, tag_ids=[str(mine.body.number)]))
    refusals = []
    for ids in (hidden, dict.fromkeys(hidden, "1999999999")):
        answer = await call(limited, endpoint, ids)
        assert answer.status_code in {403, 404}, answer.text
        refusals.append((answer.status_code, answer.json()["message"].replace(id_of(ids, endpoint), "…")))
    assert refusals[0] == refusals[1]


@every_endpoint
async def test_no_answer_ever_shows_another_orgs_things(world, acme, endpoint):
    if endpoint.operator_only:
        pytest.skip("the operator sees every org")
    other = await world.make_org("Other")
    theirs = await populate(world, other)
    secret = await world.make_vehicle(other, name="Their secret van")
    await world.report(other, secret, NOON_MS)
    client = world.client(await world.make_token(acme))
    answer = await call(client, endpoint, theirs)
    assert "secret" not in answer.text
    assert f"imei-{other}" not in answer.text
    assert public_id(secret) not in answer.text


@every_paged
async def test_a_cursor_serves_its_own_endpoint_and_org_alone(world, acme, endpoint, monkeypatch):
    await fill(world, acme, monkeypatch)
    other = await world.make_org("Other")
    await populate(world, other)
    mine = world.client(await world.make_token(acme))
    theirs = world.client(await world.make_token(other))
    cursor = await a_cursor(mine, endpoint)
    assert (await call(mine, endpoint, query={"after": cursor})).status_code == 200
    assert (await call(theirs, endpoint, query={"after": cursor})).status_code == 400
    for garbage in ("x", "!", cursor[:-2], cursor + "AA", "A" * 5000, "0", "é"):
        assert (await call(mine, endpoint, query={"after": garbage})).status_code == 400, garbage
    for elsewhere in PAGED:
        if elsewhere.path != endpoint.path:
            assert (await call(mine, elsewhere, query={"after": cursor})).status_code == 400
    world.clock.time_ms += 30 * 86_400_000 + 1000
    assert (await call(mine, endpoint, query={"after": cursor})).status_code == 400


@every_paged
async def test_pages_end_and_hold_everything_once(world, acme, endpoint, monkeypatch):
    ids = await fill(world, acme, monkeypatch)
    client = world.client(await world.make_token(acme))
    seen: list[str] = []
    cursor, pages = "", 0
    while pages < 50:
        answer = (await call(client, endpoint, ids, {"after": cursor, **tiny(endpoint)})).json()
        pages += 1
        seen += [one["id"] for one in answer["data"]]
        cursor, more = answer["pagination"]["endCursor"], answer["pagination"]["hasNextPage"]
        if not more:
            break
        assert cursor
        assert answer["data"], "no empty page before the end"
    assert not more
    assert (cursor == "") == (not endpoint.path.endswith("/feed"))
    assert len(seen) == len(set(seen))
    assert pages > 1
    assert len(seen) >= 3


async def fill(world: World, org: OrgId, monkeypatch) -> dict[str, str]:
    """Enough of everything for two pages, where pages have no `limit` of their own."""
    monkeypatch.setattr(assets, "PAGE", 2)
    for name in ("SNAPSHOT_PAGE", "FEED_PAGE", "HISTORY_PAGE"):
        monkeypatch.setattr(positions, name, 2)
    return await populate(world, org)


def tiny(endpoint: Endpoint) -> dict[str, str]:
    return {"limit": "2"} if any(param.name == "limit" for param in endpoint.params) else {}


async def a_cursor(client: Client, endpoint: Endpoint) -> str:
    answer = await call(client, endpoint, query=tiny(endpoint))
    cursor = answer.json()["pagination"]["endCursor"]
    assert cursor
    return str(cursor)


@every_endpoint
async def test_limits_outside_their_range_are_refused_with_the_range_named(world, acme, endpoint):
    client = world.client(await world.make_token(acme), operator=endpoint.operator_only)
    for param in endpoint.params:
        if param.kind == "int" and param.maximum is not None:
            for value in (param.maximum + 1, (param.minimum or 0) - 1, "many", "1.5", "9" * 30):
                answer = await call(client, endpoint, query={param.name: str(value)})
                assert answer.status_code == 400
                assert str(param.maximum) in answer.json()["message"]
        if param.kind == "time":
            answer = await call(client, endpoint, query={param.name: "yesterday"})
            assert answer.status_code == 400
            assert param.name in answer.json()["message"]
        if param.kind == "bool":
            assert (await call(client, endpoint, query={param.name: "maybe"})).status_code == 400
        if param.kind == "csv":
            assert (await call(client, endpoint, query={f"{param.name}[0]": "1"})).status_code == 400
            many = ",".join(map(str, range(2001)))
            assert (await call(client, endpoint, query={param.name: many})).status_code == 414


@every_endpoint
async def test_bodies_that_are_no_bodies_are_refused(world, acme, endpoint):
    if endpoint.takes is None:
        pytest.skip("takes no JSON")
    ids = await populate(world, acme)
    client = world.client(await world.make_token(acme), operator=endpoint.operator_only)
    path = endpoint.path.replace("{id}", ids.get(kind_of(endpoint), "1"))
    params = {param.name: id_of(ids, endpoint) for param in endpoint.params if param.required}
    for body in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"name":' * 2000, b'{"name":"\\ud800"}', b"{}x"):
        answer = await client.request(endpoint.method, path, content=body, params=params)
        assert answer.status_code == 400, body[:20]
    answer = await client.request(endpoint.method, path, content=b" " * ((8 << 20) + 1), params=params)
    assert answer.status_code == 413


@every_endpoint
def test_every_endpoint_is_documented_with_its_scope_and_where_it_belongs(endpoint):
    operation = document(RESOURCES, "")["paths"][endpoint.path][endpoint.method.lower()]
    assert operation["summary"]
    if endpoint.scope:
        assert endpoint.scope.label in operation["description"]
        assert operation["security"] == [{"bearer": [endpoint.scope.label]}]
    assert (operation["tags"] == [EXTENSIONS]) == endpoint.is_extension
    assert endpoint.is_extension == endpoint.path.startswith("/odograph/")
    success = operation["responses"].get("200") or operation["responses"]["204"]
    assert "content" in success or endpoint.method == "DELETE"


def test_no_documented_object_has_only_optional_fields_in_an_answer():
    schemas = document(RESOURCES, "")["components"]["schemas"]
    for endpoint in ENDPOINTS:
        if endpoint.answers is not None:
            assert "data" in schemas[endpoint.answers.__name__]["required"]
    made = ("Patch", "NewAsset", "NewContact", "NewDevice", "Acceptance", "Reactivation")
    parts = ("AssetShareConfig", "ShareOptions", "DiscloseWithin", "RecurringStop")
    patches = {name for name in schemas if name.endswith((*made, *parts))} | {"Geofence"}  # one of two shapes
    assert {
        name for name, schema in schemas.items() if not schema.get("required") and schema["type"] == "object"
    } <= patches


def test_every_scope_opens_something():
    assert {endpoint.scope for endpoint in SCOPED} == set(Scope)
