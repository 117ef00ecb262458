"""`/odograph/orgs`: the tenants of this install, for its operator alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from odograph.api.params import read_new
from odograph.api.resources.base import Answer, Call, Endpoint, Handler
from odograph.api.wire import Time, render_time, to_json
from odograph.catalog import orgs
from odograph.errors import not_found
from odograph.live.entity import Entity
from odograph.model.catalog import Org
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL

Name = Annotated[str, msgspec.Meta(max_length=255)]


class OrgAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """An organisation. With self-registration, unknown devices that bring its enrolment key become vehicles."""

    id: str
    name: str
    timezone: str
    self_registration: bool
    created_at_time: Time


class OrgWithKey(OrgAnswer, kw_only=True):
    """An organisation with its new enrolment key, which is shown this once."""

    key: str


class Orgs(msgspec.Struct, kw_only=True):
    """Every organisation, by id."""

    data: list[OrgAnswer]


class OneOrg(msgspec.Struct, kw_only=True):
    """One organisation."""

    data: OrgAnswer


class OneOrgWithKey(msgspec.Struct, kw_only=True):
    """One organisation with its new enrolment key."""

    data: OrgWithKey


class NewOrg(msgspec.Struct, kw_only=True):
    """A new organisation; the time zone is an IANA name."""

    name: Name
    timezone: str = "UTC"


class OrgPatch(msgspec.Struct, kw_only=True):
    """What to change; absent and null keep."""

    name: Name | None = None
    timezone: str | None = None


async def list_orgs(call: Call) -> Answer:
    """Every organisation."""
    found = call.context.live.directory.orgs.list_(INSTALL)
    return Answer(to_json(Orgs(data=[_shown(one) for one in found])))


async def create_org(call: Call) -> Answer:
    """A new organisation."""
    body = read_new(call.body, NewOrg)
    return _one(await orgs.create(call.context.catalog, body.name, body.timezone))


async def change_org(call: Call) -> Answer:
    """Rename it, or move it to another time zone."""
    body = read_new(call.body, OrgPatch)
    return _one(await orgs.update(call.context.catalog, _asked(call), name=body.name, timezone=body.timezone))


async def open_registration(call: Call) -> Answer:
    """Switch self-registration on, with a new enrolment key."""
    org, key = await orgs.open_registration(call.context.catalog, _asked(call))
    return Answer(to_json(OneOrgWithKey(data=OrgWithKey(key=key, **msgspec.structs.asdict(_shown(org))))))


async def close_registration(call: Call) -> Answer:
    """Switch self-registration off; the enrolment key ends at once."""
    return _one(await orgs.close_registration(call.context.catalog, _asked(call)))


def _asked(call: Call) -> OrgId:
    found = orgs.find(call.context.live.directory, call.path["id"])
    if found is None:
        raise not_found(f"There is no organisation {call.path['id'][:80]!r}.")
    return OrgId(found.id)


def _one(org: Entity[Org]) -> Answer:
    return Answer(to_json(OneOrg(data=_shown(org))))


def _shown(org: Entity[Org]) -> OrgAnswer:
    return OrgAnswer(
        id=str(org.id),
        name=org.body.name,
        timezone=org.body.timezone,
        self_registration=org.body.self_registration,
        created_at_time=render_time(org.body.created_ms),
    )


class OrgsResource:
    """List, create, change, and who may register."""

    name = "Organisations"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        path, one = "/odograph/orgs", "/odograph/orgs/{id}"
        return (
            _endpoint("GET", path, list_orgs, "List organisations", answers=Orgs),
            _endpoint("POST", path, create_org, "Make an organisation", takes=NewOrg, answers=OneOrg),
            _endpoint("PATCH", one, change_org, "Change an organisation", takes=OrgPatch, answers=OneOrg),
            _endpoint(
                "POST", f"{one}/registration", open_registration, "Let devices register themselves",
                answers=OneOrgWithKey,
            ),
            _endpoint(
                "DELETE", f"{one}/registration", close_registration, "Let no device register itself", answers=OneOrg
            ),
        )  # fmt: skip


def _endpoint(
    method: str, path: str, handler: Handler, summary: str, *, takes: Any = None, answers: Any = None
) -> Endpoint:
    return Endpoint(
        method, path, None, handler, summary, takes=takes, answers=answers, is_extension=True, operator_only=True
    )


RESOURCE = OrgsResource()
