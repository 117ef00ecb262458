"""What users of every released format had, they still have: tokens, keys, cursors, and all that they read."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.kept_directory import client_of, read_everything, reopened

DIRECTORIES = sorted(Path(__file__).parent.glob("served_upgrades/format-*"))


@pytest.fixture(params=DIRECTORIES, ids=lambda path: path.name)
def kept(request, tmp_path):
    shutil.copytree(request.param / "data", tmp_path / "data")
    return tmp_path / "data", json.loads((request.param / "expected.json").read_text())


def test_there_is_a_directory_of_the_first_format():
    assert "format-1" in [path.name for path in DIRECTORIES]


async def test_old_tokens_and_cursors_read_what_they_read_when_the_directory_was_left(kept):
    directory, expected = kept
    async with reopened(directory, expected["atMs"]) as core:
        for org in expected["orgs"].values():
            assert await read_everything(core, org["token"], org["cursor"]) == org["read"]


async def test_old_keys_let_devices_in_and_what_they_sent_before_is_known(kept):
    directory, expected = kept
    async with reopened(directory, expected["atMs"]) as core:
        for org in expected["orgs"].values():
            async with client_of(core, org["keys"][0]) as device:
                again = await device.post("/ingest/batch", json={"fixes": org["sent"]})
                assert (again.json()["stored"], again.json()["known"]) == (0, len(org["sent"]))
                moved = [[row[0] + 1, *row[1:]] for row in org["sent"]]
                new = await device.post("/ingest/batch", json={"fixes": moved})
                assert (new.json()["stored"], new.json()["known"]) == (len(moved), 0)
            after = (await read_everything(core, org["token"], org["cursor"]))["feed"]
            before = org["read"]["feed"]
            assert sum(map(len, after.values())) == sum(map(len, before.values())) + len(moved)


async def test_a_cursor_of_one_org_is_refused_to_another(kept):
    directory, expected = kept
    first, second = expected["orgs"].values()
    async with reopened(directory, expected["atMs"]) as core, client_of(core, second["token"]) as stranger:
        answer = await stranger.get("/fleet/vehicles/locations/feed", params={"after": first["cursor"]})
        assert answer.status_code == 400
