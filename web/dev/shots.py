"""Looks at the pages: a picture of each scene and size, what axe says, and what went wrong in the console.

`python web/dev/shots.py URL FOLDER [scene,…]` against web/dev/serve.py; needs playwright and Debian's chromium.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, Response, sync_playwright

AXE: Final = (Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js").read_text()
FLAGS: Final = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                "--force-color-profile=srgb", "--font-render-hinting=none"]  # fmt: skip
SIZES: Final[dict[str, dict[str, Any]]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True},
    "small": {"viewport": {"width": 320, "height": 568}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True},
    "side": {"viewport": {"width": 844, "height": 390}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True},
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "4k": {"viewport": {"width": 3840, "height": 2160}},
}
SHOTS: Final = [  # scene, size, theme, language
    ("asset", "phone", "light", "en-GB"), ("asset", "phone", "dark", "en-GB"), ("asset", "small", "light", "en-US"),
    ("eta", "phone", "light", "en-US"), ("eta", "desktop", "light", "en-GB"), ("eta", "desktop", "dark", "de-DE"),
    ("eta", "4k", "light", "en-GB"), ("eta", "small", "dark", "fr-FR"), ("eta", "side", "light", "es-ES"),
    ("planned", "phone", "light", "es-ES"), ("alone", "phone", "light", "en-GB"), ("arrived", "phone", "light", "en-GB"),
    ("stopped", "phone", "dark", "de-DE"), ("stale", "phone", "light", "en-GB"), ("offline", "phone", "light", "en-GB"),
    ("private", "phone", "light", "en-GB"), ("notyetnear", "phone", "dark", "fr-FR"), ("nothing", "phone", "light", "en-GB"),
    ("tag", "phone", "light", "en-GB"), ("tag", "desktop", "light", "en-GB"), ("place", "phone", "light", "en-GB"),
    ("place", "desktop", "light", "en-GB"), ("place", "desktop", "dark", "es-ES"), ("route", "phone", "light", "en-GB"),
    ("route", "desktop", "light", "en-GB"), ("route", "desktop", "dark", "fr-FR"), ("route", "small", "light", "de-DE"),
    ("route-planned", "phone", "light", "en-GB"), ("route-ended", "phone", "light", "en-GB"),
    ("route-none", "phone", "light", "en-GB"), ("expired", "phone", "light", "en-GB"), ("gone", "desktop", "dark", "de-DE"),
    ("later", "phone", "dark", "es-ES"), ("busy", "phone", "light", "fr-FR"),
]  # fmt: skip


def opened(browser: Browser, url: str, size: str, theme: str, language: str, problems: list[str],
           seen: Callable[[Response], None] | None = None) -> Page:  # fmt: skip
    """The page, once its map is drawn."""
    context = browser.new_context(**SIZES[size], color_scheme=theme, locale=language, timezone_id="Europe/Lisbon")  # type: ignore[arg-type]
    page = context.new_page()
    if seen:
        page.on("response", seen)
    page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(url, wait_until="load")
    if page.locator("#app").count() and "/links" not in url:
        page.wait_for_selector("body[data-ready='1']", state="attached", timeout=60_000)
    return page


def violations(page: Page) -> list[str]:
    """What axe finds, in a line each."""
    page.evaluate(AXE)
    run = "async () => await axe.run(document, {runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']})"
    found = page.evaluate(run)["violations"]
    return [f"{it['id']}: {node['html'][:160]}" for it in found for node in it["nodes"][:3]]


def link_maker(browser: Browser, base: str, folder: Path) -> None:
    """A link made, extended and revoked, on a phone and on a desktop."""
    for size, theme in (("phone", "light"), ("desktop", "dark"), ("small", "light")):
        problems: list[str] = []
        page = opened(browser, f"{base}/links", size, theme, "en-US", problems)
        found = violations(page)
        page.screenshot(path=folder / f"links-token-{size}-{theme}.png")
        page.get_by_label("API token").fill("good")
        page.get_by_role("button", name="Continue").press("Enter")
        page.get_by_placeholder("Search vehicles").fill("214")
        page.get_by_role("button", name="Truck 214").click()
        page.get_by_placeholder("Search places").click()
        page.get_by_role("button", name="Porto Distribution Centre").click()
        page.get_by_text("More options").click()
        found += violations(page)
        page.screenshot(path=folder / f"links-form-{size}-{theme}.png", full_page=True)
        page.get_by_role("button", name="Make link").click()
        page.get_by_role("heading", name="Your link is ready").wait_for()
        page.get_by_role("button", name="Revoke: Truck 214").first.wait_for()
        found += violations(page)
        page.screenshot(path=folder / f"links-made-{size}-{theme}.png", full_page=True)
        page.get_by_role("button", name="Revoke: Truck 214").first.click()
        found += violations(page)
        page.screenshot(path=folder / f"links-revoke-{size}-{theme}.png")
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        page.get_by_text("No active links.").wait_for()
        print("links", size, theme, *problems[:4], *found, sep="\n    ", flush=True)
        page.context.close()


def main() -> None:
    """One browser without WebGL too."""
    base, folder, only = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(",") if len(sys.argv) > 3 else []
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for scene, size, theme, language in SHOTS:
            if only and scene not in only:
                continue
            problems: list[str] = []
            page = opened(browser, f"{base}/o/1/fleet/viewer/address/{scene}", size, theme, language, problems)
            page.wait_for_timeout(1200)
            page.screenshot(path=folder / f"{scene}-{size}-{theme}.png")
            print(scene, size, theme, *problems[:4], *violations(page), sep="\n    ", flush=True)
            page.context.close()
        if not only or "links" in only:
            link_maker(browser, base, folder)
        browser.close()
        if not only or "nowebgl" in only:
            blind = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS, "--disable-3d-apis"])
            for scene, size in (("asset", "phone"), ("route", "desktop")):
                problems = []
                page = opened(blind, f"{base}/o/1/fleet/viewer/address/{scene}", size, "light", "en-GB", problems)
                page.screenshot(path=folder / f"{scene}-{size}-nowebgl.png")
                print("nowebgl", scene, *problems[:4], *violations(page), sep="\n    ", flush=True)
                page.context.close()
            blind.close()


if __name__ == "__main__":
    main()
