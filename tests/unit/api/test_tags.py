"""Tags, as clients in the field write them."""

from __future__ import annotations

import pytest

from tests.support.api import public_id


@pytest.fixture
def make(client):
    async def make(**fields):
        answer = await client.post("/tags", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return make


async def test_members_go_in_as_ids_and_come_back_as_objects(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van", external_ids={"erp": "1"})
    parent = await make(name="All")
    tag = await make(
        name="North", parentTagId=parent["id"], vehicles=["erp:1"], externalIds={"crm": "n"}, drivers=[]
    )
    assert tag == {
        "id": tag["id"],
        "name": "North",
        "parentTagId": parent["id"],
        "parentTag": {"id": parent["id"], "name": "All"},
        "externalIds": {"crm": "n", "samsara.name": "North"},
        "vehicles": [{"id": public_id(van), "name": "Van"}],
        **{kind: [] for kind in ("assets", "addresses", "drivers", "machines", "sensors")},
    }
    for name in (tag["id"], "crm:n", "samsara.name:North"):
        assert (await client.get(f"/tags/{name}")).json()["data"] == tag
    vehicle = (await client.get(f"/fleet/vehicles/{public_id(van)}")).json()["data"]
    assert vehicle["tags"] == [{"id": tag["id"], "name": "North", "parentTagId": parent["id"]}]


async def test_what_was_read_can_be_put_back(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    parent = await make(name="All")
    tag = await make(name="North", parentTagId=parent["id"], vehicles=[public_id(van)], externalIds={"crm": "n"})
    assert (await client.put(f"/tags/{tag['id']}", json=tag)).json()["data"] == tag


async def test_put_empties_what_it_does_not_name_and_patch_keeps_it(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    parent = await make(name="All")
    tag = await make(name="North", parentTagId=parent["id"], vehicles=[public_id(van)], externalIds={"crm": "n"})
    path = f"/tags/{tag['id']}"
    kept = (await client.patch(path, json={"name": "N"})).json()["data"]
    assert (kept["vehicles"], kept["parentTagId"]) == (tag["vehicles"], parent["id"])
    emptied = (await client.put(path, json={"name": "N"})).json()["data"]
    assert emptied["vehicles"] == []
    assert "parentTagId" not in emptied
    assert emptied["externalIds"] == {"crm": "n", "samsara.name": "N"}
    assert (await client.put(path, json={"vehicles": []})).status_code == 400


async def test_null_in_a_patch_removes(client, make, world, acme):
    van = await world.make_vehicle(acme, name="Van")
    parent = await make(name="All")
    tag = await make(name="North", parentTagId=parent["id"], vehicles=[public_id(van)])
    changed = (await client.patch(f"/tags/{tag['id']}", json={"parentTagId": None, "vehicles": None})).json()[
        "data"
    ]
    assert changed["vehicles"] == []
    assert "parentTag" not in changed


async def test_a_deleted_parent_leaves_roots(client, make):
    parent = await make(name="All")
    child = await make(name="North", parentTagId=parent["id"])
    assert (await client.delete(f"/tags/{parent['id']}")).status_code == 204
    assert "parentTagId" not in (await client.get(f"/tags/{child['id']}")).json()["data"]
    assert (await client.delete(f"/tags/{parent['id']}")).status_code == 404


async def test_what_makes_no_tree_is_refused(client, make):
    top = await make(name="1")
    below = await make(name="2", parentTagId=top["id"])
    for parent in (top["id"], below["id"], "99", "x"):
        answer = await client.patch(f"/tags/{top['id']}", json={"parentTagId": parent})
        assert answer.status_code == 400
        assert "parentTagId" in answer.json()["message"]
    for body in (
        {"vehicles": ["281474976799999"]},
        {"vehicles": [7]},
        {"addresses": ["1"]},
        {"drivers": ["1"]},
        {"machines": ["1"]},
        {"sensors": ["1"]},
        {"name": ""},
        {"name": "x" * 192},
        {"name": None},
    ):
        assert (await client.patch(f"/tags/{top['id']}", json=body)).status_code == 400, body


async def test_a_token_with_tags_sees_these_and_changes_none(client, make, world, acme):
    parent, hidden = await make(name="All"), await make(name="South")
    mine = await make(name="North", parentTagId=parent["id"])
    limited = world.client(await world.make_token(acme, tag_ids=[mine["id"]]))
    (seen,) = (await limited.get("/tags")).json()["data"]
    assert seen["id"] == mine["id"]
    assert "parentTag" not in seen
    assert (await limited.get(f"/tags/{hidden['id']}")).status_code == 404
    van = await world.make_vehicle(acme, name="Van")
    for method, path, body in (
        ("PATCH", f"/tags/{mine['id']}", {"vehicles": [public_id(van)]}),
        ("PUT", f"/tags/{mine['id']}", {"name": "x"}),
        ("POST", "/tags", {"name": "x"}),
        ("DELETE", f"/tags/{mine['id']}", None),
    ):
        assert (await limited.request(method, path, json=body)).status_code == 403
