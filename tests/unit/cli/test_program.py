"""The list of commands, and that showing it costs nothing."""

import resource
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from odograph.cli.program import COMMANDS, program
from odograph.cli.serve import serve
from odograph.settings import FIELDS

HEAVY = ("numpy", "httpx", "rich", "uvicorn", "apsw", "segno")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_documents_itself(name: str) -> None:
    context = click.Context(program)
    command = program.get_command(context, name)
    assert command is not None
    assert command.name == name
    result = CliRunner().invoke(program, [name, "--help"])
    assert result.exit_code == 0
    assert command.help


def test_help_names_every_command_with_its_line() -> None:
    text = CliRunner().invoke(program, ["--help"]).output
    width = max(map(len, COMMANDS)) + 1
    for name, place in COMMANDS.items():
        assert f"  {name:{width}} {place.summary}" in text


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(program, ["fly"]).exit_code == 2


def test_help_loads_nothing_heavy_and_takes_less_than_300_ms_of_processor_time() -> None:
    code = (
        "import sys; sys.argv = ['odograph', '--help']\n"
        "from odograph.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr.strip() == "[]"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_serve_has_a_flag_for_every_setting_with_its_help() -> None:
    options = {param.name: param for param in serve.params if isinstance(param, click.Option)}
    assert [*FIELDS, "config"] == list(options)
    for name, field in FIELDS.items():
        assert (options[name].help or "").startswith(field.metadata["help"])
        assert options[name].default is None, "a default here would beat the file and the environment"
