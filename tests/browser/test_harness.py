"""The visitors of the other tests notice what they must: each trouble is planted here, and found."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.support.browsing import visiting

CSP = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' http://elsewhere.example"


@asynccontextmanager
async def serving_pages(pages):
    """A server of these bodies by path: HTML at `/`, scripts elsewhere; `/stream` stays open after its body."""

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        if path == "/stream":
            kind = "text/event-stream"
        status = "200 OK" if path in pages else "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Security-Policy: {CSP}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n{pages.get(path, '')}".encode())
        await writer.drain()
        if path == "/stream":
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://localhost:{port}"
    finally:
        server.close()


def page(body="", script=""):
    return {
        "/": f'<!doctype html><html lang="en"><head><title>A page</title><script src="/a.js" defer></script>'
        f"</head><body><main><h1>Here</h1>{body}</main></body></html>",
        "/a.js": f"{script}\ndocument.body.dataset.ready = '1';",
    }


async def visited(browser, pages):
    """The troubles of a visit that waited until the page was ready."""
    async with serving_pages(pages) as origin, visiting(browser, origin) as visit:
        await visit.page.goto(origin + "/")
        await visit.page.wait_for_selector("body[data-ready]")
        return await visit.troubles()


async def test_a_sound_page_is_no_trouble(browser):
    assert await visited(browser, page(script="fetch('/missing');")) == []


@pytest.mark.parametrize(
    ("body", "script", "trouble"),
    [
        ("", "console.error('oh no');", "console: oh no"),
        ("", "setTimeout(() => { throw new Error('boom'); }); await_().then;", "exception"),
        ('<img src="http://elsewhere.example/x.png" alt="">', "", "request that leaves the host"),
        ("<script>1</script>", "", "CSP: script-src"),
        ('<p style="color:red">x</p>', "", "CSP: style-src"),
    ],
)
async def test_every_kind_of_trouble_is_found(browser, body, script, trouble):
    pages = page(body)
    pages["/b.js"] = script
    pages["/"] = pages["/"].replace("<main>", '<script src="/b.js"></script><main>')
    assert any(trouble in one for one in await visited(browser, pages)), trouble


async def test_axe_finds_what_is_planted_and_nothing_in_a_sound_page(browser):
    for body, found in (("", []), ('<button></button><img src="/x.png">', ["button-name", "image-alt"])):
        async with serving_pages(page(body)) as origin, visiting(browser, origin) as visit:
            await visit.page.goto(origin + "/")
            assert [one.partition(":")[0] for one in await visit.axe()] == found


async def test_what_a_stream_sent_is_known_while_it_is_open(browser):
    pages = page(
        script="fetch('/stream').then(async (got) => { await got.body.getReader().read(); "
        "document.body.dataset.got = '1'; });"
    )
    pages["/stream"] = "event: state\ndata: canary\n\n"
    async with serving_pages(pages) as origin, visiting(browser, origin) as visit:
        await visit.page.goto(origin + "/")
        await visit.page.wait_for_selector("body[data-got]")
        assert "data: canary" in visit.everything_received
        assert "<h1>Here</h1>" in visit.everything_received
