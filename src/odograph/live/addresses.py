"""The address book of every org: what a position lies in, and what no link may show."""

from __future__ import annotations

from odograph.live.entity import Entity
from odograph.live.numbered import Numbered
from odograph.model.catalog import Address
from odograph.model.ids import OrgId


class Addresses(Numbered[Address]):
    """Looked up by number or name, listed by number; the private ones apart."""

    def __init__(self) -> None:
        super().__init__(Address)
        self._private: dict[OrgId, set[int]] = {}

    def changed(self, old: Entity[Address] | None, new: Entity[Address] | None) -> None:
        """Keep the private ones apart."""
        super().changed(old, new)
        if old is not None and old.body.is_private:
            self._private[old.org].discard(old.body.number)
        if new is not None and new.body.is_private:
            self._private.setdefault(new.org, set()).add(new.body.number)

    def private(self, org: OrgId) -> list[Entity[Address]]:
        """Those whose insides no public link ever shows."""
        found = (self.find_by_number(org, number) for number in self._private.get(org, ()))
        return [one for one in found if one is not None]
