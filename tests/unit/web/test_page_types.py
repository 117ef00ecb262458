from pathlib import Path
from typing import Any

import msgspec
import pytest

from odograph.sharing import page
from tools.page_types import TARGET, types


def test_the_pages_know_the_structs_as_they_are():
    assert TARGET.read_text() == types(), "run: python -m tools.page_types"


def test_a_field_of_a_type_without_a_spelling_is_an_error(monkeypatch):
    class Odd(msgspec.Struct):
        at: Any

    Odd.__module__ = page.__name__
    monkeypatch.setattr(page, "Odd", Odd, raising=False)
    with pytest.raises(TypeError, match="no spelling"):
        types()


def test_the_target_is_in_the_sources_of_the_pages():
    assert TARGET.is_relative_to(Path(__file__).parents[3] / "web" / "src")
