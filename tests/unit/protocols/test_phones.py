"""What phones and other servers send over HTTP: units, names of devices, and what is no fix."""

import json
import math

import pytest

from odograph.model.fixes import Report
from odograph.protocols import gpslogger, osmand, owntracks, traccar
from odograph.protocols.base import BadFrame, Claim, Delivery, HttpProtocol, HttpRequest

NOW_MS = 1_700_000_000_123


def hear(protocol: HttpProtocol, query: str = "", body: object = None, **headers: str) -> list[Delivery]:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = HttpRequest("POST", "/", query=query, headers=names, body=data, received_ms=NOW_MS)
    return list(protocol.decode(request))


def hear_one(protocol: HttpProtocol, query: str = "", body: object = None, **headers: str) -> Report:
    (delivery,) = hear(protocol, query, body, **headers)
    (report,) = delivery.reports
    return report


LOCATION = {"_type": "location", "tst": 1_700_000_000, "lat": 1.5, "lon": 2.5}


@pytest.mark.parametrize("knots", [0.0, 0.01, 10, 1079.913, 37.04 / 1.852])
def test_osmand_and_traccar_speeds_are_knots(knots):
    kmh = round(knots * 1.852, 9)
    assert hear_one(osmand.PROTOCOL, f"id=a&timestamp=1&lat=1&lon=2&speed={knots!r}").speed_kmh == kmh
    position = {"latitude": 1, "longitude": 2, "fixTime": 1, "speed": knots}
    heard = hear_one(traccar.PROTOCOL, body={"position": position, "device": {"uniqueId": "a"}})
    assert heard.speed_kmh == kmh


def test_gpslogger_and_the_newer_traccar_client_speak_of_metres_a_second():
    assert hear_one(gpslogger.PROTOCOL, "lat=1&lon=2&spd=12.5").speed_kmh == 45.0
    assert hear_one(gpslogger.PROTOCOL, "lat=1&lon=2&spd_kph=45").speed_kmh == 45.0
    coords = {"latitude": 1, "longitude": 2, "speed": 12.5, "heading": -1}
    heard = hear_one(osmand.PROTOCOL, body={"location": {"coords": coords, "timestamp": 1}, "device_id": 7})
    assert (heard.speed_kmh, heard.heading_deg) == (45.0, None)


@pytest.mark.parametrize("unknown", ["-1", "-1.94", "nan", "", "null"])
def test_an_unknown_speed_or_heading_is_none_and_not_zero(unknown):
    heard = hear_one(osmand.PROTOCOL, f"id=a&lat=1&lon=2&timestamp=1&speed={unknown}&bearing={unknown}")
    assert heard == Report(1000, 1.0, 2.0, None, None)
    assert hear_one(owntracks.PROTOCOL, body=LOCATION | {"vel": -1, "cog": -1}).speed_kmh is None
    assert hear_one(owntracks.PROTOCOL, body=LOCATION | {"vel": 0}).speed_kmh == 0.0


@pytest.mark.parametrize(
    "query",
    [
        "id=a&lat=60.5&lon=30.25&timestamp=1",
        "deviceid=a&location=60.5,30.25&timestamp=1",
        "id=a&lat=%2060.5&lon=%2B30.25&timestamp=1",
        "id=a&id=b&lat=60.5&lon=30.25&lon=9&timestamp=1",
    ],
)
def test_osmand_positions_come_in_two_forms(query):
    (delivery,) = hear(osmand.PROTOCOL, query)
    assert delivery == Delivery(Claim("a"), (Report(1000, 60.5, 30.25),))


def test_a_form_in_the_body_counts_as_a_query_does_and_the_query_comes_first():
    (delivery,) = hear(osmand.PROTOCOL, "id=query&lat=1", b"id=body&lon=2&timestamp=1\r\n")
    assert delivery == Delivery(Claim("query"), (Report(1000, 1.0, 2.0),))


@pytest.mark.parametrize("protocol", [osmand.PROTOCOL, gpslogger.PROTOCOL], ids=lambda protocol: protocol.name)
def test_a_missing_time_is_the_time_of_arrival(protocol):
    assert hear_one(protocol, "id=a&lat=1&lon=2").time_ms == NOW_MS
    with pytest.raises(BadFrame, match="is missing"):
        protocol.decode(HttpRequest("GET", "/", "id=a&lat=1&lon=2"))


