"""Pictures of every public page as the demo shows it, in each size and theme: python -m tools.screenshots FOLDER.

Starts a demo of its own in a temporary directory and ends it. Look at what it took: no test does.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from playwright.async_api import Browser, Error

from odograph.cli.connect import connect
from odograph.settings import Settings
from tests.support.browsing import WITH_WEBGL, WITHOUT_WEBGL, browsing, chromium
from tests.support.serving import ODOGRAPH, environment, free_port
from tests.support.sharing import now_ms, rfc3339

SIZES = {"phone": (390, 844), "small": (320, 568), "desktop": (1440, 900), "4k": (3840, 2160)}
THEMES = ("light", "dark")
LANGUAGES = ("es", "de", "fr")
KINDS = ("asset", "place", "route")
LINK = re.compile(r"https?://\S+/fleet/viewer/\S+")
READY_WITHIN_S = 90.0


async def links_of(home: Path, demo: asyncio.subprocess.Process) -> dict[str, str]:
    """The demo's three links, and one each that has expired, has not begun, and never was."""
    assert demo.stdout is not None
    links: list[str] = []
    async with asyncio.timeout(READY_WITHIN_S):
        while len(links) < len(KINDS):
            line = await demo.stdout.readline()
            if not line:
                raise SystemExit("The demo ended before it had printed its links.")
            links += LINK.findall(line.decode())
    urls = dict(zip(KINDS, links, strict=True))
    async with connect(Settings(data_dir=str(home / "data")), must_be_served=True) as api:
        vehicle = (await api.get("/fleet/vehicles"))[0]["id"]

        async def link(**more: object) -> str:
            config = {"assetId": vehicle}
            body = {"name": "x", "type": "assetsLocation", "assetsLocationLinkConfig": config, **more}
            return str((await api.post("/live-shares", json=body))["liveSharingUrl"])

        urls["expired"] = await link(expiresAtTime=rfc3339(now_ms() + 500))
        urls["later"] = await link(odograph={"startsAtTime": rfc3339(now_ms() + 3_600_000)})
    urls["gone"] = links[0][:-24] + "0" * 24
    urls["links"] = links[0].partition("/o/")[0] + "/links"
    return urls


@asynccontextmanager
async def demo(home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running demo on a port of its own."""
    process = await asyncio.create_subprocess_exec(
        *ODOGRAPH,
        *("demo", "--data-dir", str(home / "data"), "--port", str(free_port())),
        env=environment(home),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.communicate()


def shots() -> Iterator[tuple[str, str, str, str]]:
    """Page, size, theme and language of each picture."""
    for page in (*KINDS, "links"):
        for size in SIZES:
            for theme in THEMES:
                yield page, size, theme, "en"
    for page in ("expired", "later", "gone"):
        for theme in THEMES:
            yield page, "phone", theme, "en"
    for page in (*KINDS, "gone", "links"):
        for language in LANGUAGES:
            yield page, "phone", "light", language


async def take(browser: Browser, url: str, path: Path, size: str, theme: str, language: str) -> None:
    """One picture, once the page says that it is ready."""
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=1 if width > 1000 else 2,
        color_scheme="dark" if theme == "dark" else "light",
        locale=f"{language}-{'US' if language == 'en' else language.upper()}",
        timezone_id="America/Chicago",
    )
    try:
        page = await context.new_page()
        await page.goto(url)
        if "/fleet/viewer/" in url:
            with suppress(Error):  # pages that say one thing have no map to wait for
                await page.wait_for_selector("body[data-ready='1'], main.notice", state="attached", timeout=60_000)
        await page.screenshot(path=path, timeout=60_000)
        print(path.name)
    finally:
        await context.close()


async def run(folder: Path, warm_up_s: float, wanted: str) -> None:
    """Everything, into the folder."""
    path = chromium()
    if path is None:
        raise SystemExit("Chromium is not installed.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        async with demo(Path(home)) as process:
            urls = await links_of(Path(home), process)
            assert process.stdout is not None
            draining = asyncio.create_task(process.stdout.read())
            print(f"Letting the fleet drive for {warm_up_s:.0f} s ...")
            await asyncio.sleep(warm_up_s)
            async with browsing(path, WITH_WEBGL) as browser:
                for page, size, theme, language in shots():
                    name = f"{page}-{size}-{theme}-{language}.png"
                    if re.search(wanted, name):
                        await take(browser, urls[page], folder / name, size, theme, language)
            async with browsing(path, WITHOUT_WEBGL) as browser:
                for page in KINDS:
                    name = f"{page}-phone-light-en-without-webgl.png"
                    if re.search(wanted, name):
                        await take(browser, urls[page], folder / name, "phone", "light", "en")
            draining.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--warm-up", type=float, default=40.0, help="seconds that the fleet drives before")
    parser.add_argument("--only", default="", help="pictures whose names match this regular expression")
    given = parser.parse_args()
    asyncio.run(run(given.folder, given.warm_up, given.only))
