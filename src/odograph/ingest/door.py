"""Who may come in: from the claim and the credentials of a sender to the device, its asset and its org.

A key lets in; knowing an id does not, unless the operator bound the id to a network or said that the id alone is
enough; namesakes that are let in by keys alone, in whichever org, change nothing about that. What a device calls
itself is not held against its key: the key is the proof, the id is a name.
API tokens don't count here, and keys have no rate limit.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeGuard

from odograph.catalog.fields import MAX_DEVICE_ID
from odograph.catalog.secrets import canonical_key, digest
from odograph.clock import Clock
from odograph.errors import Kind, Refusal, unavailable
from odograph.ingest.knocks import Knocks
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.live.presence import Presence
from odograph.model.catalog import Device, Knock, Org
from odograph.model.ids import AssetId, OrgId, RecordId
from odograph.protocols.base import Claim
from odograph.store.base import INSTALL

NO_KEY: Final = "no_key"
UNKNOWN_KEY: Final = "unknown_key"
ID_ALONE: Final = "id_alone"
OTHER_NETWORK: Final = "other_network"
AMBIGUOUS_ID: Final = "ambiguous_id"
DISABLED: Final = "disabled"
OTHER_PROTOCOL: Final = "other_protocol"
NOT_MOUNTED: Final = "not_mounted"
NO_DEVICE_ID: Final = "no_device_id"
UNKNOWN_DEVICE: Final = "unknown_device"
OWN_KEY_NEEDED: Final = "own_key_needed"
OTHER_ORG: Final = "other_org"
REASONS: Final = (
    NO_KEY,
    UNKNOWN_KEY,
    ID_ALONE,
    OTHER_NETWORK,
    AMBIGUOUS_ID,
    DISABLED,
    OTHER_PROTOCOL,
    NOT_MOUNTED,
    NO_DEVICE_ID,
    UNKNOWN_DEVICE,
    OWN_KEY_NEEDED,
    OTHER_ORG,
)
"""Every reason for turning a sender away; kept with its knock, and labels of a counter."""

Register = Callable[[OrgId, str, str], Awaitable[None]]
"""Makes a vehicle and a device in an org from a device id and a protocol's name; the directory knows it after.

`catalog.enrolment.enrol` with its catalog bound. FORBIDDEN or INVALID where that can't be.
"""


class Sender(NamedTuple):
    """Where a message came from, and the key that came with it outside its own body."""

    address: str
    key: str | None = None


class Passage(NamedTuple):
    """Who has come in."""

    org: OrgId
    asset: AssetId
    device: RecordId


class Unwelcome(Refusal):
    """A sender is turned away: UNAUTHENTICATED, or FORBIDDEN where we know them. `reason` is one of REASONS.

    `org` is where its key or id belongs, `device` which one it is, as far as they tell.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        org: OrgId = INSTALL,
        device: RecordId | None = None,
        kind: Kind = Kind.FORBIDDEN,
    ) -> None:
        super().__init__(kind, message)
        self.reason = reason
        self.org = org
        self.device = device


class Newcomer(Exception):
    """A device that its org has never met and wants to: `Door.welcome` registers it."""

    def __init__(self, org: OrgId, device_id: str) -> None:
        super().__init__(device_id)
        self.org = org
        self.device_id = device_id


