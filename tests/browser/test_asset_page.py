"""The page of one vehicle: what a customer sees of a delivery, on a phone, until he should not."""

from __future__ import annotations

import asyncio
import csv
import gzip
import os
import re
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.pages import CHICAGO, card, go, left_of, open_map, open_page, pan, stand, status_of
from tests.support.serving import ODOGRAPH, environment
from tests.support.sharing import drive, moved, now_ms, rfc3339

POINTS = """() => [...document.querySelectorAll('svg polyline.trail')]
    .flatMap((line) => line.getAttribute('points').trim().split(' ')).length"""
CARD_BYTES = 60_000
PAGE_BYTES = 500_000


async def transferred(urls) -> dict[str, int]:
    """Bytes of each body as the server sends it to a browser."""
    sizes = {}
    async with httpx.AsyncClient(headers={"Accept-Encoding": "gzip, deflate, br, zstd"}) as client:
        for url in dict.fromkeys(urls):
            async with client.stream("GET", url) as answer:
                sizes[url] = sum([len(piece) async for piece in answer.aiter_raw()])
    return sizes


def is_tile(url: str) -> bool:
    return "/tiles/" in url


async def test_the_card_is_readable_before_any_map_code_has_come_and_within_60_kb(house, visit):
    van = await house.vehicle("Van 1", "B-OD 1")
    destination = {"name": "Acme Bakery", "formattedAddress": "12 Mill Lane", "latitude": 41.9, "longitude": -87.7}
    link = await house.link_to(van, "Flour for Acme", location=destination)
    await go(house, van)
    held = asyncio.Event()

    async def hold(route):
        """Code that the page itself does not name is loaded later."""
        await held.wait()
        await route.continue_()

    html = (await visit.page.request.get(link.url)).text
    named = re.findall(r'(?:src|href)="(/viewer/assets/[^"]+)"', await html())
    await visit.page.route(lambda url: url.endswith((".js", ".mjs")) and not url.endswith(tuple(named)), hold)
    page = await open_page(visit, link)
    await expect(card(page)).to_contain_text("Flour for Acme")
    await expect(card(page)).to_contain_text("Harbour Freight")
    await expect(card(page)).to_contain_text("Van 1")
    await expect(card(page)).to_contain_text("Moving east at 31 mph")
    await expect(card(page)).to_contain_text(re.compile(r"Distance left\s*[\d.]+ mi"))
    await expect(page.locator("body")).to_contain_text("Live")
    needed = [one.url for one in visit.requests if one.resource_type in {"document", "stylesheet"}]
    needed += [
        one.url for one in visit.requests if one.resource_type == "script" and one.url.endswith(tuple(named))
    ]
    sizes = await transferred(needed)
    assert sum(sizes.values()) < CARD_BYTES, sizes
    held.set()
    await page.wait_for_selector("body[data-ready='1']", state="attached", timeout=60_000)


async def test_the_whole_page_with_its_map_takes_less_than_500_kb(house, visit):
    van = await house.vehicle("Van 2")
    link = await house.link_to(van)
    await go(house, van)
    await open_map(visit, link)
    urls = [one.url for one in visit.requests if not one.url.endswith("/stream") and not is_tile(one.url)]
    sizes = await transferred(urls)
    assert any("worker" in url for url in sizes), "the map's own worker is part of the page"
    assert sum(sizes.values()) < PAGE_BYTES, sizes


async def test_the_marker_moves_as_the_vehicle_does(house, visit):
    van = await house.vehicle("Van 3")
    link = await house.link_to(van)
    at = await go(house, van)
    page = await open_map(visit, link)
    marker = page.locator(".vehicle")
    await expect(marker).to_have_count(1)
    await pan(page)
    before = await left_of(marker)
    await go(house, van, moved((at.lat, at.lon), 90, 2000), in_s=20)
    await page.wait_for_function(
        "before => document.querySelector('.vehicle').getBoundingClientRect().x > before + 20", arg=before
    )


