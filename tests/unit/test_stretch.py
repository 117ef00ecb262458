"""The newest stretch in memory, against a plain list of everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.model.fixes import FIX_DTYPE
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Block, Newest

ORGS = [OrgId(1), OrgId(2), OrgId(3)]


def make_fixes(rows):
    """Fixes of (asset, time_ms) pairs; the other fields follow from these."""
    fixes = np.zeros(len(rows), dtype=FIX_DTYPE)
    for place, (asset, time_ms) in enumerate(rows):
        fixes[place] = (asset, time_ms, asset * 1000 + time_ms, -asset, time_ms % 36000, time_ms % 5000, 0)
    return fixes


def make_blocks(commits, first_seq=1):
    """Blocks of [(org, [(asset, time)])] with seqs counted over all orgs."""
    blocks, seq = [], first_seq
    for org, rows in commits:
        if rows:
            seqs = np.arange(seq, seq + len(rows), dtype=np.int64)
            blocks.append(Block(org=org, seqs=seqs, fixes=make_fixes(rows), received_ms=1000 + seq))
            seq += len(rows)
    return blocks


def rows_of(fixes):
    return [(int(row["asset"]), int(row["time_ms"])) for row in fixes]


# Each asset belongs to one org, as in the log: org n has assets 10n .. 10n+3.
commits = st.lists(
    st.integers(0, 2).flatmap(
        lambda org: st.tuples(
            st.just(ORGS[org]),
            st.lists(
                st.tuples(st.integers(10 * org + 1, 10 * org + 4), st.integers(1, 500)), max_size=40, unique=True
            ),
        )
    ),
    max_size=30,
)


def read_all(stretch, org, after, limit):
    seen: list[tuple[int, tuple[int, int]]] = []
    while True:
        slices, reached = stretch.read_after(org, Seq(after), limit)
        for part in slices:
            seen.extend(zip(part.seqs.tolist(), rows_of(part.fixes), strict=True))
        if reached == stretch.head:
            return seen
        assert reached > after
        after = reached


@given(commits, st.integers(1, 50), st.integers(0, 300))
def test_every_later_fix_of_the_org_is_read_once_and_no_other(made, limit, after):
    blocks = make_blocks(made)
    stretch = Stretch(1 << 30)
    for block in blocks:
        stretch.append(block)
    for org in ORGS:
        expected = [
            pair
            for block in blocks
            if block.org == org
            for pair in zip(block.seqs.tolist(), rows_of(block.fixes), strict=True)
            if pair[0] > after
        ]
        assert read_all(stretch, org, after, limit) == expected


@settings(max_examples=50)
@given(commits, st.integers(600, 6000))
def test_above_its_floor_memory_is_complete_however_small_the_budget(made, budget):
    blocks = make_blocks(made, first_seq=1001)
    stretch = Stretch(budget)
    stretch.start(Seq(1000))
    for block in blocks:
        stretch.append(block)
        read_all(stretch, block.org, stretch.floor(block.org), 7)
    for org in ORGS:
        floor = stretch.floor(org)
        expected = [seq for block in blocks if block.org == org for seq in block.seqs.tolist() if seq > floor]
        assert [seq for seq, _ in read_all(stretch, org, floor, 7)] == expected


def test_a_small_budget_lets_the_oldest_go_first():
    stretch = Stretch(700_000)
    for block in make_blocks([(ORGS[0], [(1, 100 * batch + i) for i in range(100)]) for batch in range(400)]):
        stretch.append(block)
    assert 0 < stretch.floor(ORGS[0]) < stretch.head
    assert stretch.held_bytes <= 700_000 + 8192 * 35


@given(commits, st.integers(0, 500), st.integers(0, 500))
def test_a_range_and_a_moment_are_what_a_search_of_everything_finds(made, one, other):
    start_ms, end_ms = sorted((one, other))
    blocks = make_blocks(made)
    stretch = Stretch(1 << 30)
    for block in blocks:
        stretch.append(block)
    wanted = [1, 3, 11, 12, 24]
    assets = np.array(wanted, dtype=np.uint32)
    for org in ORGS:
        rows = [
            (int(fix["asset"]), int(fix["time_ms"]))
            for block in blocks
            if block.org == org
            for fix in block.fixes
            if fix["asset"] in wanted
        ]
        in_range = sorted(row for row in rows if start_ms <= row[1] < end_ms)
        found = stretch.in_range(org, assets, start_ms, end_ms)
        assert [(int(f["asset"]), int(f["time_ms"])) for f in found] == in_range
        newest = {asset: time for asset, time in sorted(rows) if time <= end_ms}
        at = stretch.at(org, assets, end_ms)
        assert [(int(f["asset"]), int(f["time_ms"])) for f in at] == sorted(newest.items())


@given(commits)
def test_the_snapshot_is_the_newest_by_time_of_measurement(made):
    snapshot = Snapshot()
    newest: dict[int, int] = {}
    received: dict[int, int] = {}
    for block in make_blocks(made):
        snapshot.append(block)
        for fix in block.fixes:
            asset = int(fix["asset"])
            newest[asset] = max(newest.get(asset, 0), int(fix["time_ms"]))
            received[asset] = block.received_ms
    assets = np.arange(1, 40, dtype=np.uint32)
    shown = {int(fix["asset"]): int(fix["time_ms"]) for fix in snapshot.newest(assets)}
    assert shown == newest
    for asset in range(1, 40):
        assert snapshot.newest_time_ms(AssetId(asset)) == newest.get(asset, 0)
        assert snapshot.received_ms(AssetId(asset)) == received.get(asset, 0)


def test_late_data_never_moves_the_snapshot_back():
    snapshot = Snapshot()
    snapshot.load(
        Newest(fixes=make_fixes([(5, 1000)]), seqs=np.array([9]), received_ms=np.array([77], dtype=np.int64))
    )
    for block in make_blocks([(ORGS[0], [(5, 400)])], first_seq=5000):
        snapshot.append(block)
    assert snapshot.newest_time_ms(AssetId(5)) == 1000
    assert snapshot.received_ms(AssetId(5)) == 6000


@pytest.mark.parametrize("asset", [1, 255, 256, 100_000])
def test_the_snapshot_grows_to_any_asset(asset):
    snapshot = Snapshot()
    for block in make_blocks([(ORGS[0], [(asset, 7)])]):
        snapshot.append(block)
    assert snapshot.newest_time_ms(AssetId(asset)) == 7
