"""What every protocol of the registry promises to a device once it is behind ingest, on every storage engine."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import product

import numpy as np
import pytest
import pytest_asyncio

from odograph.catalog.assets import AssetFields
from odograph.catalog.assets import create as create_asset
from odograph.catalog.changes import Catalog
from odograph.catalog.devices import DeviceFields
from odograph.catalog.devices import add as add_device
from odograph.catalog.devices import update as update_device
from odograph.catalog.enrolment import enrol
from odograph.catalog.knocks import record as record_knocks
from odograph.catalog.orgs import create as create_org
from odograph.catalog.orgs import open_registration
from odograph.clock import SystemClock
from odograph.errors import unavailable
from odograph.ingest.committer import Committer
from odograph.ingest.crowd import Crowd
from odograph.ingest.door import Door
from odograph.ingest.http import MAX_BODY, MAX_STRANGER_BODY, MAX_STRANGER_INFLATED, IngestHttp
from odograph.ingest.intake import Intake
from odograph.ingest.knocks import Knocks
from odograph.ingest.sockets import Listener
from odograph.live.directory import Directory
from odograph.live.presence import Presence
from odograph.live.seam import Seam
from odograph.live.snapshot import Snapshot
from odograph.live.stretch import Stretch
from odograph.live.view import Live
from odograph.model.fixes import Report
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.protocols.base import BadFrame, Claim, HttpProtocol, HttpRequest, StreamProtocol
from odograph.protocols.registry import PROTOCOLS
from odograph.store.base import INSTALL, OrgFixes, Outcome, Store
from odograph.store.registry import ENGINES, open_store
from odograph.telemetry import App
from tests.unit.ingest.driver import Heard, Server, call

every_http = pytest.mark.parametrize("protocol", PROTOCOLS.http, ids=lambda protocol: protocol.name)
every_stream = pytest.mark.parametrize("protocol", PROTOCOLS.stream, ids=lambda protocol: protocol.name)

CONNECTION = "a connection"
FACES = (CONNECTION, "ASGI")
"""How requests come to ingest: as devices' do, and as those of whoever runs the application without sockets."""

IMEI = "352093081234567"
LIMIT_S = 20.0


class Gate:
    """A store whose appends can be held back and failed; all else is the engine's own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()
        self.error: Exception | None = None
        self.unjudged: set[int] = set()  # times of which it can't tell now whether they are stored

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def append(self, batch: Sequence[OrgFixes]):
        self.entered.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        are_unjudged = [np.isin(part.fixes["time_ms"], list(self.unjudged)) for part in batch]
        outcomes = await self._store.append(
            [OrgFixes(part.org, part.fixes[~mask]) for part, mask in zip(batch, are_unjudged, strict=True)]
        )
        answers = [np.full(len(mask), Outcome.UNJUDGED, dtype=np.uint8) for mask in are_unjudged]
        for answer, mask, codes in zip(answers, are_unjudged, outcomes, strict=True):
            answer[~mask] = codes
        return answers


class World:
    """A whole ingest over a real store, with one org, one vehicle and its device."""

    def __init__(self, store: Store, face: str) -> None:
        self.clock = SystemClock()
        self.gate = Gate(store)
        self.directory = Directory()
        stretch = Stretch(8_000_000)
        self.live = Live(self.directory, Snapshot(), stretch, Seam(store, stretch))
        self.catalog = Catalog(store, self.directory, self.clock)
        self.knocks = Knocks(self._write_knocks, self.clock)
        self.knocks_written = asyncio.Event()
        self.committer = Committer(self.gate, self.clock)
        self.presence = presence = Presence(self.directory.devices)
        door = Door(self.directory, presence, self.knocks, partial(enrol, self.catalog), self.clock)
        self.intake = Intake(door, presence, self.committer, self.clock)
        ingest = IngestHttp(PROTOCOLS.http, self.intake, self.clock)
        self.app: App | Server = Server(ingest) if face == CONNECTION else ingest
        self._store = store

    async def _write_knocks(self, noted) -> None:
        await record_knocks(self.catalog, noted)
        self.knocks_written.set()

    async def furnish(self) -> None:
        """One org, one vehicle, a device with a key, and a tracker known by its network."""
        self.org = OrgId((await create_org(self.catalog, "depot")).id)
        asset = await create_asset(self.catalog, self.org, AssetFields(name="bus 1"))
        self.asset = AssetId(asset.body.number)
        fields = DeviceFields(asset_id=self.asset, device_id="bus-1")
        self.device, key = await add_device(self.catalog, self.org, fields)
        assert key is not None
        self.key = key
        bound = DeviceFields(asset_id=self.asset, device_id=IMEI, networks=("127.0.0.0/8",))
        self.tracker, _ = await add_device(self.catalog, self.org, bound, with_key=False)

    def report(self, step: int = 0, lat: float = 52.5) -> Report:
        """A fix of some seconds ago, another one for each step."""
        return Report(self.clock.now_ms() // 60_000 * 60_000 - 3_600_000 + step * 5000, lat, 13.25, 90.0, 36.0)

    def request(
        self, protocol: HttpProtocol, *reports: Report, key: str | None = None, device: str | None = "bus-1"
    ):
        """The one request that says this, with the device's key in its URL."""
        [request] = protocol.encode(Claim(device, self.key if key is None else key), reports)
        return request

    async def send(self, protocol: HttpProtocol, *reports: Report, key: str | None = None) -> Heard:
        return await call(self.app, self.request(protocol, *reports, key=key))

    async def stored(self) -> list[tuple[int, int, int]]:
        """(asset, time in ms, latitude in 1e-7 degree) of everything the log holds of the org, in arrival order."""
        head = (await self._store.status()).head
        if not head:
            return []
        block, _ = await self._store.read_after(self.org, Seq(0), head, 100_000)
        return [(int(fix["asset"]), int(fix["time_ms"]), int(fix["lat_e7"])) for fix in block.fixes]

    async def knocked(self, org: OrgId = INSTALL) -> list[tuple[str, str, str]]:
        """(device id, protocol, reason) of every knock on a list, once the first was written."""
        await asyncio.wait_for(self.knocks_written.wait(), LIMIT_S)
        known = self.directory.knocks.list_(org)
        return [(one.body.device_id, one.body.protocol, one.body.reason) for one in known]

    async def disable(self) -> None:
        for device in (self.device, self.tracker):
            await update_device(self.catalog, self.org, device.id, DeviceFields(is_enabled=False))


