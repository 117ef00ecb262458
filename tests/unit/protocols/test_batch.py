"""Our own upload: what it refuses and how it says so, and what it answers."""

import json

import pytest

from odograph.model.fixes import Report
from odograph.protocols.base import BadFrame, Claim, HttpRequest, Taken
from odograph.protocols.batch import MAX_FIXES, PROTOCOL


def refusal(body: object) -> str:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BadFrame) as caught:
        PROTOCOL.decode(HttpRequest("POST", "/ingest/batch", body=data))
    return str(caught.value)


GOOD = {"time": 1_700_000_000_000, "lat": 1.0, "lon": 2.0}


@pytest.mark.parametrize(
    ("changes", "place", "allowed"),
    [
        ({"time": "x"}, "fixes[1].time: ", "RFC 3339 text with its zone"),
        ({"time": "2025-01-31T10:00:00"}, "fixes[1].time: ", "with its zone"),
        ({"time": 1.5}, "fixes[1].time: ", "whole milliseconds"),
        ({"time": 1 << 60}, "fixes[1].time: ", "milliseconds since 1970"),
        ({"lat": "1"}, "fixes[1].lat: ", "a number of degrees"),
        ({"lon": None}, "fixes[1].lon: ", "a number of degrees"),
        ({"lon": True}, "fixes[1].lon: ", "a number of degrees"),
        ({"heading": "north"}, "fixes[1].heading: ", "degrees clockwise from north, or null"),
        ({"speed": []}, "fixes[1].speed: ", "km/h, or null"),
    ],
)
def test_a_malformed_fix_refuses_the_batch_and_names_place_and_what_is_allowed(changes, place, allowed):
    message = refusal({"fixes": [GOOD, GOOD | changes]})
    assert message.startswith(place)
    assert allowed in message


def test_a_malformed_row_is_named_by_its_column():
    message = refusal({"fixes": [[1, 2, 3, None, None], [1, 2, "x", None, None]]})
    assert message.startswith("fixes[1].lon: Expected float, got str; allowed is a number of degrees")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"fixes": [{"time": 1, "lon": 2}]}, "fixes[0]: Object missing required field lat"),
        ({"fixes": [[1, 2, 3]]}, "fixes[0]: Expected array of length 5"),
        ({"fixes": [7]}, "fixes[0]: Expected object | array, got int"),
        ({"fixes": 7}, "fixes: Expected array"),
        ({}, "Object missing required field fixes"),
        ([], "Expected object, got array"),
        ({"fixes": [], "first": -1}, "first: Expected int >= 0"),
        ({"fixes": [], "device": 7}, "device: Expected str | null, got int"),
        ({"fixes": [], "device": ""}, "device: Expected str of length >= 1"),
        (b'{"fixes": [[1, NaN, 3, null, null]]}', "JSON is malformed"),
        (b'{"fixes": [[1, 1e999, 3, null, null]]}', "fixes[0].lat: Number out of range"),
        (b'{"fixes": [', "truncated"),
        (b"", "truncated"),
        (b'{"device": "\xff"}', "utf-8"),
        (b'{"x": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_batch_is_refused_in_words(body, words):
    message = refusal(body)
    assert words in message
    assert "; allowed is " in message


def test_more_fixes_than_allowed_are_refused_with_the_limit():
    rows = [[1, 2, 3, None, None]] * MAX_FIXES
    decoded = PROTOCOL.decode(HttpRequest("POST", "/", body=json.dumps({"fixes": rows}).encode()))
    assert len(decoded[0].reports) == MAX_FIXES
    assert "at most 10000 fixes" in refusal({"fixes": [*rows, rows[0]]})


def test_a_batch_comes_by_post_alone():
    with pytest.raises(BadFrame, match="by POST, not GET"):
        PROTOCOL.decode(HttpRequest("GET", "/ingest/batch", body=b'{"fixes": []}'))


def test_an_empty_batch_is_a_delivery_of_nothing():
    (delivery,) = PROTOCOL.decode(HttpRequest("POST", "/", body=b'{"fixes": [], "device": "van", "first": 9}'))
    assert (delivery.claim, list(delivery.reports), delivery.first_number) == (Claim("van"), [], 9)


def test_unknown_fields_are_ignored_so_that_newer_devices_can_talk_to_older_servers():
    body = {"fixes": [GOOD | {"altitude": 519}], "agent": "2.0"}
    (delivery,) = PROTOCOL.decode(HttpRequest("POST", "/", body=json.dumps(body).encode()))
    assert list(delivery.reports) == [Report(1_700_000_000_000, 1.0, 2.0)]


def test_the_answer_counts_and_names_what_was_not_stored():
    taken = Taken(stored=2, known=3, same_time_different=1, rejected=[(4, "time_in_future")], gap=(10, 12))
    assert json.loads(PROTOCOL.answer([taken]).body) == {
        "stored": 2,
        "known": 3,
        "sameTimeDifferent": 1,
        "rejected": [{"index": 4, "reason": "time_in_future"}],
        "gap": {"from": 10, "to": 12},
    }
    assert "gap" not in json.loads(PROTOCOL.answer([Taken()]).body)


def test_a_long_log_is_said_in_several_numbered_requests():
    said = [Report(1_700_000_000_000 + index, 1.0, 2.0) for index in range(MAX_FIXES + 1)]
    requests = PROTOCOL.encode(Claim("van"), said, first=100)
    heard = [PROTOCOL.decode(request)[0] for request in requests]
    assert [(delivery.first_number, len(delivery.reports)) for delivery in heard] == [(100, MAX_FIXES), (10_100, 1)]
