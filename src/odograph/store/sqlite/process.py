"""What the writer and the sealer have in common as processes."""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime

import msgspec


class _JsonLines(logging.Formatter):
    """The server's form of a log line, without the server's dependencies."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode("utf-8", "backslashreplace")


def configure_process() -> None:
    """Log lines as the server writes them, files for the owner alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    os.umask(0o077)
