"""A catalogue object as readers meet it, and the shelf for the kinds of which there are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from odograph.model.ids import OrgId, RecordId
from odograph.store.base import Record

B = TypeVar("B", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Entity(Generic[B]):
    """One record with its body read: `rev` goes into the next change of it as `expected_rev`."""

    org: OrgId
    id: RecordId
    rev: int
    body: B


class Few(Generic[B]):
    """Records of one kind, as objects: for thousands, not for hundreds of thousands."""

    def __init__(self, body: type[B]) -> None:
        self._decoder = msgspec.json.Decoder(body)
        self._by_id: dict[RecordId, Entity[B]] = {}
        self._by_org: dict[OrgId, dict[RecordId, Entity[B]]] = {}

    def put(self, record: Record) -> None:
        """Take in a living record, unless a newer state of it is here."""
        assert record.body is not None
        old = self._by_id.get(record.id)
        if old is not None and old.rev >= record.rev:
            return
        new = Entity(record.org, record.id, record.rev, self._decoder.decode(record.body))
        self._by_id[record.id] = new
        self._by_org.setdefault(record.org, {})[record.id] = new
        self.changed(old, new)

    def drop(self, record_id: RecordId) -> None:
        """Forget a record; nothing happens where it is unknown."""
        old = self._by_id.pop(record_id, None)
        if old is not None:
            del self._by_org[old.org][record_id]
            self.changed(old, None)

    def changed(self, old: Entity[B] | None, new: Entity[B] | None) -> None:
        """For the kinds that keep an index of their own: called after each change."""

    def find(self, org: OrgId, record_id: RecordId) -> Entity[B] | None:
        """By its id, within its org."""
        return self._by_org.get(org, {}).get(record_id)

    def list_(self, org: OrgId, after: int = 0, limit: int | None = None) -> list[Entity[B]]:
        """Of one org, by id, those with id > `after`, at most `limit`."""
        mine = self._by_org.get(org, {})
        ids = sorted(record_id for record_id in mine if record_id > after)
        return [mine[record_id] for record_id in ids[:limit]]

    def __len__(self) -> int:
        return len(self._by_id)
