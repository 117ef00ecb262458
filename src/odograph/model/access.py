"""Tokens, scopes and who is asking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from odograph.model.ids import OrgId, RecordId, TagId


class Scope(Enum):
    """What a token may do, by the vendor's exact names: (label, category)."""

    READ_VEHICLE_STATISTICS = ("Read Vehicle Statistics", "Vehicles")
    READ_VEHICLES = ("Read Vehicles", "Vehicles")
    WRITE_VEHICLES = ("Write Vehicles", "Vehicles")
    READ_TAGS = ("Read Tags", "Setup & Administration")
    WRITE_TAGS = ("Write Tags", "Setup & Administration")
    READ_ORG = ("Read Org Information", "Setup & Administration")
    READ_ASSETS = ("Read Assets", "Assets")
    WRITE_ASSETS = ("Write Assets", "Assets")
    READ_ADDRESSES = ("Read Addresses", "Addresses")
    WRITE_ADDRESSES = ("Write Addresses", "Addresses")
    READ_CONTACTS = ("Read Alert Contacts", "Setup & Administration")
    WRITE_CONTACTS = ("Write Alert Contacts", "Setup & Administration")
    READ_DRIVERS = ("Read Drivers", "Drivers")
    WRITE_DRIVERS = ("Write Drivers", "Drivers")
    READ_ROUTES = ("Read Routes", "Driver Workflow")
    WRITE_ROUTES = ("Write Routes", "Driver Workflow")
    READ_SHARES = ("Read Live Sharing Links", "Driver Workflow")
    WRITE_SHARES = ("Write Live Sharing Links", "Driver Workflow")
    READ_DEVICES = ("Read Devices", "Odograph")
    WRITE_DEVICES = ("Write Devices", "Odograph")
    READ_TOKENS = ("Read API Tokens", "Odograph")
    WRITE_TOKENS = ("Write API Tokens", "Odograph")

    @property
    def label(self) -> str:
        """The name shown to people and stored in tokens."""
        return self.value[0]

    @property
    def category(self) -> str:
        """The heading it stands under."""
        return self.value[1]


SCOPES_BY_LABEL = {scope.label: scope for scope in Scope}
READ_SCOPES = frozenset(scope for scope in Scope if scope.label.startswith("Read "))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a token, or the operator at the machine itself (`is_operator`, who may act for any org)."""

    org: OrgId
    scopes: frozenset[Scope]
    token: RecordId | None = None
    tag_ids: frozenset[TagId] | None = None
    """Sees only what carries one of these tags; None sees the whole org."""
    is_operator: bool = field(default=False)


def carries(numbers: Iterable[int], limit: frozenset[TagId] | None) -> bool:
    """Whether one of these tags is among those that a token is limited to; always where it is not limited."""
    return limit is None or not limit.isdisjoint(map(TagId, numbers))
