"""Refusals as statuses."""

from __future__ import annotations

import pytest

from odograph.api.problems import STATUSES, from_refusal
from odograph.errors import Kind, Refusal


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_refusal_has_a_status_that_the_sdk_does_not_repeat_in_vain(kind):
    problem = from_refusal(Refusal(kind, "no"))
    assert problem.status == STATUSES[kind]
    assert problem.status != 409
    assert problem.message == "no"


@pytest.mark.parametrize(("asked_s", "said"), [(0, b"1"), (1, b"1"), (60, b"60"), (3600, b"60")])
def test_retry_after_is_between_one_and_sixty(asked_s, said):
    problem = from_refusal(Refusal(Kind.UNAVAILABLE, "no", retry_after_s=asked_s))
    assert dict(problem.headers)[b"retry-after"] == said
