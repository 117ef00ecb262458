"""What our documents tell people to type, run as they would: fenced blocks, and a shell that knows `odograph`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.serving import environment

ROOT: Final = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OPTIONAL = re.compile(r" \[([^]]+)\]")
_CHOICE = re.compile(r"(?<= )[\w-]+(?:\|[\w-]+)+")
_DONE: Final = "--- done ---"


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
    """Each line of a block that is a command, with continuations joined and comments left out."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.split(r"(?:^|\s)#", line)[0].strip()
        if command:
            yield command


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


class Started:
    """A command that runs until it is told to end; what it wrote so far is in `path`."""

    def __init__(self, process_id: int, path: Path) -> None:
        self._process_id = process_id
        self._path = path

    def wait_for(self, wanted: str, within_s: float = 30.0) -> str:
        """All that it wrote, once the text is among it."""
        until_s = time.monotonic() + within_s
        while wanted not in (text := self._path.read_text()):
            assert time.monotonic() < until_s, f"{wanted!r} never came:\n{text}"
            time.sleep(0.02)
        return text

    def end(self) -> None:
        """Tell it to."""
        with suppress(ProcessLookupError):
            os.kill(self._process_id, signal.SIGTERM)


class Shell:
    """One bash in a directory, in which `odograph` is the one under test. What fails ends it and the test."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self._folder = home / "bin"
        self._folder.mkdir(exist_ok=True)
        self._script("odograph", sys.executable, "-c 'from odograph.cli import main; main()'")
        self._script("python", sys.executable)
        if curl := shutil.which("curl"):  # with which an answer that says no is a failure here
            self._script("curl", curl, "--fail-with-body --silent --show-error")
        self._started: list[Started] = []
        self._errors = home / "errors.txt"
        path = f"{self._folder}{os.pathsep}{os.environ['PATH']}"
        more = {"PATH": path, "ODOGRAPH_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                ["bash"],
                cwd=home,
                env={**environment(home), **more},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.done("set -euo pipefail")

    def _script(self, name: str, program: str, arguments: str = "") -> None:
        path = self._folder / name
        path.write_text(f'#!/bin/sh\nexec "{program}" {arguments} "$@"\n')
        path.chmod(0o755)

    def done(self, script: str) -> str:
        """What it wrote to stdout; each of its commands must succeed. Variables stay."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{\n{script}\n}} </dev/null\necho\necho '{_DONE}'\n")
        self._process.stdin.flush()
        text = ""
        for line in self._process.stdout:
            if line.strip() == _DONE:
                return text.strip()
            text += line
        raise AssertionError(f"{script}\n{text}\n{self._errors.read_text()[-2000:]}")

    def start(self, command: str) -> Started:
        """A command that goes on while others run."""
        path = self.home / f"started-{len(self._started)}.txt"
        path.touch()
        number = self.done(f"{command} >{path} 2>&1 &\necho $!")
        self._started.append(Started(int(number), path))
        return self._started[-1]

    def close(self) -> None:
        """End what was started, and the shell once all of it has ended."""
        for one in self._started:
            one.end()
        with suppress(BrokenPipeError):
            self._process.communicate("wait\n", timeout=30)


@contextmanager
def shell(home: Path, port: int) -> Iterator[Shell]:
    """A shell for as long as it is needed; a server that it starts listens on this port."""
    one = Shell(home, port)
    try:
        yield one
    finally:
        one.close()
