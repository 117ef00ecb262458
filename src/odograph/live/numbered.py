"""The shelf for kinds with numbers and external ids of their own, of which there are thousands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TypeVar

from odograph.live.entity import Entity, Few
from odograph.model.catalog import Address, Contact, Driver, RecurringRoute, Route, Tag
from odograph.model.ids import OrgId

N = TypeVar("N", bound=Tag | Contact | Driver | Address | Route | RecurringRoute)
C = TypeVar("C", bound=Driver | Address | Route | RecurringRoute)


class Numbered(Few[N]):
    """Looked up by number or by an external id `key:value`; listed by number."""

    def __init__(self, body: type[N]) -> None:
        super().__init__(body)
        self._by_number: dict[int, Entity[N]] = {}
        self._numbers: dict[OrgId, list[int]] = {}
        self._names: dict[tuple[OrgId, str], int] = {}

    def changed(self, old: Entity[N] | None, new: Entity[N] | None) -> None:
        """Keep numbers and names in step."""
        if old is not None:
            del self._by_number[old.body.number]
            numbers = self._numbers[old.org]
            del numbers[bisect_left(numbers, old.body.number)]
            for text in _names(old):
                self._names.pop((old.org, text), None)
        if new is not None:
            self._by_number[new.body.number] = new
            insort(self._numbers.setdefault(new.org, []), new.body.number)
            for text in _names(new):
                self._names[new.org, text] = new.body.number

    def find_by_number(self, org: OrgId, number: int) -> Entity[N] | None:
        """By the number that the outside knows it by, within its org."""
        one = self._by_number.get(number)
        return one if one is not None and one.org == org else None

    def find_by_name(self, org: OrgId, text: str) -> Entity[N] | None:
        """By an external id `key:value`."""
        number = self._names.get((org, text))
        return None if number is None else self.find_by_number(org, number)

    def find_by_text(self, org: OrgId, text: str) -> Entity[N] | None:
        """By its id or a name `key:value`, as both stand in paths and bodies."""
        if ":" in text:
            return self.find_by_name(org, text)
        return self.find_by_number(org, int(text)) if _is_number(text) else None

    def list_(self, org: OrgId, after: int = 0, limit: int | None = None) -> list[Entity[N]]:
        """Of one org, by number, those with number > `after`, at most `limit`."""
        numbers = self._numbers.get(org, [])
        start = bisect_right(numbers, after)
        end = None if limit is None else start + limit
        return [self._by_number[number] for number in numbers[start:end]]


class Tagged(Numbered[C]):
    """Of a kind that carries tags: also listed by tag."""

    def __init__(self, body: type[C]) -> None:
        super().__init__(body)
        self._by_tag: dict[OrgId, dict[int, list[Entity[C]]]] = {}

    def changed(self, old: Entity[C] | None, new: Entity[C] | None) -> None:
        """Sort the org by tags anew when next asked for."""
        super().changed(old, new)
        for one in (old, new):
            if one is not None:
                self._by_tag.pop(one.org, None)

    def carriers(self, org: OrgId, tag_id: int) -> list[Entity[C]]:
        """Those that carry a tag directly, by number."""
        by_tag = self._by_tag.get(org)
        if by_tag is None:
            by_tag = self._by_tag[org] = {}
            for one in self.list_(org):
                for tag in one.body.tag_ids:
                    by_tag.setdefault(tag, []).append(one)
        return by_tag.get(tag_id, [])


def _names(one: Entity[N]) -> list[str]:
    """Contacts have none."""
    return [f"{key}:{value}" for key, value in getattr(one.body, "external_ids", {}).items()]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