async def test_a_real_drive_is_shown_as_it_happens(house, visit, tmp_path):
    recordings = os.environ.get("ODOGRAPH_RECORDINGS")
    if not recordings:
        pytest.skip("ODOGRAPH_RECORDINGS is not set: no recordings to replay")
    source = Path(recordings) / "fixes" / "geolife_vehicles" / "fixes_geolife_vehicles.csv.gz"
    drive_csv = tmp_path / "drive.csv"
    with gzip.open(source, "rt", newline="") as file, drive_csv.open("w", newline="") as out:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(out, rows.fieldnames or ())
        writer.writeheader()
        mine = (row for row in rows if row["vehicle_id"] == "geolife-010")
        writer.writerows(row for row in mine if "2008-04-02T06:32:10Z" <= row["time_iso"] <= "2008-04-02T06:32:30Z")
    taxi = await house.vehicle("geolife-010")
    link = await house.link_to(taxi, odograph={"trail": "sinceStart"})
    page = await open_page(visit, link)
    await expect(card(page)).to_contain_text("Nothing to show right now")
    replay = await asyncio.create_subprocess_exec(
        *ODOGRAPH,
        *("replay", str(drive_csv), "--now", "--key", taxi.key, "--url", house.server.url),
        *("--state", str(tmp_path / "state.json")),
        env=environment(house.server.home),
        stderr=sys.stderr,
    )
    try:
        await page.wait_for_selector(".vehicle", timeout=60_000)
        await page.evaluate(
            """() => {
                window.places = new Set();
                const look = () => {
                    const box = document.querySelector('.vehicle')?.getBoundingClientRect();
                    if (box) window.places.add(Math.round(box.x * 4) + ',' + Math.round(box.y * 4));
                    requestAnimationFrame(look);
                };
                look();
            }"""
        )
        await page.wait_for_function("() => window.places.size >= 5", timeout=60_000)
    finally:
        assert await replay.wait() == 0


async def test_the_age_of_a_position_is_said_honestly(house, visit):
    van = await house.vehicle("Van 4")
    link = await house.link_to(van)
    await go(house, van)
    await visit.page.clock.install()
    page = await open_page(visit, link)
    await expect(page.locator(".pill")).to_contain_text("Live")
    await page.clock.pause_at((await page.evaluate("Date.now()") + 12 * 60_000) / 1000)
    await expect(page.locator(".pill")).to_contain_text("Last seen 12 min ago")
    await expect(card(page)).to_contain_text("Was moving when last seen")


async def test_a_link_that_expires_while_it_is_open_says_so_and_drops_what_it_knew(house, visit):
    van = await house.vehicle("Van 5")
    link = await house.link_to(van, "Short visit", expiresAtTime=rfc3339(now_ms() + 6_000))
    await go(house, van)
    page = await open_page(visit, link)
    await expect(card(page)).to_contain_text("This link ends")
    await expect(page.get_by_role("heading", name="This link has ended")).to_be_visible()
    assert await shown(page, van) == {"Van 5": False, "Short visit": False, ".vehicle": False, "main.card": False}
    assert await status_of(page, link.url) == 410
    await expect(page.get_by_role("heading", name="This link has ended")).to_be_visible()


async def shown(page, van):
    """Whether anything of the link is left: in the title, the text, the markup or the map."""
    everything = await page.content() + await page.title()
    names = {name: name in everything for name in (van.name, "Short visit")}
    return {**names, **{one: await page.locator(one).count() > 0 for one in (".vehicle", "main.card")}}


async def test_a_link_that_ends_on_arrival_says_that_it_has_arrived(house, visit):
    van = await house.vehicle("Van 15")
    lat, lon = moved(CHICAGO, 0, 1500)
    to = {"name": "Short visit", "formattedAddress": "1 Mill Lane", "latitude": lat, "longitude": lon}
    link = await house.link_to(van, "Short visit", location=to, odograph={"endsOnArrival": True})
    await go(house, van)
    page = await open_page(visit, link)
    await expect(card(page)).to_contain_text("This link ends on arrival")
    await stand(house, van, (lat, lon), in_s=60)
    await expect(page.get_by_role("heading", name="It has arrived")).to_be_visible()
    assert await shown(page, van) == {"Van 15": False, "Short visit": False, ".vehicle": False, "main.card": False}
    assert await status_of(page, link.url) == 410
    await expect(page.get_by_role("heading", name="It has arrived")).to_be_visible()


async def test_a_screen_reader_is_told_at_once_that_a_position_is_hidden(house, visit):
    van = await house.vehicle("Van 16")
    start = (46.2, -91.3)
    home = moved(start, 180, 3000)
    await house.address("Quiet place", home, 500, odograph={"isPrivateZone": True})
    link = await house.link_to(van, "Told")
    await go(house, van, start)
    page = await open_page(visit, link)
    told = page.get_by_role("status").filter(has_text="Van 16")
    await expect(told).to_contain_text("Moving")
    await stand(house, van, home, in_s=180)
    await expect(page.get_by_role("status").filter(has_text="Position not shown here")).to_have_count(
        1, timeout=3000
    )


async def test_a_link_that_is_revoked_while_it_is_open_goes_dark_within_a_second(house, visit):
    van = await house.vehicle("Van 6")
    link = await house.link_to(van)
    await go(house, van)
    page = await open_map(visit, link)
    await page.evaluate(
        """() => new MutationObserver(() => {
            if (!document.querySelector('main.card')) window.darkMs ??= Date.now();
        }).observe(document.body, {childList: true, subtree: true})"""
    )
    await expect(page.locator(".pill.live")).to_be_visible()
    asked_ms = now_ms()
    await house.revoke(link)
    await expect(page.get_by_role("heading", name="This link does not exist")).to_be_visible()
    assert await page.evaluate("window.darkMs") - asked_ms < 1000
    assert "Van 6" not in await page.content()
    assert await status_of(page, link.url) == 404


