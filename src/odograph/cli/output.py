"""What goes where: on stdout what a script needs, on stderr what a person wants to know."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from odograph.errors import invalid
from odograph.printable import printable


def put(text: str) -> None:
    """One line of result."""
    click.echo(text)


def say(text: str) -> None:
    """One line for the person who looks on."""
    click.echo(printable(text, keep="\n"), err=True)


def complain(text: str) -> None:
    """Why it did not work, as one line whatever is in it."""
    click.echo(f"odograph: {_on_one_line(text)}", err=True)


def put_json(value: Any) -> None:
    """A result as indented JSON; what is no sign is escaped, which says the same and harms no terminal."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(printable(text, keep="\n", instead=lambda sign: json.dumps(sign)[1:-1]))


def read_json(name: str) -> dict[str, Any]:
    """The JSON object in a file; - is stdin. INVALID where it holds none."""
    try:
        with click.open_file(name, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError) as error:
        raise invalid(f"Cannot read JSON from {name}: {error}.") from None
    if not isinstance(value, dict):
        raise invalid(f"{name} must hold one JSON object.")
    return value


def put_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people on a terminal; elsewhere lines of cells between tabs, the titles first.

    A cell without a value is empty; tabs and line ends within cells become blanks, and what is no sign becomes one
    that says so.
    """
    cells = [["" if cell is None else _on_one_line(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (list(titles), *cells):
            click.echo("\t".join(line))
        return
    from rich.console import Console  # noqa: PLC0415 - scripts need no tables and no wait for them
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for line in cells:
        table.add_row(*(escape(cell) for cell in line))
    Console().print(table)


def _on_one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def count(number: int, what: str) -> str:
    """`1 vehicle`, `1,234 vehicles`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}{'es' if what.endswith('s') else 's'}"
