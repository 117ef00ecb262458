"""`odograph demo`: a server, a small fleet that reports to it over real sockets, and how to look at them."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from odograph.cli.demo_screen import Screen
from odograph.cli.demo_setup import Furnished, furnish
from odograph.cli.moments import required_span_s
from odograph.cli.output import say
from odograph.errors import invalid
from odograph.settings import Settings, load_settings

MARK: Final = ".odograph-demo"
_KEPT: Final = "cache"  # places, the same every time, and slow to make
_LOG: Final = "server.log"


@click.command()
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path("demo-data"), show_default=True
)
@click.option("--keep", is_flag=True, help="Go on with what an earlier demo left, instead of beginning anew.")
@click.option("--lan", is_flag=True, help="Listen on every network of this machine, so that phones reach it.")
@click.option("--port", type=click.IntRange(1, 65535), help="[8080, or a free one]")
@click.option("--for", "for_", metavar="SPAN", help="End by itself after so long, such as 30s or 5m.")
def demo(data_dir: Path, keep: bool, lan: bool, port: int | None, for_: str | None) -> None:
    """Show a server with a small fleet: vehicles on real protocols, every 5 s while on, hourly while off.

    Prints a token, lines to paste, and how to point a phone at it. Ctrl-C ends it.
    """
    import uvloop  # noqa: PLC0415 - `demo --help` can spare it

    seconds = None if for_ is None else required_span_s("--for", for_)
    _prepare(data_dir, keeps=keep)
    host = "0.0.0.0" if lan else "127.0.0.1"  # noqa: S104 - asked for
    settings = load_settings(
        {
            "data_dir": str(data_dir),
            "host": host,
            "port": port or free_port(8080, host),
            "teltonika_port": free_port(5027, host),
        },
        environment={},
    )
    uvloop.run(_Demo(settings, lan_address(), seconds).run())
    say("\nThe demo has ended." + ("" if keep else " `odograph demo --keep` would go on with its data."))


class _Demo:
    """Server, fleet and screen, in this order; ended the other way round."""

    def __init__(self, settings: Settings, address: str | None, seconds: int | None) -> None:
        self._settings = settings
        self._screen = Screen(settings, address)
        self._seconds = seconds
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until Ctrl-C, SIGTERM, or the time is over."""
        from odograph.server import serve  # noqa: PLC0415 - half a second

        _log_to(Path(self._settings.data_dir) / _LOG)
        ready = asyncio.Event()
        server = asyncio.create_task(serve(self._settings, on_ready=ready, stop=self._stop))
        tasks: list[asyncio.Task[Any]] = []
        try:
            getting_ready = asyncio.create_task(ready.wait())
            await asyncio.wait([server, getting_ready], return_when=asyncio.FIRST_COMPLETED)
            if not server.done():
                tasks = await self._begin()
                await asyncio.wait([server, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(tasks)
            self._stop.set()
            await server
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def _begin(self) -> list[asyncio.Task[Any]]:
        """Everything that runs beside the server."""
        furnished = await furnish(self._settings)
        self._screen.introduce(furnished)
        tasks = [asyncio.create_task(self._drive(furnished)), asyncio.create_task(self._screen.run())]
        if self._seconds is not None:
            tasks.append(asyncio.create_task(asyncio.sleep(self._seconds)))
        return tasks

    async def _drive(self, furnished: Furnished) -> None:
        from odograph.clock import SystemClock  # noqa: PLC0415
        from odograph.simulator.fleet import run_fleet  # noqa: PLC0415
        from odograph.simulator.senders import Server  # noqa: PLC0415

        settings = self._settings
        server = Server(f"http://127.0.0.1:{settings.port}", {"teltonika": settings.teltonika_port})
        await run_fleet(furnished.members, server, SystemClock(), self._screen.note_trouble)


def _prepare(directory: Path, *, keeps: bool) -> None:
    """An empty directory of ours; nobody else's is ever emptied."""
    if directory.exists() and not (directory / MARK).exists() and any(directory.iterdir()):
        raise invalid(f"{directory} is not a demo's directory and not empty. Name another one with --data-dir.")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / MARK).touch()
    if keeps:
        return
    for path in directory.iterdir():
        if path.name in {MARK, _KEPT}:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def free_port(wanted: int, host: str) -> int:
    """The port that was wanted, or another one that nobody has."""
    for port in (wanted, 0):
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return int(sock.getsockname()[1])
    raise invalid("There is no free port on this machine.")


def lan_address() -> str | None:
    """This machine's address in its network, None where it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # of no host: only to see which way packets would leave
        except OSError:
            return None
        address = str(sock.getsockname()[0])
    return None if address.startswith(("127.", "0.")) else address


def _log_to(path: Path) -> None:
    from odograph.telemetry import configure_logging  # noqa: PLC0415

    configure_logging("info", path.open("a", encoding="utf-8", buffering=1))


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
