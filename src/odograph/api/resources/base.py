"""What a resource is: a list of endpoints, each saying who may call it, what it takes and what it answers.

The endpoint list is the router, the scope check, the rate limit and the OpenAPI document at once, so that
none of them can disagree with another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from odograph.model.access import Principal, Scope

if TYPE_CHECKING:
    from odograph.api.context import Context
    from odograph.api.params import Query


class Pagination(msgspec.Struct, rename="camel"):
    """Where a list goes on. Both fields are always present; an empty `endCursor` ends a list."""

    end_cursor: str
    has_next_page: bool


@dataclass(frozen=True, slots=True)
class Param:
    """One query or path parameter, as documented; `api.params` reads it."""

    name: str
    kind: Literal["string", "csv", "time", "int", "bool"]
    help: str
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    is_bound: bool = False
    """A time from which on, or before which: where it lies between two milliseconds, the later one is meant."""
    most: int | None = None
    """Items of a csv that are never too many; what is counted otherwise its endpoint counts."""
    values: tuple[str, ...] = ()
    """Where only these are allowed."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` in `seconds`, counted per org over all its tokens."""

    calls: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has passed authentication, scope and rate limit."""

    principal: Principal
    query: Query
    path: Mapping[str, str]
    body: bytes
    context: Context


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `body` whole, or `stream` in pieces (never both)."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    stream: AsyncIterator[bytes] | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Besides those that every answer carries; lower-case names."""


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `path` holds `{id}` where a path parameter stands.

    `answers` is the struct of the 200 body, None for 204. `takes` is the struct of the JSON body.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler
    summary: str
    params: Sequence[Param] = ()
    takes: Any = None
    answers: Any = None
    limit: Limit | None = None
    is_extension: bool = False
    """Ours, not the vendor's; documented apart."""
    operator_only: bool = False
    """Only the operator at the machine (control socket), never a token."""
    consumes: str = "application/json"
    """Content type of the body, as documented; anything but JSON is a body without a struct."""
    produces: Sequence[str] = ()
    """Content types of a 200 body that is a file and not a struct."""
    done: int = 204
    """Status of an answer without a body."""
    note: str = ""
    """What else whoever calls it should know, in whole sentences."""
    reads_body: bool = False
    """Whether a DELETE may bring a body."""


class Resource(Protocol):
    """One file of `api/resources`, listed in `registry.py`."""

    name: str

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        ...
