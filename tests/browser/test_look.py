"""Every page, light and dark, small and large, by keyboard, by screen reader, and in four languages."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.pages import CHICAGO, card, go, left_of, open_map, open_page, pan, stand
from tests.support.browsing import DESKTOP, PHONE, SMALL_PHONE, visiting
from tests.support.sharing import drive, moved, now_ms, rfc3339

TITLES = {
    "en": ("This link does not exist", "Moving"),
    "es": ("Este enlace no existe", ""),
    "de": ("Diesen Link gibt es nicht", ""),
    "fr": ("Ce lien n\u2019existe pas", ""),
}
OVERFLOW = """() => {
  const wide = document.scrollingElement.scrollWidth - innerWidth;
  const cut = [...document.querySelectorAll('main *')].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.left < -1);
  });
  return [wide, cut.map((one) => one.outerHTML.slice(0, 100))];
}"""


@pytest.fixture(scope="session")
def scene():
    """One link of each kind, made by the first test that needs it."""
    return {}


async def links_of(house, scene):
    if scene:
        return scene
    van, truck, guest = [
        await house.vehicle(name, f"B-OD {name[-2:]}") for name in ("Van 40", "Truck 41", "Guest 42")
    ]
    yard = (40.0, -88.5)
    address = await house.address("Look yard", yard, 500)
    destination = {
        **{"name": "Acme Bakery and Coffee House", "formattedAddress": "12 Mill Lane, Chicago"},
        **{"latitude": 41.9, "longitude": -87.7},
    }
    soon = rfc3339(now_ms() + 3_600_000)
    begins = [{"scheduledDepartureTime": rfc3339(now_ms() - 600_000)}, {"scheduledArrivalTime": soon}]
    stops = [
        {
            "name": f"Stop {n}",
            "singleUseLocation": {"address": "x", "latitude": 40.5, "longitude": -88 + n / 20},
            **t,
        }
        for n, t in enumerate(begins)
    ]
    route = await house.route("Look round", truck, stops)
    scene["asset"] = await house.link_to(
        van, "Flour for Acme", location=destination, odograph={"trail": "sinceStart"}, expiresAtTime=soon
    )
    scene["place"] = await house.link_near(address)
    scene["route"] = await house.link_along(route)
    scene["later"] = await house.link_to(van, odograph={"startsAtTime": soon})
    scene["expired"] = await house.link_to(van, expiresAtTime=rfc3339(now_ms() + 300))
    bike = await house.vehicle("Bike 43")
    scene["arrived"] = await house.link_to(bike, location=destination, odograph={"endsOnArrival": True})
    await stand(house, bike, (41.9, -87.7))
    scene["gone"] = await house.link_to(van)
    await house.revoke(scene["gone"])
    await house.send(van, *drive(CHICAGO, 90, 10))
    await stand(house, guest, yard)
    await go(house, truck, (40.5, -88.0))
    return scene


@pytest.mark.parametrize("kind", ["asset", "place", "route", "later", "expired", "arrived", "gone", "links"])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(house, browser, scene, kind, theme):
    links = await links_of(house, scene)
    async with visiting(browser, house.origin, color_scheme=theme) as visit:
        if kind in {"asset", "place", "route"}:
            page = await open_map(visit, links[kind])
        else:
            page = visit.page
            await page.goto(f"{house.origin}/links" if kind == "links" else links[kind].url)
        await expect(page.get_by_role("main")).to_be_visible()
        assert await visit.axe() == []
        dark = await page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
        assert await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (theme == "dark"), dark
        assert await visit.troubles() == []


@pytest.mark.parametrize("size", [SMALL_PHONE, PHONE, DESKTOP, {"width": 3840, "height": 2160}], ids=str)
@pytest.mark.parametrize("kind", ["asset", "place", "route", "expired", "arrived", "links"])
async def test_nothing_sticks_out_at_any_size(house, browser, scene, kind, size):
    links = await links_of(house, scene)
    async with visiting(browser, house.origin, viewport=size, device_scale_factor=1) as visit:
        page = visit.page
        await page.goto(f"{house.origin}/links" if kind == "links" else links[kind].url)
        await expect(page.get_by_role("main")).to_be_visible()
        wide, cut = await page.evaluate(OVERFLOW)
        assert wide <= 0
        assert cut == []


@pytest.mark.parametrize("visit", [{"color_scheme": "dark"}], indirect=True)
async def test_colours_follow_the_system_until_somebody_chooses_and_the_choice_is_kept(house, visit, scene):
    page = await open_map(visit, (await links_of(house, scene))["asset"])

    async def paper():
        return await page.evaluate("getComputedStyle(document.querySelector('main.card')).backgroundColor")

    dark = await paper()
    await page.emulate_media(color_scheme="light")
    light = await paper()
    assert light != dark
    await page.get_by_role("button", name="Dark colours").click()
    assert await paper() == dark
    await page.reload()
    await expect(card(page)).to_be_visible()
    assert await paper() == dark


async def test_everything_can_be_reached_and_used_by_keyboard_alone(house, visit, scene):
    page = await open_map(visit, (await links_of(house, scene))["place"])
    await expect(card(page).locator("ul li")).to_have_count(1)
    reached = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                """() => {
                    const one = document.activeElement, style = getComputedStyle(one);
                    return [one.getAttribute('aria-label') || one.innerText.split('\\n')[0],
                            one === document.body || style.outlineStyle !== 'none' || style.boxShadow !== 'none'];
                }"""
            )
        )
    names = [name for name, _ in reached]
    assert all(is_seen for _, is_seen in reached), reached
    for name in ("Dark colours", "Show less", "Guest 42", "Licences"):
        assert any(name in one for one in names), names
    await card(page).locator("ul li button").focus()
    await page.keyboard.press("Enter")
    await expect(card(page).locator("ul li button")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("visit", [{"reduced_motion": "reduce"}], indirect=True)
async def test_with_reduced_motion_nothing_moves_by_itself(house, visit):
    van = await house.vehicle("Van 43")
    link = await house.link_to(van)
    await go(house, van)
    page = await open_map(visit, link)
    await pan(page)
    await page.evaluate(
        """() => {
            window.places = new Set();
            const look = () => {
                const box = document.querySelector('.vehicle').getBoundingClientRect();
                window.places.add(Math.round(box.x));
                requestAnimationFrame(look);
            };
            look();
        }"""
    )
    before = await left_of(page.locator(".vehicle"))
    await go(house, van, moved(CHICAGO, 90, 1500), in_s=20)
    await page.wait_for_function(
        "before => document.querySelector('.vehicle').getBoundingClientRect().x > before + 20", arg=before
    )
    assert await page.evaluate("document.getAnimations().filter((one) => one.playState === 'running').length") == 0
    assert await page.evaluate("window.places.size") <= 3, "it jumps, and does not glide"


async def test_a_screen_reader_is_told_what_the_map_shows(house, visit, scene):
    page = await open_map(visit, (await links_of(house, scene))["asset"])
    await expect(page.get_by_role("status").filter(has_text="Van 40")).to_contain_text("Distance left")
    await expect(page.get_by_role("progressbar")).to_have_attribute("aria-label", "Share of the way done")


@pytest.mark.parametrize("language", list(TITLES))
async def test_pages_speak_the_language_of_the_browser(house, browser, scene, language):
    links = await links_of(house, scene)
    async with visiting(browser, house.origin, locale=f"{language}-{language.upper()}") as visit:
        page = await open_page(visit, links["asset"])
        assert await page.evaluate("document.documentElement.lang") == language
        live = await card(page).inner_text()
        await page.goto(links["gone"].url)
        assert await page.evaluate("document.documentElement.lang") == language
        await expect(page.get_by_role("heading", name=TITLES[language][0])).to_be_visible()
        if language != "en":
            assert "Moving" not in live
            assert "Distance left" not in live
        assert await visit.troubles() == []


@pytest.mark.parametrize("visit", [{"timezone_id": "Asia/Tokyo"}], indirect=True)
async def test_times_are_those_of_the_destination_and_the_zone_is_named_where_it_differs(house, visit, scene):
    page = await open_page(visit, (await links_of(house, scene))["asset"])
    await expect(card(page)).to_contain_text("Times are in")
    await expect(card(page)).to_contain_text("Central")


async def test_a_page_for_the_viewers_own_zone_names_none(house, visit, scene):
    page = await open_page(visit, (await links_of(house, scene))["asset"])
    assert "Times are in" not in await card(page).inner_text()
