"""A fresh install to measure: a data directory, a running server, and a fleet with keys and a token in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Final

from odograph.bench.load import Asker
from odograph.bench.provision import provision
from odograph.bench.readers import checked
from odograph.bench.served import Served
from odograph.bench.waiting import until

DAY_MS: Final = 86_400_000
SEAL_WITHIN_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure."""

    folder: Path
    """Where data directories go: a file system on the disk that is to be measured."""
    is_quick: bool = False
    recordings: Path | None = None
    say: Callable[[str], None] = print

    def pick(self, full: int, quick: int) -> int:
        """The full run's number, or the quick run's."""
        return quick if self.is_quick else full

    @property
    def repeats(self) -> int:
        """How often each figure is measured, yardsticks in between."""
        return self.pick(3, 1)


@dataclass(slots=True)
class Install:
    """A server with a fleet. `keys` and `assets` are parallel, by the fleet's numbering of vehicles."""

    server: Served
    keys: list[str] = field(default_factory=list)
    assets: list[int] = field(default_factory=list)
    token: str = ""

    def operator(self) -> Asker:
        """Asks through the control socket: the same API, without rate limits."""
        return Asker(self.server.control)

    def consumer(self) -> Asker:
        """Asks over TCP with the API token, as an integration would."""
        return Asker(self.server.address, b"Authorization: Bearer " + self.token.encode() + b"\r\n")

    async def metrics(self) -> dict[str, float]:
        """The server's metrics without labels, by name."""
        asker = Asker(self.server.address)
        body = checked(await asker.get("/metrics")).body.decode()
        asker.close()
        lines = [line.rpartition(" ") for line in body.splitlines() if line and line[0] != "#" and "{" not in line]
        return {name: float(value) for name, _, value in lines}

    async def fixes_a_commit(self) -> float:
        """How many fixes shared a commit, on average since the server's start."""
        metrics = await self.metrics()
        return metrics["odograph_commit_fixes_sum"] / max(1.0, metrics["odograph_commit_fixes_count"])

    async def until_sealed(self) -> None:
        """Wait until nothing is unsealed; for servers that were started to seal at once."""

        async def is_sealed() -> bool:
            metrics = await self.metrics()
            return metrics["odograph_sealed_seq"] >= metrics["odograph_head_seq"]

        await until(is_sealed, SEAL_WITHIN_S, "everything is sealed")


@asynccontextmanager
async def installed(
    options: Options, name: str, vehicles: int, *flags: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Install]:
    """A running server with `vehicles` vehicles, each with a device and its key; removed afterwards."""
    folder = options.folder / f"bench-{name}-{time_ns() // 1_000_000}"
    install = Install(Served(folder, *flags, environment=environment))
    try:
        await install.server.start()
        await provision(install, vehicles)
        yield install
    finally:
        install.server.stop()
        install.server.drop_data()


@asynccontextmanager
async def restarted(install: Install, *flags: str) -> AsyncIterator[Served]:
    """The same data served with other flags, for as long as the block runs."""
    install.server.stop()
    former, install.server = install.server, Served(install.server.data_dir, *flags)
    try:
        await install.server.start()
        yield install.server
    finally:
        install.server.stop()
        install.server = former


def now_ms() -> int:
    """The wall clock."""
    return time_ns() // 1_000_000