@pytest.mark.parametrize(
    ("protocol", "query", "body"),
    [
        (osmand.PROTOCOL, "id=a&timestamp=1&cell=257,02,16,2224", None),
        (osmand.PROTOCOL, "id=a&timestamp=1&lat=1&lon=2&valid=false", None),
        (osmand.PROTOCOL, "id=a&timestamp=1&lat=1&lon=2&valid=0", None),
        (osmand.PROTOCOL, "", None),
        (osmand.PROTOCOL, "", {"device_id": "a"}),
        (osmand.PROTOCOL, "", {"device_id": "a", "location": {"timestamp": "x"}}),
        (osmand.PROTOCOL, "", {"device_id": "a", "location": {"coords": {"speed": 1}}}),
        (gpslogger.PROTOCOL, "time=&lat=&lon=", None),
        (owntracks.PROTOCOL, "", b""),
        (owntracks.PROTOCOL, "", {}),
        (owntracks.PROTOCOL, "", []),
        (owntracks.PROTOCOL, "", {"_type": "location"}),
        (owntracks.PROTOCOL, "", {"_type": "waypoint", "lat": 1, "lon": 2, "tst": 1}),
        (owntracks.PROTOCOL, "", {"_type": "encrypted", "data": "x"}),
        (owntracks.PROTOCOL, "", {"_type": "status", "tst": {"any": "thing"}, "lat": []}),
        (traccar.PROTOCOL, "", {"device": {"uniqueId": "a"}}),
        (traccar.PROTOCOL, "", {"position": None, "device": {"uniqueId": "a"}, "event": {}}),
    ],
)
def test_what_holds_no_position_is_understood_and_delivers_nothing(protocol, query, body):
    assert hear(protocol, query, body) == []


@pytest.mark.parametrize("mark", [{"valid": False}, {"outdated": True}])
def test_traccar_positions_that_are_no_fix_of_now_are_left_out(mark):
    position = {"latitude": 1, "longitude": 2, "fixTime": 1} | mark
    assert hear(traccar.PROTOCOL, body={"position": position, "device": {"uniqueId": "a"}}) == []


@pytest.mark.parametrize(
    "time", ["2025-03-30T01:59:59.250+00:00", "2025-03-30T01:59:59.250+0000", 1_743_299_999_250]
)
def test_traccar_times_of_every_version_are_read(time):
    position = {"latitude": 1, "longitude": 2, "fixTime": time}
    assert hear_one(traccar.PROTOCOL, body={"position": position, "device": {"uniqueId": "a"}}) == Report(
        1_743_299_999_250, 1.0, 2.0
    )


def test_a_traccar_position_without_its_device_is_refused():
    position = {"latitude": 1, "longitude": 2, "fixTime": 1}
    for device in (None, {}, {"uniqueId": None}):
        with pytest.raises(BadFrame, match=r"device\.uniqueId is missing"):
            hear(traccar.PROTOCOL, body={"position": position, "device": device})


@pytest.mark.parametrize(
    ("query", "message", "headers", "expected"),
    [
        ("", {"topic": "owntracks/jane/phone", "tid": "ne"}, {}, "jane/phone"),
        ("", {"topic": "phone", "tid": "ne"}, {}, "phone"),
        ("", {"tid": "ne"}, {}, "ne"),
        ("", {}, {}, None),
        ("u=joe&d=tab", {"topic": "owntracks/jane/phone"}, {}, "joe/tab"),
        ("u=joe&d=tab", {}, {"x_limit_u": "ann", "x_limit_d": "car"}, "ann/car"),
        ("", {"topic": "owntracks/jane/phone"}, {"x_limit_d": "car"}, "car"),
    ],
)
def test_owntracks_names_its_device_in_headers_before_query_before_topic(query, message, headers, expected):
    (delivery,) = hear(owntracks.PROTOCOL, query, LOCATION | message, **headers)
    assert delivery.claim.device == expected


def test_an_owntracks_array_is_one_delivery_for_each_device():
    def message(topic: str, tst: int) -> dict[str, object]:
        return LOCATION | {"topic": f"owntracks/x/{topic}", "tst": tst}

    heard = hear(owntracks.PROTOCOL, body=[message("a", 1), {"_type": "lwt"}, message("a", 2), message("b", 3)])
    assert [(delivery.claim.device, [report.time_ms for report in delivery.reports]) for delivery in heard] == [
        ("x/a", [1000, 2000]),
        ("x/b", [3000]),
    ]


