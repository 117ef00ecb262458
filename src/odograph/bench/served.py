"""The server under measurement, as a process of its own: started, watched through /proc, stopped by its pid."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Final

from odograph.bench.load import Asker, Lost

START_WITHIN_S: Final = 120
STOP_WITHIN_S: Final = 60
SAMPLE_S: Final = 0.2
GENERATOR: Final = "generator"
OTHERS: Final = "others"
API: Final = "api"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class CannotStart(Exception):
    """The server did not become ready; the message ends with what it wrote."""


@dataclass(slots=True)
class Usage:
    """What the processes of one role used between two moments."""

    cpu_s: float = 0.0
    written_bytes: int = 0
    peak_rss_bytes: int = 0


@dataclass(slots=True)
class _Process:
    role: str
    first_cpu_s: float
    first_written: int
    cpu_s: float
    written: int
    peak_rss_bytes: int = 0


class Served:
    """One `odograph serve` on a data directory and a free loopback port."""

    def __init__(self, data_dir: Path, *flags: str, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = _free_port()
        self._flags = flags
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where devices and API clients connect."""
        return "127.0.0.1", self.port

    @property
    def control(self) -> Path:
        """The operator's socket: the same API without rate limits."""
        return self.data_dir / "control.sock"

    @property
    def pid(self) -> int:
        """Of the API process, the parent of all others. Raises CannotStart when none runs."""
        if self._process is None:
            raise CannotStart("The server is not running.")
        return self._process.pid

    async def start(self) -> float:
        """Start, and wait for /readyz to say 200; the seconds it took."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [*odograph_command(), "serve", "--data-dir", str(self.data_dir), "--port", str(self.port)]
        log = self.data_dir.with_suffix(".log")
        began = perf_counter()
        self._process = process = self._spawn([*command, *self._flags], log)
        asker = Asker(self.address)
        try:
            while perf_counter() - began < START_WITHIN_S:
                if process.poll() is not None:
                    break
                with suppress(OSError, Lost):
                    if (await asker.get("/readyz")).status == 200:
                        return perf_counter() - began
                await asyncio.sleep(0.005)
        finally:
            asker.close()
        self.kill()
        raise CannotStart(f"The server did not become ready. It wrote:\n{log.read_text(errors='replace')[-3000:]}")

    def _spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self._environment
            )

    def stop(self) -> float:
        """End it as an operator would (SIGTERM); the seconds it took."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children as a power cut would, from the page cache's point of view not at all."""
        if self._process is not None:
            for pid in tree(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> float:
        process, self._process = self._process, None
        if process is None:
            return 0.0
        began = perf_counter()
        pids = tree(process.pid)
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        while any(_is_alive(pid) for pid in pids) and perf_counter() - began < STOP_WITHIN_S:
            sleep(0.005)  # the writer ends after its parent; the next start needs its lock
        return perf_counter() - began

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """What this server and this process use inside the block."""
        watch = Watch(self.pid)
        watch.begin()
        try:
            yield watch
        finally:
            watch.end()

    def rss_bytes(self) -> int:
        """Resident memory of all its processes, pages they share counted once."""
        return resident_bytes(tree(self.pid))

    def cpu_s(self) -> float:
        """Processor time of its living processes since each began."""
        return sum(_cpu_s(pid) for pid in tree(self.pid))

    def bytes_on_disk(self) -> int:
        """What the data directory holds, as the file system counts its blocks; the cache of places left out."""
        return sum(
            path.stat().st_blocks * 512
            for path in self.data_dir.rglob("*")
            if path.is_file() and "cache" not in path.relative_to(self.data_dir).parts
        )

    def drop_data(self) -> None:
        """Remove its data directory and log."""
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self.data_dir.with_suffix(".log").unlink(missing_ok=True)


class Watch:
    """Samples processor time, memory and bytes written of every process of a server, and of ours that load it.

    A process that ends between two samples takes at most SAMPLE_S of its use with it.
    """

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._seen: dict[int, _Process] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seconds = 0.0
        self.peak_total_bytes = 0
        self._began = 0.0
        self._busy_s = 0.0

    def begin(self) -> None:
        """Start sampling."""
        self._began = perf_counter()
        self._busy_s = _busy_s()
        self._sample(is_first=True)
        self._thread.start()

    def end(self) -> None:
        """Stop sampling."""
        self._ending.set()
        self._thread.join()
        self._sample()
        self.seconds = perf_counter() - self._began
        self._busy_s = _busy_s() - self._busy_s

    def by_role(self) -> dict[str, Usage]:
        """Use so far, by the processes' roles: api, writer, sealer, generator."""
        roles: dict[str, Usage] = {}
        for one in self._seen.values():
            usage = roles.setdefault(one.role, Usage())
            usage.cpu_s += one.cpu_s - one.first_cpu_s
            usage.written_bytes += one.written - one.first_written
            usage.peak_rss_bytes = max(usage.peak_rss_bytes, one.peak_rss_bytes)
        return roles

    def shares(self) -> dict[str, float]:
        """Each role's share of one core, and what the machine's other work took away from us."""
        used = {role: usage.cpu_s for role, usage in self.by_role().items()}
        used[OTHERS] = max(0.0, self._busy_s - sum(used.values()))
        return {role: round(cpu_s / self.seconds, 3) for role, cpu_s in used.items() if self.seconds}

    @property
    def server_cpu_s(self) -> float:
        """Processor seconds of the whole server."""
        return sum(usage.cpu_s for role, usage in self.by_role().items() if role != GENERATOR)

    @property
    def written_bytes(self) -> int:
        """Bytes that the whole server caused to be written to disk."""
        return sum(usage.written_bytes for role, usage in self.by_role().items() if role != GENERATOR)

    def _run(self) -> None:
        while not self._ending.wait(SAMPLE_S):
            self._sample()

    def _sample(self, *, is_first: bool = False) -> None:
        server = tree(self._root)
        for pid in dict.fromkeys((*server, *tree(os.getpid()))):  # this process's children, the server aside
            with suppress(OSError):  # it may end while we look
                cpu_s, written, rss = _cpu_s(pid), _written_bytes(pid), _status_kib(pid, "VmRSS") * 1024
                known = self._seen.get(pid)
                if known is None:
                    role = role_of(pid, self._root) if pid in server else GENERATOR
                    was = (cpu_s, written) if is_first else (0.0, 0)
                    known = self._seen[pid] = _Process(role, *was, cpu_s, written)
                known.cpu_s, known.written = cpu_s, written
                known.peak_rss_bytes = max(known.peak_rss_bytes, rss)
        self.peak_total_bytes = max(self.peak_total_bytes, resident_bytes(server))


def odograph_command() -> list[str]:
    """How this very installation is started from the command line."""
    script = Path(sys.executable).with_name("odograph")
    return [str(script)] if script.exists() else [sys.executable, "-c", "from odograph.cli import main; main()"]


def tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    pids = [pid]
    for one in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids


def role_of(pid: int, root: int) -> str:
    """`api` for the root of the tree, else what the process's command line says it does."""
    if pid == root:
        return API
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    for role in ("writer", "sealer"):
        if role in command:
            return role
    return "other"


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of processes: what each has to itself, and once what the one that shares most shares.

    The kernel's proportional share would leave out what we that measure share with them.
    """
    alone, shared = 0, 0
    for pid in pids:
        with suppress(OSError):  # it may end while we look
            sizes = _sizes(pid)
            mine = sum(size for name, size in sizes.items() if name.startswith("Private_"))
            alone += mine
            shared = max(shared, sizes.get("Rss", 0) - mine)
    return alone + shared


def _sizes(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def own_rss_bytes(pid: int) -> int:
    """Resident memory of one process."""
    return _status_kib(pid, "VmRSS") * 1024


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _busy_s() -> float:
    """Processor seconds that the whole machine has spent on anything."""
    user, nice, system, _idle, _waiting, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


def _written_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
