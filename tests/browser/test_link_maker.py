"""The page with which a dispatcher makes links: a token for that alone, a few clicks, a link that opens."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.pages import card, go, open_page, status_of
from tests.support.sharing import Link


async def signed_in(house, visit, *scopes):
    """The link maker with a token of these scopes."""
    made = await house.api.post("/odograph/tokens", json={"name": "desk", "scopes": list(scopes)})
    page = visit.page
    await page.goto(f"{house.origin}/links")
    await page.get_by_label("API token").fill(made["token"])
    await page.keyboard.press("Enter")
    return page


async def test_a_token_that_may_only_make_links_makes_one_that_opens(house, visit):
    van = await house.vehicle("Maker van")
    page = await signed_in(house, visit, "Write Live Sharing Links")
    await page.get_by_label("Search vehicles").fill("maker v")
    await page.get_by_role("button", name="Maker van").click()
    await page.get_by_role("button", name="Make link").click()
    await expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    await expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
    await expect(page.locator("main")).to_contain_text("This token may make links but not list them.")
    url = await page.get_by_label("Link", exact=True).input_value()
    await go(house, van)
    opened = await open_page(visit, Link("", url))
    await expect(card(opened)).to_contain_text("Maker van")
    await expect(card(opened)).to_contain_text("This link ends today")


async def test_a_link_is_made_and_revoked_by_keyboard_alone(house, visit):
    await house.vehicle("Keyboard van")
    page = await signed_in(house, visit, "Write Live Sharing Links", "Read Live Sharing Links")
    await page.get_by_label("Search vehicles").focus()
    await page.keyboard.type("keyboard")
    await expect(page.locator("ul.found li")).to_have_count(1)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Change")).to_be_focused()
    await page.get_by_label("Name of the link").focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("By keyboard")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    url = await page.get_by_label("Link", exact=True).input_value()
    revoke = page.get_by_role("button", name="Revoke: By keyboard")
    await revoke.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_contain_text("By keyboard was revoked.")
    assert await status_of(page, url) == 404


async def test_a_token_that_is_not_known_or_may_not_is_told_and_not_kept(house, visit):
    page = await signed_in(house, visit, "Read Vehicles")
    await expect(page.get_by_role("alert")).to_contain_text("This token may not make links.")
    await page.get_by_label("API token").fill("nonsense")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("This token is not known here.")
    assert await page.evaluate("() => [...Object.values(sessionStorage), ...Object.values(localStorage)]") == []
