"""Uses the pages as people do, against web/dev/serve.py: `python web/dev/acts.py URL`. Prints what each act found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Response, expect, sync_playwright
from shots import FLAGS, opened


def marker(page: Page) -> dict[str, Any]:
    """Where the vehicle is on the screen."""
    box: dict[str, Any] = page.evaluate("(() => { const b = document.querySelector('.vehicle').getBoundingClientRect(); return {x: b.x, y: b.y} })()")
    return box


def ends(page: Page) -> None:
    """The page turns into the expired one, and nothing of the link stays in it."""
    expect(page.get_by_role("heading", name="This link has ended")).to_be_visible(timeout=20_000)
    html = page.content()
    for word in ("Bakery", "Truck 214", "Northline", "Porto", "AA-41-RX"):
        assert word not in html, word
    assert page.locator("canvas").count() == 0


def revoked(page: Page) -> None:
    """As for a link that never was."""
    expect(page.get_by_role("heading", name="This link does not exist")).to_be_visible(timeout=20_000)


def asset(page: Page) -> None:
    """It moves, the view can be moved and comes back, offline is said and passes."""
    canvas = page.locator("canvas")
    page.mouse.move(900, 500)
    page.mouse.down()
    page.mouse.move(600, 300, steps=5)
    page.mouse.up()
    recentre = page.get_by_role("button", name="Recentre")
    expect(recentre).to_be_visible()
    away = marker(page)
    recentre.click()
    expect(recentre).to_have_count(0)
    page.wait_for_timeout(1500)
    assert abs(marker(page)["x"] - away["x"]) > 100
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Enter")
    expect(recentre).to_be_visible()
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=10_000)
    spoken = page.locator("[role=status][aria-live=polite]")
    expect(spoken).to_contain_text("Truck 214, Moving", timeout=10_000)


def alone(page: Page) -> None:
    """The distance it moves on screen is small and steady: no jump beyond the newest position."""
    spots = []
    for _ in range(12):
        spots.append(marker(page))
        page.wait_for_timeout(250)
    steps = [abs(a["x"] - b["x"]) + abs(a["y"] - b["y"]) for a, b in zip(spots, spots[1:], strict=False)]
    assert max(steps) < 12, steps


def place(page: Page) -> None:
    """One of the list is shown on the map, and all again."""
    row = page.get_by_role("button", name="Truck 231")
    row.focus()
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".vehicle.selected")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-pressed", "false")


def weighed(browser: Browser, base: str, scene: str, size: str) -> str:
    """Bytes over the wire until the map is drawn, as files have them: brotli where there is one."""
    sizes: dict[str, int] = {}
    known: set[str] = set()
    problems: list[str] = []

    def weigh(response: Response) -> None:
        path = urlsplit(response.url).path
        if path in known:
            return  # out of the browser's cache
        known.add(path)
        kind = "tiles" if path.startswith("/tiles") else path.rsplit(".", 1)[-1] if "assets" in path else "page"
        sizes[kind] = sizes.get(kind, 0) + int(response.headers.get("content-length", 0))

    page = opened(browser, f"{base}/o/1/fleet/viewer/address/{scene}", size, "light", "en-GB", problems, weigh)
    page.context.close()
    return f"{sizes} together {sum(sizes.values())} {problems}"


def main() -> None:
    """All acts, each on a fresh desktop page."""
    base = sys.argv[1]
    acts: list[Callable[[Page], None]] = [ends, revoked, asset, alone, place]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for act in acts:
            problems: list[str] = []
            page = opened(browser, f"{base}/o/1/fleet/viewer/address/{act.__name__}", "desktop", "light", "en-GB", problems)
            act(page)
            print(act.__name__, "ok", *problems[:3], flush=True)
            page.context.close()
        for size in ("phone", "desktop"):
            print("weight", size, weighed(browser, base, "asset", size))
        browser.close()


if __name__ == "__main__":
    main()
