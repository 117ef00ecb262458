"""Who is let in, and who is turned away and remembered."""

from __future__ import annotations

import msgspec
import pytest

from odograph.catalog.secrets import hex_digest
from odograph.errors import Kind, Refusal
from odograph.ingest import door as doors
from odograph.ingest.door import Door, Passage, Sender, Unwelcome
from odograph.ingest.knocks import Knocks
from odograph.live.directory import Directory
from odograph.live.presence import Presence
from odograph.model.catalog import KINDS, Asset, Device, Org
from odograph.model.ids import AssetId, OrgId, RecordId
from odograph.protocols.base import Claim
from odograph.store.base import INSTALL, Record
from tests.unit.ingest.scripted import StillClock

ORG, OTHER = OrgId(1), OrgId(2)
NOBODY = Sender("203.0.113.9")


class House:
    """A directory fed by records, and a door in front of it."""

    def __init__(self):
        self.directory = Directory()
        self.clock = StillClock()
        self.knocks = Knocks(self.write, self.clock)
        self.registered: list[tuple[OrgId, str, str]] = []
        self.knows_newcomers = True
        self.presence = Presence(self.directory.devices)
        self.door = Door(self.directory, self.presence, self.knocks, self.register, self.clock)
        self._rev = 100
        self.put(INSTALL, 1, Org(name="one", created_ms=1))
        self.put(INSTALL, 2, Org(name="two", created_ms=1))
        for number in range(1, 6):
            self.put(ORG, 10 + number, Asset(number=number, name=f"bus {number}", created_ms=1, updated_ms=1))

    def put(self, org, record_id, body):
        self._rev += 1
        kind = next(kind for kind, known in KINDS.items() if known is type(body))
        self.directory.apply([Record(org, kind, RecordId(record_id), self._rev, msgspec.json.encode(body))])

    def device(self, record_id, *, org=ORG, key="", **fields):
        hashed = hex_digest(key) if key else ""
        body = Device(name=f"device {record_id}", created_ms=1, asset_id=1, key_hash=hashed)
        self.put(org, record_id, msgspec.structs.replace(body, **fields))

    async def write(self, noted):
        raise AssertionError("nothing is written unless Knocks.run runs")

    async def register(self, org, device_id, protocol):
        self.registered.append((org, device_id, protocol))
        if self.knows_newcomers:
            self.device(500, org=org, device_id=device_id, protocol=protocol, asset_id=5)

    def noted(self):
        return [(org, knock.device_id, knock.reason, knock.count) for org, knock in self.knocks.pending()]

    async def refusal(self, claim, sender=NOBODY, protocol="osmand"):
        with pytest.raises(Unwelcome) as refused:
            await self.door.welcome(protocol, claim, sender)
        return refused.value


@pytest.fixture
def house():
    return House()


async def test_a_key_lets_its_device_in_wherever_it_stands(house):
    house.device(21, key="k1", asset_id=2)
    expected = Passage(ORG, AssetId(2), RecordId(21))
    assert await house.door.welcome("osmand", Claim(), Sender("::1", "k1")) == expected
    assert await house.door.welcome("osmand", Claim(key="k1"), NOBODY) == expected
    assert await house.door.welcome("osmand", Claim(device="any name", key="other"), Sender("", "k1")) == expected
    assert house.noted() == []


async def test_a_key_typed_by_hand_is_understood(house):
    house.device(21, key="0123-4567-89ab-cdef-ghjk-mnpq-rstv")
    assert await house.door.welcome("osmand", Claim(), Sender("", "O1234567 89ABCDEFGHJKMNPQRSTV"))


async def test_no_key_and_a_wrong_key_are_unauthenticated_and_remembered(house):
    refusal = await house.refusal(Claim())
    assert (refusal.kind, refusal.reason) == (Kind.UNAUTHENTICATED, doors.NO_KEY)
    for _ in range(3):
        refusal = await house.refusal(Claim(device="bus"), Sender("198.51.100.1", "wrong"))
        assert (refusal.kind, refusal.reason) == (Kind.UNAUTHENTICATED, doors.UNKNOWN_KEY)
        assert "wrong" not in refusal.message
    assert house.noted() == [(INSTALL, "", doors.NO_KEY, 1), (INSTALL, "bus", doors.UNKNOWN_KEY, 3)]


