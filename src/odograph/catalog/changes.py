"""The one way to change the catalogue: plan from the directory, write in one commit, plan again on a conflict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from odograph.clock import Clock
from odograph.errors import Kind, Refusal, conflict, not_found
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import (
    KINDS,
    Address,
    Asset,
    Counter,
    Device,
    Driver,
    Knock,
    LiveShare,
    Org,
    RecurringRoute,
    Route,
    Tag,
)
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL, Change, Record, Store

T = TypeVar("T")
B = TypeVar("B", bound=msgspec.Struct)

_CATCH_UP_S: Final = 0.05
"""After a conflict: time for the follower to bring what the other writer wrote."""
_encoder = msgspec.json.Encoder()
_KIND_OF: Final = {body: kind for kind, body in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """Changes that belong in one commit, and what to answer once they are on disk.

    `answer` gets the written records, parallel to `changes`.
    """

    changes: Sequence[Change]
    answer: Callable[[Sequence[Record]], T]


@dataclass(slots=True)
class Catalog:
    """What every change needs. One a process: its lock keeps two plans from being made of the same state."""

    store: Store
    directory: Directory
    clock: Clock
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def change(self, plan: Callable[[], Plan[T]]) -> T:
        """Make a plan and carry it out; once more from the start when another process changed the same.

        The directory shows the change when this returns. Refuses with whatever `plan` refuses with, CONFLICT
        when the second attempt met another one, UNAVAILABLE when the store can't write.
        """
        async with self._lock:
            try:
                return await self._carry_out(plan())
            except Refusal as refusal:
                if refusal.kind is not Kind.CONFLICT:
                    raise
            await self.clock.sleep(_CATCH_UP_S)
            return await self._carry_out(plan())

    async def _carry_out(self, plan: Plan[T]) -> T:
        records = await self.store.write(plan.changes) if plan.changes else ()
        self.directory.apply(records)
        return plan.answer(records)


def put(entity: Entity[B] | None, org: OrgId, body: B) -> Change:
    """A new record (`entity` None), or the next state of one that hasn't moved on meanwhile."""
    return Change(
        org=org,
        kind=_KIND_OF[type(body)],
        id=None if entity is None else entity.id,
        body=_encoder.encode(body),
        keys=tuple(_keys(body)),
        expected_rev=None if entity is None else entity.rev,
    )


def delete(entity: Entity[B]) -> Change:
    """The end of a record that hasn't moved on meanwhile."""
    return Change(entity.org, _KIND_OF[type(entity.body)], entity.id, None, (), entity.rev)


def written(record: Record, body: B) -> Entity[B]:
    """What was written, as readers will find it."""
    return Entity(record.org, record.id, record.rev, body)


def take_numbers(directory: Directory, name: str, count: int, below: int) -> tuple[range, Change]:
    """The next `count` numbers called `name`, and the change that keeps anyone from ever giving them again.

    CONFLICT when they would reach `below`.
    """
    entity = next((one for one in directory.counters.list_(INSTALL) if one.body.name == name), None)
    first = 1 if entity is None else entity.body.next_number
    if first + count > below:
        raise conflict(f"This install has given out all its numbers of {name}: {below - first} are left.")
    return range(first, first + count), put(entity, INSTALL, Counter(name, first + count))


def found(entity: Entity[B] | None, what: str) -> Entity[B]:
    """The entity; NOT_FOUND where there is none."""
    if entity is None:
        raise not_found(f"There is no such {what}.")
    return entity


def external_key(key: str, value: str) -> str:
    """The name that keeps an external id unique over all kinds of an org."""
    return f"ext:{key}:{value}"


def _keys(body: msgspec.Struct) -> Iterator[str]:
    """What no other record of the same org may hold too."""
    match body:
        case Asset() | Tag() | Address() | Driver() | Route() | RecurringRoute():
            for key, value in body.external_ids.items():
                yield external_key(key, value)
            if isinstance(body, Driver):
                yield f"username:{body.username.casefold()}"
        case LiveShare():
            yield f"share:{body.share_id}"
        case Device() if body.device_id:
            yield f"device:{body.device_id}"
        case Org():
            yield f"org:{body.name.casefold()}"
        case Counter():
            yield f"counter:{body.name}"
        case Knock():
            yield knock_key(body)
        case _:
            return


def knock_key(knock: Knock) -> str:
    """One knock for each device of ours; of strangers for each device id, or address where there was none."""
    if knock.device:
        return f"knock#{knock.device}"
    return f"knock:{knock.device_id}" if knock.device_id else f"knock@{knock.address}"


def added(before: Knock, knock: Knock) -> Knock:
    """The two of one sender as one, with what the later says."""
    return msgspec.structs.replace(knock, first_ms=before.first_ms, count=before.count + knock.count)
