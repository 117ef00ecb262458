"""Contacts: whom to call at an address."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog.changes import Catalog, Plan, delete, found, put, take_numbers, written
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Contact
from odograph.model.ids import OrgId, TagId

MAX_CONTACTS: Final = 1 << 31
"""Of one install, deleted ones included."""
_TEXTS: Final = (("first_name", "firstName"), ("last_name", "lastName"), ("email", "email"), ("phone", "phone"))


class ContactFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is (empty, for a new contact), None empties it."""

    first_name: str | UnsetType | None = UNSET
    last_name: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET


async def create(catalog: Catalog, org: OrgId, fields: ContactFields) -> Entity[Contact]:
    """A new contact. INVALID names the field that can't be kept."""

    def plan() -> Plan[Entity[Contact]]:
        numbers, counting = take_numbers(catalog.directory, "contacts", 1, MAX_CONTACTS)
        body = _checked(Contact(numbers[0], catalog.clock.now_ms()), fields)
        return Plan([put(None, org, body), counting], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(catalog: Catalog, org: OrgId, number: int, fields: ContactFields) -> Entity[Contact]:
    """Put the given fields in. NOT_FOUND, or INVALID naming the field that can't be kept."""

    def plan() -> Plan[Entity[Contact]]:
        old = get(catalog.directory, org, number)
        body = _checked(old.body, fields)
        if body == old.body:
            return Plan([], lambda _: old)
        return Plan([put(old, org, body)], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def remove(catalog: Catalog, org: OrgId, number: int) -> None:
    """Delete a contact; the addresses that name it do so no more. NOT_FOUND."""

    def plan() -> Plan[None]:
        old = get(catalog.directory, org, number)
        changes = [delete(old)]
        for address in catalog.directory.addresses.list_(org):
            if number in address.body.contact_ids:
                rest = tuple(one for one in address.body.contact_ids if one != number)
                changes.append(put(address, org, msgspec.structs.replace(address.body, contact_ids=rest)))
        return Plan(changes, lambda _: None)

    await catalog.change(plan)


def get(
    directory: Directory, org: OrgId, number: int, tag_limit: frozenset[TagId] | None = None
) -> Entity[Contact]:
    """A contact by its number; NOT_FOUND, also for one that `tag_limit` hides."""
    seen = visible(directory, org, tag_limit)
    contact = directory.contacts.find_by_number(org, number)
    return found(contact if seen is None or number in seen else None, "contact")


def visible(directory: Directory, org: OrgId, tag_limit: frozenset[TagId] | None) -> set[int] | None:
    """The numbers of those that a token limited to tags sees, at the addresses that it sees; None for all."""
    if tag_limit is None:
        return None
    addresses = (address for tag in tag_limit for address in directory.addresses.carriers(org, tag))
    return {number for address in addresses for number in address.body.contact_ids}


def _checked(body: Contact, fields: ContactFields) -> Contact:
    texts = {
        field: check.text(spoken, value, check.MAX_NAME)
        for field, spoken in _TEXTS
        if not isinstance(value := getattr(fields, field), UnsetType)
    }
    return msgspec.structs.replace(body, **texts)
