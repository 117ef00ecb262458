"""The tags of every org as trees."""

from __future__ import annotations

from collections.abc import Iterable

from odograph.live.entity import Entity, Few
from odograph.model.catalog import Tag
from odograph.model.ids import OrgId, TagId


class Tags(Few[Tag]):
    """Looked up by number or name, children by parent; listed by number."""

    def __init__(self) -> None:
        super().__init__(Tag)
        self._by_number: dict[TagId, Entity[Tag]] = {}
        self._names: dict[tuple[OrgId, str], TagId] = {}
        self._children: dict[TagId, set[TagId]] = {}

    def changed(self, old: Entity[Tag] | None, new: Entity[Tag] | None) -> None:
        """Keep numbers, names and children in step."""
        if old is not None:
            self._by_number.pop(TagId(old.body.number), None)
            self._children[TagId(old.body.parent_id)].discard(TagId(old.body.number))
            for text in _names(old):
                self._names.pop((old.org, text), None)
        if new is not None:
            self._by_number[TagId(new.body.number)] = new
            self._children.setdefault(TagId(new.body.parent_id), set()).add(TagId(new.body.number))
            for text in _names(new):
                self._names[new.org, text] = TagId(new.body.number)

    def find_by_number(self, org: OrgId, number: TagId) -> Entity[Tag] | None:
        """By the number that the outside knows it by, within its org."""
        tag = self._by_number.get(number)
        return tag if tag is not None and tag.org == org else None

    def find_by_name(self, org: OrgId, text: str) -> Entity[Tag] | None:
        """By an external id `key:value`, or `samsara.name:…` (of several, the oldest)."""
        key, _, value = text.partition(":")
        if key == "samsara.name":
            return next((tag for tag in self.list_(org) if tag.body.name == value), None)
        number = self._names.get((org, text))
        return None if number is None else self.find_by_number(org, number)

    def list_(self, org: OrgId, after: int = 0, limit: int | None = None) -> list[Entity[Tag]]:
        """Of one org, by number, those with number > `after`, at most `limit`."""
        mine = sorted(super().list_(org), key=lambda tag: tag.body.number)
        return [tag for tag in mine if tag.body.number > after][:limit]

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


def _names(tag: Entity[Tag]) -> list[str]:
    return [f"{key}:{value}" for key, value in tag.body.external_ids.items()]
