"""A catalogue on a real store, with a clock that moves when told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from odograph.catalog import orgs
from odograph.catalog.changes import Catalog
from odograph.errors import Refusal
from odograph.live.directory import Directory
from odograph.model.ids import OrgId
from odograph.store.base import Change, Committed, Record, Store
from odograph.store.sqlite.engine import Engine

NOON_MS = 1_700_000_000_000


class SteppedClock:
    """Stands still until it is moved; sleeping takes no time."""

    def __init__(self) -> None:
        self.time_ms = NOON_MS

    def now_ms(self) -> int:
        return self.time_ms

    def steady_s(self) -> float:
        return self.time_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.time_ms += int(seconds * 1000)


class EngineStore:
    """The embedded engine without its process: the same SQLite, the same transactions, a write in a millisecond."""

    def __init__(self, directory: Path) -> None:
        self.engine = Engine(directory, SteppedClock())
        self._written: list[Record] = []

    async def write(self, changes: Sequence[Change]) -> Sequence[Record]:
        (answer,) = self.engine.commit([], [changes]).written
        if isinstance(answer, Refusal):
            raise answer
        self._written += answer
        return answer

    async def follow(self) -> AsyncIterator[Committed]:
        yield Committed(records=self._written)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = EngineStore(tmp_path)
    yield cast("Store", store)  # the part of it that the catalogue uses
    store.engine.close()


@pytest.fixture
def catalog(store: Store) -> Catalog:
    return Catalog(store, Directory(), SteppedClock())


@pytest.fixture
async def org(catalog: Catalog) -> OrgId:
    return OrgId((await orgs.create(catalog, "Acme")).id)