async def test_an_empty_key_is_none(house):
    house.device(21, key="", device_id="bus")
    assert (await house.refusal(Claim(device="bus"), Sender("::1", ""))).reason == doors.ID_ALONE


async def test_a_disabled_device_is_forbidden_at_once_and_let_in_when_enabled_again(house):
    house.device(21, key="k1", is_enabled=False)
    refusal = await house.refusal(Claim(), Sender("::1", "k1"))
    assert (refusal.kind, refusal.reason) == (Kind.FORBIDDEN, doors.DISABLED)
    house.device(21, key="k1")
    assert await house.door.welcome("osmand", Claim(), Sender("::1", "k1"))


async def test_a_replaced_key_opens_no_more(house):
    house.device(21, key="k1")
    house.device(21, key="k2")
    assert (await house.refusal(Claim(), Sender("::1", "k1"))).reason == doors.UNKNOWN_KEY
    assert await house.door.welcome("osmand", Claim(), Sender("::1", "k2"))


async def test_a_device_bound_to_a_protocol_speaks_no_other(house):
    house.device(21, key="k1", protocol="owntracks")
    assert (await house.refusal(Claim(), Sender("::1", "k1"))).reason == doors.OTHER_PROTOCOL
    assert await house.door.welcome("owntracks", Claim(), Sender("::1", "k1"))


@pytest.mark.parametrize("asset_id", [0, 999, 31])
async def test_a_device_that_is_mounted_on_nothing_is_forbidden(house, asset_id):
    house.put(OTHER, 31, Asset(number=31, name="another org's", created_ms=1, updated_ms=1))
    house.device(21, key="k1", asset_id=asset_id)
    assert (await house.refusal(Claim(), Sender("::1", "k1"))).reason == doors.NOT_MOUNTED


async def test_knowing_an_id_is_not_enough(house):
    house.device(21, key="k1", device_id="352093081234567")
    known, unknown = await house.refusal(Claim("352093081234567")), await house.refusal(Claim("352093081234568"))
    assert known.kind is unknown.kind is Kind.UNAUTHENTICATED
    assert known.message.replace("567", "568") == unknown.message
    assert house.noted() == [
        (ORG, "352093081234567", doors.ID_ALONE, 1),
        (INSTALL, "352093081234568", doors.ID_ALONE, 1),
    ]


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::7", True),
        ("10.2.2.3", False),
        ("2001:db9::7", False),
        ("", False),
        ("testclient", False),
    ],
)
async def test_an_id_is_enough_from_the_network_it_is_bound_to(house, address, is_in):
    house.device(21, device_id="352", networks=("10.1.0.0/16", "2001:db8::/32"))
    if is_in:
        assert (await house.door.welcome("teltonika", Claim("352"), Sender(address))).device == 21
    else:
        refusal = await house.refusal(Claim("352"), Sender(address))
        assert (refusal.kind, refusal.reason) == (Kind.UNAUTHENTICATED, doors.OTHER_NETWORK)


async def test_an_id_alone_is_enough_where_the_operator_says_so(house):
    house.device(21, device_id="352", trust_id=True)
    assert (await house.door.welcome("teltonika", Claim("352"), NOBODY)).device == 21


async def test_one_id_trusted_in_two_orgs_lets_nobody_in(house):
    house.put(OTHER, 31, Asset(number=31, name="truck", created_ms=1, updated_ms=1))
    house.device(21, device_id="352", trust_id=True)
    house.device(22, org=OTHER, device_id="352", networks=("203.0.113.0/24",), asset_id=31)
    assert (await house.refusal(Claim("352"))).reason == doors.AMBIGUOUS_ID
    assert (await house.door.welcome("teltonika", Claim("352"), Sender("192.0.2.1"))).org == ORG


