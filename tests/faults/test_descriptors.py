"""Strangers open more connections than there are descriptors: those who belong here are served all the same."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from contextlib import ExitStack

import httpx

from tests.support.serving import ODOGRAPH, Serving, environment, serving

DESCRIPTORS = 256
STRANGERS = 600


def connections(server: Serving) -> int:
    found = re.search(
        r'^odograph_connections\{protocol="http"\} (\d+)', httpx.get(server.url + "/metrics").text, re.MULTILINE
    )
    assert found is not None
    return int(found[1])


def test_idle_strangers_lock_nobody_out(tmp_path):
    with serving(tmp_path, descriptors=DESCRIPTORS) as server, ExitStack() as held:
        furnished = asyncio.run(server.furnish(["van-1"]))
        patient = httpx.Limits(keepalive_expiry=None)  # however slow the machine
        device = held.enter_context(httpx.Client(base_url=server.url, limits=patient))
        send: dict[str, str | int] = {"lat": 48, "lon": 11, "key": furnished.keys["van-1"]}
        assert device.get("/ingest/osmand", params=send | {"timestamp": 1_700_000_000}).status_code == 200
        [kept] = device._transport._pool.connections  # type: ignore[attr-defined]

        idle = [held.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(STRANGERS)]

        listed = subprocess.run(
            [*ODOGRAPH, "org", "list"], env=environment(tmp_path), capture_output=True, text=True, check=False
        )
        assert (listed.returncode, "Fleet" in listed.stdout) == (0, True), listed.stderr
        token = {"Authorization": f"Bearer {furnished.token}"}
        for _ in range(50):  # newcomers find a place, again and again
            assert httpx.get(server.url + "/fleet/vehicles/locations", headers=token).status_code == 200
        assert device.get("/ingest/osmand", params=send | {"timestamp": 1_700_000_005}).status_code == 200
        assert device._transport._pool.connections == [kept], "which was never closed"  # type: ignore[attr-defined]
        assert 100 < connections(server) <= DESCRIPTORS // 2
        del idle
        closed = [line for line in server.log.splitlines() if "strangers' connections are closed" in line]
        assert len(closed) == 1
        assert "raise LimitNOFILE" in server.log
