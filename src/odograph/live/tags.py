"""The tags of every org as trees."""

from __future__ import annotations

from collections.abc import Iterable

from odograph.live.entity import Entity
from odograph.live.numbered import Numbered
from odograph.model.access import carries
from odograph.model.catalog import Tag
from odograph.model.ids import OrgId, TagId


class Tags(Numbered[Tag]):
    """Looked up by number or name, children by parent; listed by number."""

    def __init__(self) -> None:
        super().__init__(Tag)
        self._children: dict[int, set[int]] = {}

    def changed(self, old: Entity[Tag] | None, new: Entity[Tag] | None) -> None:
        """Keep numbers, names and children in step."""
        super().changed(old, new)
        if old is not None:
            self._children[old.body.parent_id].discard(old.body.number)
        if new is not None:
            self._children.setdefault(new.body.parent_id, set()).add(new.body.number)

    def find_seen(self, org: OrgId, text: str, limit: frozenset[TagId] | None) -> Entity[Tag] | None:
        """By its id, an external id `key:value` or `samsara.name:…`, as far as a token limited to tags sees it.

        Tags can share a name: then the oldest is meant of those that it sees.
        """
        key, _, value = text.partition(":")
        found: Iterable[Entity[Tag] | None] = (self.find_by_text(org, text),)
        if key == "samsara.name":
            found = (tag for tag in self.list_(org) if tag.body.name == value)
        return next((tag for tag in found if tag is not None and carries((tag.body.number,), limit)), None)

    def children(self, org: OrgId, parent: TagId) -> list[Entity[Tag]]:
        """The tags right below this one, by number."""
        found = [self.find_by_number(org, number) for number in sorted(self._children.get(parent, ()))]
        return [tag for tag in found if tag is not None]

    def subtree(self, org: OrgId, tag_ids: Iterable[TagId]) -> set[TagId]:
        """These tags and everything below them; ids that are no tags of the org are left out."""
        found: set[TagId] = set()
        waiting = [number for number in tag_ids if self.find_by_number(org, number)]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting.extend(TagId(child.body.number) for child in self.children(org, number))
        return found
