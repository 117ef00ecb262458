"""Every resource this build serves; the contract suite tests each one that is listed here."""

from __future__ import annotations

from typing import Final

from odograph.api.resources import (
    assets,
    devices,
    export,
    imports,
    knocks,
    locations,
    me,
    operation,
    orgs,
    recurring_routes,
    routes,
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
    routes.RESOURCE,
    recurring_routes.RESOURCE,
    me.RESOURCE,
    export.RESOURCE,
    devices.RESOURCE,
    knocks.RESOURCE,
    imports.RESOURCE,
    tokens.RESOURCE,
    orgs.RESOURCE,
    operation.RESOURCE,
)
