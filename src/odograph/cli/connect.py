"""The API as the commands see it: of the running server through its control socket, else of one in this process."""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from odograph.cli.inprocess import InProcess
from odograph.clock import SystemClock
from odograph.errors import Kind, Refusal, invalid, not_found, unavailable
from odograph.localsocket import CONTROL_SOCKET, short_path
from odograph.settings import FIELDS, Settings

WAIT_FOR_LOCK_S: Final = 10.0  # while a server starts or another command is at work
_PAGE: Final = "512"
_KINDS: Final = {404: Kind.NOT_FOUND, 409: Kind.CONFLICT, 503: Kind.UNAVAILABLE}


class Api:
    """Asks, and gives back what is under `data`. Every method raises Refusal with the server's own words."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, *, is_served: bool) -> None:
        self.client = client
        self.settings = settings
        self.is_served = is_served
        """Whether a server runs, and not just this command."""

    async def base_url(self) -> str:
        """How others reach the server, as it says itself: its port may have been a flag that we don't know."""
        if not self.is_served:
            return self.settings.base_url
        document = (await self.client.get("/openapi.json")).json()
        return str(document["servers"][0]["url"]).rstrip("/") or self.settings.base_url

    async def get(self, *path: str, **params: str) -> Any:
        """Read."""
        return await self.ask("GET", *path, params=params)

    async def post(self, *path: str, json: Mapping[str, Any] | None = None) -> Any:
        """Make."""
        return await self.ask("POST", *path, json={} if json is None else json)

    async def patch(self, *path: str, json: Mapping[str, Any]) -> Any:
        """Change."""
        return await self.ask("PATCH", *path, json=json)

    async def delete(self, *path: str, **params: str) -> None:
        """Remove."""
        await self.ask("DELETE", *path, params=params)

    async def ask(self, method: str, *path: str, **request: Any) -> Any:
        """One request; `path` in parts, the first of which is taken as it is and the others quoted."""
        answer = await self._request(method, *path, **request)
        return None if answer is None else answer["data"]

    async def page(self, *path: str, **params: str) -> Any:
        """Read a page: `data`, and what stands beside it."""
        return await self._request("GET", *path, params=params)

    async def _request(self, method: str, *path: str, **request: Any) -> Any:
        try:
            response = await self.client.request(method, _join(path), **request)
        except httpx.TransportError as error:
            raise unavailable(f"The server went away: {error or type(error).__name__}.") from error
        if response.is_error:
            raise refusal_of(response)
        return response.json() if response.content else None

    async def every(self, path: str, **params: str) -> AsyncIterator[Any]:
        """Each object of a paged list."""
        params.setdefault("limit", _PAGE)
        while True:
            page = await self.page(path, **params)
            for one in page["data"]:
                yield one
            if not page["pagination"]["hasNextPage"]:
                return
            params["after"] = page["pagination"]["endCursor"]

    async def time_zone(self) -> str:
        """The IANA name of the zone of the org that is asked."""
        mine = (await self.get("/me"))["id"]
        for one in await self.get("/odograph/orgs"):
            if one["id"] == mine:
                return str(one["timezone"])
        return "UTC"

    async def find_vehicle(self, text: str) -> Any:
        """The vehicle of an id, an external id `key:value`, a name or a plate. NOT_FOUND; INVALID for several."""
        return await self._find("/fleet/vehicles", "vehicle", text, "name", "licensePlate")

    async def find_tag(self, text: str) -> Any:
        """The tag of an id, an external id or a name. NOT_FOUND; INVALID for several."""
        return await self._find("/tags", "tag", text)

    async def find_address(self, text: str) -> Any:
        """The address of an id, an external id or a name. NOT_FOUND; INVALID for several."""
        return await self._find("/addresses", "address", text)

    async def find_recurring(self, text: str) -> Any:
        """The recurring route of an id, an external id or a name. NOT_FOUND; INVALID for several."""
        return await self._find("/odograph/recurring-routes", "recurring route", text)

    async def tag_ids(self, tags: Sequence[str]) -> str:
        """The ids of tags (ids or names), as a filter takes them."""
        return ",".join([(await self.find_tag(tag))["id"] for tag in tags])

    async def _find(self, path: str, what: str, text: str, *names: str) -> Any:
        if text.isdigit() or ":" in text:
            with suppress(Refusal):
                return await self.get(path, text)
        wanted = text.casefold()
        found = [
            one
            async for one in self.every(path)
            if any(one.get(name, "").casefold() == wanted for name in names or ("name",))
        ]
        return the_one(found, what, text)


