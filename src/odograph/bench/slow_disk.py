"""A poor disk on any machine: a shim, preloaded into the server, that lets every flush take 10 ms longer."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DELAY_US: Final = 10_000
_SOURCE: Final = Path(__file__).with_name("slow_sync.c")
_PROBE: Final = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
took = []
for _ in range(21):
    os.pwrite(fd, b"x" * 4096, 0)
    began = time.perf_counter()
    os.fdatasync(fd)
    took.append(time.perf_counter() - began)
os.unlink(sys.argv[1])
print(sorted(took)[10] * 1000)
"""


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """What a server's environment needs, and how long a flush then really takes."""

    environment: dict[str, str]
    measured_ms: float


@asynccontextmanager
async def slowed(folder: Path) -> AsyncIterator[SlowDisk | None]:
    """The shim, built and tried; None where there is no compiler."""
    if shutil.which("gcc") is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as build:
        shim = Path(build, "slow_sync.so")
        command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(_SOURCE), "-ldl"]
        await asyncio.to_thread(subprocess.run, command, check=True)
        environment = {"LD_PRELOAD": str(shim), "SLOW_SYNC_US": str(DELAY_US)}
        yield SlowDisk(environment, await asyncio.to_thread(_measure, folder, environment))


def _measure(folder: Path, environment: dict[str, str]) -> float:
    """p50 of an fdatasync under the shim, ms: a static binary would not notice it."""
    command = [sys.executable, "-c", _PROBE, str(folder / "slow.probe")]
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
    return float(done.stdout)
