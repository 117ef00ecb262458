"""Requests made up from the OpenAPI document, right and wrong ones, to every endpoint.

Left to `tests/contract`, which does it for every endpoint: wrong methods and missing tokens. That a well-formed
request succeeds can't be expected of made-up ids and cursors.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance, unsupported_method

from odograph.api.resources.registry import RESOURCES
from tests.support.api import NOON_MS, World, as_operator, open_world

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "12"))
ENDPOINTS = [endpoint for resource in RESOURCES for endpoint in resource.endpoints()]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One world for all requests: what one of them does is the state that the next one meets."""
    with asyncio.Runner() as runner:
        opened = open_world(tmp_path_factory.mktemp("world"))
        world: World = runner.run(opened.__aenter__())
        yield runner.run(fill(world)), world.app
        runner.run(opened.__aexit__(None, None, None))


async def fill(world: World) -> str:
    """A small fleet, and a token that may do everything with it."""
    org = await world.make_org("Acme")
    for number in range(3):
        van = await world.make_vehicle(org, name=f"Van {number}", external_ids={"n": str(number)})
        await world.report(org, van, NOON_MS)
    return await world.make_token(org)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_no_made_up_request_finds_an_answer_that_is_not_documented(served, endpoint, tmp_path, monkeypatch):
    token, app = served
    monkeypatch.chdir(tmp_path)
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", app=as_operator(app) if endpoint.operator_only else app
    )
    operation = schema[endpoint.path][endpoint.method]

    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        case.call_and_validate(
            headers={"Authorization": f"Bearer {token}"},
            excluded_checks=[ignored_auth, unsupported_method, positive_data_acceptance],
        )

    run()
