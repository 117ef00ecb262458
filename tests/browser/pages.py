"""What tests of the public pages do again and again."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.support.browsing import Visit
from tests.support.sharing import Fix, House, Link, Vehicle, now_ms

CHICAGO = (41.8781, -87.6298)


async def open_page(visit: Visit, link: Link, path: str = "") -> Page:
    """The page of a link, as soon as its card can be read."""
    await visit.page.goto(link.url + path)
    await expect(card(visit.page)).to_be_visible()
    return visit.page


async def open_map(visit: Visit, link: Link) -> Page:
    """The page of a link with its map drawn."""
    page = await open_page(visit, link)
    await page.wait_for_selector("body[data-ready='1']", state="attached", timeout=60_000)
    return page


def card(page: Page) -> Locator:
    """Everything that is told in words."""
    return page.locator("main.card")


async def stand(house: House, vehicle: Vehicle, at: tuple[float, float] = CHICAGO, in_s: float = 0.0) -> Fix:
    """The vehicle reports that it stands there now, or will in so many seconds."""
    fix = Fix(now_ms() + round(in_s * 1000), *at, None, 0.0)
    await house.send(vehicle, fix)
    return fix


async def go(
    house: House, vehicle: Vehicle, at: tuple[float, float] = CHICAGO, heading: float = 90.0, in_s: float = 0.0
) -> Fix:
    """The vehicle reports that it is on the move there now, or will be in so many seconds.

    Tests have no time to drive: what is further away is reported as of a later moment, which the server allows up
    to ten minutes ahead, for it would take a place that nobody can reach so soon for a receiver's error.
    """
    fix = Fix(now_ms() + round(in_s * 1000), *at, heading, 50.0)
    await house.send(vehicle, fix)
    return fix


async def pan(page: Page) -> None:
    """Drag the map a little: from then on it follows nobody by itself."""
    await page.mouse.move(190, 200)
    await page.mouse.down()
    await page.mouse.move(160, 230, steps=5)
    await page.mouse.up()


async def left_of(locator: Locator) -> float:
    """Where it begins on the screen, from the left."""
    box = await locator.bounding_box()
    assert box is not None
    return box["x"]


async def status_of(page: Page, url: str) -> int:
    """Go there; the status of the answer."""
    answer = await page.goto(url)
    assert answer is not None
    return answer.status
