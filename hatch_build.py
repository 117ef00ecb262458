"""Refuses to package pages that are not the ones their sources make. Runs no npm: what is committed is what ships."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FreshPages(BuildHookInterface):  # type: ignore[type-arg]
    """Called before each wheel and sdist; editable installs are for those who are changing the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Stops the build if the pages are stale."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "tools"))
        from webhash import stale  # noqa: PLC0415: it lies beside this project, not in an environment

        reason = stale(Path(self.root))
        if reason:
            raise SystemExit(f"refusing to build: {reason}")
