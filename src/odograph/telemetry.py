"""What the server tells its operator: every metric, the form of a log line, and what no line may show."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from random import SystemRandom
from time import perf_counter
from typing import Any, Final, NamedTuple, TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY: Final = CollectorRegistry()
METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace="odograph", registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace="odograph", registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, text, labels, namespace="odograph", registry=REGISTRY, buckets=buckets)


# fmt: off
REQUESTS = _counter("requests", "HTTP requests answered.", "endpoint", "status")
REQUEST_SECONDS = _histogram("request_seconds", "From a request's head to its answer's last byte.",
                             _SECONDS, "endpoint")
REFUSALS = _counter("refusals", "API requests declined.", "kind")
FIXES = _counter("fixes", "Fixes received, by what became of them: stored, known, same_time_different, rejected.",
                 "protocol", "outcome")
FIXES_REJECTED = _counter("fixes_rejected", "Fixes that can never be stored.", "reason")
FIXES_MARKED = _counter("fixes_marked", "Fixes stored with a doubt.", "mark")
GAPS = _counter("gaps", "Deliveries whose numbering shows that something before them never came.", "protocol")
KNOCKS = _counter("knocks", "Device messages refused before anything was read from them.", "reason")
BAD_FRAMES = _counter("bad_frames", "Device messages that are not what their protocol says.", "protocol")
CONNECTIONS = _gauge("connections", "Open connections, by protocol: http, or a tracker's.", "protocol")
STRANGERS_CLOSED = _counter("strangers_closed", "Connections closed to make room that had shown no key: of one "
                            "address, or for want of descriptors.", "reason")
COMMIT_SECONDS = _histogram("commit_seconds", "From handing a batch to the writer to its commit on disk.", _SECONDS)
COMMIT_FIXES = _histogram("commit_fixes", "Fixes that shared one commit.", _SIZES)
WAITING_FIXES = _gauge("waiting_fixes", "Fixes received and not yet committed.")
HEAD_SEQ = _gauge("head_seq", "Seq of the newest fix in the log.")
SEALED_SEQ = _gauge("sealed_seq", "Seq up to which the log is sealed.")
FOLLOWER_LAG = _gauge("follower_lag_seqs", "Fixes committed and not yet seen by this process.")
DISK_BYTES = _gauge("disk_bytes", "Size of the data directory.")
VIEWER_LINKS = _gauge("viewer_links", "Public links that somebody looks at.")
VIEWER_STREAMS = _gauge("viewer_streams", "Open streams of public links.")
VIEWER_EVENTS = _counter("viewer_events", "Events given to streams of public links.")
VIEWER_PAGES = _counter("viewer_pages", "Answers of public links: page, stream, state, geojson.", "kind")
VIEWER_REFUSED = _counter("viewer_refused", "Public pages refused: gone, expired, arrived, later, busy.", "reason")
# fmt: on

MASK: Final = "[masked]"
MAX_LOGGED: Final = 2_000  # characters of a path and query
_SECRETS: Final = re.compile(
    r"""
    (?P<header>authorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)[^\s"',;]+
  | (?P<bearer>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]+
  | (?P<path>/ingest/[\w-]+/)[^/\s?\#"']+
  | (?P<link>/fleet/viewer/(?:(?!fleet/viewer/|[\w%-]{8})[^/\s?\#"']*/)*)(?=[\w%-]{8})
      [^\s?\#"']*?(?=/(?:stream|state|geojson)(?![^\s?\#"'])|[\s?\#"']|$)  # the key, and what is no suffix of ours
  | (?P<param>(?<![\w-])
      (?:(?:api_?|device_?|link_?)?key|(?:access_?)?token|auth|pass|password|secret)=)[^&\s"';]+
  | (?P<field>["'](?:key|token|secret|password|device_?key)["']\s*:\s*["'])[^"']+
  | (?<![A-Za-z0-9])[A-Za-z0-9]{4}(?:(?:-|%2d)[A-Za-z0-9]{4}){6}(?![A-Za-z0-9])  # a device key by its shape
  | (?P<made>\bodo_)[A-Za-z0-9_-]{12,}
    """,
    re.IGNORECASE | re.VERBOSE,
)


def mask(text: str) -> str:
    """The same text without device keys, API tokens and link tokens, wherever they stand."""
    return _SECRETS.sub(lambda match: next(filter(None, match.groups()), "") + MASK, text)


_request_id: ContextVar[str] = ContextVar("request_id", default="")
_numbers: Final = count(SystemRandom().getrandbits(32))  # from a random start, so that restarts don't repeat ids


def new_request_id() -> str:
    """Eight hex digits, also put on every log line of the request that runs."""
    request_id = f"{next(_numbers) & 0xFFFF_FFFF:08x}"
    _request_id.set(request_id)
    return request_id


def forget_request_id() -> None:
    """No request runs any more; for what is not a task of its own."""
    _request_id.set("")


def request_id() -> str:
    """Of the request that runs; empty outside of one."""
    return _request_id.get()


_PLAIN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One masked JSON object a line: time, level, logger, event, requestId, traceback, what `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _fit(record.getMessage()),
        }
        current = request_id()
        if current:
            line["requestId"] = current
        for name, value in vars(record).items():
            if name not in _PLAIN_FIELDS and not name.startswith("color_"):
                line[name] = value if isinstance(value, int | float) else _fit(str(value))
        if record.exc_info:
            line["traceback"] = _fit(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _fit(text: str) -> str:
    """Masked, and without half surrogate pairs, which no JSON can hold."""
    return mask(text.encode(errors="backslashreplace").decode())


def configure_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Every logger writes JSON lines to `stream` (standard error), the HTTP server's own included.

    The server's own access log is off: `AccessLog` says more, and masks.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_access: Final = logging.getLogger("odograph.access")
ENDPOINT: Final = "odograph.endpoint"
"""Key of the ASGI scope under which an app leaves the path template it served, for the metrics."""
REQUEST_ID: Final = "odograph.request_id"
"""Key of the ASGI scope under which the request's id stands."""


@lru_cache(maxsize=1024)
def _request_metrics(endpoint: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(endpoint, str(status)), REQUEST_SECONDS.labels(endpoint)


class Served(NamedTuple):
    """A request that has been answered, or given up (status 0: whoever asked went away first)."""

    method: str
    path: str
    query: str
    status: int
    size: int
    seconds: float
    client: str


def count_served(endpoint: str, status: int, seconds: float) -> None:
    """Count a request; `endpoint` is its path template."""
    requests, latency = _request_metrics(endpoint, status)
    requests.inc()
    latency.observe(seconds)


def log_served(served: Served) -> None:
    """Write a request's line."""
    _access.info(
        "request",
        extra={
            "method": served.method,
            "path": _cut(f"{served.path}?{served.query}" if served.query else served.path),
            "status": served.status,
            "bytes": served.size,
            "ms": round(served.seconds * 1000, 2),
            "client": served.client or "socket",
        },
    )


def _cut(target: str) -> str:
    """What of a path and query has a place in a line, to the end of a word: half a secret is not masked."""
    if len(target) <= MAX_LOGGED:
        return target
    end = max(target.rfind(sign, 0, MAX_LOGGED) for sign in "/?&=")
    return f"{target[: end + 1]}…"


class AccessLog:
    """ASGI middleware, outermost: gives each request its id, counts it and writes its line.

    Paths under `quiet` (what devices send, thousands a second) get a line only when the answer is not a 2xx.
    """

    def __init__(self, app: App, quiet: tuple[str, ...] = ("/ingest",)) -> None:
        self._app = app
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[REQUEST_ID] = new_request_id()
        started = perf_counter()
        status, size = 0, 0

        async def counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            self._finish(scope, status, size, perf_counter() - started)

    def _finish(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        path: str = scope["path"]
        is_quiet = path.startswith(self._quiet)
        endpoint = scope.get(ENDPOINT) or (self._quiet_name(path) if is_quiet else "other")
        count_served(endpoint, status, seconds)
        if is_quiet and 200 <= status < 300:
            return
        query = scope.get("query_string", b"").decode("latin-1")
        client = scope.get("client")
        log_served(Served(scope["method"], path, query, status, size, seconds, client[0] if client else ""))

    def _quiet_name(self, path: str) -> str:
        return next(prefix for prefix in self._quiet if path.startswith(prefix))


def render_metrics() -> bytes:
    """Everything, in Prometheus' text format."""
    return generate_latest(REGISTRY)


def metrics() -> list[tuple[str, str, str]]:
    """Name, type and meaning of each metric, for the documentation."""
    return sorted((family.name, family.type, family.documentation) for family in REGISTRY.collect())
