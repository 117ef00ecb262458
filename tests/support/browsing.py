"""Debian's Chromium as a person's browser: what it asks for, says and shows, and all that went wrong in it."""

from __future__ import annotations

import re
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Error,
    Page,
    Request,
    async_playwright,
)

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
WITH_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
WITHOUT_WEBGL = ("--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis")

PHONE = {"width": 390, "height": 844}
SMALL_PHONE = {"width": 320, "height": 568}
DESKTOP = {"width": 1440, "height": 900}

AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
_VIOLATIONS = """
window.cspViolations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.cspViolations.push(event.violatedDirective + " " + event.blockedURI + " " + event.sourceFile));
"""
_ANSWERED = re.compile(r"Failed to load resource: (the server responded with a status of 4|net::ERR_INTERNET_DISC)")


def chromium() -> str | None:
    """Where the browser is, if it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def browsing(path: str, flags: Sequence[str] = WITH_WEBGL) -> AsyncIterator[Browser]:
    """A running browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """One tab of one visitor with nothing kept from earlier ones. Requests of its workers are its own."""

    page: Page
    context: BrowserContext
    network: CDPSession
    origin: str
    requests: list[Request] = field(default_factory=list)
    received: dict[str, list[str]] = field(default_factory=dict)
    """Bodies by URL, those of streams too, piece by piece, as far as they are text."""
    said: list[str] = field(default_factory=list)
    """Errors on the console, exceptions, and requests that left the host."""

    async def begin(self) -> None:
        """Watch from the first byte on."""
        self.context.on("request", self._ask)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(f"exception: {error}"))
        await self.context.add_init_script(_VIOLATIONS)
        self._urls: dict[str, str] = {}
        self.network.on("Network.responseReceived", self._answered)
        self.network.on("Network.dataReceived", self._stream)
        await self.network.send("Network.enable")

    def _ask(self, request: Request) -> None:
        self.requests.append(request)
        url = urlsplit(request.url)
        if url.scheme in {"http", "https", "ws", "wss"} and f"{url.scheme}://{url.netloc}" != self.origin:
            self.said.append(f"request that leaves the host: {request.url}")

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _ANSWERED.match(message.text):
            self.said.append(f"console: {message.text} {message.location}")

    async def _answered(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["response"]["url"]
        if event["response"]["mimeType"] not in {"text/event-stream", "application/json", "text/html"}:
            return
        request = {"requestId": event["requestId"]}
        url = event["response"]["url"]
        try:
            self._note(url, (await self.network.send("Network.streamResourceContent", request))["bufferedData"])
        except Error:  # it is whole already
            with suppress(Error):
                got = await self.network.send("Network.getResponseBody", request)
                self.received.setdefault(url, []).append(got["body"])

    def _stream(self, event: dict[str, Any]) -> None:
        if "data" in event:
            self._note(self._urls[event["requestId"]], event["data"])

    def _note(self, url: str, base64: str) -> None:
        self.received.setdefault(url, []).append(b64decode(base64).decode(errors="replace"))

    @property
    def everything_received(self) -> str:
        """All text that the server sent, answers and streams."""
        return "\n".join("".join(pieces) for pieces in self.received.values())

    async def troubles(self) -> list[str]:
        """Everything that a page of ours must never do."""
        violations: list[str] = []
        for page in self.context.pages:
            violations += [f"CSP: {one}" for one in await page.evaluate("window.cspViolations || []")]
        return [*self.said, *violations]

    async def axe(self) -> list[str]:
        """What axe finds fault with: rule and places."""
        results = await Axe().run(self.page, options=AXE_OPTIONS)
        return [
            f"{found['id']}: {found['help']}: {[node['html'][:120] for node in found['nodes']]}"
            for found in results.response["violations"]
        ]


@asynccontextmanager
async def visiting(browser: Browser, origin: str, **options: Any) -> AsyncIterator[Visit]:
    """A new visitor, by default with a phone, in English, in Chicago."""
    options = {
        "viewport": PHONE,
        "locale": "en-US",
        "timezone_id": "America/Chicago",
        "color_scheme": "light",
        **options,
    }
    context = await browser.new_context(**options)
    try:
        page = await context.new_page()
        visit = Visit(page, context, await context.new_cdp_session(page), origin)
        await visit.begin()
        yield visit
    finally:
        await context.close()