async def test_a_namesake_of_another_org_that_has_a_key_changes_nothing_for_who_is_let_in_by_its_id(house):
    house.device(21, device_id="352", networks=("10.0.0.0/8",))
    house.device(22, org=OTHER, key="k2", device_id="352", asset_id=31)
    house.device(23, org=OTHER, key="k3", device_id="352", is_forwarder=True, trust_id=True, asset_id=0)
    assert (await house.door.welcome("teltonika", Claim("352"), Sender("10.1.2.3"))).device == 21
    assert (await house.refusal(Claim("352"))).reason == doors.OTHER_NETWORK
    assert house.noted() == [(ORG, "352", doors.OTHER_NETWORK, 1)], "its own org is told, and no other"


async def test_a_forwarder_delivers_for_the_devices_of_its_org_and_of_no_other(house):
    house.put(OTHER, 31, Asset(number=31, name="truck", created_ms=1, updated_ms=1))
    house.device(21, key="fw", is_forwarder=True, asset_id=0, protocol="traccar")
    house.device(22, device_id="a", protocol="teltonika", asset_id=3)
    house.device(23, device_id="b", key="own", is_enabled=False)
    house.device(24, org=OTHER, device_id="c", asset_id=31)
    forwarder = Sender("::1", "fw")
    assert (await house.door.welcome("traccar", Claim("a"), forwarder)) == Passage(ORG, AssetId(3), RecordId(22))
    reasons = [
        (await house.refusal(Claim(device), forwarder, "traccar")).reason for device in ("b", "c", "d", None)
    ]
    assert reasons == [doors.DISABLED, doors.UNKNOWN_DEVICE, doors.UNKNOWN_DEVICE, doors.NO_DEVICE_ID]
    assert (await house.refusal(Claim("a"), forwarder, "osmand")).reason == doors.OTHER_PROTOCOL
    assert house.registered == []


async def test_a_disabled_forwarder_delivers_nothing(house):
    house.device(21, key="fw", is_forwarder=True, is_enabled=False)
    house.device(22, device_id="a")
    assert (await house.refusal(Claim("a"), Sender("::1", "fw"))).reason == doors.DISABLED


async def test_unknown_devices_register_themselves_where_the_org_wants_it(house):
    sender = Sender("::1", "enrol")
    on = Org(name="one", created_ms=1, self_registration=True, enrolment_hash=hex_digest("enrol"))
    house.put(INSTALL, 1, on)
    assert await house.door.welcome("osmand", Claim("new"), sender) == Passage(ORG, AssetId(5), RecordId(500))
    assert await house.door.welcome("osmand", Claim("new"), sender) == Passage(ORG, AssetId(5), RecordId(500))
    assert house.registered == [(ORG, "new", "osmand")]
    house.device(21, key="own", device_id="old")
    assert (await house.refusal(Claim("old"), sender)).reason == doors.OWN_KEY_NEEDED
    assert (await house.refusal(Claim("x" * 201), sender)).reason == doors.UNKNOWN_DEVICE
    house.put(INSTALL, 1, msgspec.structs.replace(on, self_registration=False))
    assert (await house.refusal(Claim("newer"), sender)).reason == doors.UNKNOWN_DEVICE
    assert (await house.door.welcome("osmand", Claim("new"), sender)).device == 500, "who came goes on"
    house.put(INSTALL, 1, msgspec.structs.replace(on, enrolment_hash=""))
    assert (await house.refusal(Claim("new"), sender)).reason == doors.UNKNOWN_KEY


async def test_a_forwarder_registers_too_where_the_org_wants_it(house):
    house.put(INSTALL, 1, Org(name="one", created_ms=1, self_registration=True))
    house.device(21, key="fw", is_forwarder=True, asset_id=0)
    assert (await house.door.welcome("traccar", Claim("new"), Sender("::1", "fw"))).device == 500


async def test_a_registration_that_is_not_visible_yet_asks_to_come_again(house):
    house.knows_newcomers = False
    house.put(INSTALL, 1, Org(name="one", created_ms=1, self_registration=True, enrolment_hash=hex_digest("enrol")))
    with pytest.raises(Refusal) as refused:
        await house.door.welcome("osmand", Claim("new"), Sender("::1", "enrol"))
    assert refused.value.kind is Kind.UNAVAILABLE


