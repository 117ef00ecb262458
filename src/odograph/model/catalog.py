"""What the catalogue keeps, from orgs to links: the bodies of records, as JSON.

Each struct is one record's body; its org, id and rev are the record's. Adding an optional field keeps old
bodies readable; renaming or retyping one needs a migration. `KINDS` maps a record's kind to its struct.

Most kinds have a `number` of their own, which is what others refer to (`asset_id`, `tag_ids`,
`parent_id`) and what the outside knows. It is given before the write, so that one write can hold a vehicle
with its device, or a tag with its members; the record's id is known only after it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from odograph.model.place import Geofence


class PastZone(msgspec.Struct, frozen=True):
    """A private zone that ended, or lay so before it was drawn anew: it still hides what was measured before."""

    fence: Geofence
    ended_ms: int


class Org(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tenant. Lives in the org INSTALL; its record id is its OrgId."""

    name: str
    created_ms: int
    timezone: str = "UTC"  # IANA name
    shown_from_ms: int = 0  # no public link shows what was measured before, of whatever vehicle
    self_registration: bool = False  # unknown devices that bring this org's enrolment key become vehicles
    enrolment_hash: str = ""  # SHA-256, in hex, of the enrolment key, which lets in who came with it; "": none
    past_zones: tuple[
        PastZone, ...
    ] = ()  # the newest ones, by their end; `shown_from_ms` is where the others ended


class Weight(msgspec.Struct, frozen=True):
    """As it was given: pounds stay pounds."""

    weight: int
    unit: str


class Traits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of a vehicle for its own sake: kept and shown, and nothing here depends on it."""

    regulation: str = ""
    harsh_acceleration: str = ""
    vehicle_type: str = ""
    gross_weight: Weight | None = None
    aux_inputs: dict[str, str] = {}  # number of the input, from "1" -> what is wired to it


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
    tagged_ms: tuple[int, ...] = ()  # parallel to tag_ids: since when it carries each; () since it was made
    driver_id: int = 0  # number of the driver who is assigned to it for good; 0: nobody
    traits: Traits | None = None  # None where there is nothing in it: few vehicles have any

    def automatic_ids(self) -> dict[str, str]:
        """The external ids that come by themselves."""
        pairs = (("samsara.vin", self.vin), ("samsara.serial", self.serial))
        return {key: value for key, value in pairs if value}

    def carries_since_ms(self, tag_id: int) -> int | None:
        """Since when it carries a tag without a break, in epoch ms; None while it doesn't."""
        if tag_id not in self.tag_ids:
            return None
        return self.tagged_ms[self.tag_ids.index(tag_id)] if self.tagged_ms else self.created_ms

    def carrying(self, tag_ids: tuple[int, ...], now_ms: int) -> Asset:
        """The same asset with these tags (ascending): one that stays keeps its time, a new one has now."""
        since = [(self.carries_since_ms(tag), now_ms) for tag in tag_ids]
        tagged_ms = tuple(later if known is None else known for known, later in since)
        is_since_it_was_made = all(time_ms == self.created_ms for time_ms in tagged_ms)
        return msgspec.structs.replace(self, tag_ids=tag_ids, tagged_ms=() if is_since_it_was_made else tagged_ms)


class Tag(msgspec.Struct, frozen=True, omit_defaults=True):
    """A label in a tree; which assets carry it is kept with the assets. `number` is its TagId."""

    number: int
    name: str
    parent_id: int = 0  # number of the tag above it; 0: a root
    external_ids: dict[str, str] = {}

    def automatic_ids(self) -> dict[str, str]:
        """The external id that comes by itself."""
        return {"samsara.name": self.name}


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

    def ways_by_id(self) -> frozenset[str]:
        """The networks from which its id lets it in without a key, "" for anywhere; none for a forwarder."""
        if not self.device_id or self.is_forwarder:
            return frozenset()
        return frozenset(self.networks) | (frozenset(("",)) if self.trust_id else frozenset())


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API token of an org. `secret_hash` is the SHA-256, in hex, of the token's text."""

    name: str
    created_ms: int
    secret_hash: str
    hint: str  # its last four characters, to recognise it by
    scopes: tuple[str, ...] = ()
    tag_ids: tuple[int, ...] = ()  # numbers of tags; () sees the whole org
    expires_ms: int = 0  # 0: never
    maker_id: int = 0  # record id of the token that made it, and takes it along when it is revoked; 0: the operator


