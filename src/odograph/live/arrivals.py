"""The drives to places that arrival times are estimated from."""

from __future__ import annotations

from odograph.live.entity import Entity, Few
from odograph.model.catalog import Arrival
from odograph.model.ids import OrgId


class Arrivals(Few[Arrival]):
    """Listed by record id, which is the order in which they were noted; a version tells when an org's changed."""

    def __init__(self) -> None:
        super().__init__(Arrival)
        self._versions: dict[OrgId, int] = {}

    def changed(self, old: Entity[Arrival] | None, new: Entity[Arrival] | None) -> None:
        """Count what happened to each org."""
        one = new or old
        if one is not None:
            self._versions[one.org] = self.version(one.org) + 1

    def version(self, org: OrgId) -> int:
        """Grows with every change of the org's arrivals: whatever was derived from them holds while it stays."""
        return self._versions.get(org, 0)

    def count(self, org: OrgId) -> int:
        """How many the org has."""
        return len(self._by_org.get(org, ()))
