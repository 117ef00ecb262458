"""Tokens and keys: made here, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

TOKEN_PREFIX: Final = "odo_"  # noqa: S105 - the prefix is no secret: it lets scanners find leaked tokens
_TOKEN_BYTES: Final = 32
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_KEY_CHARS: Final = 28  # of 5 bits: 140
_GROUP: Final = 4
_LOOKALIKES: Final = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})

_KEY_SHAPE: Final = re.compile(rf"[{_ALPHABET}]{{{_KEY_CHARS}}}")


def new_token() -> str:
    """The text of a new API token: `odo_` and 43 characters, 256 bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def new_key() -> str:
    """A new device or enrolment key, to be typed by hand if need be: 140 bits in seven groups of four."""
    return _grouped("".join(secrets.choice(_ALPHABET) for _ in range(_KEY_CHARS)))


def canonical_key(text: str) -> str:
    """A key as it was shown, however it was typed: capitals, missing hyphens, o for 0, l or i for 1.

    What doesn't look like one of our keys comes back as it is.
    """
    bare = text.strip().lower().translate(_LOOKALIKES)
    return _grouped(bare) if _KEY_SHAPE.fullmatch(bare) else text


def digest(secret: str) -> bytes:
    """The SHA-256 (32 bytes) of a token or canonical key. Their randomness makes salt and stretching useless."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def hex_digest(secret: str) -> str:
    """The same as record bodies keep it: 64 hex digits."""
    return digest(secret).hex()


def hint(token: str) -> str:
    """What a token may be recognised by: its last four characters."""
    return token[-4:]


def _grouped(bare: str) -> str:
    return "-".join(bare[at : at + _GROUP] for at in range(0, len(bare), _GROUP))