class Door:
    """Lets devices in, which is when they are heard, and remembers who knocked in vain."""

    def __init__(
        self, directory: Directory, presence: Presence, knocks: Knocks, register: Register, clock: Clock
    ) -> None:
        self._directory = directory
        self._presence = presence
        self._knocks = knocks
        self._register = register
        self._clock = clock

    def check_key(self, protocol: str, sender: Sender) -> RecordId | None:
        """The device whose key the one outside the body is, None for an org's or that of a disabled device.

        Raises Unwelcome, after noting the knock, where it is nobody's. For messages that name no device, and before
        a long one is read: it says nothing about who may speak.
        """
        holder = self._find_holder(sender.key) if sender.key else None
        if holder is not None:
            if not _is_device(holder) or not holder.body.is_enabled:
                return None
            self._presence.hear(holder.id, self._clock.now_ms())
            return holder.id
        refusal = _unknown_key() if sender.key else _no_key(protocol)
        self._note(protocol, Claim(), sender, refusal)
        raise refusal

    async def welcome(self, protocol: str, claim: Claim, sender: Sender) -> Passage:
        """As `enter`; a newcomer is registered first, which waits for the store and may meet its UNAVAILABLE."""
        try:
            return self.enter(protocol, claim, sender)
        except Newcomer as newcomer:
            try:
                await self._enrol(newcomer, protocol)
            except Unwelcome as refusal:
                self._note(protocol, claim, sender, refusal)
                raise
        try:
            return self.enter(protocol, claim, sender)
        except Newcomer:
            raise _registering("The device is being registered.") from None

    def enter(self, protocol: str, claim: Claim, sender: Sender) -> Passage:
        """The device that speaks. Raises Unwelcome, after noting the knock; Newcomer.

        The key from outside the body counts before the one in it.
        """
        key = sender.key or claim.key
        if key:
            plain = self._directory.devices.find_plain(digest(key), protocol)
            if plain is not None and self._directory.assets.org_of(plain[1]) == plain[0]:
                self._presence.hear(plain[2], self._clock.now_ms())
                return Passage(*plain)
        try:
            passage = (
                self._enter_by_key(protocol, claim, key) if key else self._enter_by_id(protocol, claim, sender)
            )
        except Unwelcome as refusal:
            self._note(protocol, claim, sender, refusal)
            raise
        self._presence.hear(passage.device, self._clock.now_ms())
        return passage

    def _note(self, protocol: str, claim: Claim, sender: Sender, refusal: Unwelcome) -> None:
        org, device, now_ms = refusal.org, refusal.device, self._clock.now_ms()
        if org == INSTALL and claim.device:
            # Whoever it was, it used the name of a device of that org: its owner will want to know.
            namesakes = self._directory.devices.list_by_device_id(claim.device)
            if len(namesakes) == 1:
                org, device = namesakes[0].org, namesakes[0].id
        device_id = (claim.device or "")[:MAX_DEVICE_ID]
        knock = Knock(device_id, protocol, sender.address, refusal.reason, now_ms, now_ms, device=device or 0)
        self._knocks.note(org, knock)

    def _find_holder(self, key: str) -> Entity[Device] | Entity[Org] | None:
        """Whose key this is. Looked up as it came first: devices repeat what people typed by hand once."""
        return self._find_by_hash(digest(key)) or self._find_by_hash(digest(canonical_key(key)))

    def _find_by_hash(self, key_hash: bytes) -> Entity[Device] | Entity[Org] | None:
        return self._directory.devices.find_by_key(key_hash) or self._directory.orgs.find_by_enrolment(key_hash)

    def _enter_by_key(self, protocol: str, claim: Claim, key: str) -> Passage:
        holder = self._find_holder(key)
        if holder is None:
            raise _unknown_key()
        if not _is_device(holder):
            return self._enter_by_enrolment(protocol, claim, OrgId(holder.id))
        if not holder.body.is_forwarder:
            return self._pass(protocol, holder)
        _check(protocol, holder)
        self._presence.hear(holder.id, self._clock.now_ms())
        device = self._find_claimed(holder.org, claim, holder.id)
        if device is None:
            raise self._stranger(claim, holder.org)
        return self._pass(protocol, device, checks_protocol=False)

    def _enter_by_enrolment(self, protocol: str, claim: Claim, org: OrgId) -> Passage:
        """An org's enrolment key goes on speaking for the devices that came with it, and for no others.

        Also when no new ones may come any more: who is here already has no other key.
        """
        device = self._find_claimed(org, claim)
        if device is None:
            raise self._stranger(claim, org)
        if device.body.key_hash:
            message = f"Device {claim.device!r} has a key of its own: send that."
            raise Unwelcome(OWN_KEY_NEEDED, message, org=org, device=device.id)
        return self._pass(protocol, device)

    def _enter_by_id(self, protocol: str, claim: Claim, sender: Sender) -> Passage:
        if not claim.device:
            raise _no_key(protocol)
        namesakes = self._directory.devices.list_by_device_id(claim.device)
        bound = [one for one in namesakes if one.body.ways_by_id()]
        found = [one for one in bound if _is_enough(one.body, sender.address)]
        if len(found) != 1:
            # One answer for all cases: who asks without proof must not learn which ids exist.
            message = f"Device {claim.device[:MAX_DEVICE_ID]!r} is not let in by its id alone. Send its key."
            org, device = (bound[0].org, bound[0].id) if len(bound) == 1 else (INSTALL, None)
            raise Unwelcome(_why_not(bound, found), message, org=org, device=device, kind=Kind.UNAUTHENTICATED)
        return self._pass(protocol, found[0])

    def _find_claimed(self, org: OrgId, claim: Claim, forwarder: RecordId | None = None) -> Entity[Device] | None:
        if not claim.device:
            message = "This key speaks for many devices: say which one, by its id."
            raise Unwelcome(NO_DEVICE_ID, message, org=org, device=forwarder)
        return self._directory.devices.find_by_device_id(org, claim.device)

    def _stranger(self, claim: Claim, org: OrgId) -> Newcomer | Unwelcome:
        """What a device is that its org has never met."""
        device_id = claim.device or ""
        known: Entity[Org] | None = self._directory.orgs.find_org(org)
        if known is None or not known.body.self_registration or len(device_id) > MAX_DEVICE_ID:
            return Unwelcome(UNKNOWN_DEVICE, f"Device {device_id[:MAX_DEVICE_ID]!r} is not known here.", org=org)
        return Newcomer(org, device_id)

    async def _enrol(self, newcomer: Newcomer, protocol: str) -> None:
        try:
            await self._register(newcomer.org, newcomer.device_id, protocol)
        except Refusal as refusal:
            if refusal.kind in {Kind.UNAVAILABLE, Kind.CONFLICT}:  # both pass: the device may come again
                raise _registering(refusal.message) from refusal
            raise Unwelcome(UNKNOWN_DEVICE, refusal.message, org=newcomer.org) from refusal

    def _pass(self, protocol: str, device: Entity[Device], *, checks_protocol: bool = True) -> Passage:
        _check(protocol if checks_protocol else device.body.protocol, device)
        asset = AssetId(device.body.asset_id)
        if not asset or self._directory.assets.org_of(asset) != device.org:
            message = f"Device {device.body.name!r} is not mounted on a vehicle."
            raise Unwelcome(NOT_MOUNTED, message, org=device.org, device=device.id)
        return Passage(device.org, asset, device.id)