class Knock(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device that was refused: who it said it was, which of ours it was if that is known, and why it was last."""

    device_id: str
    protocol: str
    address: str
    reason: str
    first_ms: int
    last_ms: int
    count: int = 1
    device: int = 0  # record id of the device; 0: a stranger


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody to call at an address."""

    number: int
    created_ms: int
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""


class Driver(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who drives. There is no login here, so that the password of the vendor's API is kept nowhere."""

    number: int
    name: str
    username: str
    created_ms: int
    updated_ms: int
    phone: str = ""
    notes: str = ""
    license_number: str = ""
    license_state: str = ""
    locale: str = ""
    timezone: str = ""
    deactivated_ms: int = 0  # 0: active
    tag_ids: tuple[int, ...] = ()
    external_ids: dict[str, str] = {}


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named place with its geofence. `lat`, `lon` is the centre that the outside sees."""

    number: int
    name: str
    formatted_address: str
    fence: Geofence
    created_ms: int
    updated_ms: int
    lat: float = 0.0
    lon: float = 0.0
    show_addresses: bool | None = None
    types: tuple[str, ...] = ()
    notes: str = ""
    contact_ids: tuple[int, ...] = ()
    tag_ids: tuple[int, ...] = ()
    external_ids: dict[str, str] = {}
    is_private: bool = False  # nothing inside its geofence is ever shown by a public link


class Stop(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place on a route. At an address (`address_id`), or at a place of its own; times in epoch ms, 0 for none."""

    number: int  # its id, unique over all routes of the install
    name: str
    address_id: int = 0
    lat: float = 0.0  # of a place of its own, as are the next three
    lon: float = 0.0
    place_text: str = ""
    radius_m: float = 0.0
    is_private: bool = False  # of a place of its own: it was a private address, which is deleted; no link tells it
    scheduled_arrival_ms: int = 0
    scheduled_departure_ms: int = 0
    early_ms: int = 0  # still on time so long before the scheduled arrival
    late_ms: int = 0  # and so long after it
    notes: str = ""
    sequence: int = 0
    external_ids: dict[str, str] = {}
    en_route_ms: int = 0
    arrived_ms: int = 0
    departed_ms: int = 0
    skipped_ms: int = 0


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """A planned trip: its stops in order, who drives it with what, and how far it came (the stops' own times)."""

    number: int
    name: str
    stops: tuple[Stop, ...]
    created_ms: int
    updated_ms: int
    asset_id: int = 0
    driver_id: int = 0
    notes: str = ""
    starting: str = "departFirstStop"
    completion: str = "arriveLastStop"
    sequencing: str = "scheduledArrivalTime"
    tag_ids: tuple[int, ...] = ()
    external_ids: dict[str, str] = {}
    started_ms: int = 0
    ended_ms: int = 0
    recurring_id: int = 0  # number of the recurring route that it is a run of
    run_date: str = ""  # YYYY-MM-DD in the recurring route's zone
    run_time: str = ""  # HH:MM there: which of the day's runs it is
    assigned_ms: int = 0  # since when `vehicle_id` has been its vehicle; 0: since it was made
    driven_asset_id: int = (
        0  # of one with a driver and no vehicle: his, as it was last assigned to him while it was open
    )

    @property
    def vehicle_id(self) -> int:
        """Number of the vehicle whose fixes say how far it has come; 0 where nobody knows which that is."""
        return self.asset_id or self.driven_asset_id


class PlannedStop(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stop of a recurring route; times are seconds after the run's start, -1 for none."""

    name: str
    address_id: int = 0
    lat: float = 0.0
    lon: float = 0.0
    place_text: str = ""
    radius_m: float = 0.0
    is_private: bool = False  # as of a stop
    arrival_s: int = -1
    departure_s: int = -1
    early_ms: int = 0
    late_ms: int = 0
    notes: str = ""


class RecurringRoute(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pattern of routes. One counter numbers both, so that neither can mean the other."""

    number: int
    name: str
    stops: tuple[PlannedStop, ...]
    created_ms: int
    updated_ms: int
    timezone: str  # IANA name; start times are local times there
    start_times: tuple[str, ...]  # HH:MM, ascending: the runs of a day
    weekdays: tuple[int, ...]  # 0 Monday to 6 Sunday, ascending
    first_date: str = ""  # YYYY-MM-DD; "" no bound
    last_date: str = ""
    asset_id: int = 0
    driver_id: int = 0
    notes: str = ""
    starting: str = "departFirstStop"
    completion: str = "arriveLastStop"
    tag_ids: tuple[int, ...] = ()
    external_ids: dict[str, str] = {}
    cancelled: tuple[str, ...] = ()  # runs that were deleted one by one, as YYYY-MM-DDTHH:MM: not planned again


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a shared vehicle is bound, when that is no address of the org."""

    name: str
    formatted_address: str
    lat: float
    lon: float


class LiveShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """A public link to a view, not a token. Times in epoch ms, 0 for none.

    `type` is a name of `sharing.registry`; the fields of other types are left at their defaults. Ids are numbers of
    assets, tags, addresses, routes or recurring routes; what they mean may be deleted: then nothing is shown.
    """

    share_id: str  # 20 characters of a-z0-9, as the outside knows it
    name: str
    type: str
    created_ms: int
    updated_ms: int
    key_hash: str  # SHA-256, in hex, of the link's key; the key itself is kept nowhere
    rotation: int = 0  # raised to give the link another key
    shown_from_ms: int = 0  # nothing measured before is ever shown: when its limits were last widened
    past_from_ms: int = (
        0  # of what was measured before, the newest alone is: when it got more past, or was opened again
    )
    description: str = ""
    starts_ms: int = 0
    expires_ms: int = 0
    asset_id: int = 0
    tag_ids: tuple[int, ...] = ()
    destination: Destination | None = None
    address_id: int = 0  # near this place; or, with an asset or tags, bound for it
    route_id: int = 0  # a recurring route, or a single one
    limit_tag_ids: tuple[int, ...] = ()  # made by a token with these tags: shows nothing beyond them; () no limit
    trail_min: int = 0  # 0 none, -1 since the link's start, else as many minutes
    ends_on_arrival: bool = False
    has_arrived: bool = False  # that is why it has ended
    planned_arrival_ms: int = 0
    disclose_m: int = 0  # shown only this near to where it is bound, or
    disclose_min: int = 0  # this long before it is planned or expected there; 0 and 0: always
    shown_name: str = ""  # in place of the vehicle's own name and plate


class Arrival(msgspec.Struct, frozen=True, omit_defaults=True):
    """One drive to a place, as it was: what arrival times are estimated from.

    `samples`: for distances on the way, descending: (metres in a straight line, seconds until arrival).
    """

    asset_id: int
    lat: float
    lon: float
    arrived_ms: int
    samples: tuple[tuple[int, int], ...]


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
    "contact": Contact,
    "driver": Driver,
    "address": Address,
    "route": Route,
    "recurring": RecurringRoute,
    "share": LiveShare,
    "arrival": Arrival,
    "counter": Counter,
}
