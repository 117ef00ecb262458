"""Batches of a fleet's history sent as fast as they are taken, and what was taken of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from odograph.bench.install import Install
from odograph.bench.load import Blast, Blasted
from odograph.bench.payloads import BatchRequests, QueryRequests, json_rows, query_rows
from odograph.bench.readers import Unexpected
from odograph.model.fixes import Fixes

BATCH: Final = 100
CONNECTIONS: Final = 64
_COUNTS: Final = re.compile(rb'"stored":(\d+),"known":(\d+),"sameTimeDifferent":(\d+),"rejected":')
_REASON: Final = re.compile(rb'"reason":"(?!same_time_different)(\w+)"')


@dataclass(frozen=True, slots=True)
class Runs:
    """Rendered fixes of a fleet, cut into runs of `size` of one vehicle each. `order` lists the runs to send."""

    rows: bytes
    vehicles: int
    runs_each: int
    order: Sequence[int]
    size: int = BATCH


def cut(fixes: Fixes, *, seed: int | None = None, size: int = BATCH) -> Runs:
    """Runs of `fixes` (vehicles, steps): in turn one of each vehicle; with a seed in any order at all."""
    vehicles, steps = fixes.shape
    runs_each = steps // size
    rows = json_rows(np.ascontiguousarray(fixes[:, : runs_each * size]).reshape(-1))
    order = np.arange(vehicles * runs_each).reshape(vehicles, runs_each).T.reshape(-1)
    if seed is not None:
        order = np.random.default_rng(seed).permutation(order)
    return Runs(rows, vehicles, runs_each, order.tolist(), size)


def batch_requests(install: Install, runs: Runs) -> Iterator[bytes]:
    """One request a run."""
    requests = BatchRequests(runs.size)
    heads = [requests.head(key) for key in install.keys]
    return (requests.request(heads[index // runs.runs_each], runs.rows, index) for index in runs.order)


def single_requests(install: Install, fixes: Fixes) -> Iterator[bytes]:
    """One request a fix, in turn one of each vehicle."""
    requests = QueryRequests()
    heads = [requests.head(key) for key in install.keys]
    vehicles, steps = fixes.shape
    rows = query_rows(fixes.reshape(-1))
    order = np.arange(vehicles * steps).reshape(vehicles, steps).T.reshape(-1).tolist()
    return (requests.request(heads[index // steps], rows, index) for index in order)


async def blast(install: Install, requests: Iterator[bytes], connections: int = CONNECTIONS) -> Blasted:
    """Send them all. Raises Unexpected where one was declined."""
    load = Blast(install.server.address, connections)
    await load.open()
    blasted = await load.run(requests)
    load.close()
    if problems := blasted.problems():
        raise Unexpected("; ".join(problems[:3]))
    return blasted


@dataclass(frozen=True, slots=True)
class Taken:
    """What the receipts of batches add up to."""

    stored: int
    known: int
    same_time_different: int


def taken(blasted: Blasted) -> Taken:
    """The sum of all receipts. Raises Unexpected where a fix was impossible."""
    stored = known = different = 0
    for (_, body), count in blasted.answers.items():
        found = _COUNTS.search(body)
        if found is None or _REASON.search(body):
            raise Unexpected(f"not a receipt, or fixes were rejected: {body[:200]!r}")
        stored += count * int(found[1])
        known += count * int(found[2])
        different += count * int(found[3])
    return Taken(stored, known, different)