async def test_who_is_known_enters_without_waiting_and_a_newcomer_is_told_apart(house):
    house.put(INSTALL, 1, Org(name="one", created_ms=1, self_registration=True, enrolment_hash=hex_digest("enrol")))
    house.device(21, key="k1")
    assert house.door.enter("osmand", Claim(), Sender("::1", "k1")).device == 21
    with pytest.raises(doors.Newcomer) as newcomer:
        house.door.enter("osmand", Claim("new"), Sender("::1", "enrol"))
    assert (newcomer.value.org, newcomer.value.device_id) == (ORG, "new")
    assert house.registered == []
    assert house.noted() == []


async def test_a_key_can_be_checked_without_a_device(house):
    house.device(21, key="k1", is_enabled=False)
    house.door.check_key("osmand", Sender("::1", "k1"))
    for sender, reason in ((Sender("::1", "k2"), doors.UNKNOWN_KEY), (Sender("::1"), doors.NO_KEY)):
        with pytest.raises(Unwelcome) as refused:
            house.door.check_key("osmand", sender)
        assert refused.value.reason == reason
    assert house.noted() == [(INSTALL, "", doors.NO_KEY, 2)]


async def test_every_reason_is_one_of_the_list():
    named = {value for name, value in vars(doors).items() if name.isupper() and isinstance(value, str)}
    assert named == set(doors.REASONS)


async def test_a_refusal_is_that_of_the_device_which_its_key_or_its_id_told(house):
    house.device(21, key="k1", is_enabled=False)
    house.device(22, key="k2", protocol="owntracks", device_id="box")
    house.device(23, key="hub", is_forwarder=True, asset_id=0)
    house.device(24, key="k4", asset_id=0)
    house.device(25, device_id="here", networks=("10.0.0.0/8",))
    for claim, key in (
        (Claim("any name"), "k1"), (Claim(), "k2"), (Claim(), "hub"), (Claim(), "k4"), (Claim("here"), None),
        (Claim("box"), "wrong"), (Claim("stranger"), "hub"),
    ):  # fmt: skip
        await house.refusal(claim, Sender("203.0.113.9", key))
    assert [(org, knock.device, knock.reason) for org, knock in house.knocks.pending()] == [
        (ORG, 21, doors.DISABLED),
        (ORG, 22, doors.UNKNOWN_KEY),
        (ORG, 23, doors.NO_DEVICE_ID),
        (ORG, 24, doors.NOT_MOUNTED),
        (ORG, 25, doors.OTHER_NETWORK),
        (ORG, 0, doors.UNKNOWN_DEVICE),
    ]


async def test_an_id_that_devices_of_two_orgs_have_tells_neither(house):
    house.device(21, key="k1", device_id="box")
    house.device(22, org=OTHER, key="k2", device_id="box")
    await house.refusal(Claim("box"), Sender("203.0.113.9", "wrong"))
    assert [(org, knock.device) for org, knock in house.knocks.pending()] == [(INSTALL, 0)]


async def test_who_is_let_in_is_heard_and_who_is_not_is_not(house):
    def heard():
        devices = [house.directory.devices.find(ORG, RecordId(number)) for number in (21, 22, 23, 24)]
        return [one.id for one in devices if house.presence.last_heard(one)]

    house.device(21, key="k1")
    house.device(22, key="k2", is_enabled=False)
    house.device(23, key="hub", is_forwarder=True, asset_id=0)
    house.device(24, device_id="behind")
    await house.refusal(Claim(), Sender("", "k2"))
    assert house.door.check_key("osmand", Sender("", "k2")) is None
    assert heard() == []
    await house.door.welcome("osmand", Claim(), Sender("", "k1"))
    assert heard() == [21]
    await house.refusal(Claim("stranger"), Sender("", "hub"))
    assert heard() == [21, 23], "a forwarder is heard also where it speaks for strangers"
    await house.door.welcome("osmand", Claim("behind"), Sender("", "hub"))
    assert heard() == [21, 23, 24]
    house.device(22, key="k2")
    assert house.door.check_key("osmand", Sender("", "k2")) == 22
    assert heard() == [21, 22, 23, 24]
