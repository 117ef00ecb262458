"""What a demo shows: a page of lines to paste, then one line that lives."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from rich.console import Console
from rich.live import Live
from rich.text import Text

from odograph.cli.connect import Api, connect
from odograph.cli.demo_setup import PHONE, Furnished
from odograph.cli.moments import age
from odograph.cli.phone import phone_settings, qr_code, qr_content
from odograph.errors import Refusal
from odograph.settings import Settings
from odograph.simulator.fleet import VehicleSpec

_EVERY_S: Final = 1.0
_EVERY_WITHOUT_TERMINAL_S: Final = 5.0
_HABITS: Final = "every 5 s while on, hourly while off"


class Screen:
    """Prints to stdout, in 80 columns; nothing is wrapped that is meant to be pasted."""

    def __init__(self, settings: Settings, address: str | None) -> None:
        self._settings = settings
        self._address = address
        self._console = Console(highlight=False, soft_wrap=True)
        self._trouble = ""

    def note_trouble(self, spec: VehicleSpec, why: str) -> None:
        """Show the latest one on the live line."""
        self._trouble = f"{spec.name}: {why}"

    def introduce(self, furnished: Furnished) -> None:
        """The page."""
        url = self._settings.base_url
        self._title("Odograph is running")
        self._line(f"  server     {url}   (documentation: {url}/docs)")
        self._line(f"  data, log  {self._settings.data_dir}/")
        self._title(f"The fleet: {_HABITS}")
        for spec, _ in furnished.members:
            self._line(f"  {spec.name:9} {spec.plate:9} {spec.protocol:10} {_habit(spec)}")
        self._title("Open in a browser: public links, no login, each ends by itself")
        for link in furnished.links:
            self._console.print(f"  # {link.shows}", style="dim")
            self._line(f"  {link.url}")
        self._title("Paste into another terminal")
        self._paste(furnished)
        self._phone(furnished)
        self._line("")
        self._console.print("Ctrl-C ends the demo.", style="bold")
        self._line("")

    async def run(self) -> None:
        """The live line, until cancelled."""
        async with connect(self._settings, must_be_served=True) as api:
            if not sys.stdout.isatty():
                while True:
                    await asyncio.sleep(_EVERY_WITHOUT_TERMINAL_S)
                    print(await self._status(api), flush=True)
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                while True:
                    text = Text(await self._status(api), no_wrap=True, overflow="ellipsis")
                    live.update(text, refresh=True)
                    await asyncio.sleep(_EVERY_S)

    def _paste(self, furnished: Furnished) -> None:
        url, day = self._settings.base_url, datetime.now(UTC).date().isoformat()
        self._line(f"TOKEN={furnished.token}")
        for what, path in (
            ("where everybody is (snapshot)", "/fleet/vehicles/locations"),
            ("what is new since a cursor (feed; go on with after=<endCursor>)", "/fleet/vehicles/locations/feed"),
            (
                "where one vehicle was today (history)",
                f"/fleet/vehicles/locations/history?vehicleIds={furnished.vehicle_id}"
                f"&startTime={day}T00:00:00Z&endTime={day}T23:59:59Z",
            ),
        ):
            self._console.print(f"# {what}", style="dim")
            self._line(f"curl -H \"Authorization: Bearer $TOKEN\" \\\n  '{url}{path}'")

    def _phone(self, furnished: Furnished) -> None:
        base_url = f"http://{self._address}:{self._settings.port}" if self._address else self._settings.base_url
        self._title(f"Put your phone on the map, as {PHONE!r}")
        if self._settings.host == "127.0.0.1":
            self._line("Phones reach it after `odograph demo --lan`; this one hears its own machine alone.")
        for line in phone_settings(base_url, furnished.phone_key):
            self._line(line)
        self._line("The address for Traccar Client as a QR code:")
        self._line(qr_code(qr_content("traccar", base_url, furnished.phone_key)))

    async def _status(self, api: Api) -> str:
        try:
            status = await api.get("/odograph/status")
            snapshot = await api.get("/fleet/vehicles/locations")
        except (Refusal, httpx.HTTPError) as error:
            return f"The server does not answer: {error}"
        trouble = f" | {self._trouble}" if self._trouble else ""
        self._trouble = ""
        return f"{status['headSeq']:,} fixes stored | {_where(snapshot)}{trouble}"

    def _title(self, text: str) -> None:
        self._line("")
        self._console.print(text, style="bold cyan")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False)


def _where(snapshot: list[Any]) -> str:
    """The newest position of all."""
    if not snapshot:
        return "no position yet"
    newest = max(snapshot, key=lambda one: str(one["location"]["time"]))
    location = newest["location"]
    place = location["reverseGeo"]["formattedLocation"]
    speed = f", {location['speed']:.0f} mph" if "speed" in location else ""
    return (
        f"{newest['name']} {location['latitude']:.5f}, {location['longitude']:.5f}{speed}, "
        f"{age(location['time'], datetime.now(UTC))}, {place}"
    )


def _habit(spec: VehicleSpec) -> str:
    if spec.is_parked:
        return "off: parked, reports hourly"
    if spec.pause_s:
        return f"sends a backlog of {spec.history_s // 3600} hours"
    if spec.round_trip:
        return f"a round every {spec.round_trip.every_s // 60} min"
    return "is cut off at times, then catches up" if spec.outages else "on the road"
