"""Every later version opens the directories of every released format, and reads from them what was written."""

import json
import shutil
from pathlib import Path

import apsw
import numpy as np
import pytest

from odograph.errors import Refusal
from odograph.model.fixes import FIX_DTYPE
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Block, OrgFixes, Record
from odograph.store.registry import open_store
from odograph.store.sqlite.backup import restore

DIRECTORIES = sorted(Path(__file__).parent.glob("upgrades/*/format-*"))


@pytest.fixture(params=DIRECTORIES, ids=lambda path: f"{path.parent.name}-{path.name}")
def kept(request, tmp_path):
    shutil.copytree(request.param / "data", tmp_path / "data")
    return request.param.parent.name, tmp_path / "data", json.loads((request.param / "expected.json").read_text())


async def everything(store):
    """All records and each org's unsealed log, as a follower gets them when it starts."""
    records: dict[int, Record] = {}
    logs: dict[int, list[Block]] = {}
    async for committed in store.follow():
        for record in committed.records:
            records[record.id] = record
        for block in committed.blocks:
            logs.setdefault(block.org, []).append(block)
        if committed.is_current:
            return records, logs
    raise AssertionError("the follower never became current")


async def test_an_old_directory_is_read_as_it_was_written(kept):
    engine, directory, expected = kept
    store = await open_store(engine, directory)
    try:
        status = await store.status()
        assert (status.head, status.rev, status.epoch) == (expected["head"], expected["rev"], expected["epoch"])
        records, logs = await everything(store)
        living = {row[2]: row for row in expected["records"] if row[4] is not None}
        assert {number: [*_head(record), record.body.decode()] for number, record in records.items()} == living
        for org, (seqs, rows) in expected["unsealed"].items():
            blocks = logs[OrgId(int(org))]
            assert np.concatenate([block.seqs for block in blocks]).tolist() == seqs
            assert [row for block in blocks for row in block.fixes.tolist()] == [tuple(row) for row in rows]
        for asset, rows in expected["histories"].items():
            org = OrgId(2) if asset == "8" else OrgId(1)
            (read,) = await store.read_range(org, [AssetId(int(asset))], [0], 1 << 41, status.head, 1 << 20)
            assert read.tolist() == [tuple(row) for row in rows]
    finally:
        await store.close()


async def test_the_feed_of_an_old_directory_starts_at_its_first_fix(kept):
    engine, directory, expected = kept
    store = await open_store(engine, directory)
    try:
        for org in (OrgId(1), OrgId(2)):
            seqs, after = [], Seq(0)
            while after < expected["head"]:
                block, after = await store.read_after(org, after, Seq(expected["head"]), 50)
                seqs += block.seqs.tolist()
            assets = {asset for asset in expected["histories"] if (asset == "8") == (org == 2)}
            assert len(seqs) == sum(len(expected["histories"][asset]) for asset in assets)
            assert seqs == sorted(set(seqs))
    finally:
        await store.close()


async def test_an_old_directory_takes_new_fixes_and_knows_its_own(kept):
    engine, directory, expected = kept
    store = await open_store(engine, directory)
    try:
        rows = [tuple(row) for row in expected["histories"]["1"]]
        known = np.array(rows, dtype=FIX_DTYPE)
        (outcomes,) = await store.append([_part(known)])
        assert outcomes.tolist() == [1] * len(rows)
        known["time_ms"] += 1
        (outcomes,) = await store.append([_part(known)])
        assert outcomes.tolist() == [0] * len(rows)
    finally:
        await store.close()


async def test_a_backup_of_an_old_version_is_restored(kept, tmp_path):
    engine, directory, expected = kept
    assert restore(directory, tmp_path / "restored") == expected["head"]
    store = await open_store(engine, tmp_path / "restored")
    try:
        (rows,) = await store.read_range(OrgId(1), [AssetId(1)], [0], 1 << 41, Seq(expected["head"]), 1 << 20)
        assert rows.tolist() == [tuple(row) for row in expected["histories"]["1"]]
    finally:
        await store.close()


async def test_a_newer_format_is_refused_by_name(kept):
    engine, directory, _ = kept
    database = directory / "odograph.db"
    await (await open_store(engine, directory)).close()
    connection = apsw.Connection(str(database))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(Refusal, match="format 99"):
        await open_store(engine, directory)


def _head(record):
    return [record.org, record.kind, record.id, record.rev]


def _part(fixes):
    return OrgFixes(OrgId(1), fixes)
