"""What a declined request looks like: the only table from kinds of refusal to HTTP statuses."""

from __future__ import annotations

from typing import Final

import msgspec

from odograph.errors import Kind, Refusal

STATUSES: Final[dict[Kind, int]] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 400,  # not 409: the vendor's SDK repeats a 409, and repeating never helps here
    Kind.RATE_LIMITED: 429,
    Kind.UNAVAILABLE: 503,
}
MAX_RETRY_AFTER_S: Final = 60  # clients wait no longer than this whatever we say


class ErrorBody(msgspec.Struct, rename="camel"):
    """The body of every error."""

    message: str
    request_id: str


class Problem(Exception):
    """A request declined for how it was made rather than for what it asks; HTTP has a status of its own for it."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def too_large(limit_bytes: int) -> Problem:
    """The body is longer than we read.

    The connection stays open: closing it while the caller still writes would destroy this answer on its way.
    """
    return Problem(413, f"The request body is larger than {limit_bytes} bytes.")


def too_slow(limit_s: int) -> Problem:
    """The body did not arrive."""
    return Problem(408, f"The request body did not arrive within {limit_s} seconds.", ((b"connection", b"close"),))


def too_many_ids(limit: int) -> Problem:
    """The filters name more ids than one request may."""
    return Problem(414, f"More than {limit} ids in the filter parameters. Split the request.")


def wrong_method(method: str, allowed: tuple[str, ...]) -> Problem:
    """The path exists, but not with this method."""
    names = ", ".join(allowed)
    return Problem(405, f"Method {method} is not allowed here. Allowed: {names}.", ((b"allow", names.encode()),))


def from_refusal(refusal: Refusal) -> Problem:
    """The HTTP side of a refusal, with whole seconds in Retry-After where waiting helps."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if refusal.retry_after_s is not None:
        seconds = min(max(refusal.retry_after_s, 1), MAX_RETRY_AFTER_S)
        headers = ((b"retry-after", b"%d" % seconds),)
    if refusal.kind is Kind.UNAUTHENTICATED:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    return Problem(STATUSES[refusal.kind], refusal.message, headers)


def render(message: str, request_id: str) -> bytes:
    """The error body."""
    return msgspec.json.encode(ErrorBody(message, request_id))
