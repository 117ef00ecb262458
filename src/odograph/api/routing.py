"""From a path to its endpoints: one look-up where the path is fixed, a short list of patterns where it is not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from odograph.api.resources.base import Endpoint

Methods = Mapping[str, Endpoint]

_NO_VALUES: Final[Mapping[str, str]] = {}


class Routes:
    """Every endpoint, by path and method. A path given with a trailing slash is the same path."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            methods = by_path.setdefault(endpoint.path, {})
            if endpoint.method in methods:
                raise ValueError(f"{endpoint.method} {endpoint.path} is served twice")
            methods[endpoint.method] = endpoint
        self._exact = {path: methods for path, methods in by_path.items() if "{" not in path}
        patterns = [path for path in by_path if "{" in path]
        # The longest first, so that /devices/{id}/key is not taken for a device called "5/key".
        self._patterns = [(_pattern(path), by_path[path]) for path in sorted(patterns, key=len, reverse=True)]

    def find(self, path: str) -> tuple[Methods, Mapping[str, str]] | None:
        """The path's methods and the values in its braces; None for a path that nobody serves."""
        if len(path) > 1 and path.endswith("/"):
            path = path.rstrip("/")
        methods = self._exact.get(path)
        if methods is not None:
            return methods, _NO_VALUES
        for pattern, those in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return those, match.groupdict()
        return None


def _pattern(path: str) -> re.Pattern[str]:
    """A brace takes one segment; at the end also an external id with slashes, which the SDK leaves bare."""
    parts = re.split(r"\{(\w+)\}", path)
    text = ""
    for place, part in enumerate(parts):
        if place % 2 == 0:
            text += re.escape(part)
        else:
            is_last = place == len(parts) - 2 and not parts[-1]
            text += f"(?P<{part}>[^/]+|[^/:]+:.+)" if is_last else f"(?P<{part}>[^/]+)"
    return re.compile(text, re.DOTALL)
