"""`/contacts`: whom to call at an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.listing import started_after, take_page
from odograph.api.params import AFTER, LIMIT, MAX_PAGE, read_new, read_patch
from odograph.api.resources.base import Answer, Call, Endpoint, Pagination
from odograph.api.wire import to_json
from odograph.catalog import contacts
from odograph.errors import forbidden, not_found
from odograph.live.entity import Entity
from odograph.model.access import Scope
from odograph.model.catalog import Contact

KIND: Final = "contacts"
Text = Annotated[str, msgspec.Meta(max_length=255)]


class ContactAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """A contact; what is not known of it is empty."""

    id: str
    first_name: str
    last_name: str
    email: str
    phone: str


class Contacts(msgspec.Struct, kw_only=True):
    """A page of contacts, by id."""

    data: list[ContactAnswer]
    pagination: Pagination


class OneContact(msgspec.Struct, kw_only=True):
    """One contact."""

    data: ContactAnswer


class ContactPatch(msgspec.Struct, rename="camel", kw_only=True):
    """What to change: absent keeps, null empties."""

    first_name: Text | UnsetType | None = UNSET
    last_name: Text | UnsetType | None = UNSET
    email: Text | UnsetType | None = UNSET
    phone: Text | UnsetType | None = UNSET


class NewContact(ContactPatch, rename="camel", kw_only=True):
    """A new contact."""


async def list_contacts(call: Call) -> Answer:
    """A page of contacts; a token that is limited to tags sees those of the addresses that it sees."""
    directory, org = call.context.live.directory, call.principal.org
    seen = contacts.visible(directory, org, call.principal.tag_ids)
    some = directory.contacts.list_(org, started_after(call, KIND))
    rest = (one for one in some if seen is None or one.body.number in seen)
    size = call.query.integer(LIMIT, MAX_PAGE)
    page, pagination = await take_page(call, KIND, size, rest, lambda one: one.body.number)
    return Answer(to_json(Contacts(data=[_contact(one) for one in page], pagination=pagination)))


async def get_contact(call: Call) -> Answer:
    """One contact."""
    return _one(_asked(call))


async def create_contact(call: Call) -> Answer:
    """A new contact."""
    _check_unlimited(call)
    fields = _fields(read_new(call.body, NewContact))
    return _one(await contacts.create(call.context.catalog, call.principal.org, fields))


async def change_contact(call: Call) -> Answer:
    """Change some fields."""
    _check_unlimited(call)
    number, fields = _asked(call).body.number, _fields(read_patch(call.body, ContactPatch))
    return _one(await contacts.update(call.context.catalog, call.principal.org, number, fields))


async def delete_contact(call: Call) -> Answer:
    """Delete a contact; the addresses that name it do so no more."""
    _check_unlimited(call)
    await contacts.remove(call.context.catalog, call.principal.org, _asked(call).body.number)
    return Answer(status=204)


def _check_unlimited(call: Call) -> None:
    """Contacts carry no tags, and may be named by addresses that such a token does not see."""
    if call.principal.tag_ids is not None:
        raise forbidden("This API token is limited to tags, so it can't change contacts.")


def _asked(call: Call) -> Entity[Contact]:
    directory, org, text = call.context.live.directory, call.principal.org, call.path["id"]
    contact = directory.contacts.find_by_text(org, text)
    seen = contacts.visible(directory, org, call.principal.tag_ids)
    if contact is None or not (seen is None or contact.body.number in seen):
        raise not_found(f"There is no contact {text[:80]!r}.")
    return contact


def _fields(body: ContactPatch) -> contacts.ContactFields:
    return contacts.ContactFields(
        first_name=body.first_name, last_name=body.last_name, email=body.email, phone=body.phone
    )


def _one(contact: Entity[Contact]) -> Answer:
    return Answer(to_json(OneContact(data=_contact(contact))))


def _contact(contact: Entity[Contact]) -> ContactAnswer:
    body = contact.body
    return ContactAnswer(
        id=str(body.number),
        first_name=body.first_name,
        last_name=body.last_name,
        email=body.email,
        phone=body.phone,
    )


class ContactsResource:
    """List, get, create, change, delete."""

    name = "Contacts"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        read, write, path = Scope.READ_CONTACTS, Scope.WRITE_CONTACTS, "/contacts"
        one = f"{path}/{{id}}"
        return (
            Endpoint("GET", path, read, list_contacts, "List contacts", params=(LIMIT, AFTER), answers=Contacts),
            Endpoint("POST", path, write, create_contact, "Make a contact", takes=NewContact, answers=OneContact),
            Endpoint("GET", one, read, get_contact, "One contact", answers=OneContact),
            Endpoint(
                "PATCH", one, write, change_contact, "Change a contact", takes=ContactPatch, answers=OneContact
            ),
            Endpoint("DELETE", one, write, delete_contact, "Delete a contact"),
        )


RESOURCE = ContactsResource()
