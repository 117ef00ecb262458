"""What our documents tell people to type, run as they would: fenced blocks, and a shell that knows `odograph`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.serving import environment

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OPTIONAL = re.compile(r" \[([^]]+)\]")
_ASSIGNED = re.compile(r"(?:export )?(\w+)=")
_CHOICE = re.compile(r"(?<= )[\w-]+(?:\|[\w-]+)+")


class Block(NamedTuple):
    """A fenced block, and the heading of level 2 that it stands under."""

    heading: str
    language: str
    text: str


def blocks(name: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = (ROOT / name).read_text(encoding="utf-8")
    headings = [(found.start(), found[1]) for found in re.finditer(r"^## (.+)$", text, re.MULTILINE)]
    return [
        Block(next((title for at, title in reversed(headings) if at < found.start()), ""), found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def command_lines(text: str) -> Iterator[str]:
    """Each line of a block as a shell takes it, with continuations joined."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def spelled_out(line: str) -> list[str]:
    """A line of a reference, without and with what stands in brackets, and once for each of `this|that`."""
    if optional := _OPTIONAL.search(line):
        start, end = optional.span()
        tail = line[end:]
        return [one for part in ("", f" {optional[1]}") for one in spelled_out(line[:start] + part + tail)]
    if choice := _CHOICE.search(line):
        start, end = choice.span()
        return [one for word in choice[0].split("|") for one in spelled_out(line[:start] + word + line[end:])]
    return [line]


class Shell:
    """Runs lines with bash in a directory, where `odograph` is the one under test and talks to that directory."""

    def __init__(self, home: Path, more: Mapping[str, str] | None = None) -> None:
        self.home = home
        folder = home / "bin"
        folder.mkdir(exist_ok=True)
        _script(folder / "odograph", sys.executable, "-c 'from odograph.cli import main; main()'")
        _script(folder / "python", sys.executable)
        if curl := shutil.which("curl"):  # with which an answer that says no is a failure here
            _script(folder / "curl", curl, "--fail-with-body --silent --show-error")
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**environment(home), "PATH": path, **(more or {})}

    def run(self, script: str, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """To its end; a failure on the way, or within a pipe, is one. What begins with NAME= is remembered."""
        assigned = _ASSIGNED.match(script)
        if assigned is None:
            return self._run(script, stdin)
        result = self._run(f'{script}\nprintf %s "${assigned[1]}"', stdin)
        self.environment[assigned[1]] = result.stdout
        return result

    def _run(self, script: str, stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.home,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def done(self, script: str, *, stdin: str = "") -> str:
        """What it wrote to stdout; it must succeed."""
        result = self.run(script, stdin=stdin)
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
        return result.stdout.strip()


def _script(path: Path, program: str, arguments: str = "") -> None:
    path.write_text(f'#!/bin/sh\nexec "{program}" {arguments} "$@"\n')
    path.chmod(0o755)
