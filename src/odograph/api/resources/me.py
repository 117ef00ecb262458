"""`/me`: whose token this is. Integrations ask it to check their token."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from odograph.api.resources.base import Answer, Call, Endpoint
from odograph.api.wire import to_json
from odograph.catalog import orgs
from odograph.model.access import Scope


class Me(msgspec.Struct):
    """The organisation of the token."""

    id: str
    name: str


class MeAnswer(msgspec.Struct):
    """The organisation of the token."""

    data: Me


async def get_me(call: Call) -> Answer:
    """The organisation of this token."""
    org = orgs.get(call.context.live.directory, call.principal.org)
    return Answer(to_json(MeAnswer(Me(str(org.id), org.body.name))))


class MeResource:
    """One call."""

    name = "Organization"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        return (Endpoint("GET", "/me", Scope.READ_ORG, get_me, "The organisation of the token", answers=MeAnswer),)


RESOURCE = MeResource()
