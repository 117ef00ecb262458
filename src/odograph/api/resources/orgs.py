"""`/odograph/orgs`: the tenants of this install, for its operator alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.params import read_new
from odograph.api.resources.base import Answer, Call, Endpoint, Handler
from odograph.api.wire import Count, Time, render_time, to_json
from odograph.catalog import orgs
from odograph.errors import not_found
from odograph.live.entity import Entity
from odograph.model.catalog import Org
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL

Name = Annotated[str, msgspec.Meta(max_length=255)]


class OrgAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """An organisation. With self-registration, unknown devices that bring its enrolment key become vehicles.

    `devicesOnEnrolmentKey` have neither a key nor a network of their own, nor are trusted by their id: when the key
    ends, they are locked out, except those that a forwarder brings.
    """

    id: str
    name: str
    timezone: str
    self_registration: bool
    has_enrolment_key: bool
    devices_on_enrolment_key: Count
    created_at_time: Time


class OrgWithKey(OrgAnswer, kw_only=True):
    """An organisation with its enrolment key, if that is new: it is shown this once."""

    key: str | UnsetType = UNSET


class Orgs(msgspec.Struct, kw_only=True):
    """Every organisation, by id."""

    data: list[OrgAnswer]


class OneOrg(msgspec.Struct, kw_only=True):
    """One organisation."""

    data: OrgAnswer


class OneOrgWithKey(msgspec.Struct, kw_only=True):
    """One organisation with its enrolment key, if that is new."""

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
    return Answer(to_json(Orgs(data=[_shown(call, one) for one in found])))


async def create_org(call: Call) -> Answer:
    """A new organisation."""
    body = read_new(call.body, NewOrg)
    return _one(call, await orgs.create(call.context.catalog, body.name, body.timezone))


async def change_org(call: Call) -> Answer:
    """Rename it, or move it to another time zone."""
    body = read_new(call.body, OrgPatch)
    changed = await orgs.update(call.context.catalog, _asked(call), name=body.name, timezone=body.timezone)
    return _one(call, changed)


async def open_registration(call: Call) -> Answer:
    """Switch self-registration on; an organisation without an enrolment key gets one."""
    return _one_with_key(call, *await orgs.open_registration(call.context.catalog, _asked(call)))


async def close_registration(call: Call) -> Answer:
    """Switch self-registration off, for new devices; the enrolment key goes on for those that came with it."""
    return _one(call, await orgs.close_registration(call.context.catalog, _asked(call)))


async def renew_enrolment_key(call: Call) -> Answer:
    """Make a new enrolment key; the old one ends at once, for the devices that came with it too."""
    return _one_with_key(call, *await orgs.renew_enrolment_key(call.context.catalog, _asked(call)))


async def end_enrolment_key(call: Call) -> Answer:
    """End the enrolment key at once, for the devices that came with it too."""
    return _one(call, await orgs.end_enrolment_key(call.context.catalog, _asked(call)))


def _asked(call: Call) -> OrgId:
    found = orgs.find(call.context.live.directory, call.path["id"])
    if found is None:
        raise not_found(f"There is no organisation {call.path['id'][:80]!r}.")
    return OrgId(found.id)


def _one(call: Call, org: Entity[Org]) -> Answer:
    return Answer(to_json(OneOrg(data=_shown(call, org))))


def _one_with_key(call: Call, org: Entity[Org], key: str | None) -> Answer:
    shown = msgspec.structs.asdict(_shown(call, org))
    return Answer(to_json(OneOrgWithKey(data=OrgWithKey(key=key or UNSET, **shown))))


def _shown(call: Call, org: Entity[Org]) -> OrgAnswer:
    return OrgAnswer(
        id=str(org.id),
        name=org.body.name,
        timezone=org.body.timezone,
        self_registration=org.body.self_registration,
        has_enrolment_key=bool(org.body.enrolment_hash),
        devices_on_enrolment_key=orgs.count_on_enrolment_key(call.context.live.directory, org),
        created_at_time=render_time(org.body.created_ms),
    )


class OrgsResource:
    """List, create, change, and who may register."""

    name = "Organisations"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        path, one = "/odograph/orgs", "/odograph/orgs/{id}"
        registration, key = f"{one}/registration", f"{one}/registration/key"
        return (
            _endpoint("GET", path, list_orgs, "List organisations", answers=Orgs),
            _endpoint("POST", path, create_org, "Make an organisation", takes=NewOrg, answers=OneOrg),
            _endpoint("PATCH", one, change_org, "Change an organisation", takes=OrgPatch, answers=OneOrg),
            _endpoint(
                "POST", registration, open_registration, "Let devices register themselves",
                answers=OneOrgWithKey,
            ),
            _endpoint("DELETE", registration, close_registration, "Let no new device register", answers=OneOrg),
            _endpoint("POST", key, renew_enrolment_key, "Make a new enrolment key", answers=OneOrgWithKey),
            _endpoint("DELETE", key, end_enrolment_key, "End the enrolment key", answers=OneOrg),
        )  # fmt: skip


def _endpoint(
    method: str, path: str, handler: Handler, summary: str, *, takes: Any = None, answers: Any = None
) -> Endpoint:
    return Endpoint(
        method, path, None, handler, summary, takes=takes, answers=answers, is_extension=True, operator_only=True
    )


RESOURCE = OrgsResource()
