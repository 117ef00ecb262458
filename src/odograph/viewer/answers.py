"""What the viewer answers, without a word of the framework that sends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, whole. For HEAD whoever sends it leaves the body out."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    """Empty where there is no body."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """All but content type and length; lower-case names."""