@pytest_asyncio.fixture(params=product(ENGINES, FACES), ids=" by ".join)
async def world(request, tmp_path):
    engine, face = request.param
    store = await open_store(engine, tmp_path)
    world = World(store, face)
    services = [world.live.run(store), world.committer.run(), world.knocks.run()]
    tasks = [asyncio.create_task(service) for service in services]
    try:
        await asyncio.wait_for(world.live.ready.wait(), LIMIT_S)
        await world.furnish()
        yield world
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()


@asynccontextmanager
async def listening(world, protocol, **limits):
    listener = Listener(protocol, world.intake, "127.0.0.1", 0, Crowd(1000), **limits)
    port = await listener.open()
    try:
        yield port
    finally:
        await listener.close()


class Tracker:
    """The device's side of one connection."""

    def __init__(self, protocol: StreamProtocol, reader, writer) -> None:
        self.encoder = protocol.encoder()
        self.reader, self.writer = reader, writer

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes, or what came before the connection was closed."""
        try:
            return await asyncio.wait_for(self.reader.readexactly(size), LIMIT_S)
        except asyncio.IncompleteReadError as error:
            return error.partial

    async def hello(self, device: str = IMEI) -> bytes:
        self.writer.write(self.encoder.hello(Claim(device)))
        return await self.read(1)

    def say(self, *reports: Report) -> None:
        self.writer.write(self.encoder.reports(reports))

    async def receipt(self) -> bytes:
        return await self.read(self.encoder.receipt_size())


@asynccontextmanager
async def connected(protocol, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Tracker(protocol, reader, writer)
    finally:
        writer.close()


def as_form(request: HttpRequest) -> HttpRequest:
    """The same with its fields in a body, for the protocols that otherwise have none."""
    if request.body:
        return request
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return request._replace(method="POST", query="", body=request.query.encode(), headers=headers)


@every_http
async def test_the_answer_waits_for_the_commit(world, protocol):
    world.gate.open.clear()
    sending = asyncio.create_task(world.send(protocol, world.report()))
    await asyncio.wait_for(world.gate.entered.wait(), LIMIT_S)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not sending.done()
    assert await world.stored() == []
    world.gate.open.set()
    heard = await asyncio.wait_for(sending, LIMIT_S)
    assert heard.status // 100 == 2
    assert await world.stored() == [(world.asset, world.report().time_ms, 525_000_000)]


@every_http
async def test_the_same_again_is_answered_2xx_and_stored_once(world, protocol):
    first, again = await world.send(protocol, world.report()), await world.send(protocol, world.report())
    different = await world.send(protocol, world.report(lat=48.0))
    assert [heard.status // 100 for heard in (first, again, different)] == [2, 2, 2]
    assert await world.stored() == [(world.asset, world.report().time_ms, 525_000_000)]


@every_http
async def test_what_can_never_be_stored_is_answered_2xx_so_that_a_phone_goes_on(world, protocol):
    assert (await world.send(protocol, world.report(lat=400.0))).status // 100 == 2
    late = world.report()._replace(time_ms=world.clock.now_ms() + 3_600_000)
    assert (await world.send(protocol, late)).status // 100 == 2
    assert await world.stored() == []
    rejection, heard = world.presence.last_rejection(world.device), world.presence.last_heard(world.device)
    assert (rejection.reason, heard.is_of_vehicle) == ("time_in_future", False)
    assert world.presence.last_heard(world.tracker) is None, "another device on the same vehicle"


@every_http
async def test_a_device_whose_fix_lost_its_moment_to_another_can_be_told_so(world, protocol):
    await world.send(protocol, world.report())
    assert world.presence.last_rejection(world.device) is None
    await world.send(protocol, world.report(lat=48.0))
    assert world.presence.last_rejection(world.device).reason == "same_time_different"


@every_http
async def test_a_device_that_is_not_understood_can_be_told_so(world, protocol):
    request = world.request(protocol, world.report())
    garbage = request._replace(query=request.query.replace("52.5", "north"), body=b"{" if request.body else b"")
    assert (await call(world.app, garbage)).status == 400
    assert world.presence.last_rejection(world.device).reason == "not_understood"
    assert world.presence.last_heard(world.device) is not None


@every_http
async def test_a_wrong_key_is_401_and_listed_as_a_knock(world, protocol):
    request = world.request(protocol, world.report(), key="no-such-key", device="stranger")
    heard = await call(world.app, request)
    assert heard.status == 401
    assert heard.headers["www-authenticate"] == "Bearer"
    assert "key" in heard.message
    assert "no-such-key" not in heard.message
    [(device, name, reason)] = await world.knocked()
    assert (name, reason) == (protocol.name, "unknown_key")
    assert device in {"stranger", ""}
    assert await world.stored() == []


@every_http
async def test_knowing_an_id_is_not_enough(world, protocol):
    request = world.request(protocol, world.report())
    heard = await call(world.app, request._replace(path=f"/ingest/{protocol.name}"))
    assert heard.status == 401
    assert [reason for _, _, reason in await world.knocked(world.org)] == ["id_alone"]
    assert await world.stored() == []


@every_http
async def test_a_disabled_device_is_403_and_its_owner_can_see_why(world, protocol):
    await world.disable()
    assert (await world.send(protocol, world.report())).status == 403
    assert [reason for _, _, reason in await world.knocked(world.org)] == ["disabled"]
    assert await world.stored() == []


@every_http
@pytest.mark.parametrize("place", ["path", "bearer", "x-device-key", "basic", "query"])
async def test_the_key_may_stand_in_the_header_the_url_or_the_password(world, protocol, place):
    request = world.request(protocol, world.report())
    headers = {
        "bearer": {"authorization": f"Bearer {world.key}"},
        "x-device-key": {"x-device-key": world.key},
        "basic": {"authorization": "Basic " + base64.b64encode(f"anyone:{world.key}".encode()).decode()},
    }.get(place, {})
    if place != "path":
        request = request._replace(path=f"/ingest/{protocol.name}/")
    if place == "query":
        request = request._replace(query=f"{request.query}&key={world.key}".lstrip("&"))
    assert (await call(world.app, request, headers=headers)).status == 200
    assert len(await world.stored()) == 1


@every_http
async def test_a_body_that_is_cut_off_stores_nothing_and_is_answered_nothing(world, protocol):
    request = as_form(world.request(protocol, world.report()))
    for pieces in ([], [request.body[:-3]], [request.body]):
        assert (await call(world.app, request, pieces=pieces, is_cut_off=True)).status == 0
    assert await world.stored() == []
    assert (await call(world.app, request, pieces=[request.body[:9], b"", request.body[9:]])).status == 200
    assert len(await world.stored()) == 1


@every_http
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate", "identity"])
async def test_a_compressed_body_says_the_same(world, protocol, encoding):
    request = as_form(world.request(protocol, world.report()))
    packed = {
        "gzip": gzip.compress(request.body),
        "deflate": zlib.compress(request.body),
        "raw deflate": zlib.compress(request.body)[2:-4],
        "identity": request.body,
    }[encoding]
    headers = {"content-encoding": encoding.rpartition(" ")[2].upper()}
    assert (await call(world.app, request._replace(body=packed), headers=headers)).status == 200
    assert len(await world.stored()) == 1


@every_http
async def test_a_compressed_body_that_is_broken_stores_nothing(world, protocol):
    request = as_form(world.request(protocol, world.report()))
    packed = gzip.compress(request.body)
    bomb = gzip.compress(bytes(MAX_BODY + 1))
    broken = [
        ("gzip", packed[:-1], 400),
        ("gzip", packed[:12], 400),
        ("gzip", packed + b"more", 400),
        ("gzip", request.body, 400),
        ("deflate", b"\0", 400),
        ("gzip", b"", 400),
        ("gzip", bomb, 413),
        ("deflate", zlib.compress(bytes(MAX_BODY + 1)), 413),
        ("br", request.body, 415),
        ("gzip, gzip", packed, 415),
    ]
    for encoding, body, status in broken:
        heard = await call(world.app, request._replace(body=body), headers={"content-encoding": encoding})
        assert (heard.status, bool(heard.message)) == (status, True)
    assert await world.stored() == []


@every_http
async def test_an_oversized_body_is_413_however_it_comes(world, protocol):
    request = as_form(world.request(protocol, world.report()))
    piece = bytes(1 << 20)
    said = await call(world.app, request, headers={"content-length": str(MAX_BODY + 1)}, pieces=[])
    unsaid = await call(world.app, request, pieces=[piece] * 17)
    for heard in (said, unsaid):
        assert heard.status == 413
        assert heard.headers["connection"] == "close"
        assert "longer" in heard.message
    nameless = request._replace(path=f"/ingest/{protocol.name}")
    packed = nameless._replace(body=gzip.compress(bytes(MAX_STRANGER_INFLATED + 1)))
    assert (await call(world.app, packed, headers={"content-encoding": "gzip"})).status == 413
    assert (await call(world.app, nameless, pieces=[bytes(MAX_STRANGER_BODY), b"1"])).status == 413
    wrong = request._replace(path=f"/ingest/{protocol.name}/no-such-key")
    assert (await call(world.app, wrong, pieces=[piece] * 17)).status == 401
    assert await world.stored() == []


@every_http
async def test_noise_is_400_and_never_an_error_of_ours(world, protocol):
    request = world.request(protocol, world.report())
    noise = [
        b"\xff\xfe\x00",
        b"{",
        b"[" * 100_000,
        b'{"lat":' * 10_000,
        b'"',
        b"lat=1&lon=",
        b"[[]]",
        b'{"fixes":0}',
    ]
    for body in noise:
        heard = await call(world.app, request._replace(method="POST", query="", body=body))
        assert heard.status in {200, 400}
        if heard.status == 400:
            assert heard.message.startswith("Not understood")
    wrong = request._replace(method="POST", query="", body=b"\xff", path=f"/ingest/{protocol.name}/no-such-key")
    assert (await call(world.app, wrong)).status == 401
    assert await world.stored() == []


@every_http
async def test_when_the_store_cannot_write_it_is_503_and_goes_on_by_itself(world, protocol):
    world.gate.error = unavailable("The disk is full.", retry_after_s=7)
    heard = await world.send(protocol, world.report())
    assert (heard.status, heard.headers["retry-after"], heard.message) == (503, "7", "The disk is full.")
    assert await world.stored() == []
    world.gate.error = None
    assert (await world.send(protocol, world.report())).status == 200
    assert len(await world.stored()) == 1


@every_http
async def test_what_cannot_be_compared_now_is_503_and_the_others_of_its_commit_are_stored(world, protocol):
    world.gate.unjudged = {world.report().time_ms}
    world.gate.open.clear()
    held = asyncio.create_task(world.send(protocol, world.report(1)))
    await asyncio.wait_for(world.gate.entered.wait(), LIMIT_S)
    sending = [asyncio.create_task(world.send(protocol, world.report(step))) for step in (0, 2)]
    for _ in range(20):
        await asyncio.sleep(0)
    world.gate.open.set()
    unjudged, other = await asyncio.gather(*sending)
    assert (await held).status // 100 == other.status // 100 == 2
    assert (unjudged.status, unjudged.headers["retry-after"]) == (503, "60")
    assert "Send all again later" in unjudged.message
    assert ".db" not in unjudged.message
    assert len(await world.stored()) == 2
    world.gate.unjudged = set()
    assert (await world.send(protocol, world.report())).status // 100 == 2
    assert len(await world.stored()) == 3


@every_http
async def test_an_unknown_device_registers_itself_where_the_org_wants_it(world, protocol):
    _, key = await open_registration(world.catalog, world.org)
    senders = [world.request(protocol, world.report(step), key=key, device="new-1") for step in range(3)]
    answers = await asyncio.gather(*(call(world.app, request) for request in senders))
    assert {heard.status for heard in answers} == {200}
    stored = await world.stored()
    [asset] = {asset for asset, _, _ in stored}
    assert len(stored) == 3
    assert asset != world.asset


@every_http
async def test_other_methods_and_paths_are_refused(world, protocol):
    request = world.request(protocol, world.report())
    for method in ("PUT", "DELETE", "HEAD"):
        heard = await call(world.app, request._replace(method=method))
        assert (heard.status, heard.headers["allow"]) == (405, "GET, POST")
    for path in ("/ingest/", "/ingest/nothing", f"/ingest/{protocol.name}/{world.key}/more"):
        heard = await call(world.app, request._replace(path=path))
        assert heard.status == 404
        assert protocol.name in heard.message
    assert await world.stored() == []


@every_http
async def test_a_message_without_a_position_is_answered_and_tries_the_key(world, protocol):
    request = world.request(protocol, world.report())._replace(method="POST", query="", body=b"")
    if protocol.name == "batch":
        request = request._replace(body=b'{"fixes":[]}')
    try:
        assert not any(delivery.reports for delivery in protocol.decode(request))
    except BadFrame:
        pytest.skip("every message of this protocol has a position")
    assert (await call(world.app, request)).status == 200
    wrong = request._replace(path=f"/ingest/{protocol.name}/no-such-key")
    assert (await call(world.app, wrong)).status == 401


async def test_a_batch_is_told_what_was_not_stored_and_why_and_which_numbers_are_missing(world):
    batch = next(protocol for protocol in PROTOCOLS.http if protocol.name == "batch")

    async def send(first, *reports):
        request = world.request(batch, *reports)
        body = json.loads(request.body) | {"first": first}
        heard = await call(world.app, request._replace(body=json.dumps(body).encode()))
        assert heard.status == 200
        return json.loads(heard.body)

    reports = [world.report(step) for step in range(4)]
    told = await send(10, *reports[:2])
    assert told == {"stored": 2, "known": 0, "sameTimeDifferent": 0, "rejected": []}
    mixed = (reports[0], reports[2], reports[1]._replace(lat=1.0), reports[3]._replace(lat=-91.0))
    told = await send(15, *mixed)
    assert told == {
        "stored": 1,
        "known": 1,
        "sameTimeDifferent": 1,
        "rejected": [
            {"index": 2, "reason": "same_time_different"},
            {"index": 3, "reason": "latitude_out_of_range"},
        ],
        "gap": {"from": 12, "to": 14},
    }
    assert "gap" not in await send(19, reports[3])
    assert "gap" not in await send(12, reports[0])


async def test_of_several_devices_in_one_request_the_unknown_does_not_hold_up_the_known(world):
    owntracks = next(protocol for protocol in PROTOCOLS.http if protocol.name == "owntracks")
    _, key = await add_device(world.catalog, world.org, DeviceFields(name="relay", is_forwarder=True))
    messages = []
    for step, topic in enumerate(["owntracks/a/stranger", "bus-1", "owntracks/a/stranger"]):
        [request] = owntracks.encode(Claim(None, key), [world.report(step)])
        messages.append(json.loads(request.body) | {"topic": topic})
    heard = await call(world.app, request._replace(body=json.dumps(messages).encode()))
    assert heard.status == 200
    assert await world.stored() == [(world.asset, world.report(1).time_ms, 525_000_000)]
    assert await world.knocked(world.org) == [("a/stranger", "owntracks", "unknown_device")]


@every_stream
async def test_a_receipt_waits_for_the_commit(world, protocol):
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        assert await tracker.hello()
        world.gate.open.clear()
        tracker.say(world.report())
        await asyncio.wait_for(world.gate.entered.wait(), LIMIT_S)
        owed = asyncio.create_task(tracker.receipt())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not owed.done()
        assert await world.stored() == []
        world.gate.open.set()
        assert len(await owed) == tracker.encoder.receipt_size()
        assert len(await world.stored()) == 1


@every_stream
async def test_frames_sent_at_once_are_receipted_in_order_and_stored_once(world, protocol):
    reports = [world.report(step) for step in range(60)]
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        assert await tracker.hello()
        for count, start in ((1, 0), (2, 1), (7, 3), (2, 0)):
            tracker.say(*reports[start : start + count])
        counts = [int.from_bytes(await tracker.receipt(), "big") for _ in range(4)]
        assert counts == [1, 2, 7, 2]
    assert [time for _, time, _ in await world.stored()] == [report.time_ms for report in reports[:10]]


@every_stream
async def test_without_a_commit_there_is_no_receipt_and_the_device_can_come_again(world, protocol):
    async with listening(world, protocol) as port:
        async with connected(protocol, port) as tracker:
            assert await tracker.hello()
            world.gate.error = unavailable("The disk is full.")
            tracker.say(world.report())
            assert await tracker.receipt() == b""
        world.gate.error = None
        async with connected(protocol, port) as tracker:
            assert await tracker.hello()
            tracker.say(world.report())
            assert await tracker.receipt()
    assert len(await world.stored()) == 1


@every_stream
async def test_what_can_never_be_stored_gets_its_receipt(world, protocol):
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        assert await tracker.hello()
        tracker.say(world.report()._replace(time_ms=world.clock.now_ms() + 3_600_000))
        assert await tracker.receipt()
    assert await world.stored() == []


@every_stream
async def test_a_stranger_is_refused_and_listed(world, protocol):
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        greeting = await tracker.hello("352093081234568")
        decoder = protocol.decoder()
        [hello] = decoder.feed(tracker.encoder.hello(Claim("352093081234568")))
        assert greeting == hello.refuse
        assert await tracker.receipt() == b""
    assert await world.knocked() == [("352093081234568", protocol.name, "id_alone")]


@every_stream
async def test_a_device_disabled_meanwhile_is_served_no_more(world, protocol):
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        assert await tracker.hello()
        await world.disable()
        tracker.say(world.report())
        assert await tracker.receipt() == b""
    assert await world.stored() == []
    assert [reason for _, _, reason in await world.knocked(world.org)] == ["disabled"]


@every_stream
@pytest.mark.parametrize("is_known", [False, True])
async def test_junk_closes_the_connection_and_shows_its_first_bytes(world, protocol, is_known, caplog):
    junk = b"\xde\xad" * 40
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        if is_known:
            assert await tracker.hello()
        tracker.writer.write(junk)
        assert await tracker.receipt() == b""
    assert (world.presence.last_heard(world.tracker) is not None) == is_known
    assert (world.presence.last_rejection(world.tracker) is not None) == is_known
    [record] = [one for one in caplog.records if one.message == "bad frame"]
    assert vars(record)["bytes"] == junk[:64].hex()
    assert await world.stored() == []


@every_stream
async def test_a_torn_frame_stores_nothing(world, protocol):
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        assert await tracker.hello()
        tracker.writer.write(tracker.encoder.reports([world.report()])[:-1])
        await tracker.writer.drain()
        tracker.writer.write_eof()
        assert await tracker.receipt() == b""
    assert await world.stored() == []


@every_stream
async def test_the_silent_are_hung_up_on(world, protocol):
    async with listening(world, protocol, hello_s=0.05, idle_s=0.1) as port:
        async with connected(protocol, port) as tracker:
            assert await tracker.receipt() == b""
        async with connected(protocol, port) as tracker:
            assert await tracker.hello()
            assert await tracker.receipt() == b""


@every_stream
async def test_pressure_reaches_the_socket(world, protocol):
    """While one frame waits for its commit, no more is read than the buffers of the two sides hold."""
    async with listening(world, protocol) as port, connected(protocol, port) as tracker:
        assert await tracker.hello()
        world.gate.open.clear()
        frame = tracker.encoder.reports([world.report(step) for step in range(protocol.max_reports)])
        count = (16 << 20) // len(frame)
        tracker.writer.write(frame * count)
        await asyncio.wait_for(world.gate.entered.wait(), LIMIT_S)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tracker.writer.drain(), 0.2)
        assert world.committer.waiting_fixes == protocol.max_reports
