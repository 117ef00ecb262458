"""Calls an ASGI application as an HTTP server would, piece by piece, and reads what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from odograph.protocols.base import HttpRequest
from odograph.telemetry import App


class Heard(NamedTuple):
    """The answer to one request; status 0: there was none."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """Of an error body, which must have exactly the two fields of ours."""
        said = json.loads(self.body)
        assert set(said) == {"message", "requestId"}
        assert said["requestId"]
        message: str = said["message"]
        return message


async def call(
    app: App,
    request: HttpRequest,
    *,
    headers: Mapping[str, str] | None = None,
    pieces: Sequence[bytes] | None = None,
    is_cut_off: bool = False,
    address: str = "203.0.113.9",
) -> Heard:
    """Send a request; its body in one piece, or in `pieces`; `is_cut_off`: the sender goes away before the end."""
    parts = [request.body] if pieces is None else list(pieces)
    sent = dict(request.headers) | dict(headers or {})
    if pieces is None and request.body:
        sent.setdefault("content-length", str(len(request.body)))
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": is_cut_off or index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})
    incoming = iter(messages)
    answers: list[Any] = []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "query_string": request.query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "client": (address, 50_000),
    }
    await app(scope, receive, send)
    if not answers:
        return Heard(0, {}, b"")
    start, body = answers
    got = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(got["content-length"]) == len(body["body"])
    return Heard(start["status"], got, body["body"])
