"""Tags: a forest of labels, and what carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.catalog import fields as check
from odograph.catalog import membership
from odograph.catalog.changes import Catalog, Plan, delete, found, put, take_numbers, written
from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Tag
from odograph.model.ids import OrgId, TagId
from odograph.store.base import Change

MAX_TAGS: Final = 1 << 31
"""Of one install, deleted ones included."""


class TagFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: UNSET keeps a field as it is (empty, for a new tag), None empties it.

    `vehicles`, `assets`, `addresses` and `drivers` hold ids or names `key:value`; each replaces the members of its
    own kind.
    """

    name: str | UnsetType | None = UNSET
    parent: str | UnsetType | None = UNSET
    vehicles: Sequence[str] | UnsetType | None = UNSET
    assets: Sequence[str] | UnsetType | None = UNSET
    addresses: Sequence[str] | UnsetType | None = UNSET
    drivers: Sequence[str] | UnsetType | None = UNSET
    external_ids: Mapping[str, object] | UnsetType | None = UNSET


async def create(catalog: Catalog, org: OrgId, fields: TagFields) -> Entity[Tag]:
    """A new tag with its members, in one commit. INVALID names the field that can't be kept."""

    def plan() -> Plan[Entity[Tag]]:
        numbers, counting = take_numbers(catalog.directory, "tags", 1, MAX_TAGS)
        body = _checked(catalog.directory, org, None, Tag(numbers[0], ""), fields)
        changes = [put(None, org, body), counting, *_membership(catalog, org, TagId(body.number), fields)]
        return Plan(changes, lambda records: written(records[0], body))

    return await catalog.change(plan)


async def update(catalog: Catalog, org: OrgId, number: TagId, fields: TagFields) -> Entity[Tag]:
    """Put the given fields in: lists replace whole, external ids are merged by key, all in one commit.

    NOT_FOUND, or INVALID naming the field that can't be kept.
    """

    def plan() -> Plan[Entity[Tag]]:
        old = get(catalog.directory, org, number)
        body = _checked(catalog.directory, org, old, old.body, fields)
        changes = _membership(catalog, org, number, fields)
        if body == old.body:
            return Plan(changes, lambda _: old)
        return Plan([put(old, org, body), *changes], lambda records: written(records[0], body))

    return await catalog.change(plan)


async def replace(catalog: Catalog, org: OrgId, number: TagId, fields: TagFields) -> Entity[Tag]:
    """Make the tag as given: what is not given is emptied, external ids excepted. The name is required."""
    emptied = {
        field: None
        for field in ("name", "parent", *membership.KINDS)
        if isinstance(getattr(fields, field), UnsetType)
    }
    return await update(catalog, org, number, msgspec.structs.replace(fields, **emptied))


async def remove(catalog: Catalog, org: OrgId, number: TagId) -> None:
    """Delete a tag: its children become roots, what carries it loses it, tokens limited to it see less.

    A token that was limited to nothing else is deleted with it: without a limit it would see the whole org.
    """

    def plan() -> Plan[None]:
        directory = catalog.directory
        old = get(directory, org, number)
        orphans = directory.tags.children(org, number)
        changes = [delete(old)]
        changes += [put(one, org, msgspec.structs.replace(one.body, parent_id=0)) for one in orphans]
        changes += membership.ended(catalog, org, number)
        changes += _narrowed(directory, org, number)
        return Plan(changes, lambda _: None)

    await catalog.change(plan)


def get(directory: Directory, org: OrgId, number: TagId) -> Entity[Tag]:
    """A tag by its number, or NOT_FOUND."""
    return found(directory.tags.find_by_number(org, number), "tag")


def _membership(catalog: Catalog, org: OrgId, number: TagId, fields: TagFields) -> list[Change]:
    asked = {kind: getattr(fields, kind) for kind in membership.KINDS}
    return membership.changed(catalog, org, number, asked)


def _checked(directory: Directory, org: OrgId, old: Entity[Tag] | None, body: Tag, fields: TagFields) -> Tag:
    automatic_before = body.automatic_ids()
    name = body.name if isinstance(fields.name, UnsetType) else fields.name
    body = msgspec.structs.replace(body, name=check.name("name", name, check.MAX_TAG_NAME))
    if not isinstance(fields.parent, UnsetType):
        parent = _parent(directory, org, TagId(body.number), fields.parent)
        body = msgspec.structs.replace(body, parent_id=parent)
    if not isinstance(fields.external_ids, UnsetType):
        automatic = (automatic_before, body.automatic_ids())
        pairs = check.external_ids(body.external_ids, fields.external_ids, automatic)
        check.check_external_ids_free(directory, org, None if old is None else old.id, pairs)
        body = msgspec.structs.replace(body, external_ids=pairs)
    return body


def _parent(directory: Directory, org: OrgId, number: TagId, asked: str | None) -> TagId:
    if not asked:
        return TagId(0)
    parent = directory.find_tag(org, asked)
    if parent is None:
        raise invalid(f"parentTagId: there is no tag {asked[:60]!r}; list the tags to see their ids.")
    if parent.body.number in directory.tags.subtree(org, [number]):
        raise invalid(f"parentTagId: {asked} is this tag or lies below it; a tag can't be its own ancestor.")
    return TagId(parent.body.number)


def _narrowed(directory: Directory, org: OrgId, number: TagId) -> list[Change]:
    """Tokens that were limited to a tag: never wider than before."""
    changes = []
    for token in directory.tokens.list_(org):
        if number in token.body.tag_ids:
            rest = tuple(tag for tag in token.body.tag_ids if tag != number)
            body = msgspec.structs.replace(token.body, tag_ids=rest)
            changes.append(put(token, org, body) if rest else delete(token))
    return changes
