"""`/odograph/knocks`: strangers who were turned away, and how to let them in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.params import parse_record_id, read_new
from odograph.api.resources.base import Answer, Call, Endpoint
from odograph.api.resources.devices import OneDeviceWithKey, answer_with_key
from odograph.api.wire import Count, Time, render_time, to_json
from odograph.catalog import knocks
from odograph.catalog.assets import AssetFields
from odograph.errors import forbidden, not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Knock
from odograph.store.base import INSTALL


class KnockAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A stranger who was turned away, and why the last time."""

    id: str
    device_id: str | UnsetType = UNSET
    protocol: str
    address: str
    reason: str
    first_time: Time
    last_time: Time
    count: Count


class Knocks(msgspec.Struct, kw_only=True):
    """The latest first; the catalogue keeps 500 of an organisation."""

    data: list[KnockAnswer]


class Acceptance(msgspec.Struct, rename="camel", kw_only=True):
    """How the device is let in from now on: by a new key, by the address it knocked from, or by its id alone."""

    name: str = ""
    from_network: bool = False
    trust_id: bool = False


async def list_knocks(call: Call) -> Answer:
    """Strangers who were turned away: in this org's name, and for the operator also in nobody's."""
    _check_unlimited(call)
    directory = call.context.live.directory
    found = knocks.list_(directory, call.principal.org)
    if call.principal.is_operator:
        found = sorted([*found, *knocks.list_(directory, INSTALL)], key=lambda one: -one.body.last_ms)
    return Answer(to_json(Knocks(data=[_knock(one) for one in found])))


async def accept_knock(call: Call) -> Answer:
    """Make a vehicle and a device of a knock."""
    knock = _knocker(call)
    body = read_new(call.body, Acceptance)
    fields = AssetFields(name=body.name, serial=knock.body.device_id) if body.name else None
    mounted = await knocks.accept(
        call.context.catalog,
        call.principal.org,
        knock.id,
        fields,
        from_network=body.from_network,
        trust_id=body.trust_id,
        is_operator=call.principal.is_operator,
    )
    return answer_with_key(call, mounted.device, mounted.key)


async def dismiss_knock(call: Call) -> Answer:
    """Strike a knock off the list; it comes back when the sender does."""
    knock = _knocker(call)
    await knocks.dismiss(call.context.catalog, knock.org, knock.id)
    return Answer(status=204)


def _check_unlimited(call: Call) -> None:
    if call.principal.tag_ids is not None:
        raise forbidden("This API token is limited to tags; strangers carry none.")


def _knocker(call: Call) -> Entity[Knock]:
    _check_unlimited(call)
    found = call.context.live.directory.knocks
    record_id = parse_record_id(call.path["id"])
    knock = None if record_id is None else found.find(call.principal.org, record_id)
    if knock is None and record_id is not None and call.principal.is_operator:
        knock = found.find(INSTALL, record_id)
    if knock is None:
        raise not_found(f"There is no knock {call.path['id'][:80]!r}.")
    return knock


def _knock(knock: Entity[Knock]) -> KnockAnswer:
    body = knock.body
    return KnockAnswer(
        id=str(knock.id),
        device_id=body.device_id or UNSET,
        protocol=body.protocol,
        address=body.address,
        reason=body.reason,
        first_time=render_time(body.first_ms),
        last_time=render_time(body.last_ms),
        count=body.count,
    )


class KnocksResource:
    """List, accept, dismiss."""

    name = "Knocks"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, knock = Scope.READ_DEVICES, Scope.WRITE_DEVICES, "/odograph/knocks/{id}"
        return (
            Endpoint(
                "GET", "/odograph/knocks", read, list_knocks, "Strangers who were turned away",
                answers=Knocks, is_extension=True,
            ),
            Endpoint(
                "POST", f"{knock}/accept", write, accept_knock, "Let a stranger in",
                takes=Acceptance, answers=OneDeviceWithKey, is_extension=True,
            ),
            Endpoint(
                "DELETE", knock, write, dismiss_knock, "Forget a stranger", is_extension=True
            ),
        )  # fmt: skip


RESOURCE = KnocksResource()