def the_one(found: list[Any], what: str, text: str) -> Any:
    """The only one of those found by name. NOT_FOUND for none, INVALID for several."""
    if not found:
        raise not_found(f"There is no {what} {text!r}.")
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found[:5])
        several = f"{what}es" if what.endswith("s") else f"{what}s"
        raise invalid(f"There are {len(found)} {several} {text!r}; say which one by its id: {ids}.")
    return found[0]


def refusal_of(response: httpx.Response) -> Refusal:
    """The server's own words."""
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = f"The server answered with status {response.status_code}."
    return Refusal(_KINDS.get(response.status_code, Kind.INVALID), message)


@asynccontextmanager
async def connect(
    settings: Settings, org: str | None = None, *, makes_directory: bool = False, must_be_served: bool = False
) -> AsyncIterator[Api]:
    """The API of a data directory as its operator, for an org by name or id.

    Without a running server the store is opened here, under its lock. UNAVAILABLE where somebody else keeps that
    lock and doesn't answer, where the directory is not there and is not to be made, or where only a running
    server would do.
    """
    directory = Path(settings.data_dir)
    if not directory.is_dir() and not makes_directory:
        raise unavailable(
            f"There is no data directory {directory}. Name yours with --data-dir, or make one: "
            "odograph org create NAME."
        )
    async with AsyncExitStack() as stack:
        transport, is_served = await _find_transport(stack, settings, must_be_served=must_be_served)
        yield await stack.enter_async_context(_client(transport, settings, org, is_served=is_served))


@asynccontextmanager
async def _client(
    transport: httpx.AsyncBaseTransport, settings: Settings, org: str | None, *, is_served: bool
) -> AsyncIterator[Api]:
    headers = {b"x-odograph-org": org.encode()} if org else {}
    async with httpx.AsyncClient(
        transport=transport,
        base_url="http://odograph",
        headers=headers,
        timeout=None,  # noqa: S113 - a backup takes as long as it takes, and the server is ours
    ) as client:
        yield Api(client, settings, is_served=is_served)


async def _find_transport(
    stack: AsyncExitStack, settings: Settings, *, must_be_served: bool
) -> tuple[httpx.AsyncBaseTransport, bool]:
    directory = Path(settings.data_dir)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + WAIT_FOR_LOCK_S
    while True:
        if directory.is_dir():
            address = stack.enter_context(short_path(directory, CONTROL_SOCKET))
            if answers(address):
                return httpx.AsyncHTTPTransport(uds=address, verify=False), True
        if must_be_served:
            raise unavailable(f"No server runs on {directory}. Start it first: odograph serve.")
        try:
            return await stack.enter_async_context(_opened(settings)), False
        except Refusal as refusal:
            if refusal.kind is not Kind.UNAVAILABLE or loop.time() > until_s:
                raise
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[httpx.AsyncBaseTransport]:
    from odograph.server import as_operator, opened  # noqa: PLC0415 - half a second, only without a server

    async with opened(settings, SystemClock()) as core:
        yield InProcess(as_operator(core))


def answers(address: str) -> bool:
    """Whether a server listens there. UNAVAILABLE where this user may not ask it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
        except PermissionError as error:
            raise unavailable(
                "The server's control socket is not open to you: run this as the user that the server runs as."
            ) from error
        except OSError:
            return False
    return True


def where(settings: Settings) -> str:
    """What a further command must say to mean the same data directory, with a blank before it."""
    is_default = settings.data_dir == FIELDS["data_dir"].default
    return "" if is_default else f" --data-dir {shlex.quote(settings.data_dir)}"


def _join(path: tuple[str, ...]) -> str:
    first, *rest = path
    return "/".join([first, *(quote(part, safe=":") for part in rest)])
