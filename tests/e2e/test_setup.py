"""`make setup` on a machine whose Python came without what makes virtual environments, as Debian's does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.documents import ROOT

PYTHON = """#!/bin/sh
case "$*" in
*version_info\\[:2\\]*) echo {version} ;;
*"< (3, 11)"*) exit {is_old} ;;
*ensurepip*) [ -e "$0.ensurepip" ] ;;
*"-m venv"*) mkdir "$3" ;;
esac
"""
APT_GET = """#!/bin/sh
echo "$*" >>"$(dirname "$0")/asked"
case "$*" in
install*python3.11-venv) touch "$(dirname "$0")/python3.ensurepip" ;;
install*) echo "E: Unable to locate it"; exit 100 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of commands: a user who is nobody in particular, and a Python without ensurepip."""
    script(tmp_path / "id", "#!/bin/sh\necho 1000\n")
    script(tmp_path / "python3", PYTHON.format(version="3.11", is_old=0))
    script(tmp_path / "apt-get", APT_GET)
    return tmp_path


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def make_venv(machine: Path, python: str = "python3") -> subprocess.CompletedProcess[str]:
    path = f"{machine}{os.pathsep}{os.environ['PATH']}"
    command = [str(ROOT / "tools" / "make_venv.sh"), python, str(machine / "venv")]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_whoever_may_not_install_is_told_in_one_line_what_to_install(machine):
    done = make_venv(machine)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "python3 lacks what makes virtual environments. Install it: sudo apt-get install python3.11-venv"
    ]
    assert not (machine / "asked").exists()


def test_root_gets_the_package_installed_and_the_environment_made(machine):
    script(machine / "id", "#!/bin/sh\necho 0\n")
    done = make_venv(machine)
    assert (done.returncode, done.stderr) == (0, "")
    assert (machine / "asked").read_text().splitlines()[-1].endswith("python3.11-venv")
    assert (machine / "venv").is_dir()


def test_a_package_that_cannot_be_had_ends_it_with_the_words_of_apt(machine):
    script(machine / "id", "#!/bin/sh\necho 0\n")
    script(machine / "python3", PYTHON.format(version="3.12", is_old=0))
    done = make_venv(machine)
    assert done.returncode == 1
    assert "python3.12-venv" in done.stderr
    assert "Unable to locate" in done.stderr
    assert not (machine / "venv").exists()


def test_a_python_that_is_too_old_or_not_there_is_named(machine):
    script(machine / "python3", PYTHON.format(version="3.10", is_old=1))
    assert "python3 is Python 3.10; 3.11 or later is needed" in make_venv(machine).stderr
    assert "There is no python9" in make_venv(machine, "python9").stderr