def test_owntracks_wants_an_array_back():
    assert (owntracks.PROTOCOL.answer([]).body, owntracks.PROTOCOL.answer([]).content_type) == (
        b"[]",
        "application/json",
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("id=a&androidId=b&serial=c", "a"),
        ("androidId=b&serial=c", "b"),
        ("aid=&serial=c", "c"),
        ("serial=unknown", None),
    ],
)
def test_gpslogger_names_its_device_by_the_best_it_has(fields, expected):
    (delivery,) = hear(gpslogger.PROTOCOL, f"lat=1&lon=2&{fields}")
    assert delivery.claim.device == expected


def test_gpslogger_times_with_milliseconds_win_and_a_lost_plus_is_found_again():
    assert (
        hear_one(gpslogger.PROTOCOL, "lat=1&lon=2&time=2025-03-30T01:59:59.250Z&timestamp=9").time_ms % 1000 == 250
    )
    lost = hear_one(gpslogger.PROTOCOL, "lat=1&lon=2&time=2025-03-30T03:59:59.250+02:00")
    kept = hear_one(gpslogger.PROTOCOL, "lat=1&lon=2&time=2025-03-30T03:59:59.250%2B02:00")
    assert lost.time_ms == kept.time_ms == 1_743_299_999_250


@pytest.mark.parametrize(
    ("protocol", "query", "body", "words"),
    [
        (osmand.PROTOCOL, "id=a&lat=1", None, "lon is missing"),
        (osmand.PROTOCOL, "id=a&lon=1", None, "lat is missing"),
        (osmand.PROTOCOL, "id=a&lat=x&lon=1", None, "lat must be a number, got 'x'"),
        (osmand.PROTOCOL, "id=a&location=60", None, "location must be lat,lon"),
        (osmand.PROTOCOL, "id=a&lat=1&lon=1&speed=fast", None, "speed must be a number"),
        (osmand.PROTOCOL, "id=a&lat=1&lon=1&timestamp=soon", None, "timestamp must be seconds"),
        (osmand.PROTOCOL, "&".join("abc"[i % 3] for i in range(200)), None, "more than 100 fields"),
        (osmand.PROTOCOL, "", b"\xff\xfe", "UTF-8"),
        (osmand.PROTOCOL, "", b"{", "truncated"),
        (osmand.PROTOCOL, "", {"location": 7}, "location"),
        (owntracks.PROTOCOL, "", b"7", "JSON"),
        (owntracks.PROTOCOL, "", LOCATION | {"lat": True}, "lat must be a number"),
        (owntracks.PROTOCOL, "", LOCATION | {"lat": 10**400}, "lat must be a number"),
        (owntracks.PROTOCOL, "", LOCATION | {"tst": "soon"}, "tst must be seconds"),
        (traccar.PROTOCOL, "", {"position": []}, "position"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(protocol, query, body, words):
    with pytest.raises(BadFrame, match=words):
        hear(protocol, query, body)


def test_impossible_numbers_are_passed_on_for_ingest_to_refuse_with_a_reason():
    heard = hear_one(osmand.PROTOCOL, "id=a&lat=400&lon=nan&timestamp=0")
    assert (heard.time_ms, heard.lat) == (0, 400.0)
    assert math.isnan(heard.lon)


ANYTHING: object = {"a": [{}]}


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        (owntracks.PROTOCOL, LOCATION | {"tid": ANYTHING}),
        (owntracks.PROTOCOL, [LOCATION, LOCATION | {"lat": [ANYTHING]}]),
        (owntracks.PROTOCOL, [LOCATION] * 10_001),
        (owntracks.PROTOCOL, [{"_type": "status", "tst": ANYTHING}] * 10_001),
        (osmand.PROTOCOL, {"location": {"coords": {"latitude": ANYTHING, "longitude": 2}}, "device_id": "a"}),
        (osmand.PROTOCOL, {"location": [{"coords": {"latitude": 1, "longitude": 2}}] * 10_001, "device_id": "a"}),
        (traccar.PROTOCOL, {"position": {"latitude": ANYTHING, "longitude": 2}, "device": {"uniqueId": "a"}}),
    ],
)
def test_a_short_body_does_not_become_a_million_things(protocol, body):
    with pytest.raises(BadFrame):
        hear(protocol, body=body)


def test_a_message_that_is_no_location_spoils_none_of_those_beside_it():
    odd = {"_type": "status", "tst": ANYTHING}
    (delivery,) = hear(owntracks.PROTOCOL, body=[odd, LOCATION | {"tid": "ab"}, odd])
    assert len(delivery.reports) == 1


def test_whatever_an_event_of_traccar_is_it_is_no_position():
    position = {"latitude": 1, "longitude": 2, "fixTime": 1}
    assert hear(traccar.PROTOCOL, body={"position": position, "device": {"uniqueId": "a"}, "event": ANYTHING}) == []
