"""What every protocol of the registry promises: reads back what it writes, refuses noise, hears recorded frames."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.model.fixes import Report
from odograph.protocols.base import (
    BadFrame,
    Claim,
    Decoder,
    Event,
    Hello,
    HttpProtocol,
    HttpRequest,
    Reports,
    StreamProtocol,
    Taken,
)
from odograph.protocols.registry import PROTOCOLS

FRAMES = Path(__file__).parent / "frames"
RECORDED = sorted(FRAMES.glob("*/*.json"))
HTTP = {protocol.name: protocol for protocol in PROTOCOLS.http}
STREAM = {protocol.name: protocol for protocol in PROTOCOLS.stream}
DEVICES = {"teltonika": st.from_regex(r"[0-9]{15}", fullmatch=True)}
WHOLE_NUMBERS = {"teltonika"}
"""Protocols that carry headings and speeds as whole degrees and km/h; all others lose nothing."""

every_http = pytest.mark.parametrize("protocol", HTTP.values(), ids=HTTP)
every_stream = pytest.mark.parametrize("protocol", STREAM.values(), ids=STREAM)
recorded = pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")

texts = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)
reports = st.builds(
    Report,
    time_ms=st.integers(946_684_800_000, 4_102_444_800_000),
    lat=st.integers(-900_000_000, 900_000_000).map(lambda e7: e7 / 1e7),
    lon=st.integers(-1_800_000_000, 1_800_000_000).map(lambda e7: e7 / 1e7),
    heading_deg=st.none() | st.integers(0, 35_999).map(lambda cdeg: cdeg / 100),
    speed_kmh=st.none() | st.integers(0, 200_000).map(lambda ckmh: ckmh / 100),
)


def as_heard(name: str, report: Report) -> Report:
    """What is left of a report that this protocol carried."""
    if name not in WHOLE_NUMBERS:
        return report
    heading, speed = report.heading_deg, report.speed_kmh
    return report._replace(
        heading_deg=None if heading is None else float(round(heading) % 360),
        speed_kmh=None if speed is None else float(round(speed)),
    )


def plausible(heard: Sequence[Report]) -> bool:
    """Whether these are reports at all; what they say is judged elsewhere."""
    return all(
        type(report) is Report
        and type(report.time_ms) is int
        and abs(report.time_ms) < 1 << 63
        and all(type(number) is float for number in report[1:3])
        and all(number is None or type(number) is float for number in report[3:])
        and not any(number is not None and math.isnan(number) for number in report[3:])
        for report in heard
    )


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The bytes in pieces, cut at the places (counted modulo the length)."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def listen(decoder: Decoder, pieces: Sequence[bytes]) -> list[Event]:
    """All events of a connection on which these bytes came."""
    return [event for piece in pieces for event in decoder.feed(piece)]


def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few of them changed, lost, doubled or made up."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 4))
        data = data[:start] + draw(st.binary(max_size=4) | st.just(data[start:end] * 2)) + data[end:]
    return data


@every_http
@given(data=st.data())
@settings(max_examples=60)
def test_http_messages_are_heard_as_they_were_said(protocol: HttpProtocol, data):
    claim = Claim(data.draw(texts), data.draw(st.none() | texts))
    said = data.draw(st.lists(reports, max_size=8))
    requests = protocol.encode(claim, said)
    deliveries = [delivery for request in requests for delivery in protocol.decode(request)]
    heard = [report for delivery in deliveries for report in delivery.reports]
    assert heard == [as_heard(protocol.name, report) for report in said]
    assert {delivery.claim.device for delivery in deliveries} <= {claim.device}
    expected_path = f"/ingest/{protocol.name}" + (f"/{claim.key}" if claim.key else "")
    assert {request.path for request in requests} <= {expected_path}


@every_http
@given(data=st.data())
@settings(max_examples=150)
def test_http_noise_is_refused_or_heard_but_breaks_nothing(protocol: HttpProtocol, data):
    request = HttpRequest(
        data.draw(st.sampled_from(["GET", "POST", "PUT"])),
        f"/ingest/{protocol.name}",
        data.draw(
            st.text(max_size=30) | st.sampled_from(["lat=nan&lon=1e999", "lat=1&lon=1&timestamp=", "=&=&id"])
        ),
        {"x-limit-u": data.draw(st.text(max_size=3))},
        data.draw(st.binary(max_size=40) | st.text(alphabet='{}[]",:0-9nul.e', max_size=40).map(str.encode)),
        data.draw(st.none() | st.just(1_700_000_000_000)),
    )
    assert_survives(protocol, request)


@every_http
@given(data=st.data())
@settings(max_examples=150)
def test_damaged_http_messages_are_refused_or_heard_but_break_nothing(protocol: HttpProtocol, data):
    request = protocol.encode(Claim(data.draw(texts)), [data.draw(reports)])[0]
    if request.body:
        request = request._replace(body=damage(data.draw, request.body))
    else:
        request = request._replace(query=damage(data.draw, request.query.encode()).decode("latin-1"))
    assert_survives(protocol, request)


def assert_survives(protocol: HttpProtocol, request: HttpRequest) -> None:
    try:
        deliveries = protocol.decode(request)
    except BadFrame:
        return
    assert all(plausible(delivery.reports) for delivery in deliveries)


@every_http
@pytest.mark.parametrize("depth", [100, 100_000])
def test_json_however_deep_is_only_a_bad_frame(protocol: HttpProtocol, depth: int):
    for opening in (b"[", b'{"position":', b'{"location":', b'{"x":', b'{"tst":['):
        assert_survives(protocol, HttpRequest("POST", "/", body=opening * depth))


@every_http
@pytest.mark.parametrize(
    "taken",
    [
        [],
        [Taken(stored=1)],
        [Taken(known=1)],
        [Taken(same_time_different=1)],
        [Taken(rejected=((0, "time_in_future"),))],
    ],
)
def test_whatever_became_of_a_fix_the_device_hears_success_and_may_forget_it(protocol: HttpProtocol, taken):
    assert protocol.answer(taken).status == 200


@every_stream
@given(data=st.data())
@settings(max_examples=60)
def test_a_stream_is_heard_as_it_was_said_however_it_is_cut(protocol: StreamProtocol, data):
    claim = Claim(data.draw(DEVICES.get(protocol.name, texts)))
    frames = data.draw(st.lists(st.lists(reports, max_size=min(6, protocol.max_reports)), max_size=4))
    encoder = protocol.encoder()
    said = encoder.hello(claim) + b"".join(encoder.reports(frame) for frame in frames)
    events = listen(protocol.decoder(), cut(said, data.draw(st.lists(st.integers(0, 1 << 20), max_size=12))))
    heard = [event for event in events if isinstance(event, Reports)]
    assert [list(event.reports) for event in heard] == [
        [as_heard(protocol.name, report) for report in frame] for frame in frames
    ]
    assert {len(event.receipt) for event in heard} <= {encoder.receipt_size()}
    assert [event.claim for event in events if isinstance(event, Hello)] == [claim]
    assert isinstance(events[0], Hello)


@every_stream
def test_a_full_frame_is_heard_byte_by_byte(protocol: StreamProtocol):
    encoder = protocol.encoder()
    said = [Report(1_700_000_000_000 + index, 1.5, 2.5, 3.0, 4.0) for index in range(protocol.max_reports)]
    stream = encoder.hello(Claim("352093086403655")) + encoder.reports(said)
    events = listen(protocol.decoder(), [stream[at : at + 1] for at in range(len(stream))])
    assert [list(event.reports) for event in events if isinstance(event, Reports)] == [said]


@every_stream
@given(data=st.data())
@settings(max_examples=200)
def test_stream_noise_and_damage_raise_bad_frame_or_nothing(protocol: StreamProtocol, data):
    encoder = protocol.encoder()
    hello = encoder.hello(Claim("352093086403655"))
    sound = hello + encoder.reports([data.draw(reports)]) + encoder.reports([data.draw(reports)])
    stream = data.draw(
        st.binary(max_size=60)
        | st.binary(max_size=60).map(lambda noise: hello + noise)
        | st.just(damage(data.draw, sound))
    )
    pieces = cut(stream, data.draw(st.lists(st.integers(0, 1 << 20), max_size=6)))
    try:
        events = listen(protocol.decoder(), pieces)
    except BadFrame:
        return
    assert all(plausible(event.reports) for event in events if isinstance(event, Reports))


def test_every_protocol_has_recorded_frames():
    assert {path.parent.name for path in RECORDED} == {*HTTP, *STREAM}


def test_names_are_the_ends_of_urls_and_none_comes_twice():
    names = [http.name for http in PROTOCOLS.http] + [stream.name for stream in PROTOCOLS.stream]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() and name.islower() for name in names)


@recorded
def test_recorded_frames_are_heard_as_stated(path: Path):
    frame = json.loads(path.read_text())
    assert frame["source"]
    protocol = HTTP.get(path.parent.name)
    if protocol is None:
        assert_stream_heard(STREAM[path.parent.name], frame)
        return
    request = HttpRequest(
        frame["request"]["method"],
        f"/ingest/{protocol.name}",
        frame["request"]["query"],
        frame["request"]["headers"],
        frame["request"]["body"].encode(),
    )
    heard = [
        (delivery.claim.device, list(delivery.reports), delivery.first_number)
        for delivery in protocol.decode(request)
    ]
    stated = [
        (delivery["device"], said(delivery["reports"]), delivery.get("first")) for delivery in frame["deliveries"]
    ]
    assert heard == stated


def said(rows: Sequence[Sequence[float | None]]) -> list[Report]:
    return [Report(*row) for row in rows]  # type: ignore[arg-type]  # five columns, as the frames file has them


def assert_stream_heard(protocol: StreamProtocol, frame: dict[str, Any]) -> None:
    events = listen(protocol.decoder(), [bytes.fromhex(part) for part in frame["sent"]])
    hello, *heard = events
    assert hello == Hello(Claim(frame["device"]), bytes.fromhex(frame["welcome"]), bytes.fromhex(frame["refuse"]))
    assert heard == [
        Reports(tuple(said(rows)), bytes.fromhex(receipt))
        for rows, receipt in zip(frame["reports"], frame["receipts"], strict=True)
    ]
