"""What the generator renders is, after the server's own decoding and rounding, exactly what the fleet said."""

import numpy as np
import pytest

from odograph.bench.fleet import Fleet
from odograph.bench.payloads import BatchRequests, QueryRequests, json_rows, query_rows
from odograph.ingest.admit import admit
from odograph.model.fixes import fixes_from_bytes
from odograph.model.ids import AssetId
from odograph.protocols.base import Delivery, HttpRequest
from odograph.protocols.batch import PROTOCOL as BATCH
from odograph.protocols.osmand import PROTOCOL as OSMAND

COLUMNS = ("time_ms", "lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh")


@pytest.fixture
def fixes():
    return Fleet(7, start_ms=1_700_000_000_000).advance(400).reshape(-1)


def _admitted(deliveries):
    rows = bytearray()
    for delivery in deliveries:
        assert admit(rows, AssetId(1), delivery.reports, now_ms=1_900_000_000_000) == []
    return fixes_from_bytes(bytes(rows))


def _split(request):
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    method, target, version = line.decode().split(" ")
    path, _, query = target.partition("?")
    assert version == "HTTP/1.1"
    fields = dict(header.decode().lower().split(": ", 1) for header in headers)
    return HttpRequest(method, path, query, fields, body)


def _same(got, expected):
    return all(np.array_equal(got[name], expected[name]) for name in COLUMNS)


def test_a_batch_says_what_the_fleet_said(fixes):
    requests = BatchRequests(100)
    request = _split(requests.request(requests.head("the-key"), json_rows(fixes), 3))
    assert request.headers["x-device-key"] == "the-key"
    assert int(request.headers["content-length"]) == len(request.body)
    assert _same(_admitted(BATCH.decode(request)), fixes[300:400])


def test_a_query_says_what_the_fleet_said(fixes):
    requests = QueryRequests()
    rows = query_rows(fixes)
    deliveries: list[Delivery] = []
    for index in range(len(fixes)):
        request = _split(requests.request(requests.head("the-key"), rows, index))
        assert request.path == "/ingest/osmand/the-key"
        deliveries += OSMAND.decode(request)
    assert _same(_admitted(deliveries), fixes)


def test_extremes_fill_their_columns(fixes):
    fixes["heading_cdeg"][:3] = (0, 35_999, 5)
    fixes["speed_ckmh"][:3] = (0, 99_999, 7)
    requests = BatchRequests(3)
    got = _admitted(BATCH.decode(_split(requests.request(requests.head("k"), json_rows(fixes[:3]), 0))))
    assert _same(got, fixes[:3])
