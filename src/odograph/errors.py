"""The one way to decline: a Refusal of one of seven kinds, with a message for whoever asked."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """Why a request was declined; `api.problems` alone turns these into HTTP statuses."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"


class Refusal(Exception):
    """We decline; `message` is written for whoever asked and names the field that was wrong."""

    def __init__(self, kind: Kind, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s


def invalid(message: str) -> Refusal:
    """What was sent can never be accepted as it is."""
    return Refusal(Kind.INVALID, message)


def unauthenticated(message: str) -> Refusal:
    """Nobody we know sent this."""
    return Refusal(Kind.UNAUTHENTICATED, message)


def forbidden(message: str) -> Refusal:
    """We know who asks, and they may not."""
    return Refusal(Kind.FORBIDDEN, message)


def not_found(message: str) -> Refusal:
    """There is no such thing in this org."""
    return Refusal(Kind.NOT_FOUND, message)


def conflict(message: str) -> Refusal:
    """Somebody else changed it first, or the name is taken."""
    return Refusal(Kind.CONFLICT, message)


def unavailable(message: str, *, retry_after_s: int = 5) -> Refusal:
    """Not now: nothing was stored, send it again after `retry_after_s` seconds."""
    return Refusal(Kind.UNAVAILABLE, message, retry_after_s=retry_after_s)


class Corrupt(Exception):
    """A checksum did not match: names the file and the place in it. Never answered with data."""
