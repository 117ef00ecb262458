"""The page of a place: who is here, who is coming, and nobody else."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.pages import card, go, open_map, open_page, stand
from tests.support.sharing import moved, now_ms, rfc3339


async def rows(page):
    """The list, as one reads it."""
    return [" ".join(text.split()) for text in await card(page).locator("ul li").all_inner_texts()]


async def test_who_is_inside_comes_first_and_the_fence_is_drawn(house, visit):
    yard = (42.10, -87.90)
    address = await house.address("North yard", yard, 500)
    coming, inside = await house.vehicle("A coming"), await house.vehicle("B inside")
    link = await house.link_near(address)
    await house.route(
        "To the yard",
        coming,
        [
            {
                "name": "Start",
                "singleUseLocation": {"address": "Start", "latitude": 42.2, "longitude": -87.9},
                "scheduledDepartureTime": rfc3339(now_ms()),
            },
            {"name": "Yard", "addressId": address, "scheduledArrivalTime": rfc3339(now_ms() + 3_600_000)},
        ],
    )
    page = await open_map(visit, link)
    await expect(card(page).locator("ul li")).to_have_count(0)
    await go(house, inside, moved(yard, 0, 1500), 180.0)
    await stand(house, inside, yard, in_s=60)
    await expect(card(page)).to_contain_text("1 here")
    await stand(house, coming, (42.2, -87.9))
    await go(house, coming, moved((42.2, -87.9), 180, 500), 180.0, in_s=30)
    await go(house, coming, moved((42.2, -87.9), 180, 1000), 180.0, in_s=60)
    await expect(card(page)).to_contain_text("1 here · 1 on the way")
    first, second = await rows(page)
    assert first.startswith("B inside")
    assert "Here since" in first
    assert second.startswith("A coming")
    assert " mi" in second
    await expect(page.locator(".pin")).to_be_visible()
    await expect(card(page)).to_contain_text("1 North yard Street")


async def test_vehicles_enter_and_leave(house, visit):
    yard = (42.30, -87.90)
    link = await house.link_near(await house.address("West yard", yard, 500))
    van, stranger = await house.vehicle("Van 20"), await house.vehicle("Canary stranger")
    await stand(house, stranger, moved(yard, 90, 5000))
    page = await open_page(visit, link)
    await expect(card(page).locator("ul li")).to_have_count(0)
    await stand(house, van, yard)
    await expect(card(page).locator("ul li")).to_have_count(1)
    await expect(card(page)).to_contain_text("Van 20")
    await go(house, van, moved(yard, 0, 3000), 0.0, in_s=60)
    await expect(card(page).locator("ul li")).to_have_count(0)
    await expect(page.locator(".vehicle")).to_have_count(0)
    assert "Van 20" not in await page.content()
    assert "Canary" not in visit.everything_received + await page.content()


async def test_a_place_without_webgl_is_a_list_and_a_sketch_that_stay_alive(house, visit_without_webgl):
    visit = visit_without_webgl
    yard = (42.50, -87.90)
    link = await house.link_near(await house.address("South yard", yard, 500))
    van = await house.vehicle("Van 21")
    page = await open_map(visit, link)
    await expect(page.locator("body")).to_contain_text("The map needs WebGL")
    await stand(house, van, yard)
    await expect(card(page)).to_contain_text("Van 21")
    await expect(page.get_by_role("img", name="Sketch of the way")).to_be_visible()
    await expect(page.locator("svg polygon.fence")).to_have_count(1)
