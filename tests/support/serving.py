"""A real `odograph serve`: a process of its own on a free port and a directory of its own, stopped by its id."""

from __future__ import annotations

import csv
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from odograph.cli.connect import connect
from odograph.settings import Settings

ODOGRAPH = [sys.executable, "-c", "from odograph.cli import main; main()"]
STOP_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Furnished:
    """Who may send, and who may read: vehicle ids and device keys by device id."""

    token: str
    ids: dict[str, str]
    keys: dict[str, str]


class Serving:
    """A running server; `log` is what it wrote on stderr so far."""

    def __init__(self, home: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.home = home
        self.port = port
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.settings = Settings(data_dir=str(home / "data"))

    @property
    def log(self) -> str:
        return (self.home / "serve.log").read_text()

    async def furnish(self, device_ids: Iterable[str], imeis: Iterable[str] = ()) -> Furnished:
        """An org with a vehicle of the same name for each device, and a token; IMEIs are bound to this machine."""
        sheet = io.StringIO(newline="")
        csv.writer(sheet).writerows([("name", "device_id"), *((device, device) for device in device_ids)])
        async with connect(self.settings, must_be_served=True) as api:
            await api.post("/odograph/orgs", json={"name": "Fleet", "timezone": "America/Chicago"})
            done = await api.ask(
                "POST",
                "/odograph/vehicles/import",
                content=sheet.getvalue().encode(),
                headers={"content-type": "text/csv"},
            )
            for imei in imeis:
                await api.patch("/odograph/devices", f"deviceId:{imei}", json={"networks": ["127.0.0.0/8"]})
            token = await api.post("/odograph/tokens", json={"name": "reader"})
        lines = done["lines"]
        return Furnished(
            token["token"],
            {line["deviceId"]: line["id"] for line in lines},
            {line["deviceId"]: line["key"] for line in lines},
        )


def environment(home: Path) -> dict[str, str]:
    """Ours without any settings of an installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ODOGRAPH_")}
    return {**kept, "HOME": str(home), "ODOGRAPH_DATA_DIR": str(home / "data")}


def free_port() -> int:
    """A port that nobody listens on just now."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(home: Path, *flags: str, descriptors: int | None = None) -> Iterator[Serving]:
    """From the moment it says that it serves; it must end in good order. `descriptors`: as many as it may have."""
    port = free_port()
    bounded = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
    with (home / "serve.log").open("a") as log:
        process = subprocess.Popen(
            [*bounded, *ODOGRAPH, "serve", "--port", str(port), *flags],
            env=environment(home),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    server = Serving(home, port, process)
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), server.log
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
    assert process.returncode == 0, server.log
