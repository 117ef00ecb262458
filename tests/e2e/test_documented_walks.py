"""What a newcomer is told to type, typed: the README and the tutorial from their first block to the last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import Block, Shell, Started, blocks, command_lines, shell
from tests.support.serving import free_port

SETTING_UP = ("make ", ". .venv", "pip install")
"""What the environment of the tests has done."""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


class Walk:
    """Types the blocks of a document one after the other."""

    def __init__(self, name: str, bash: Shell, port: int) -> None:
        self.bash = bash
        self.server: Started | None = None
        self._port = port
        self._left = [block for block in blocks(name) if block.language]

    def next(self) -> str:
        """What came of the next block that is not about setting up; a server stays, and says so first."""
        block = self._left.pop(0)
        text = block.text.replace("localhost:8080", f"localhost:{self._port}")
        lines = [line for line in command_lines(text) if not line.startswith(SETTING_UP)]
        assert block.language == "sh"
        assert lines, block
        if lines[0].startswith("odograph serve "):
            self.server = self.bash.start(lines[0])
            return self.server.wait_for("Nothing here yet.")
        return self.bash.done("\n".join(lines))

    def skip_setting_up(self) -> None:
        """A block that does nothing else."""
        block = self._left.pop(0)
        assert all(line.startswith(SETTING_UP) for line in command_lines(block.text)), block

    def program(self) -> Path:
        """The next block, as a Python file."""
        block: Block = self._left.pop(0)
        assert block.language == "python"
        path = self.bash.home / "follow.py"
        path.write_text(block.text.replace("localhost:8080", f"localhost:{self._port}"))
        return path

    def follow(self, wanted: str) -> list[str]:
        """The latitudes that the next block's program prints until it has printed this one."""
        (line,) = command_lines(self._left.pop(0).text)
        reader = self.bash.start(line)
        text = reader.wait_for(f" {wanted}")
        reader.end()
        return [line.split()[-2] for line in text.splitlines()]

    def is_over(self) -> bool:
        """Whether there is nothing left."""
        return not self._left


def test_the_quick_start_of_the_readme_works_as_it_stands(tmp_path):
    port = free_port()
    with shell(tmp_path, port) as bash:
        walk = Walk("README.md", bash, port)
        walk.skip_setting_up()  # `make demo`, which has a test of its own
        walk.next()
        walk.next()
        _, snapshot, feed = read_json(walk.next())
        assert snapshot["data"][0]["name"] == "Van 1"
        assert feed["data"][0]["locations"][0]["latitude"] == 52.5163
        assert walk.next().startswith(f"http://localhost:{port}/o/")
        walk.skip_setting_up()
        walk.program()
        assert bash.done("python follow.py") == "Van 1 52.5163 13.3777"
        assert walk.is_over()


def read_json(text: str) -> list[Any]:
    """JSON objects that stand one behind the other, the answer of ingest before them being empty."""
    found: list[Any] = [{}]
    decoder = json.JSONDecoder()
    while text:
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:].lstrip()
    return found


def test_the_tutorial_works_as_it_stands(tmp_path):
    port = free_port()
    with shell(tmp_path, port) as bash:
        walk = Walk("docs/tutorial.md", bash, port)
        walk.next()
        walk.next()
        assert '"stored":1' in walk.next()
        assert '"known":1' in walk.next()
        assert "Tiergarten" in walk.next()
        walk.skip_setting_up()
        walk.program()
        assert walk.follow("52.5163") == ["52.5163"]
        bash.done("sleep 1")  # nobody types so fast that two positions are of one second
        walk.next()
        assert walk.follow("52.5 ") == ["52.52", "52.5"]
        assert walk.next().startswith(f"http://localhost:{port}/o/")
        walk.next()
        walk.next()
        assert bash.done("odograph share list --json") == "[]"
        assert walk.is_over()
