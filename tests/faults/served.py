"""A real server in a process of its own, to be treated badly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ODOGRAPH = [sys.executable, "-c", "from odograph.cli import main; main()"]
SEAL_ROWS = 1000  # the fewest that may be set


class Server:
    """`odograph serve` on one directory and port, again and again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ODOGRAPH_")}
        self.environment = {**kept, "HOME": str(home), "ODOGRAPH_DATA_DIR": str(home / "data")}
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it serves."""
        with (self.home / "serve.log").open("a") as log:
            self.process = subprocess.Popen(
                [*ODOGRAPH, "serve", f"--port={self.port}", f"--seal-rows={SEAL_ROWS}"],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), (self.home / "serve.log").read_text()

    def kill(self) -> None:
        """At once, with its writer and its sealer."""
        assert self.process is not None
        for pid in family_of(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> None:
        """As an operator does."""
        assert self.process is not None
        self.process.terminate()
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0, (self.home / "serve.log").read_text()

    def resident_bytes(self) -> int:
        """Memory of the API process."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def command(self, *arguments: str) -> str:
        """What a command beside it, or without it, says."""
        done = subprocess.run(
            [*ODOGRAPH, *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def family_of(pid: int) -> list[int]:
    """The process and all below it, the youngest last."""
    family = [pid]
    for member in family:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            family += [int(child) for child in children.read_text().split()]
    return family


@contextmanager
def served(home: Path) -> Iterator[Server]:
    server = Server(home)
    server.command("org", "create", "Fleet")
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
