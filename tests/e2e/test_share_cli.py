"""`odograph share` as people use it, beside a server and without one, and a server whose key was replaced."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest

from odograph.catalog import assets, orgs, shares, tags
from odograph.catalog.changes import Catalog
from odograph.clock import SystemClock
from odograph.model.ids import OrgId
from odograph.server import opened
from odograph.settings import Settings
from odograph.store.base import INSTALL, LedgerEntry
from tests.e2e.test_cli import done, refused, run, serving
from tests.support.shared import make_address, make_recurring

URL = re.compile(r"http://[^/]+/o/\d+/fleet/viewer/address/[0-9A-Za-z]{24}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory of one org with a vehicle, a tag, an address and a recurring route."""
    asyncio.run(_fill(tmp_path / "data"))
    return tmp_path


@asynccontextmanager
async def catalog_of(directory: Path) -> AsyncIterator[Catalog]:
    """While no server runs."""
    async with opened(Settings(data_dir=str(directory)), SystemClock()) as core:
        yield Catalog(core.store, core.live.directory, SystemClock())


async def _fill(directory: Path) -> None:
    async with catalog_of(directory) as catalog:
        org = OrgId((await orgs.create(catalog, "Acme", "Europe/Berlin")).id)
        await tags.create(catalog, org, tags.TagFields(name="North"))
        await assets.create(catalog, org, assets.AssetFields(name="Van 1"))
        await make_address(catalog, org, name="Dock", external_ids={"crm": "7"})
        await make_recurring(catalog, org, name="Daily")


