"""Orgs: the tenants of one install."""

from __future__ import annotations

import msgspec

from odograph.catalog import fields as check
from odograph.catalog.changes import Catalog, Plan, found, put, written
from odograph.catalog.secrets import hex_digest, new_key
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Org
from odograph.model.ids import OrgId
from odograph.store.base import INSTALL


async def create(catalog: Catalog, name: str, timezone: str = "UTC") -> Entity[Org]:
    """A new org; its record id is its OrgId. INVALID where the name is taken or the time zone unknown."""

    def plan() -> Plan[Entity[Org]]:
        body = Org(_free_name(catalog.directory, name, None), catalog.clock.now_ms(), check.timezone(timezone))
        return Plan([put(None, INSTALL, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(
    catalog: Catalog, org: OrgId, *, name: str | None = None, timezone: str | None = None
) -> Entity[Org]:
    """Rename an org, or move it to another time zone; None keeps. NOT_FOUND, or INVALID naming the field."""

    def plan() -> Plan[Entity[Org]]:
        old = get(catalog.directory, org)
        body = old.body
        if name is not None:
            body = msgspec.structs.replace(body, name=_free_name(catalog.directory, name, org))
        if timezone is not None:
            body = msgspec.structs.replace(body, timezone=check.timezone(timezone))
        if body == old.body:
            return Plan([], lambda _: old)
        return Plan([put(old, INSTALL, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def open_registration(catalog: Catalog, org: OrgId) -> tuple[Entity[Org], str | None]:
    """Let unknown devices that bring the enrolment key become vehicles.

    Where the org has no such key yet it gets one, which is shown this once and kept as a hash; else None.
    """
    key = new_key()

    def plan() -> Plan[tuple[Entity[Org], str | None]]:
        old = get(catalog.directory, org)
        known = old.body.enrolment_hash
        body = msgspec.structs.replace(old.body, self_registration=True, enrolment_hash=known or hex_digest(key))
        return _put(old, body, None if known else key)

    return await catalog.change(plan)


async def close_registration(catalog: Catalog, org: OrgId) -> Entity[Org]:
    """Let no unknown device in any more. Those that came with the enrolment key go on with it."""

    def plan() -> Plan[tuple[Entity[Org], str | None]]:
        old = get(catalog.directory, org)
        return _put(old, msgspec.structs.replace(old.body, self_registration=False), None)

    return (await catalog.change(plan))[0]


async def renew_enrolment_key(catalog: Catalog, org: OrgId) -> tuple[Entity[Org], str]:
    """Give the org a new enrolment key, shown this once. The old one ends, for those that came with it too."""
    key = new_key()
    return await _rekey(catalog, org, hex_digest(key)), key


async def end_enrolment_key(catalog: Catalog, org: OrgId) -> Entity[Org]:
    """Let nobody in by the enrolment key any more, neither new devices nor those that came with it."""
    return await _rekey(catalog, org, "")


async def _rekey(catalog: Catalog, org: OrgId, key_hash: str) -> Entity[Org]:
    def plan() -> Plan[tuple[Entity[Org], str | None]]:
        old = get(catalog.directory, org)
        return _put(old, msgspec.structs.replace(old.body, enrolment_hash=key_hash), None)

    return (await catalog.change(plan))[0]


def _put(old: Entity[Org], body: Org, key: str | None) -> Plan[tuple[Entity[Org], str | None]]:
    if body == old.body:
        return Plan([], lambda _: (old, key))
    return Plan([put(old, INSTALL, body)], lambda records: (written(records[0], body), key))


def count_on_enrolment_key(directory: Directory, org: Entity[Org]) -> int:
    """How many devices the end of its enrolment key would leave without a way in of their own."""
    return directory.devices.count_brought(OrgId(org.id)) if org.body.enrolment_hash else 0


def get(directory: Directory, org: OrgId) -> Entity[Org]:
    """An org by its id, or NOT_FOUND."""
    return found(directory.orgs.find_org(org), "org")


def find(directory: Directory, text: str) -> Entity[Org] | None:
    """An org as people name it: by its id, or by its name in any case."""
    if text.isascii() and text.isdigit() and (by_id := directory.orgs.find_org(OrgId(int(text)))):
        return by_id
    wanted = text.strip().casefold()
    return next((one for one in directory.orgs.list_(INSTALL) if one.body.name.casefold() == wanted), None)


def _free_name(directory: Directory, name: str, holder: OrgId | None) -> str:
    name = check.name("name", name)
    for other in directory.orgs.list_(INSTALL):
        if OrgId(other.id) != holder and other.body.name.casefold() == name.casefold():
            raise invalid(f"name: an org {other.body.name!r} exists already; choose another name.")
    return name
