"""A whole server, killed with all its processes while devices send: what it answered is there, fed once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.faults.served import served
from tests.faults.story import BEGIN_MS

FEED, HISTORY = "/fleet/vehicles/locations/feed", "/fleet/vehicles/locations/history"
VEHICLES = 2
DEVICES = 2  # each with connections of its own, to each vehicle
KILLS = 5

Moment = tuple[str, int]


@dataclass
class Load:
    """Devices that send, and one who follows the feed."""

    client: httpx.AsyncClient
    keys: Sequence[tuple[str, str]]
    """Vehicle and device key."""
    bearer: dict[str, str]
    answered: set[Moment] = field(default_factory=set)
    sent: set[Moment] = field(default_factory=set)
    fed: list[Moment] = field(default_factory=list)
    answers: int = 0
    is_over: bool = False
    is_all_sent: bool = False
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, number: int) -> None:
        """Batch after batch, some fixes again; each until it is answered."""
        vehicle, key = self.keys[number % VEHICLES]
        chance, second = Random(number), 0
        while not self.is_over:
            seconds = [second + step for step in range(chance.randrange(1, 30))] + [chance.randrange(second + 1)]
            second += 30
            times_ms = [BEGIN_MS + 1000 * at + number for at in seconds]
            moments = {(vehicle, time_ms) for time_ms in times_ms}
            self.sent |= moments
            await self._until_taken(key, [{"time": time_ms, "lat": 48.1, "lon": 11.5} for time_ms in times_ms])
            self.answered |= moments
            async with self.progress:
                self.answers += 1
                self.progress.notify_all()

    async def begin(self) -> str:
        """The cursor of an empty feed."""
        page = await self._get(FEED, {})
        assert not page["pagination"]["hasNextPage"]
        return str(page["pagination"]["endCursor"])

    async def follow(self, cursor: str) -> None:
        """From a cursor to the end of it all, over every restart."""
        while True:
            is_last = self.is_all_sent
            page = await self._get(FEED, {"after": cursor})
            cursor = page["pagination"]["endCursor"]
            for vehicle in page["data"]:
                self.fed += [(vehicle["id"], ms_of(one["time"])) for one in vehicle["locations"]]
            if is_last and not page["pagination"]["hasNextPage"]:
                return

    async def history(self) -> list[Moment]:
        """Everything, by vehicle."""
        found: list[Moment] = []
        query = {"startTime": rfc_3339(BEGIN_MS), "endTime": rfc_3339(BEGIN_MS + 86_400_000)}
        while True:
            page = await self._get(HISTORY, query)
            for vehicle in page["data"]:
                found += [(vehicle["id"], ms_of(one["time"])) for one in vehicle["locations"]]
            if not page["pagination"]["hasNextPage"]:
                return found
            query["after"] = page["pagination"]["endCursor"]

    async def until_answered(self, more: int) -> None:
        async with self.progress:
            goal = self.answers + more
            await self.progress.wait_for(lambda: self.answers >= goal)

    async def _until_taken(self, key: str, fixes: list[dict[str, float]]) -> None:
        while True:
            try:
                answer = await self.client.post(
                    "/ingest/batch", json={"fixes": fixes}, headers={"authorization": f"Bearer {key}"}
                )
            except httpx.TransportError:
                await self._breathe()
                continue
            if answer.status_code == 200:
                assert answer.json()["rejected"] == []
                return
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) > 0
            await self._breathe()

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        while True:
            try:
                answer = await self.client.get(path, params=query, headers=self.bearer)
            except httpx.TransportError:
                await self._breathe()
                continue
            if answer.status_code == 200:
                page: dict[str, Any] = answer.json()
                return page
            assert answer.status_code in (429, 503), answer.text
            await self._breathe()

    async def _breathe(self) -> None:
        """Until somebody is answered, or a moment has passed: the server may be starting."""
        async with self.progress:
            try:
                await asyncio.wait_for(self.progress.wait(), 0.1)
            except TimeoutError:
                return


def ms_of(text: str) -> int:
    """Of what the API writes."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def rfc_3339(time_ms: int) -> str:
    """What the API reads."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.timeout(180)
async def test_a_server_killed_under_load_keeps_what_it_answered_and_feeds_it_once(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        keys = []
        for number in range(VEHICLES):
            made = json.loads(server.command("device", "add", "--new-vehicle", f"van {number}", "--json"))
            keys.append((made["vehicle"]["id"], made["key"]))
        token = server.command("token", "create", "--name", "reader")
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            load = Load(client, keys, {"authorization": f"Bearer {token}"})
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.follow(await load.begin()))
                senders = [tasks.create_task(load.send(number)) for number in range(VEHICLES * DEVICES)]
                for kill in range(KILLS):
                    await load.until_answered(10 + 25 * kill)
                    server.kill()
                    await asyncio.to_thread(server.start)
                await load.until_answered(5)
                load.is_over = True
                await asyncio.gather(*senders)
                load.is_all_sent = True
            stored = await load.history()
        assert load.answered <= set(stored), "answered yes and not there"
        assert set(stored) <= load.sent, "nobody sent it"
        assert len(stored) == len(set(stored)), "stored twice"
        assert len(load.fed) == len(set(load.fed)), "fed twice"
        assert set(load.fed) == set(stored), "fed is not what is stored"
        assert list((tmp_path / "data" / "sealed").glob("*.db")), "the sealer never ran"
        server.stop()
