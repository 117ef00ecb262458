"""Identities: numbers inside, decimal strings at the edge."""

from __future__ import annotations

from typing import NewType

OrgId = NewType("OrgId", int)
RecordId = NewType("RecordId", int)
"""Of a catalogue object: unique over all kinds and orgs of one install, never used twice."""
AssetId = NewType("AssetId", int)
"""Of what we follow, as the log stores it: an unsigned 32-bit number, below MAX_ASSETS."""
TagId = NewType("TagId", int)
"""Of a tag, as the outside knows it."""
AddressId = NewType("AddressId", int)
"""Of an address, as the outside knows it."""
RouteId = NewType("RouteId", int)
"""Of a route or a recurring route, as the outside knows it: one counter for both."""
Seq = NewType("Seq", int)
"""Place in the log. Grows in commit order; 0 is before the first fix."""

MAX_ASSETS = 1 << 21
"""The embedded engine packs asset and time into one signed 64-bit key: 21 bits for the asset."""

ASSET_ID_BASE = 1 << 48
"""Public vehicle ids are 15 digits long, as integrations expect: 2**48 plus the asset's number."""


def render_asset_id(asset: AssetId) -> str:
    """The public form of an asset's number, `"281474976710657"` for 1."""
    return str(ASSET_ID_BASE + asset)


def parse_asset_id(text: str) -> AssetId | None:
    """The asset's number, or None where the text can't be one of our ids."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text) - ASSET_ID_BASE
    return AssetId(number) if 0 < number < MAX_ASSETS else None
