"""The address book of every org: what a position lies in, and what no link may show."""

from __future__ import annotations

from odograph.live.entity import Entity
from odograph.live.fences import Fences
from odograph.live.numbered import Tagged
from odograph.model.catalog import Address
from odograph.model.ids import OrgId


class Addresses(Tagged[Address]):
    """Looked up by number or name, listed by number or tag; the private ones apart."""

    def __init__(self) -> None:
        super().__init__(Address)
        self._private: dict[OrgId, set[int]] = {}
        self._fences: dict[OrgId, Fences] = {}

    def changed(self, old: Entity[Address] | None, new: Entity[Address] | None) -> None:
        """Keep the private ones apart; draw the map anew when next asked for."""
        super().changed(old, new)
        if old is not None and old.body.is_private:
            self._private[old.org].discard(old.body.number)
        if new is not None and new.body.is_private:
            self._private.setdefault(new.org, set()).add(new.body.number)
        for one in (old, new):
            if one is not None:
                self._fences.pop(one.org, None)

    def private(self, org: OrgId) -> list[Entity[Address]]:
        """Those whose insides no public link ever shows."""
        found = (self.find_by_number(org, number) for number in self._private.get(org, ()))
        return [one for one in found if one is not None]

    def fences(self, org: OrgId) -> Fences:
        """The geofences of an org, to find which one positions lie in; made when first asked for after a change."""
        fences = self._fences.get(org)
        if fences is None:
            fences = self._fences[org] = Fences([one.body for one in self.list_(org)])
        return fences
