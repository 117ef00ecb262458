"""What the fields of the catalogue may hold; every refusal names the field, what was wrong and what is allowed."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Final, TypeVar

from odograph.errors import invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.access import carries
from odograph.model.catalog import Address, Asset, Driver, Tag
from odograph.model.ids import OrgId, TagId

T = TypeVar("T", bound=Asset | Address | Driver)

MAX_NAME: Final = 255
MAX_TAG_NAME: Final = 191
MAX_NOTES: Final = 255
MAX_PLATE: Final = 12
MAX_DEVICE_ID: Final = 200
VIN_LENGTH: Final = (11, 17)
YEARS: Final = (1880, 2200)
_AUTOMATIC: Final = "samsara."  # what such keys begin with, which the vendor's clients know
_EXTERNAL_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MAX_EXTERNAL_VALUE: Final = 255
_PROTOCOL: Final = re.compile(r"[a-z0-9_-]{0,32}")


def text(field: str, value: str | None, most: int, least: int = 0, *, may_break: bool = False) -> str:
    """`value` without blanks around it, of `least` to `most` characters; None counts as empty.

    Line breaks and tabs only where it `may_break`.
    """
    value = (value or "").strip()
    if not least <= len(value) <= most:
        allowed = f"{least} to {most}" if least else f"at most {most}"
        raise invalid(f"{field}: has {len(value)} characters; {allowed} are allowed.")
    allowed_breaks = "\r\n\t" if may_break else ""
    if any(not char.isprintable() and char not in allowed_breaks for char in value):
        raise invalid(f"{field}: holds a control character; only printable characters are allowed.")
    return value


def name(field: str, value: str | None, most: int = MAX_NAME) -> str:
    """A name of 1 to `most` characters."""
    return text(field, value, most, 1)


def vin(value: str | None) -> str:
    """A VIN of 11 to 17 letters and digits, or empty."""
    value = text("vin", value, VIN_LENGTH[1])
    if value and (len(value) < VIN_LENGTH[0] or not (value.isascii() and value.isalnum())):
        raise invalid(f"vin: {value!r} is not a VIN; 11 to 17 letters and digits are allowed.")
    return value


def year(value: int | None) -> int:
    """A model year, 0 for none."""
    if not value:
        return 0
    if not YEARS[0] <= value <= YEARS[1]:
        raise invalid(f"year: {value} is not a model year; {YEARS[0]} to {YEARS[1]} are allowed.")
    return value


def timezone(value: str) -> str:
    """An IANA name that this machine knows, such as Europe/Amsterdam."""
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(
            f"timezone: {value[:60]!r} is not known; give an IANA name such as Europe/Amsterdam or UTC."
        ) from None
    return value


def networks(values: Iterable[str]) -> tuple[str, ...]:
    """CIDRs or single addresses, as CIDRs."""
    found = []
    for value in values:
        try:
            found.append(str(ip_network(value.strip(), strict=False)))
        except ValueError:
            raise invalid(
                f"networks: {value[:60]!r} is not a network; give a CIDR such as 203.0.113.0/24 or an address."
            ) from None
    return tuple(dict.fromkeys(found))


def protocol(value: str | None) -> str:
    """A protocol's name, empty for any."""
    value = text("protocol", value, 32)
    if not _PROTOCOL.fullmatch(value):
        raise invalid(f"protocol: {value!r} is not a protocol's name; lower-case letters and digits are allowed.")
    return value


def external_ids(
    current: Mapping[str, str], given: Mapping[str, object] | None, automatic: Sequence[Mapping[str, str]] = ()
) -> dict[str, str]:
    """`current` with the given pairs put in; a pair with null or "" is taken out, null for all takes out all.

    `automatic` holds the pairs that come by themselves, as they were and as they are going to be: whoever sends
    back what was read may send them along.
    """
    if given is None:
        return {}
    merged = dict(current)
    for key, value in given.items():
        if key.startswith(_AUTOMATIC):
            _check_automatic(key, value, automatic)
        elif value is None or value == "":
            merged.pop(key, None)
        else:
            merged[_external_key(key)] = _external_value(key, value)
    return merged


def _check_automatic(key: str, value: object, automatic: Sequence[Mapping[str, str]]) -> None:
    """Refuse another value than the server's own; "" and null where it has none."""
    own = [pairs.get(key, "") for pairs in automatic]
    if (value or "") in own:
        return
    what = f"is {own[-1]!r} by itself" if own and own[-1] else "is filled by the server"
    raise invalid(f"externalIds: {key[:60]!r} {what} and can't be set; leave it out, or as it was read.")


def _external_key(key: str) -> str:
    if not _EXTERNAL_KEY.fullmatch(key):
        raise invalid(f"externalIds: key {key[:60]!r} is not allowed; 1 to 32 of A-Z a-z 0-9 _ - are.")
    return key


def _external_value(key: str, value: object) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int | float):
        value = str(value)
    if not (isinstance(value, str) and len(value) <= _MAX_EXTERNAL_VALUE and value.isprintable()):
        raise invalid(f"externalIds: value of {key!r} is not allowed; 1 to 255 printable characters are.")
    return value


def check_external_ids_free(
    directory: Directory,
    org: OrgId,
    holder: int | None,
    pairs: Mapping[str, str],
    limit: frozenset[TagId] | None = None,
) -> None:
    """Refuse a pair that another object of the org holds, whatever its kind; `holder` is the record's own id.

    Who is limited to tags is told of the other only where it carries one of them, or is one.
    """
    for key, value in pairs.items():
        other = directory.find_external(org, f"{key}:{value}")
        if other is not None and other.id != holder:
            carried = (other.body.number,) if isinstance(other.body, Tag) else other.body.tag_ids
            whose = repr(other.body.name) if carries(carried, limit) else "something else in the organisation"
            raise invalid(f"externalIds: {key}:{value} already belongs to {whose}; it must be unique.")


def tag_ids(
    directory: Directory,
    org: OrgId,
    given: Iterable[str] | None,
    before: Iterable[int] = (),
    limit: frozenset[TagId] | None = None,
) -> tuple[int, ...]:
    """The numbers of these tags (ids, or names `key:value`), ascending; INVALID for an unknown one.

    Who is limited to tags knows no others: it neither gives them nor, of those carried `before`, takes them away.
    """
    numbers = {number for number in before if not carries((number,), limit)}
    for one in given or ():
        tag = directory.find_tag(org, one, limit)
        if tag is None:
            raise invalid(f"tagIds: there is no tag {one[:60]!r}; list the tags to see their ids.")
        numbers.add(tag.body.number)
    return tuple(sorted(numbers))


def visible(entity: Entity[T] | None, limit: frozenset[TagId] | None) -> Entity[T] | None:
    """What carries tags, as far as a token limited to tags sees it: it must carry one of them."""
    return entity if entity is not None and carries(entity.body.tag_ids, limit) else None


def check_within_tags(limit: frozenset[TagId] | None, numbers: Iterable[int]) -> None:
    """Refuse what a token limited to tags would not see itself."""
    if limit is not None and not carries(numbers, limit):
        allowed = ", ".join(str(tag) for tag in sorted(limit))
        raise invalid(f"tagIds: this token sees only what carries a tag of {allowed}; give at least one of them.")
