"""Who may put a page into a page of his own: nobody, unless the operator named his origin."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from playwright.async_api import expect

from tests.browser.pages import go
from tests.support.browsing import visiting
from tests.support.serving import serving
from tests.support.sharing import housed


@asynccontextmanager
async def framing():
    """A site of somebody else, each of whose pages holds the frame that its query names."""

    async def serve(reader, writer):
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().partition("?")[2]
        body = f'<!doctype html><title>Host</title><iframe src="{target}" width="400" height="800"></iframe>'
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_page_is_not_framed_by_a_stranger(house, browser):
    van = await house.vehicle("Van 50")
    link = await house.link_to(van)
    await go(house, van)
    async with framing() as stranger, visiting(browser, stranger) as visit:
        await visit.page.goto(f"{stranger}/?{link.url}")
        await visit.page.wait_for_function("() => frames.length === 1")
        assert any("frame-ancestors" in one for one in visit.said)
        for frame in visit.page.frames:
            assert "Van 50" not in await frame.content()


async def test_a_page_is_framed_by_an_origin_that_the_operator_named(browser, tmp_path):
    async with framing() as friend:
        with serving(tmp_path, "--frame-ancestors", friend) as server:
            async with housed(server) as house, visiting(browser, friend) as visit:
                van = await house.vehicle("Van 51")
                link = await house.link_to(van)
                await go(house, van)
                await visit.page.goto(f"{friend}/?{link.url}")
                await expect(visit.page.frame_locator("iframe").locator("main.card")).to_contain_text("Van 51")
