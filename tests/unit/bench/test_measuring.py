"""Yardsticks leave nothing behind; processes are watched by role; the slow disk is slow; receipts are added up."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from odograph.bench import served
from odograph.bench.blasting import Taken, cut, taken
from odograph.bench.fleet import Fleet
from odograph.bench.load import Blasted
from odograph.bench.payloads import json_rows
from odograph.bench.readers import Unexpected
from odograph.bench.slow_disk import DELAY_US, slowed
from odograph.bench.yardsticks import blocks_rate, packing_rate, rows_rate, sync_rate


def test_yardsticks_measure_something_and_clean_up(tmp_path):
    fixes = Fleet(20, start_ms=1_700_000_000_000).advance(100).reshape(-1)
    assert sync_rate(tmp_path, 0.05).per_second > 0
    assert rows_rate(tmp_path, fixes) > 0
    assert blocks_rate(tmp_path, fixes, 300) > 0
    assert packing_rate(tmp_path, fixes, 300) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_watch_sees_a_child_that_works_and_writes(tmp_path):
    worker = "import sys; sum(range(10**7)); print('done', flush=True); sys.stdin.read()"
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], 'writer'])"
    command = [sys.executable, "-c", parent, worker]
    root = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    watch = served.Watch(root.pid)
    watch.begin()
    assert root.stdout is not None
    assert root.stdout.readline() == b"done\n"
    watch.end()
    assert len(served.tree(root.pid)) == 2
    assert served.resident_bytes([root.pid]) > 1_000_000
    root.communicate()
    roles = watch.by_role()
    assert set(roles) == {served.API, "writer", served.GENERATOR}
    assert roles["writer"].cpu_s > 0.05
    assert roles["writer"].peak_rss_bytes > 1_000_000
    assert watch.server_cpu_s >= roles["writer"].cpu_s
    assert watch.peak_total_bytes >= roles["writer"].peak_rss_bytes
    assert set(watch.shares()) == {*roles, served.OTHERS}


def test_an_ended_process_is_gone_from_the_tree():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert served.tree(child.pid) == [child.pid]
    assert served.resident_bytes([child.pid]) == 0
    assert served.tree(os.getpid())[0] == os.getpid()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
async def test_a_slowed_disk_takes_ten_milliseconds_more(tmp_path):
    async with slowed(tmp_path) as disk:
        assert disk is not None
        assert Path(disk.environment["LD_PRELOAD"]).exists()
        assert disk.measured_ms >= DELAY_US / 1000
    assert not Path(disk.environment["LD_PRELOAD"]).exists()


async def test_without_a_compiler_there_is_no_slow_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    async with slowed(tmp_path) as disk:
        assert disk is None


def test_runs_hold_each_fix_once_in_turn_or_in_any_order():
    fixes = Fleet(3, start_ms=1_700_000_000_000).advance(25)
    runs = cut(fixes, size=10)
    assert runs.order == [0, 2, 4, 1, 3, 5]
    assert runs.rows == json_rows(fixes[:, :20].reshape(-1))
    shuffled = cut(fixes, size=10, seed=1)
    assert sorted(shuffled.order) == list(range(6))
    assert shuffled.order != runs.order


def test_receipts_are_added_up_and_an_impossible_fix_is_told():
    good = b'{"stored":60,"known":30,"sameTimeDifferent":10,"rejected":[]}'
    blasted = Blasted(answers=Counter({(200, good): 3}))
    assert taken(blasted) == Taken(180, 90, 30)
    blasted.answers[200, good.replace(b"[]", b'[{"index":0,"reason":"time_in_future"}]')] = 1
    with pytest.raises(Unexpected, match="rejected"):
        taken(blasted)
