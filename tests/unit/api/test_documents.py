"""The pages that need no token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from odograph.api.app import build
from odograph.api.docs_page import CONTENT_SECURITY_POLICY
from odograph.api.limits import PER_ORG, PER_TOKEN
from odograph.api.resources.registry import RESOURCES


async def test_the_openapi_document_is_served_as_it_is_tested(world):
    answer = await world.client().get("/openapi.json")
    assert answer.json() == world.document
    assert answer.json()["openapi"].startswith("3.1")


def test_every_schema_of_the_document_is_a_schema(world):
    for schema in world.document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_operation_ids_and_tags_are_unique_and_declared(world):
    operations = [one for methods in world.document["paths"].values() for one in methods.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids))
    declared = {tag["name"] for tag in world.document["tags"]}
    assert {tag for one in operations for tag in one["tags"]} == declared


async def test_the_limits_of_a_token_and_an_org_are_written_where_people_look(world):
    wanted = [f"{PER_TOKEN.calls} requests a second", f"together {PER_ORG.calls}"]
    guide = " ".join((Path(__file__).parents[3] / "docs" / "api.md").read_text().split())
    for text in (world.document["info"]["description"], (await world.client().get("/docs")).text, guide):
        assert all(one in text for one in wanted)


def test_every_page_without_a_token_and_where_devices_send_is_named_in_the_document(world):
    for path in ("/healthz", "/readyz", "/metrics", "/ingest/{protocol}"):
        assert path in world.document["info"]["description"]


def test_the_document_allows_what_the_server_allows(world):
    schemas = world.document["components"]["schemas"]

    def allows(schema, field, value):
        whole = {**schemas[schema]["properties"][field], "components": world.document["components"]}
        return Draft202012Validator(whole).is_valid(value)

    cases: list[tuple[str, str, Sequence[object], Sequence[object]]] = [
        ("NewAsset", "type", ["vehicle"], ["trailer", "uncategorized", "", None]),
        ("AssetPatch", "type", ["vehicle"], ["boat", None]),
        ("AssetAnswer", "type", ["vehicle", "trailer"], ["boat", None]),
        ("Location", "doubtful", [["zeroIsland"], ["jump", "speedSentinel"]], [["x"], [None]]),
        ("Gps", "doubtful", [["jump"]], [["x"]]),
        ("AssetPatch", "vin", ["1FTBW2CM5GKA12345", "x" * 11, "", None], ["x" * 10, "x" * 18, "1FTBW2CM5GK-12345"]),
        ("VehiclePatch", "vin", ["x" * 17, ""], ["short"]),
        ("AssetPatch", "year", [0, 1880, 2200, None], [17, 1879, 2201, "2019", -1]),
        *((f"{kind}Patch", "name", ["x"], ["", None]) for kind in ("Tag", "Address", "Driver", "Route")),
    ]
    for schema, field, good, bad in cases:
        for value in good:
            assert allows(schema, field, value), (schema, field, value)
        for value in bad:
            assert not allows(schema, field, value), (schema, field, value)
    assert "type" in schemas["NewAsset"]["required"]
    params = world.document["paths"]["/fleet/vehicles/stats/feed"]["get"]["parameters"]
    most = {one["name"]: one["schema"].get("maxItems") for one in params}
    assert (most["types"], most["decorations"]) == (10, 2)


async def test_the_docs_page_names_everything_and_fetches_nothing(world):
    answer = await world.client().get("/docs")
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    page = answer.text
    for path, methods in world.document["paths"].items():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
        assert path in page
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\bon\w+=|style=", page)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page))
    assert world.context.geocoder.attribution in page


async def test_the_index_lists_every_endpoint_and_guide(world):
    world.app = build(world.context, RESOURCES, guides={"feed.md": "# Following the feed\n\nText."})
    client = world.client()
    index = (await client.get("/llms.txt")).text
    for path in world.document["paths"]:
        assert path in index
    assert "[Following the feed](http://testserver/docs/feed.md)" in index
    guide = await client.get("/docs/feed.md")
    assert guide.headers["content-type"].startswith("text/markdown")
    assert guide.text.startswith("# Following")
    assert "/docs/feed.md" in (await client.get("/docs")).text


async def test_the_servers_health_needs_no_token_and_says_nothing_of_its_data(world):
    assert (await world.client().get("/healthz")).json() == {"status": "ok"}
    assert (await world.client().get("/readyz")).json() == {"status": "ready"}


async def test_metrics_are_for_this_machine(world, acme):
    van = await world.make_vehicle(acme)
    await world.report(acme, van, 1_700_000_000_000)
    answer = await world.client().get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["odograph_head_seq"].samples[0].value == 1
    assert families["odograph_follower_lag_seqs"].samples[0].value == 0
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        passed_on = await world.client().get("/metrics", headers={name: "198.51.100.7"})
        assert passed_on.status_code == 403, name
    by_operator = await world.client(operator=True).get("/metrics", headers={"Via": "x"})
    assert by_operator.status_code == 200


async def test_asking_often_does_not_ask_the_store_often(world, monkeypatch):
    asked = []
    status = world.store.status

    async def counted():
        asked.append(1)
        return await status()

    monkeypatch.setattr(world.store, "status", counted)
    world.clock.step_s = 0.1
    for _ in range(10):
        await world.client().get("/readyz")
    assert len(asked) == 1
