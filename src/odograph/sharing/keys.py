"""The secret in a link's URL: made from the server's key, so that the database alone opens nothing.

A key is HMAC-SHA256(server key, link id and rotation number) in base 62, cut to 24 characters: 142 bits. The
database holds the id, the rotation and the key's SHA-256; the URL can be shown again while the server key is there.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import Final

from odograph.model.ids import OrgId

KEY_LENGTH: Final = 24
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def link_key(server_key: bytes, share_id: str, rotation: int) -> str:
    """The key of a link, the same whenever it is asked for."""
    return _in_base_62(_mac(server_key, f"link {share_id} {rotation}"))


def stop_key(server_key: bytes, org: OrgId, stop: int) -> str:
    """The key of a route stop's own link, which lives as long as the stop."""
    return _in_base_62(_mac(server_key, f"stop {org} {stop}"))


@lru_cache(maxsize=50_000)  # it stands in every update
def asset_key(server_key: bytes, share_id: str, asset: int) -> str:
    """What one link calls one asset: another link calls it otherwise, and neither tells its number."""
    return _in_base_62(_mac(server_key, f"asset {share_id} {asset}"))[:12]


def key_hash(key: str) -> bytes:
    """What a key is looked up by. Any text has one: what can't be a key takes as long as one that is wrong."""
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def link_url(public_url: str, org: OrgId, key: str) -> str:
    """The public URL of a link, in the vendor's shape (contract.md 4.6, D-3)."""
    return f"{public_url}/o/{org}/fleet/viewer/address/{key}"


def _mac(server_key: bytes, text: str) -> bytes:
    return hmac.digest(server_key, text.encode(), sha256)


def _in_base_62(mac: bytes) -> str:
    number, digits = int.from_bytes(mac), []
    for _ in range(KEY_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(digits)
