"""Whether the built pages in the package are what the sources in web/ make. Standard library alone, and no node.

`web/build/finish.mjs` writes the same hashes after each build. The unit tests and the wheel's build call `stale`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
OUTPUT: Final = Path("src", "odograph", "viewer", "web")
STAMP: Final = "build.json"
ASIDE: Final = frozenset({"node_modules", "dev", "test"})  # in web/, but no part of the pages


def stale(root: Path = ROOT) -> str:
    """Why the built pages must not be shipped; empty where they are true to their sources."""
    output = root / OUTPUT
    try:
        stamp = json.loads((output / STAMP).read_bytes())
    except FileNotFoundError:
        return f"{OUTPUT} was never built: run `make web`."
    if digest(output, (name for name in _files(output) if name != STAMP)) != stamp["files"]:
        return f"{OUTPUT} was changed by hand: run `make web`."
    if digest(root / "web", _sources(root / "web")) != stamp["sources"]:
        return "web/ changed since its pages were built: run `make web`."
    return ""


def digest(folder: Path, names: Iterator[str]) -> str:
    """Of the names and contents of files, in the order of their names as bytes."""
    whole = sha256()
    for name in sorted(names, key=str.encode):
        whole.update(f"{name}\0{sha256((folder / name).read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _sources(web: Path) -> Iterator[str]:
    for entry in web.iterdir():
        if entry.name in ASIDE:
            continue
        yield from [entry.name] if entry.is_file() else (f"{entry.name}/{name}" for name in _files(entry))


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(stale() or None)
