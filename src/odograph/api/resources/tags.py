"""`/tags`: labels in a tree, and what carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, cast

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, read_new, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination
from odograph.api.resources.vehicles import ExternalIds
from odograph.api.wire import to_json
from odograph.catalog import tags
from odograph.errors import forbidden, invalid, not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Address, Driver, Tag
from odograph.model.ids import TagId

KIND: Final = "tags"
_OTHER_KINDS: Final = ("machines", "sensors")


class Member(msgspec.Struct):
    """What carries a tag."""

    id: str
    name: str


class ParentTag(msgspec.Struct):
    """The tag above."""

    id: str
    name: str


class TagAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A tag. A root has no parent."""

    id: str
    name: str
    parent_tag_id: str | UnsetType = UNSET
    parent_tag: ParentTag | UnsetType = UNSET
    external_ids: dict[str, str]
    vehicles: list[Member]
    assets: list[Member]
    addresses: list[Member]
    drivers: list[Member]
    machines: list[Member]
    sensors: list[Member]


class Tags(msgspec.Struct, kw_only=True):
    """A page of tags, by id."""

    data: list[TagAnswer]
    pagination: Pagination


class OneTag(msgspec.Struct, kw_only=True):
    """One tag."""

    data: TagAnswer


class MemberRef(msgspec.Struct):
    """A member as answers show it: what was read can be sent back."""

    id: str


Members = list[str | MemberRef]
TagName = Annotated[str, msgspec.Meta(min_length=1, max_length=191)]


class TagPut(msgspec.Struct, rename="camel", kw_only=True):
    """The whole tag: members that are not named lose it. External ids stay as they are."""

    name: TagName
    parent_tag_id: str | UnsetType | None = UNSET
    vehicles: Members | UnsetType | None = UNSET
    assets: Members | UnsetType | None = UNSET
    addresses: Members | UnsetType | None = UNSET
    drivers: Members | UnsetType | None = UNSET
    machines: Members | UnsetType | None = UNSET
    sensors: Members | UnsetType | None = UNSET


class NewTag(TagPut, rename="camel", kw_only=True):
    """A new tag."""

    external_ids: ExternalIds | UnsetType | None = UNSET


class TagPatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties; lists are replaced whole, external ids by key."""

    name: TagName | UnsetType = UNSET
    parent_tag_id: str | UnsetType | None = UNSET
    vehicles: Members | UnsetType | None = UNSET
    assets: Members | UnsetType | None = UNSET
    addresses: Members | UnsetType | None = UNSET
    drivers: Members | UnsetType | None = UNSET
    machines: Members | UnsetType | None = UNSET
    sensors: Members | UnsetType | None = UNSET
    external_ids: ExternalIds | UnsetType | None = UNSET


async def list_tags(call: Call) -> Answer:
    """A page of tags; a token that is limited to tags sees these alone."""
    size = call.query.integer(LIMIT, MAX_PAGE)
    mine = call.principal.tag_ids
    some = call.context.live.directory.tags.list_(call.principal.org, started_after(call, KIND))
    rest = (tag for tag in some if mine is None or tag.body.number in mine)
    page, pagination = await take_page(call, KIND, size, rest, lambda tag: tag.body.number)
    return Answer(to_json(Tags(data=[_tag(call, one) for one in page], pagination=pagination)))


async def get_tag(call: Call) -> Answer:
    """One tag by its id or an external id."""
    return _one(call, _asked(call))


async def create_tag(call: Call) -> Answer:
    """A new tag with its members."""
    _check_unlimited(call)
    return _one(
        call, await tags.create(call.context.catalog, call.principal.org, _fields(read_new(call.body, NewTag)))
    )


async def change_tag(call: Call) -> Answer:
    """Change some fields."""
    _check_unlimited(call)
    number, fields = _number(call), _fields(read_patch(call.body, TagPatch))
    return _one(call, await tags.update(call.context.catalog, call.principal.org, number, fields))


async def replace_tag(call: Call) -> Answer:
    """Make the tag as given."""
    _check_unlimited(call)
    number, fields = _number(call), _fields(read_new(call.body, TagPut))
    return _one(call, await tags.replace(call.context.catalog, call.principal.org, number, fields))


async def delete_tag(call: Call) -> Answer:
    """Delete a tag; its children become roots."""
    _check_unlimited(call)
    await tags.remove(call.context.catalog, call.principal.org, _number(call))
    return Answer(status=204)


def _check_unlimited(call: Call) -> None:
    """Who could put vehicles or addresses into a tag of theirs would see them."""
    if call.principal.tag_ids is not None:
        raise forbidden("This API token is limited to tags, so it can't change tags.")


def _asked(call: Call) -> Entity[Tag]:
    principal = call.principal
    tag = call.context.live.directory.find_tag(principal.org, call.path["id"], principal.tag_ids)
    if tag is None:
        raise not_found(f"There is no tag {call.path['id'][:80]!r}.")
    return tag


def _number(call: Call) -> TagId:
    return TagId(_asked(call).body.number)


def _fields(body: TagPut | TagPatch) -> tags.TagFields:
    for kind in _OTHER_KINDS:
        if getattr(body, kind):
            raise invalid(f"Field '{kind}': there are no {kind} here yet, so that none can carry a tag.")
    return tags.TagFields(
        name=body.name,
        parent=body.parent_tag_id,
        vehicles=_ids(body.vehicles),
        assets=_ids(body.assets),
        addresses=_ids(body.addresses),
        drivers=_ids(body.drivers),
        external_ids=body.external_ids if isinstance(body, NewTag | TagPatch) else UNSET,
    )


def _ids(members: Members | UnsetType | None) -> list[str] | UnsetType | None:
    if members is None or isinstance(members, UnsetType):
        return members
    return [one.id if isinstance(one, MemberRef) else one for one in members]


def _one(call: Call, tag: Entity[Tag]) -> Answer:
    return Answer(to_json(OneTag(data=_tag(call, tag))))


def _tag(call: Call, tag: Entity[Tag]) -> TagAnswer:
    directory, body = call.context.live.directory, tag.body
    parent = directory.tags.find_by_number(tag.org, TagId(body.parent_id)) if body.parent_id else None
    if parent is not None and not (call.principal.tag_ids is None or parent.body.number in call.principal.tag_ids):
        parent = None
    return TagAnswer(
        id=str(body.number),
        name=body.name,
        parent_tag_id=str(parent.body.number) if parent else UNSET,
        parent_tag=ParentTag(str(parent.body.number), parent.body.name) if parent else UNSET,
        external_ids={**body.external_ids, **body.automatic_ids()},
        vehicles=_members(call, tag),
        assets=[],  # trailers and equipment: not followed yet
        addresses=_named(directory.addresses.carriers(tag.org, body.number)),
        drivers=_named(directory.drivers.carriers(tag.org, body.number)),
        machines=[],
        sensors=[],
    )


def _members(call: Call, tag: Entity[Tag]) -> list[Member]:
    """Already encoded, by the directory: a tag may hold 20,000 vehicles, and a page 512 tags."""
    assets = call.context.live.directory.assets
    numbers = assets.roll(tag.org).tagged([tag.body.number]).tolist()
    return [cast(Member, msgspec.Raw(head + b"}")) for head in assets.heads(numbers) if head is not None]


def _named(some: Sequence[Entity[Address] | Entity[Driver]]) -> list[Member]:
    return [Member(str(one.body.number), one.body.name) for one in some]


class TagsResource:
    """List, get, create, change, replace, delete."""

    name = "Tags"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_TAGS, Scope.WRITE_TAGS, "/tags"
        one = f"{path}/{{id}}"
        return (
            Endpoint("GET", path, read, list_tags, "List tags", params=(LIMIT, AFTER), answers=Tags),
            Endpoint("POST", path, write, create_tag, "Make a tag", takes=NewTag, answers=OneTag),
            Endpoint("GET", one, read, get_tag, "One tag", answers=OneTag),
            Endpoint("PATCH", one, write, change_tag, "Change a tag", takes=TagPatch, answers=OneTag),
            Endpoint("PUT", one, write, replace_tag, "Replace a tag", takes=TagPut, answers=OneTag),
            Endpoint("DELETE", one, write, delete_tag, "Delete a tag"),
        )


RESOURCE = TagsResource()
