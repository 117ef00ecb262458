"""What the catalogue keeps of orgs, assets, tags, devices and tokens: the bodies of records, as JSON.

Each struct is one record's body; its org, id and rev are the record's. Adding an optional field keeps old
bodies readable; renaming or retyping one needs a migration. `KINDS` maps a record's kind to its struct.

Assets and tags have a `number` of their own, which is what others refer to (`asset_id`, `tag_ids`,
`parent_id`) and what the outside knows. It is given before the write, so that one write can hold a vehicle
with its device, or a tag with its members; the record's id is known only after it.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Org(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tenant. Lives in the org INSTALL; its record id is its OrgId."""

    name: str
    created_ms: int
    timezone: str = "UTC"  # IANA name
    self_registration: bool = False  # unknown devices that bring this org's enrolment key become vehicles
    enrolment_hash: str = ""  # SHA-256, in hex, of the enrolment key; "" while it has none


class Asset(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something we follow. `number` is its AssetId in the log; never given to another asset."""

    number: int
    name: str
    created_ms: int
    updated_ms: int
    type: str = "vehicle"
    vin: str = ""
    license_plate: str = ""
    serial: str = ""
    make: str = ""
    model: str = ""
    year: int = 0
    notes: str = ""
    tag_ids: tuple[int, ...] = ()  # numbers of tags, ascending
    external_ids: dict[str, str] = {}


class Tag(msgspec.Struct, frozen=True, omit_defaults=True):
    """A label in a tree; which assets carry it is kept with the assets. `number` is its TagId."""

    number: int
    name: str
    parent_id: int = 0  # number of the tag above it; 0: a root
    external_ids: dict[str, str] = {}


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """A box that reports. `key_hash` is the SHA-256, in hex, of its key; the key itself is kept nowhere."""

    name: str
    created_ms: int
    asset_id: int = 0  # number of the asset it is mounted on; 0 for a forwarder
    device_id: str = ""  # what it calls itself: IMEI, OwnTracks topic, Traccar unique id
    key_hash: str = ""
    protocol: str = ""  # "" takes any
    is_enabled: bool = True
    is_forwarder: bool = False  # its key delivers for other devices of the org, by their device_id
    networks: tuple[str, ...] = ()  # CIDRs from which device_id alone is enough
    trust_id: bool = False  # device_id alone is enough from anywhere: the operator said so


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API token of an org. `secret_hash` is the SHA-256, in hex, of the token's text."""

    name: str
    created_ms: int
    secret_hash: str
    hint: str  # its last four characters, to recognise it by
    scopes: tuple[str, ...] = ()
    tag_ids: tuple[int, ...] = ()  # numbers of tags; () sees the whole org
    expires_ms: int = 0  # 0: never


class Knock(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device that was refused: who it said it was, and why it was refused last."""

    device_id: str
    protocol: str
    address: str
    reason: str
    first_ms: int
    last_ms: int
    count: int = 1


class Counter(msgspec.Struct, frozen=True, omit_defaults=True):
    """The next number of a kind to give out. Lives in the org INSTALL and only ever grows."""

    name: str
    next_number: int


KINDS: Final[dict[str, type[msgspec.Struct]]] = {
    "org": Org,
    "asset": Asset,
    "tag": Tag,
    "device": Device,
    "token": Token,
    "knock": Knock,
    "counter": Counter,
}