def _is_device(holder: Entity[Device] | Entity[Org]) -> TypeGuard[Entity[Device]]:
    return isinstance(holder.body, Device)


def _no_key(protocol: str) -> Unwelcome:
    message = (
        "No device key. Send it as 'Authorization: Bearer KEY', as X-Device-Key, "
        f"or at the end of the URL: /ingest/{protocol}/KEY."
    )
    return Unwelcome(NO_KEY, message, kind=Kind.UNAUTHENTICATED)


def _unknown_key() -> Unwelcome:
    return Unwelcome(UNKNOWN_KEY, "Unknown device key.", kind=Kind.UNAUTHENTICATED)


def _registering(message: str) -> Refusal:
    return unavailable(message, retry_after_s=2)


def _check(protocol: str, device: Entity[Device]) -> None:
    if not device.body.is_enabled:
        message = f"Device {device.body.name!r} is disabled."
        raise Unwelcome(DISABLED, message, org=device.org, device=device.id)
    if device.body.protocol and device.body.protocol != protocol:
        message = f"Device {device.body.name!r} speaks {device.body.protocol}, not {protocol}."
        raise Unwelcome(OTHER_PROTOCOL, message, org=device.org, device=device.id)


def _is_enough(device: Device, address: str) -> bool:
    return device.trust_id or any(_is_within(address, network) for network in device.networks)


def _why_not(bound: list[Entity[Device]], found: list[Entity[Device]]) -> str:
    """The reason for the operator's eyes. Several can be meant only where the catalogue is older than its rule."""
    if found:
        return AMBIGUOUS_ID
    return OTHER_NETWORK if bound else ID_ALONE


@lru_cache(maxsize=4096)
def _is_within(address: str, network: str) -> bool:
    """Whether an address lies in a CIDR; IPv4 written as IPv6 counts as IPv4, and what is no address nowhere."""
    try:
        host = ipaddress.ip_address(address)
        net = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    return (mapped or host) in net