def link(home: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(done(home, "share", "show", name))
    return found


def test_a_link_lives_from_its_creation_to_its_revocation(home: Path) -> None:
    with serving(home) as server:
        bound = ("--to", "Dock", "--planned", "90m", "--end-on-arrival", "--within", "5km,20min")
        how = ("--trail", "30m", "--show-as", "Courier", "--qr")
        made = run(home, "share", "create", "--vehicle", "Van 1", "--for", "4h", *bound, *how)
        assert made.returncode == 0, made.stderr
        url = made.stdout.strip()
        assert URL.fullmatch(url), "a script gets the URL and nothing else"
        assert url.startswith(f"http://localhost:{server.port}/o/")
        assert "█" in made.stderr
        shown = link(home, "Van 1")
        options = dict(cast("dict[str, object]", shown["odograph"]))
        planned = datetime.fromisoformat(str(options.pop("plannedArrivalTime"))) - datetime.now(UTC)
        assert timedelta(minutes=88) < planned <= timedelta(minutes=90)
        assert options == {
            "trail": "minutes:30",
            "endsOnArrival": True,
            "discloseWithin": {"meters": 5000, "minutes": 20},
            "shownName": "Courier",
        }
        left = datetime.fromisoformat(str(shown["expiresAtTime"])) - datetime.now(UTC)
        assert timedelta(hours=3, minutes=58) < left <= timedelta(hours=4)
        assert url in done(home, "share", "list")
        done(home, "share", "extend", "Van 1", "--until", "2031-01-01T12:00")
        assert link(home, "Van 1")["expiresAtTime"] == "2031-01-01T11:00:00Z", "in the organisation's zone"
        done(home, "share", "extend", str(shown["id"]), "--for-ever")
        assert "expiresAtTime" not in link(home, "Van 1")
        other = done(home, "share", "rotate", "Van 1")
        assert URL.fullmatch(other)
        assert other != url
        done(home, "share", "revoke", "Van 1")
        assert json.loads(done(home, "share", "list", "--json")) == []
        assert "no link 'Van 1'" in refused(home, "share", "revoke", "Van 1")


def test_a_link_is_made_and_revoked_without_a_server(home: Path) -> None:
    assert URL.fullmatch(done(home, "share", "create", "--vehicle", "Van 1"))
    done(home, "share", "revoke", "Van 1")


def test_all_kinds_of_links_are_made_and_wrong_words_are_refused_in_one_line(home: Path) -> None:
    with serving(home):
        create = ("share", "create")
        for words, name in (
            (("--tag", "North", "--to-place", "Shop,Main St 1, Town,52.1,4.3"), "North"),
            (("--near", "dock"), "Dock"),
            (("--near", "crm:7"), "7"),
            (("--route", "Daily", "--starts", "2h"), "Daily"),
        ):
            assert URL.fullmatch(done(home, *create, *words))
            assert link(home, name)["state"] == ("scheduled" if "--starts" in words else "active")
        assert "with one of --vehicle" in refused(home, *create)
        assert "with one of --vehicle" in refused(home, *create, "--vehicle", "Van 1", "--tag", "North")
        assert "not both" in refused(home, *create, "--vehicle", "Van 1", "--for", "1h", "--until", "2031-01-01")
        assert "--to and --to-place" in refused(home, *create, "--near", "Dock", "--to", "Dock")
        assert "no route 'Weekly'" in refused(home, *create, "--route", "Weekly")
        assert "endsOnArrival" in refused(home, *create, "--vehicle", "Van 1", "--end-on-arrival")
        assert "Say until when" in refused(home, "share", "extend", "Dock")


def test_an_expired_link_is_listed_apart_and_reactivated_and_its_ledger_read(home: Path) -> None:
    with serving(home):
        words = ("--for", "1h", "--name", "Short", "--to", "Dock", "--end-on-arrival")
        url = done(home, "share", "create", "--vehicle", "Van 1", *words)
    asyncio.run(_end_with_a_ledger(home / "data"))
    with serving(home):
        shown = link(home, "Short")
        assert shown["state"] == "expired"
        assert json.loads(done(home, "share", "list", "--json")) == []
        assert json.loads(done(home, "share", "list", "--expired", "--json")) == [shown]
        assert done(home, "share", "reactivate", "Short", "--for", "1h").endswith(url.rpartition("/")[2])
        assert link(home, "Short")["state"] == "active"
        rows = done(home, "share", "ledger", "Short").splitlines()
        assert rows[0].split("\t") == ["MINUTE", "PAGES", "POLLS", "STREAMS", "VEHICLES"]
        assert rows[1].split("\t")[1:] == ["3", "0", "2", "281474976710657"]
        assert done(home, "share", "ledger", "Short", "--end", "1h", "--json") == "[]"


async def _end_with_a_ledger(directory: Path) -> None:
    """End the only link, which disclosed something within its first minute."""
    async with catalog_of(directory) as catalog:
        org = OrgId(catalog.directory.orgs.list_(INSTALL)[0].id)
        (share,) = catalog.directory.shares.list_(org)
        body = b'{"assets":[1],"firstSeq":1,"lastSeq":1,"pageLoads":3,"streamsHighest":2}'
        await catalog.store.note([LedgerEntry(org, share.id, share.body.created_ms // 60_000, 1, body)])
        await shares.end(catalog, share)


def test_a_replaced_server_key_is_warned_of_and_links_are_rotated(home: Path) -> None:
    url = done(home, "share", "create", "--vehicle", "Van 1")
    key = home / "data" / "server.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    key.write_bytes(os.urandom(32))
    with serving(home) as server:
        (warning,) = [line for line in (home / "serve.log").read_text().splitlines() if "server.key" in line]
        assert "share rotate" in warning
        token = done(home, "token", "create", "--name", "reader")
        answer = httpx.get(f"{server.url}/live-shares", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 503
        assert "rotate it" in done(home, "share", "list")
        assert done(home, "share", "rotate", "Van 1") != url
        assert httpx.get(f"{server.url}/live-shares", headers={"authorization": f"Bearer {token}"}).is_success
    key.write_bytes(before[:5])
    assert "server.key is damaged" in refused(home, "share", "list")


def test_a_token_for_the_link_maker_makes_links_and_nothing_else(home: Path) -> None:
    with serving(home) as server:
        made = run(home, "token", "create", "--name", "dispatch", "--links-only")
        assert f"http://localhost:{server.port}/links" in made.stderr
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        listed = httpx.get(f"{server.url}/odograph/shareable", params={"type": "vehicles"}, headers=headers)
        (van,) = listed.json()["data"]
        body = {"name": "x", "type": "assetsLocation", "assetsLocationLinkConfig": {"assetId": van["id"]}}
        assert httpx.post(f"{server.url}/live-shares", json=body, headers=headers).is_success
        for path in ("/fleet/vehicles", "/live-shares", "/fleet/vehicles/locations"):
            assert httpx.get(f"{server.url}{path}", headers=headers).status_code == 403
    assert "not both" in refused(home, "token", "create", "--name", "x", "--links-only", "--scope", "Read Tags")