async def test_a_link_that_has_not_started_shows_nothing_of_itself(house, visit):
    van = await house.vehicle("Van 7")
    starts = rfc3339(now_ms() + timedelta(hours=1) / timedelta(milliseconds=1))
    link = await house.link_to(van, "Tomorrow's parcel", odograph={"startsAtTime": starts})
    assert await status_of(visit.page, link.url) == 403
    await expect(visit.page.get_by_role("heading", name="This link has not started yet")).to_be_visible()
    content = await visit.page.content()
    assert "Tomorrow" not in content
    assert "Harbour Freight" not in content
    assert "Van 7" not in content


async def test_a_vehicle_that_stands_is_shown_as_one_that_stands(house, visit):
    van = await house.vehicle("Van 8")
    link = await house.link_to(van)
    await stand(house, van)
    page = await open_map(visit, link)
    await expect(card(page)).to_contain_text("Stopped")
    await expect(page.locator(".vehicle.standing.live")).to_have_count(1)
    await go(house, van, moved(CHICAGO, 0, 300), heading=0.0, in_s=10)
    await expect(card(page)).to_contain_text("Moving north")
    await expect(page.locator(".vehicle.moving.live")).to_have_count(1)


async def test_a_name_given_for_the_link_takes_the_place_of_the_vehicles_own_everywhere(house, visit):
    van = await house.vehicle("Canary van", "CANARY 9")
    link = await house.link_to(van, odograph={"shownName": "Your courier"})
    await go(house, van)
    page = await open_map(visit, link)
    await expect(card(page)).to_contain_text("Your courier")
    await go(house, van, moved(CHICAGO, 90, 500), in_s=10)
    await page.wait_for_selector(".vehicle")
    await expect(page.locator(".pill.live")).to_be_visible()
    assert "canary" not in (await page.content() + visit.everything_received).lower()
    assert "Your courier" in visit.everything_received


async def test_a_vehicle_in_a_private_zone_is_not_shown_and_comes_back_when_it_leaves(house, visit):
    van = await house.vehicle("Van 12")
    home = (44.123456, -89.654321)
    await house.address("Canary home", home, 500, odograph={"isPrivateZone": True})
    link = await house.link_to(van, odograph={"trail": "sinceStart"})
    await go(house, van, moved(home, 0, 2000), 180.0)
    page = await open_map(visit, link)
    await expect(page.locator(".vehicle")).to_have_count(1)
    await go(house, van, home, 180.0, in_s=60)
    await expect(card(page)).to_contain_text("Position not shown here")
    await expect(page.locator(".vehicle")).to_have_count(0)
    await go(house, van, moved(home, 180, 2000), 180.0, in_s=120)
    await expect(page.locator(".vehicle")).to_have_count(1)
    await expect(card(page)).to_contain_text("Moving south")
    everything = visit.everything_received + await page.content()
    for canary in ("44.1234", "Canary"):
        assert canary not in everything


async def test_a_recentre_button_comes_after_panning_and_brings_the_vehicle_back(house, visit):
    van = await house.vehicle("Van 10")
    link = await house.link_to(van)
    await go(house, van)
    page = await open_map(visit, link)
    button = page.get_by_role("button", name="Recentre")
    await expect(button).to_have_count(0)
    await pan(page)
    before = await left_of(page.locator(".vehicle"))
    await button.click()
    await expect(button).to_have_count(0)
    await page.wait_for_function(
        "before => Math.abs(document.querySelector('.vehicle').getBoundingClientRect().x - before) > 15",
        arg=before,
    )


async def test_the_trail_has_every_point_although_the_phone_was_offline(house, visit_without_webgl):
    van = await house.vehicle("Van 11")
    link = await house.link_to(van, odograph={"trail": "sinceStart"})
    await house.send(van, *drive(CHICAGO, 90, 5))
    page = await open_page(visit_without_webgl, link)
    await expect(page.locator(".pill.live")).to_be_visible()
    await page.wait_for_function(f"() => ({POINTS})() >= 5")
    await visit_without_webgl.context.set_offline(True)
    await expect(page.locator(".pill")).to_contain_text("You are offline")
    corner = moved(CHICAGO, 90, 200)
    await house.send(van, *drive(corner, 0, 10, in_s=5))
    assert await page.evaluate(POINTS) < 10
    await visit_without_webgl.context.set_offline(False)
    await expect(page.locator(".pill.live")).to_be_visible()
    await page.wait_for_function(f"() => ({POINTS})() >= 15")
    await house.send(van, *drive(moved(corner, 0, 400), 90, 1, in_s=10))
    await page.wait_for_function(f"() => ({POINTS})() >= 16")
