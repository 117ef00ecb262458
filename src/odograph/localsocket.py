"""The sockets in a data directory: their names, and an address for each that the kernel takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CONTROL_SOCKET: Final = "control.sock"
WRITER_SOCKET: Final = "writer.sock"
LONGEST_PATH: Final = 100  # bytes; an address holds 107, less on some systems


@contextmanager
def short_path(directory: Path, name: str) -> Iterator[str]:
    """A path to a file of the directory that a socket's address can hold, however deep the directory lies.

    Where the kernel offers it, this goes by an open descriptor of the directory.
    """
    path = directory.absolute() / name
    if len(os.fsencode(path)) <= LONGEST_PATH or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
