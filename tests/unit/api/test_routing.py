"""From paths to endpoints."""

from __future__ import annotations

import pytest

from odograph.api.resources.base import Endpoint
from odograph.api.routing import Routes


async def nothing(_):
    raise AssertionError


def endpoint(method: str, path: str) -> Endpoint:
    return Endpoint(method, path, None, nothing, "")


ROUTES = Routes(
    [
        endpoint("GET", "/vehicles"),
        endpoint("GET", "/vehicles/locations"),
        endpoint("GET", "/vehicles/{id}"),
        endpoint("PATCH", "/vehicles/{id}"),
        endpoint("POST", "/vehicles/{id}/key"),
    ]
)


@pytest.mark.parametrize(
    ("path", "methods", "values"),
    [
        ("/vehicles", {"GET"}, {}),
        ("/vehicles/", {"GET"}, {}),
        ("/vehicles/locations", {"GET"}, {}),
        ("/vehicles/7", {"GET", "PATCH"}, {"id": "7"}),
        ("/vehicles/7/", {"GET", "PATCH"}, {"id": "7"}),
        ("/vehicles/7/key", {"POST"}, {"id": "7"}),
        ("/vehicles/erp:A B/7", {"GET", "PATCH"}, {"id": "erp:A B/7"}),
        ("/vehicles/erp:key", {"GET", "PATCH"}, {"id": "erp:key"}),
        ("/vehicles/a\nb", {"GET", "PATCH"}, {"id": "a\nb"}),
    ],
)
def test_a_path_finds_its_methods_and_values(path, methods, values):
    found = ROUTES.find(path)
    assert found is not None
    assert (set(found[0]), dict(found[1])) == (methods, values)


@pytest.mark.parametrize("path", ["/", "", "//", "/vehicle", "/vehicles/7/keys", "/vehicles/7/8", "/x/vehicles"])
def test_unknown_paths_find_nothing(path):
    assert ROUTES.find(path) is None


def test_two_endpoints_for_one_method_and_path_stop_the_build():
    with pytest.raises(ValueError, match="GET /x is served twice"):
        Routes([endpoint("GET", "/x"), endpoint("GET", "/x")])
