"""What tests on real input share: where the recordings are, said visibly where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings."""
    place = os.environ.get("ODOGRAPH_RECORDINGS")
    if not place:
        pytest.skip("ODOGRAPH_RECORDINGS is not set: no recordings to replay")
    return Path(place)
