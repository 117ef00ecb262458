"""A link that ends by itself, because what it showed has arrived."""

from __future__ import annotations

import msgspec

from odograph.catalog.changes import Catalog, Plan, put
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare


async def end(catalog: Catalog, share: Entity[LiveShare]) -> None:
    """Let a link expire now, unless it is over or gone already. UNAVAILABLE when the store can't write."""

    def plan() -> Plan[None]:
        now_ms = catalog.clock.now_ms()
        found = catalog.directory.shares.find(share.org, share.id)
        if found is None or not found.body.ends_on_arrival or 0 < found.body.expires_ms <= now_ms:
            return Plan((), lambda _: None)
        body = msgspec.structs.replace(found.body, expires_ms=now_ms, updated_ms=now_ms)
        return Plan([put(found, found.org, body)], lambda _: None)

    await catalog.change(plan)
