"""What every public answer says besides its body: that it is nobody's to keep, to index, to frame or to pass on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]

SAFE: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
UNKEPT: Final[Headers] = ((b"cache-control", b"no-store"), *SAFE)
KEPT_FOR_GOOD: Final[Headers] = ((b"cache-control", b"public, max-age=31536000, immutable"), *SAFE)
STREAM: Final[Headers] = (
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    *SAFE,
)
ANY_ORIGIN: Final[Headers] = ((b"access-control-allow-origin", b"*"),)
REFERRER: Final = "strict-origin-when-cross-origin"
"""The link is in the path, and nobody else is told it; tile servers are told where we are, which some insist on."""


def csp(frame_ancestors: Sequence[str] = ()) -> str:
    """The Content-Security-Policy of pages that load everything from this server."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "worker-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {' '.join(frame_ancestors) or chr(39) + 'none' + chr(39)}",
        )
    )


def of_page(policy: str, referrer: str = REFERRER) -> Headers:
    """The headers of an HTML page."""
    return (
        *UNKEPT,
        (b"content-security-policy", policy.encode("ascii")),
        (b"referrer-policy", referrer.encode("ascii")),
    )
