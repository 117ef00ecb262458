"""The places of the installed package, built once for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from odograph.geocoding.offline import OfflineGeocoder
from odograph.geocoding.places import Places, load_places


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("places")
    return path


@pytest.fixture(scope="session")
def places(cache_dir) -> Places:
    return load_places(cache_dir)


@pytest.fixture
def geocoder(places) -> OfflineGeocoder:
    return OfflineGeocoder(places)
