"""One browser for all of these tests, one server, and a visitor for each test who must not meet any trouble."""

from __future__ import annotations

import os

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.browsing import WITHOUT_WEBGL, browsing, chromium, visiting
from tests.support.serving import serving
from tests.support.sharing import housed

expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items):
    """One event loop for all, because the browser lives in it."""
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is. Without it the tests are skipped, or fail where it is required."""
    path = chromium()
    if path is None:
        why = "Chromium is not installed (Debian: apt-get install chromium fonts-dejavu-core)"
        if os.environ.get("ODOGRAPH_REQUIRE_BROWSER"):
            pytest.fail(why)
        pytest.skip(why)
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium_path):
    """With WebGL, drawn by the processor."""
    async with browsing(chromium_path) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory):
    """A server with an empty org, to which each test adds what is its own."""
    with serving(tmp_path_factory.mktemp("browser")) as server:
        async with housed(server) as house:
            yield house


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser, house, request):
    """A visitor; `@pytest.mark.parametrize("visit", [{...}], indirect=True)` says how he differs."""
    async with visiting(browser, house.origin, **getattr(request, "param", {})) as visit:
        yield visit
        assert await visit.troubles() == []


@pytest_asyncio.fixture(loop_scope="session")
async def visit_without_webgl(chromium_path, house):
    """A visitor whose browser draws no maps."""
    async with browsing(chromium_path, WITHOUT_WEBGL) as browser, visiting(browser, house.origin) as visit:
        yield visit
        assert await visit.troubles() == []
