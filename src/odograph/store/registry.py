"""The engines there are, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from odograph.store.base import Store

ENGINES: Final = {
    "sqlite": "odograph.store.sqlite.client:SqliteStore",
}


async def open_store(engine: str, directory: Path, **settings: float) -> Store:
    """Open a data directory with one of ENGINES. UNAVAILABLE says why it can't be had."""
    module, _, name = ENGINES[engine].partition(":")
    store: Store = await getattr(import_module(module), name).open(directory, **settings)
    return store
