"""How a command reaches the API."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from odograph.cli.connect import Api, answers, connect, the_one, where
from odograph.cli.inprocess import PIECES_AHEAD, InProcess
from odograph.errors import Kind, Refusal
from odograph.localsocket import short_path
from odograph.settings import Settings

CHUNK = b"x" * 1000


class Application:
    """Answers with endless pieces, and remembers how far it came."""

    def __init__(self, pieces: int, *, breaks: bool = False) -> None:
        self.pieces = pieces
        self.breaks = breaks
        self.sent = 0
        self.body = b""
        self.scope: Any = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-by", b"app")]})
        for _ in range(self.pieces):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            self.sent += 1
        if not self.breaks:
            await send({"type": "http.response.body", "body": b"end"})


async def test_an_answer_in_process_comes_in_pieces_and_waits_for_its_reader() -> None:
    app = Application(100)
    headers = {"x-odograph-org": "1"}
    async with (
        httpx.AsyncClient(transport=InProcess(app), base_url="http://here") as client,
        client.stream("POST", "/a?b=c", content=b"body", headers=headers) as response,
    ):
        pieces = response.aiter_raw()
        assert await anext(pieces) == CHUNK
        assert app.sent <= PIECES_AHEAD + 2
        assert b"".join([piece async for piece in pieces]) == 99 * CHUNK + b"end"
    assert (app.scope["path"], app.scope["query_string"], app.body) == ("/a", b"b=c", b"body")
    assert (b"x-odograph-org", b"1") in app.scope["headers"]


async def test_an_answer_in_process_without_an_end_is_an_error_and_not_a_short_answer() -> None:
    async with httpx.AsyncClient(transport=InProcess(Application(2, breaks=True)), base_url="http://x") as client:
        with pytest.raises(httpx.ReadError, match="cut short"):
            await client.get("/")


async def test_hanging_up_ends_the_application() -> None:
    app = Application(1_000_000)
    async with (
        httpx.AsyncClient(transport=InProcess(app), base_url="http://x") as client,
        client.stream("GET", "/") as response,
    ):
        assert await anext(response.aiter_raw()) == CHUNK
        for _ in range(20):
            await asyncio.sleep(0)  # until it waits for room
    before = app.sent
    await asyncio.sleep(0)
    assert app.sent == before < 100


def test_a_socket_in_a_directory_with_a_long_path_is_found(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 80) / ("e" * 80)
    folder.mkdir(parents=True)
    with short_path(folder, "control.sock") as address, socket.socket(socket.AF_UNIX) as listener:
        assert not answers(address)
        listener.bind(address)
        listener.listen()
        assert len(os.fsencode(address)) < 108
        assert (folder / "control.sock").is_socket()
        with short_path(folder, "control.sock") as again:
            assert answers(again)


def test_a_socket_that_a_killed_server_left_behind_does_not_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
    assert not answers(str(tmp_path / "control.sock"))


async def test_a_directory_that_is_not_there_is_not_made_by_a_command_that_only_reads(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no data directory"):
        async with connect(Settings(data_dir=str(tmp_path / "typo"))):
            pass
    assert not (tmp_path / "typo").exists()


async def test_what_needs_a_running_server_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="No server runs"):
        async with connect(Settings(data_dir=str(tmp_path)), must_be_served=True):
            pass


@pytest.fixture
async def pages() -> AsyncIterator[Api]:
    """An API with two pages of tags and a refusal."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/tags/9":
            return httpx.Response(404, json={"message": "There is no tag '9'.", "requestId": "1"})
        if request.url.path == "/plain":
            return httpx.Response(502, text="bad gateway")
        is_second = request.url.params.get("after") == "two"
        data = (
            [{"id": "3", "name": "South"}]
            if is_second
            else [{"id": "1", "name": "North"}, {"id": "2", "name": "9"}]
        )
        pagination = {"endCursor": "" if is_second else "two", "hasNextPage": not is_second}
        return httpx.Response(200, json={"data": data, "pagination": pagination})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://x") as client:
        yield Api(client, Settings(), is_served=True)


async def test_lists_are_read_to_their_end(pages: Api) -> None:
    assert [one["id"] async for one in pages.every("/tags")] == ["1", "2", "3"]


async def test_a_tag_is_found_by_name_even_where_the_name_looks_like_an_id(pages: Api) -> None:
    assert (await pages.find_tag("south"))["id"] == "3"
    assert (await pages.find_tag("9"))["id"] == "2"


async def test_refusals_keep_the_servers_own_words(pages: Api) -> None:
    with pytest.raises(Refusal, match="There is no tag '9'") as refusal:
        await pages.get("/tags", "9")
    assert refusal.value.kind is Kind.NOT_FOUND
    with pytest.raises(Refusal, match="status 502"):
        await pages.get("/plain")


def test_a_name_that_several_have_is_refused_with_their_ids() -> None:
    with pytest.raises(Refusal, match="by its id: 4, 5"):
        the_one([{"id": "4"}, {"id": "5"}], "vehicle", "Van")
    with pytest.raises(Refusal, match="no vehicle 'Van'"):
        the_one([], "vehicle", "Van")


def test_further_commands_name_a_data_directory_that_is_not_the_usual_one() -> None:
    assert where(Settings()) == ""
    assert where(Settings(data_dir="my data")) == " --data-dir 'my data'"
