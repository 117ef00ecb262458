"""The decoders against published messages and what their publishers say is in them (needs ODOGRAPH_RECORDINGS)."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from odograph.model.fixes import Report
from odograph.protocols import gpslogger, osmand, owntracks, teltonika
from odograph.protocols.base import BadFrame, HttpProtocol, HttpRequest, Reports
from odograph.protocols.times import parse_iso

RECORDINGS = os.environ.get("ODOGRAPH_RECORDINGS", "")
VECTORS = Path(RECORDINGS) / "vectors"
pytestmark = pytest.mark.skipif(
    not (RECORDINGS and VECTORS.is_dir()), reason="ODOGRAPH_RECORDINGS names no folder with published vectors"
)
ARRIVED_MS = 1_700_000_000_000


def vectors(name: str, wanted: str = "") -> Iterator[dict[str, Any]]:
    found = 0
    for line in (VECTORS / name).read_text().splitlines():
        vector = json.loads(line)
        if vector["id"].startswith(wanted):
            found += 1
            yield vector
    assert found, f"no {wanted} in {name}"


def hear(protocol: HttpProtocol, request: HttpRequest) -> list[Report]:
    deliveries = protocol.decode(request._replace(received_ms=ARRIVED_MS))
    return [report for delivery in deliveries for report in delivery.reports if delivery.claim.device]


def hear_stream(decoder: teltonika.TeltonikaDecoder, data: bytes) -> list[Reports]:
    return [event for event in decoder.feed(data) if isinstance(event, Reports)]


def logged_in() -> teltonika.TeltonikaDecoder:
    decoder = teltonika.TeltonikaDecoder()
    assert len(list(decoder.feed(b"\0\x0f352093086403655"))) == 1
    return decoder


def test_owntracks_fixtures_are_heard_as_their_parser_tests_say():
    for vector in vectors("owntracks.jsonl"):
        body, headers = vector["body"], vector.get("http", {}).get("headers", {})
        request = HttpRequest(
            "POST",
            "/",
            headers={name.lower(): value for name, value in headers.items()},
            body=json.dumps(body).encode(),
        )
        deliveries = owntracks.PROTOCOL.decode(request)
        heard = [report for delivery in deliveries for report in delivery.reports]
        messages = [
            message
            for message in (body if isinstance(body, list) else [body])
            if message.get("_type") == "location" and "lat" in message
        ]
        assert heard == [
            Report(
                message["tst"] * 1000,
                message["lat"],
                message["lon"],
                message.get("cog"),
                message.get("vel"),
            )
            for message in messages
        ], vector["id"]
        if headers:
            assert deliveries[0].claim.device == "jjolie/myphone"


def test_urls_of_phone_apps_are_heard_as_they_were_formatted():
    for vector in vectors("http_query_clients.jsonl"):
        expected, parts = vector["expected"], urlsplit(vector["request"])
        is_gpslogger = vector["id"].startswith("gpslogger")
        protocol: HttpProtocol = gpslogger.PROTOCOL if is_gpslogger else osmand.PROTOCOL
        (delivery,) = protocol.decode(HttpRequest("GET", parts.path, parts.query, received_ms=ARRIVED_MS))
        (report,) = delivery.reports
        lat = expected["lat"]
        assert (report.lat, report.lon) == (lat, expected["lon"]), vector["id"]
        if is_gpslogger:
            if "2016-03-05T" in parts.query:
                assert report.time_ms == 1_457_205_869_949, vector["id"]
            if "spd=9005.0" in parts.query:
                assert (report.heading_deg, report.speed_kmh) == (359.0, 32418.0)
        else:
            assert delivery.claim.device == expected["device_id"]
            assert report.time_ms == expected["timestamp"] * 1000


@pytest.mark.parametrize(("name", "protocol"), [("OsmAnd", osmand.PROTOCOL), ("OwnTracks", owntracks.PROTOCOL)])
def test_http_cases_of_another_server_agree(name, protocol):
    for vector in vectors("traccar_decoder_tests.jsonl", f"traccar/{name}Protocol/"):
        payload, kind = vector["payload"], vector["expected"]["kind"]
        parts = urlsplit(payload["uri"])
        body = payload["body"]["data"].encode("latin-1") if payload["body"] else b""
        heard = hear(protocol, HttpRequest(payload["method"], parts.path, parts.query, body=body))
        # "decodes" is a message of radio cells alone, which that server looks up elsewhere.
        has_position = kind in ("position", "attribute")
        assert bool(heard) == has_position, vector["id"]
        assert all(-90 <= report.lat <= 90 and report.time_ms > 1e12 for report in heard)


def test_makers_teltonika_examples_are_heard_and_receipted():
    for vector in vectors("teltonika_published.jsonl"):
        if vector["transport"] != "tcp":
            continue
        heard = hear_stream(logged_in(), bytes.fromhex(vector["hex"]))
        if vector["codec"] == "12":
            assert heard == []
            continue
        (reports,) = heard
        records = [record for record in vector["records"] if record["satellites"] or record["lat"] or record["lon"]]
        assert list(reports.reports) == [
            Report(
                parse_iso(record["timestamp"]) or 0,
                record["lat"],
                record["lon"],
                record["angle_deg"],
                record["speed_kmh"],
            )
            for record in records
        ], vector["id"]
        assert reports.receipt == len(vector["records"]).to_bytes(4, "big")
        if "server_reply_hex" in vector:
            assert reports.receipt.hex() == vector["server_reply_hex"].lower()


def test_teltonika_cases_of_another_server_agree():
    decoded = 0
    refused = {}
    for vector in vectors("traccar_decoder_tests.jsonl", "traccar/TeltonikaProtocol/"):
        data = bytes.fromhex(vector["payload"]["data"])
        is_login = data[:2] == b"\0\x0f"
        decoder = teltonika.TeltonikaDecoder() if is_login else logged_in()
        if is_login or data == b"\xff":
            assert len(list(decoder.feed(data))) == is_login
            continue
        try:
            heard = hear_stream(decoder, data)
        except BadFrame as error:
            refused[vector["id"].removeprefix("traccar/TeltonikaProtocol/")] = str(error)
            continue
        if len(data) < 12 + int.from_bytes(data[4:8], "big"):
            assert heard == [], "published without the last bytes of its checksum"
            continue
        is_message = data[8] in teltonika.MESSAGE_CODECS
        assert len(heard) == (not is_message), vector["id"]
        decoded += sum(len(event.reports) for event in heard)
        assert all(event.receipt == bytes((0, 0, 0, data[9])) for event in heard)
    assert decoded == 57
    # Texts and places that were altered for publication, so that the checksum is no longer theirs.
    altered = {name for name, reason in refused.items() if "checksum" in reason}
    assert altered == {"testDecode/14", "testDecode/20", "testDecodePhoto/2", "testDecodePhoto/3"}
    # The old Codec 7, and records one byte longer than Codec 8 has them: that server hears nonsense there.
    assert {*refused} - altered == {"testDecode/37", "testDecode/45", "testDecode/46"}


def test_teltonika_framing_cases_of_another_server_agree():
    for vector in vectors("traccar_framing_tests.jsonl", "traccar/TeltonikaFrame/"):
        data = bytes.fromhex(vector["payload"]["data"])
        (hello,) = teltonika.TeltonikaDecoder().feed(data)
        assert hello.claim.device == "123456789012345", vector["id"]  # type: ignore[union-attr]  # a Hello
