"""How to point a phone at a server: addresses, settings, and a QR code in the terminal."""

from __future__ import annotations

import base64
import io
import json
from typing import Final

import segno

APPS: Final = ("traccar", "owntracks")


def phone_settings(base_url: str, key: str) -> list[str]:
    """Lines that say what to type into each app; the key is part of the address."""
    return [
        "Traccar Client (Android, iOS)",
        "  Offline buffering on, device identifier as you like, server URL:",
        traccar_url(base_url, key),
        "OwnTracks (Android, iOS)",
        "  Preferences, Connection: mode HTTP, URL:",
        owntracks_url(base_url, key),
    ]


def traccar_url(base_url: str, key: str) -> str:
    """Where Traccar Client, and OsmAnd, send to."""
    return f"{base_url}/ingest/osmand/{key}"


def owntracks_url(base_url: str, key: str) -> str:
    """Where OwnTracks sends to."""
    return f"{base_url}/ingest/owntracks/{key}"


def qr_content(app: str, base_url: str, key: str) -> str:
    """For Traccar Client its address; for OwnTracks a link that opens the app and sets it up."""
    if app == "traccar":
        return traccar_url(base_url, key)
    wanted = {"_type": "configuration", "mode": 3, "url": owntracks_url(base_url, key)}
    packed = base64.b64encode(json.dumps(wanted, separators=(",", ":")).encode()).decode()
    return f"owntracks:///config?inline={packed}"


def qr_code(text: str) -> str:
    """The text as a QR code for a terminal, some 20 lines high."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
