"""Every resource this build serves; the contract suite tests each one that is listed here."""

from __future__ import annotations

from typing import Final

from odograph.api.resources import (
    addresses,
    assets,
    contacts,
    devices,
    drivers,
    export,
    imports,
    knocks,
    live_shares,
    locations,
    me,
    operation,
    orgs,
    recurring_routes,
    routes,
    share_keeping,
    shareable,
    stats,
    tags,
    tokens,
    vehicles,
)
from odograph.api.resources.base import Resource

RESOURCES: Final[tuple[Resource, ...]] = (
    locations.RESOURCE,
    stats.RESOURCE,
    vehicles.RESOURCE,
    assets.RESOURCE,
    tags.RESOURCE,
    live_shares.RESOURCE,
    addresses.RESOURCE,
    drivers.RESOURCE,
    contacts.RESOURCE,
    routes.RESOURCE,
    recurring_routes.RESOURCE,
    me.RESOURCE,
    export.RESOURCE,
    devices.RESOURCE,
    knocks.RESOURCE,
    imports.RESOURCE,
    tokens.RESOURCE,
    share_keeping.RESOURCE,
    shareable.RESOURCE,
    orgs.RESOURCE,
    operation.RESOURCE,
)
