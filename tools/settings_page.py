"""Writes docs/settings.md from `odograph.settings`; a test compares the two."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from odograph.settings import FIELDS

HEAD = """# Settings

Each one as a flag of `odograph serve` (`--data-dir`), in the environment (`ODOGRAPH_DATA_DIR`) or in a TOML
file (`data_dir = "…"`, named by `--config` or `ODOGRAPH_CONFIG`). Flags win over the environment, which wins
over the file. An unknown setting stops the start.

| setting | default | unit | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(map(_line, FIELDS.items()))


def _line(item: tuple[str, Field[Any]]) -> str:
    name, field = item
    default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    shown = f"`{default}`" if default else "none"
    return f"| `{name}` | {shown} | {field.metadata['unit']} | {field.metadata['help']} |\n"


if __name__ == "__main__":
    print(page(), end="")
