"""Public links on a whole server: its writer process, its disk, and a restart between."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import numpy as np

from odograph.catalog import orgs, tokens
from odograph.catalog.changes import Catalog, Plan, put, written
from odograph.clock import SystemClock
from odograph.model.catalog import Asset, LiveShare
from odograph.model.fixes import FIX_DTYPE, UNKNOWN_HEADING
from odograph.model.ids import AssetId, OrgId, render_asset_id
from odograph.server import opened
from odograph.settings import Settings
from odograph.sharing.keys import key_hash
from odograph.store.base import OrgFixes
from tests.support.viewing import connect

KEY = "0123456789abcdefghijABCD"
PATH = f"/o/1/fleet/viewer/address/{KEY}/stream"


async def report(core, org, lat, later_ms=0):
    now_ms = SystemClock().now_ms()
    fix = np.array([(1, now_ms + later_ms, round(lat * 1e7), 43000000, UNKNOWN_HEADING, 4000, 0)], dtype=FIX_DTYPE)
    await core.store.append([OrgFixes(org, fix)])


async def make(catalog, org, body):
    return await catalog.change(lambda: Plan([put(None, org, body)], lambda records: written(records[0], body)))


async def test_a_viewer_that_comes_back_after_a_restart_gets_what_it_missed(tmp_path):
    settings, clock = Settings(data_dir=str(tmp_path / "data")), SystemClock()
    async with opened(settings, clock) as core:
        catalog = Catalog(core.store, core.live.directory, clock)
        org = OrgId((await orgs.create(catalog, "Acme")).id)
        now_ms = clock.now_ms()
        await make(catalog, org, Asset(1, "Van", now_ms, now_ms))
        share = LiveShare(
            "a" * 20, "Link", "assetsLocation", now_ms, now_ms, key_hash(KEY).hex(), asset_id=1, trail_min=-1
        )
        await make(catalog, org, share)
        stream = await connect(core.app, PATH)
        assert (await stream.next()).data["assets"][0]["name"] == "Van"
        await report(core, org, 52.1)
        cursor = (await stream.until("update")).id
        await stream.close()
        await report(core, org, 52.1001, 60_000)
        await report(core, org, 52.1002, 120_000)
    async with opened(settings, clock) as core:
        stream = await connect(core.app, f"{PATH}?after={cursor}")
        first = await stream.next()
        assert [lat for _, lat, _ in first.data["assets"][0]["trail"]] == [52.1, 52.1001, 52.1002]
        missed = await stream.next()
        assert [lat for _, lat, _ in missed.data["points"]] == [52.1001, 52.1002]
        core.hang_up()
        await stream.task


async def test_a_link_made_by_the_api_opens_and_is_gone_once_deleted(tmp_path):
    settings, clock = Settings(data_dir=str(tmp_path / "data")), SystemClock()
    async with opened(settings, clock) as core:
        catalog = Catalog(core.store, core.live.directory, clock)
        org = OrgId((await orgs.create(catalog, "Acme")).id)
        now_ms = clock.now_ms()
        await make(catalog, org, Asset(1, "Van", now_ms, now_ms))
        scopes = ["Read Live Sharing Links", "Write Live Sharing Links"]
        _, token = await tokens.create(catalog, org, "test", scopes=scopes)
        transport = httpx.ASGITransport(app=cast("Any", core.app))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as client:
            config = {"assetId": render_asset_id(AssetId(1))}
            body = {"name": "Your delivery", "type": "assetsLocation", "assetsLocationLinkConfig": config}
            made = (await client.post("/live-shares", json=body, headers=headers)).json()["data"]
            await report(core, org, 52.1)
            path = urlsplit(made["liveSharingUrl"]).path
            shown = (await client.get(path + "/state")).json()["state"]
            assert [(one["name"], one["fix"]["lat"]) for one in shown["assets"]] == [("Van", 52.1)]
            stream = await connect(core.app, path + "/stream")
            await stream.next()
            assert (await client.delete(f"/live-shares?id={made['id']}", headers=headers)).status_code == 204
            assert (await stream.next()).data == {"reason": "gone"}
            assert (await client.get(path + "/state")).status_code == 404
