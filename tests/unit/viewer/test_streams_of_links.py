"""What streams show, and how soon they go dark."""

from __future__ import annotations

from tests.support.viewing import MINUTE_MS, NOON_MS


async def test_a_stream_begins_with_the_state_and_goes_on_with_what_happens(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    await viewing.report(org, van, 52.1, 4.3)
    stream = await viewing.watch(key)
    first = await stream.next()
    assert (first.name, first.id) == ("state", "")
    assert [(one["name"], one["fix"]["lat"]) for one in first.data["assets"]] == [("Van", 52.1)]
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, van, 52.2, 4.3)
    update = await stream.next()
    assert update.name == "update"
    assert len(update.id) == 32
    assert update.data["assets"][0]["fix"] | {"near": ""} == {
        "time": NOON_MS + MINUTE_MS,
        "lat": 52.2,
        "lon": 4.3,
        "speedKmh": 40.0,
        "near": "",
    }
    await stream.close()


async def test_a_revoked_link_goes_dark_in_the_step_of_its_commit(viewing, org):
    van = await viewing.make_vehicle(org)
    share, key = await viewing.make_share(org, asset_id=van.body.number)
    stream = await viewing.watch(key)
    await stream.next()
    await viewing.remove(share)
    await viewing.report(org, van, 52.1, 4.3)
    ended = await stream.next()
    assert (ended.name, ended.data) == ("ended", {"reason": "gone"})
    await stream.task
    assert stream.events.empty()


async def test_an_expired_link_goes_dark_by_the_clock_alone(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number, expires_ms=NOON_MS + MINUTE_MS)
    stream = await viewing.watch(key)
    await stream.next()
    viewing.clock.move(MINUTE_MS)
    ended = await stream.next()
    assert (ended.name, ended.data) == ("ended", {"reason": "expired"})
    assert (await viewing.get(f"/o/1/fleet/viewer/address/{key}")).status == 410


async def test_an_asset_that_loses_the_tag_is_gone_at_once(viewing, org):
    tag = await viewing.make_tag(org)
    number = tag.body.number
    van = await viewing.make_vehicle(org, "Van", tag_ids=(number,))
    bus = await viewing.make_vehicle(org, "Bus", tag_ids=(number,))
    _, key = await viewing.make_share(org, tag_ids=(number,))
    await viewing.report(org, van, 52.1, 4.3)
    await viewing.report(org, bus, 52.2, 4.3)
    stream = await viewing.watch(key)
    first = await stream.next()
    keys = {one["name"]: one["key"] for one in first.data["assets"]}
    assert set(keys) == {"Van", "Bus"}
    await viewing.change(bus, tag_ids=(), tagged_ms=())
    update = await stream.next()
    assert update.data["gone"] == [keys["Bus"]]
    await stream.close()


async def test_a_private_zone_hides_the_newest_and_all_before_it(viewing, org):
    await viewing.make_address(org, 52.2, 4.4, 1000, name="Home", is_private=True)
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
    for step in range(4):
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, 52.1 + step / 100, 4.3)
    stream = await viewing.watch(key)
    assert len((await stream.next()).data["assets"][0]["trail"]) == 4
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, van, 52.2, 4.4)
    update = await stream.next()
    assert "fix" not in update.data["assets"][0]
    assert update.data["link"]["hidden"] == "private"
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, van, 52.3, 4.4)
    update = await stream.next()
    assert [point[1] for point in update.data["assets"][0]["trail"]] == [52.3]
    assert [point[1] for point in (await viewing.page_state(key))["assets"][0]["trail"]] == [52.3]
    await stream.close()
