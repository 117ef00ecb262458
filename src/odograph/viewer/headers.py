"""What every public answer says besides its body: that it is nobody's to keep, to index, to frame or to pass on."""

from __future__ import annotations

from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]

SAFE: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
UNKEPT: Final[Headers] = ((b"cache-control", b"no-store"), *SAFE)
KEPT_FOR_GOOD: Final[Headers] = (
    (b"cache-control", b"public, max-age=31536000, immutable"),
    (b"referrer-policy", b"strict-origin"),  # a worker's requests follow its own script's policy, not the page's
    *SAFE,
)
STREAM: Final[Headers] = (
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    *SAFE,
)
ANY_ORIGIN: Final[Headers] = ((b"access-control-allow-origin", b"*"),)


def of_page(policy: str, referrer: str) -> Headers:
    """The headers of an HTML page, with its Content-Security-Policy."""
    return (
        *UNKEPT,
        (b"content-security-policy", policy.encode("ascii")),
        (b"referrer-policy", referrer.encode("ascii")),
    )
