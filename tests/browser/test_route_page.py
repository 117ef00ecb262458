"""The page of a route: its stops in order, how far it came, how late, and who drives it."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.browser.pages import card, go, open_map, stand
from tests.support.sharing import moved, now_ms, rfc3339

MINUTE_MS = 60_000
DEPOT = (43.00, -88.00)


def stops(begin_ms, *minutes):
    """A stop every 2 km to the east, planned so many minutes after the beginning."""
    made = []
    for number, minute in enumerate(minutes):
        lat, lon = moved(DEPOT, 90, 2000 * number)
        at = rfc3339(begin_ms + minute * MINUTE_MS)
        place = {"address": f"{number} Lake Street", "latitude": lat, "longitude": lon}
        times = {"scheduledArrivalTime": at} if number else {}
        if number < len(minutes) - 1:
            times["scheduledDepartureTime"] = at
        made.append({"name": f"Stop {'ABCDE'[number]}", "singleUseLocation": place, **times})
    return made


async def test_stops_are_done_skipped_next_and_to_come_with_their_lateness(house, visit):
    truck = await house.vehicle("Truck 30", "B-OD 30")
    begin_ms = now_ms() - 20 * MINUTE_MS
    route = await house.route("Lake round", truck, stops(begin_ms, 0, 5, 10, 60, 90))
    link = await house.link_along(route, "Lake round today")
    page = await open_map(visit, link)
    states = page.locator("main.card ol li")
    await expect(states).to_have_count(5)
    await stand(house, truck, DEPOT)
    await go(house, truck, moved(DEPOT, 90, 500), in_s=30)
    await go(house, truck, moved(DEPOT, 90, 1000), in_s=60)
    await expect(card(page)).to_contain_text("Truck 30")
    await expect(card(page)).to_contain_text("behind plan")
    for in_s in (90, 155):  # it stays at stop C, and did not only pass it; B was left out
        await stand(house, truck, moved(DEPOT, 90, 4000), in_s)
    await expect(states.nth(1)).to_contain_text("Skipped")
    await expect(states.nth(2)).to_contain_text("arrived")
    await expect(states.nth(2)).to_contain_text(re.compile("1[12] min late"))
    await go(house, truck, moved(DEPOT, 90, 4500), in_s=170)
    await go(house, truck, moved(DEPOT, 90, 5000), in_s=180)
    await expect(states.nth(3)).to_have_attribute("aria-current", "step")
    classes = [str(await states.nth(number).get_attribute("class")).split()[0] for number in range(5)]
    assert classes == ["done", "skipped", "done", "next", "todo"]
    await expect(card(page)).to_contain_text("Next stop")
    await expect(card(page)).to_contain_text("Stop D")
    await expect(page.get_by_role("status").filter(has_text="Next stop: Stop D")).to_have_count(1, timeout=3000)
    await expect(page.locator(".stop.done")).to_have_count(2)
    await expect(page.locator(".stop.next")).to_have_count(1)


async def test_a_run_that_has_not_begun_says_when_it_starts_and_shows_no_vehicle(house, visit):
    truck = await house.vehicle("Canary truck")
    begin_ms = now_ms() + 5 * 60 * MINUTE_MS
    route = await house.route("Later round", truck, stops(begin_ms, 0, 10))
    link = await house.link_along(route)
    await stand(house, truck, DEPOT)
    page = await open_map(visit, link)
    await expect(card(page)).to_contain_text("Starts")
    await expect(page.get_by_role("status").filter(has_text="Later round, Starts")).to_have_count(1)
    await expect(page.locator(".vehicle")).to_have_count(0)
    assert "Canary" not in visit.everything_received + await page.content()
