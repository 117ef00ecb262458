"""The page with which a dispatcher makes links: a token for that alone, a few clicks, a link that opens."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.pages import card, go, open_page
from tests.support.sharing import Link


async def signed_in(house, visit):
    """The link maker with a token for links alone."""
    made = await house.api.post("/odograph/tokens", json={"name": "desk", "scopes": ["Write Live Sharing Links"]})
    page = visit.page
    await page.goto(f"{house.origin}/links")
    await page.get_by_label("Token").fill(made["token"])
    await page.keyboard.press("Enter")
    return page


async def test_the_link_maker_makes_a_link_that_opens(house, visit):
    van = await house.vehicle("Maker van")
    page = await signed_in(house, visit)
    await page.get_by_label("Search").fill("Maker")
    await page.get_by_role("option", name="Maker van").click()
    await page.get_by_role("button", name="Make the link").click()
    url = page.get_by_role("textbox", name="Link")
    await expect(url).to_have_value("http")
    link = Link("", await url.input_value())
    await go(house, van)
    opened = await open_page(visit, link)
    await expect(card(opened)).to_contain_text("Maker van")
