"""Reading query strings and bodies as clients really write them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.api.params import MAX_IDS, Query, parse_record_id, parse_time, read_new, read_patch
from odograph.api.problems import Problem
from odograph.api.resources.base import Param
from odograph.errors import Kind, Refusal

IDS = Param("vehicleIds", "csv", "")
TAGS = Param("tagIds", "csv", "")
TEXT = Param("after", "string", "")
TIME = Param("startTime", "time", "", required=True)
NUMBER = Param("limit", "int", "", minimum=1, maximum=512)
FLAG = Param("dryRun", "bool", "")
TYPES = Param("types", "csv", "", values=("gps", "obd"))


@pytest.mark.parametrize(
    "raw",
    [
        b"vehicleIds=1,2,3",
        b"vehicleIds=1%2C2%2C3",
        b"vehicleIds=1&vehicleIds=2&vehicleIds=3",
        b"vehicleIds=1,2&vehicleIds=3",
        b"vehicleIds=+1+,,+2&vehicleIds=,3,1,&vehicleIds=",
        b"ParentTagIds=9&limit=1&vehicleIds=1,2,3",
    ],
)
def test_a_list_means_the_same_however_it_is_written(raw):
    assert Query(raw).csv(IDS) == ("1", "2", "3")


@given(st.lists(st.text("abc123:._-@%+é ", min_size=1).map(str.strip).filter(bool), max_size=8), st.integers(0, 2))
def test_every_way_of_writing_gives_the_items_back(items, style):
    quoted = [quote(item, safe="") for item in items]
    raw = [",".join(quoted), "%2C".join(quoted), "&vehicleIds=".join(quoted)][style]
    assert Query(f"vehicleIds={raw}".encode()).csv(IDS) == tuple(dict.fromkeys(items))


def test_brackets_are_refused_and_the_right_way_is_shown():
    with pytest.raises(Refusal, match="vehicleIds=a,b") as caught:
        Query(b"vehicleIds[0]=1").csv(IDS)
    assert caught.value.kind is Kind.INVALID
    with pytest.raises(Refusal, match="brackets"):
        Query(b"vehicleIds%5B%5D=1").csv(IDS)
    assert Query(b"other[0]=1").csv(IDS) == ()


def test_two_thousand_ids_are_enough_for_all_filters_together():
    ids = ",".join(map(str, range(MAX_IDS)))
    query = Query(f"vehicleIds={ids}&tagIds=".encode())
    assert len(query.csv(IDS)) == MAX_IDS
    assert query.csv(TAGS) == ()
    assert len(query.csv(IDS)) == MAX_IDS, "asking again counts nothing twice"
    query = Query(f"vehicleIds={ids}&tagIds=1".encode())
    query.csv(IDS)
    with pytest.raises(Problem) as caught:
        query.csv(TAGS)
    assert caught.value.status == 414
    with pytest.raises(Problem) as caught:
        Query(b"vehicleIds=1&" * 5000)
    assert caught.value.status == 414


def test_an_empty_value_is_an_absent_one():
    query = Query(b"after=&limit=&startTime=&dryRun=")
    assert query.text(TEXT) is None
    assert query.integer(NUMBER, 512) == 512
    assert query.boolean(FLAG) is False
    with pytest.raises(Refusal, match="'startTime' is required"):
        query.required_time_ms(TIME)


def test_the_same_thing_said_twice_is_said_once_and_a_contradiction_is_refused():
    assert Query(b"after=x&after=x").text(TEXT) == "x"
    with pytest.raises(Refusal, match="'after' is given more than once"):
        Query(b"after=x&after=y").text(TEXT)


def test_broken_encodings_are_refused():
    for raw in (b"after=%ff", b"after=\xff"):
        with pytest.raises(Refusal, match="UTF-8"):
            Query(raw).text(TEXT)


@pytest.mark.parametrize("text", ["0", "513", "-1", "1.5", "x", "1e3", "٣", "9" * 40])
def test_numbers_outside_the_range_are_refused_with_the_range(text):
    with pytest.raises(Refusal, match="'limit' must be a whole number between 1 and 512"):
        Query(f"limit={text}".encode()).integer(NUMBER, 512)


def test_truths_come_in_any_case():
    assert Query(b"dryRun=True").boolean(FLAG) is True
    assert Query(b"dryRun=false").boolean(FLAG, default=True) is False
    with pytest.raises(Refusal, match="'dryRun' must be true or false"):
        Query(b"dryRun=1").boolean(FLAG)


def test_only_documented_values_pass():
    assert Query(b"types=gps,obd").csv(TYPES) == ("gps", "obd")
    with pytest.raises(Refusal, match="'types' must hold only: gps, obd"):
        Query(b"types=gps,x").csv(TYPES)


def test_checking_refuses_what_reading_would_refuse():
    with pytest.raises(Refusal, match="'startTime' is required"):
        Query(b"").check((TEXT, TIME))
    with pytest.raises(Refusal, match="limit"):
        Query(b"startTime=2024-01-01T00:00:00Z&limit=x").check((TIME, NUMBER))
    Query(b"").check((TEXT, NUMBER))


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2019-06-13T19:08:25Z", 1_560_452_905_000),
        ("2019-06-13t19:08:25z", 1_560_452_905_000),
        ("2019-06-13 19:08:25Z", 1_560_452_905_000),
        ("2019-06-13T19:08:25.455Z", 1_560_452_905_455),
        ("2019-06-13T19:08:25.4Z", 1_560_452_905_400),
        ("2019-06-13T19:08:25.455999999Z", 1_560_452_905_455),
        ("2019-06-13T19:08:25.4550000000000000000000001Z", 1_560_452_905_455),
        ("2019-06-13T15:08:25.500000-04:00", 1_560_452_905_500),
        ("2019-06-13T21:08:25+02:00", 1_560_452_905_000),
        ("2019-06-13T21:08:25 02:00", 1_560_452_905_000),  # an unescaped + in a URL
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_times_are_read_in_every_form_of_the_standard(text, time_ms):
    assert parse_time(text) == time_ms


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2019-06-13", "2019-06-13T19:08", "2019-06-13T19:08:25", "1560452905", "2019-02-30T00:00:00Z",
        "2019-06-13T24:00:00Z", "2019-06-13T19:08:25+24:00", "2019-06-13T19:08:25+02:60", "0000-01-01T00:00:00Z",
        "2019-06-13T19:08:61Z", "2019-06-13T19:08:25.Z", "2019-06-13T19:08:25." + "1" * 60 + "Z",
        "\uff12\uff10\uff11\uff19-06-13T19:08:25Z", "2019-W24-4T19:08:25Z", "20190613T190825Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("fraction", "ms"),
    [("", 0), (".455", 455), (".4550000", 455), (".4550001", 456), (".999000000000001", 1000), (".0001", 1)],
)
def test_what_begins_or_ends_between_two_milliseconds_does_so_at_the_later_one(fraction, ms):
    text = f"2019-06-13T19:08:25{fraction}Z"
    assert parse_time(text, rounds_up=True) == 1_560_452_905_000 + ms
    bound = Param("startTime", "time", "", is_bound=True)
    assert Query(f"startTime={text}".encode()).time_ms(bound) == 1_560_452_905_000 + ms
    assert Query(f"startTime={text}".encode()).time_ms(TIME) == parse_time(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_clock(text):
    assert parse_time(text) is None or isinstance(parse_time(text), int)


def test_record_ids_are_digits():
    assert parse_record_id("12") == 12
    for text in ("", "-1", "1.0", "x", "٣", "9" * 19):
        assert parse_record_id(text) is None


class Inner(msgspec.Struct):
    id: str


class Body(msgspec.Struct, rename="camel"):
    name: Annotated[str, msgspec.Meta(max_length=5)]
    tag_ids: list[str] = []
    inner: Inner | None = None
    year: int | msgspec.UnsetType | None = msgspec.UNSET


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "Field 'name' is required."),
        (b'{"name":null}', "Field 'name' is required."),
        (b'{"name":1}', "Field 'name': expected a string, got a whole number."),
        (b'{"name":"toolong"}', "Field 'name': expected a string of length <= 5."),
        (b'{"name":"x","tagIds":[1]}', r"Field 'tagIds\[0\]': expected a string"),
        (b'{"name":"x","inner":{}}', "Field 'inner.id' is required."),
        (b'{"name":"x","year":"y"}', "Field 'year': expected a whole number or null, got a string."),
        (b"[]", "must be a JSON object"),
        (b"", "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 990 + b"1" + b"}" * 990, "nested too deeply"),
    ],
)
def test_every_refusal_of_a_body_names_the_field(body, message):
    with pytest.raises(Refusal, match=message) as caught:
        read_new(body, Body)
    assert caught.value.kind is Kind.INVALID


def test_in_a_new_object_null_is_absent_and_in_a_patch_it_removes():
    body = b'{"name":"x","tagIds":null,"year":null,"unknown":{"y":null}}'
    assert read_new(body, Body).tag_ids == []
    assert read_new(body, Body).year is msgspec.UNSET
    assert read_patch(b'{"name":"x","year":null}', Body).year is None
    assert read_patch(b'{"name":"x"}', Body).year is msgspec.UNSET
