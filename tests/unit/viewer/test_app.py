"""The public paths: what opens, what is refused and how, and what every answer says besides."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odograph.sharing.keys import key_hash
from odograph.telemetry import mask
from odograph.viewer.pages import WEB, Pages
from odograph.viewer.paths import LinkPath, is_public, read_link
from odograph.viewer.texts import language_of
from tests.support.viewing import MINUTE_MS, NOON_MS, open_viewing

FORMS = ("", "/stream", "/state", "/geojson", ".geojson")
KEY = "0123456789abcdefghijABCD"


def path(key, form=""):
    return f"/o/1/fleet/viewer/address/{key}{form}"


@pytest.mark.parametrize(
    "shape",
    [
        "/o/1/fleet/viewer/address/{}",
        "/o/1/fleet/viewer/{}",
        "/fleet/viewer/job/{}",
        "/fleet/viewer/{}",
        "/o/any/fleet/viewer/x/{}",
    ],
)
async def test_every_shape_of_a_link_opens_it(viewing, org, shape):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    assert (await viewing.get(shape.format(key))).status == 200
    assert (await viewing.get(shape.format(key) + "/state")).json()["state"]["link"]["name"] == "Your delivery"


async def test_unknown_rotated_deleted_and_revoked_are_answered_alike(viewing, org):
    van = await viewing.make_vehicle(org)
    rotated, old_key = await viewing.make_share(org, asset_id=van.body.number)
    await viewing.rotate(rotated)
    deleted, deleted_key = await viewing.make_share(org, asset_id=van.body.number)
    assert (await viewing.get(path(deleted_key))).status == 200
    await viewing.remove(deleted)
    for form in FORMS:
        answers = [
            await viewing.get(path(key, form))
            for key in (KEY, old_key, deleted_key, "x", "", "%00", "é" * 300, viewing.stop_key(org, 12))
        ]
        alike = {
            (one.status, one.body, tuple(header for header in one.headers if header[0] != b"x-request-id"))
            for one in answers
        }
        assert len(alike) == 1
        assert answers[0].status == 404


async def test_each_key_is_hashed_and_looked_up_whatever_it_is(viewing, org, monkeypatch):
    van = await viewing.make_vehicle(org)
    share, key = await viewing.make_share(org, asset_id=van.body.number)
    asked = []

    def counted(text):
        asked.append(text)
        return key_hash(text)

    monkeypatch.setattr("odograph.viewer.targets.key_hash", counted)
    await viewing.remove(share)
    for one in (key, KEY, "", "ü"):
        await viewing.get(path(one))
    assert asked == [key, KEY, "", "ü"]


@pytest.mark.parametrize(
    ("fields", "status"), [({"expires_ms": NOON_MS}, 410), ({"starts_ms": NOON_MS + MINUTE_MS}, 403)]
)
async def test_expired_and_future_links_have_answers_of_their_own_that_tell_nothing(viewing, org, fields, status):
    van = await viewing.make_vehicle(org, "CanaryVan")
    _, key = await viewing.make_share(org, asset_id=van.body.number, name="CanaryLink", **fields)
    for form in FORMS:
        answer = await viewing.get(path(key, form))
        assert answer.status == status
        assert b"Canary" not in answer.all_bytes()


async def test_error_pages_speak_the_viewers_language(viewing):
    for language, words in (
        ("de-AT,en;q=0.5", "Diesen Link gibt es nicht"),
        ("fr", "existe pas"),
        ("xx", "does not"),
    ):
        answer = await viewing.get(path(KEY), headers={"accept-language": language})
        assert words in answer.body.decode()


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "en"), ("es-MX", "es"), ("en;q=0.3, de;q=0.8", "de"), ("pl, fr;q=0.1", "fr"), (";;q=,=,", "en")],
)
def test_the_best_language_of_ours_is_chosen(header, language):
    assert language_of(header) == language


async def test_pages_and_data_are_nobodys_to_keep_or_index(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    for form in FORMS[:1] + FORMS[2:]:
        answer = await viewing.get(path(key, form))
        assert answer.header("cache-control") == "no-store"
        assert answer.header("x-robots-tag") == "noindex, nofollow"
        assert answer.header("x-content-type-options") == "nosniff"
        assert not answer.header("set-cookie")
        assert bool(answer.header("access-control-allow-origin")) == ("geojson" in form)
    page = await viewing.get(path(key))
    assert "default-src 'none'" in page.header("content-security-policy")
    assert "unsafe" not in page.header("content-security-policy")
    assert page.header("referrer-policy") == "no-referrer"


def test_no_script_of_the_pages_makes_requests_that_carry_more_than_an_origin():
    pages = Pages()
    scripts = [path.name for path in (WEB / "assets").glob("*.js")]
    assert any("worker" in name for name in scripts)
    for name in scripts:
        reply = pages.file(name, "")
        assert reply is not None
        assert dict(reply.headers)[b"referrer-policy"] == b"strict-origin"


async def test_head_is_answered_like_get_without_a_body(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    for form in FORMS:
        head = await viewing.get(path(key, form), method="HEAD")
        assert head.status == 200
        assert head.body == b""
    assert (await viewing.get(path(key), method="POST")).status == 405


async def test_a_name_cannot_break_out_of_the_page(viewing, org):
    bad = "</script><script>alert(1)</script>\u2028&<!--"
    van = await viewing.make_vehicle(org, bad)
    _, key = await viewing.make_share(org, name=bad, asset_id=van.body.number)
    body = (await viewing.get(path(key))).body.decode()
    assert "<script>alert" not in body
    assert "\u2028" not in body.split('id="odograph-state">')[1].split("</script>")[0]
    assert (await viewing.page_state(key))["assets"][0]["name"] == bad


async def test_a_placeholder_in_a_name_stays_text(viewing, org):
    van = await viewing.make_vehicle(org, "<!--odograph:noscript-->")
    _, key = await viewing.make_share(org, name="<!--odograph:data-->", asset_id=van.body.number)
    assert (await viewing.page_state(key))["link"]["name"] == "<!--odograph:data-->"


async def test_after_thirty_misses_a_minute_an_address_gets_nothing_at_all(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    for _ in range(30):
        assert (await viewing.get(path(KEY), client="203.0.113.5")).status == 404
    refused = [await viewing.get(path(one), client="203.0.113.5") for one in (KEY, key)]
    assert [one.status for one in refused] == [429, 429]
    assert refused[0].body == refused[1].body
    assert refused[0].header("retry-after")
    assert (await viewing.get(path(key), client="203.0.113.6")).status == 200
    viewing.clock.move(MINUTE_MS)
    assert (await viewing.get(path(key), client="203.0.113.5")).status == 200


async def test_ipv6_addresses_are_counted_by_their_network(viewing):
    for at in range(30):
        await viewing.get(path(KEY), client=f"2001:db8:1:2::{at:x}")
    assert (await viewing.get(path(KEY), client="2001:db8:1:2:ffff::1")).status == 429
    assert (await viewing.get(path(KEY), client="2001:db8:1:3::1")).status == 404


async def test_one_address_may_hold_two_hundred_streams(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number)
    streams = []
    for _ in range(200):
        streams.append(await viewing.watch(key, client="203.0.113.5"))
        viewing.clock.move(1000)
    assert (await viewing.get(path(key, "/stream"), client="203.0.113.5")).status == 429
    await streams.pop().close()
    assert (await viewing.watch(key, client="203.0.113.5")).start.result().status == 200
    for stream in streams:
        await stream.close()


async def test_polling_says_the_state_and_where_to_go_on(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
    await viewing.report(org, van, 52.1, 4.3)
    first = (await viewing.get(path(key, "/state"))).json()
    assert first["missed"] == {}
    viewing.clock.move(MINUTE_MS)
    await viewing.report(org, van, 52.11, 4.3)
    again = (await viewing.get(path(key, f"/state?after={first['cursor']}"))).json()
    (points,) = again["missed"].values()
    assert [point[1] for point in points] == [52.11]
    assert again["hasMore"] is False
    idle = (await viewing.get(path(key, f"/state?after={again['cursor']}"))).json()
    assert idle["missed"] == {}


async def test_a_cursor_of_another_link_or_of_nobody_just_gives_the_state(viewing, org):
    van = await viewing.make_vehicle(org)
    _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
    _, other = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1)
    cursor = (await viewing.get(path(other, "/state"))).json()["cursor"]
    await viewing.report(org, van, 52.1, 4.3)
    for after in (cursor, "x", "A" * 32):
        assert (await viewing.get(path(key, f"/state?after={after}"))).json()["missed"] == {}


async def test_geojson_holds_the_same_as_the_state(viewing, org):
    van = await viewing.make_vehicle(org)
    place = await viewing.make_address(org, 52.3, 4.3)
    _, key = await viewing.make_share(org, asset_id=van.body.number, trail_min=-1, address_id=place.body.number)
    for step in range(3):
        viewing.clock.move(MINUTE_MS)
        await viewing.report(org, van, 52.1 + step / 100, 4.3)
    answer = await viewing.get(path(key, ".geojson"))
    assert answer.header("content-type") == "application/geo+json"
    features = {one["properties"]["kind"]: one for one in answer.json()["features"]}
    assert set(features) == {"asset", "trail", "place", "fence"}
    assert features["asset"]["geometry"]["coordinates"] == [4.3, 52.12]
    assert len(features["trail"]["geometry"]["coordinates"]) == 3
    ring = features["fence"]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]


async def test_without_a_built_front_end_pages_say_so_and_data_goes_on(tmp_path):
    async with open_viewing(tmp_path, is_built=False) as viewing:
        org = await viewing.make_org()
        van = await viewing.make_vehicle(org)
        _, key = await viewing.make_share(org, asset_id=van.body.number)
        assert (await viewing.get(path(key))).status == 503
        assert (await viewing.get(path(key, "/state"))).status == 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/o/1/fleet/viewer/address/k", LinkPath("k", "page")),
        ("/fleet/viewer/k/stream", LinkPath("k", "stream")),
        ("/fleet/viewer/job/k.geojson", LinkPath("k", "geojson")),
        ("/fleet/viewer/stream", LinkPath("", "stream")),
        ("/fleet/viewer/", LinkPath("", "page")),
        ("/fleet/vehicles", None),
        ("/links", None),
    ],
)
def test_paths_are_read(text, found):
    assert read_link(text) == found
    assert is_public(text) == (found is not None or text == "/links")


BEFORE = [
    "/o/1/fleet/viewer/address/",
    "/o/1/fleet/viewer/",
    "/fleet/viewer/job/",
    "/fleet/viewer//",
    "/fleet/viewer/a.b/",
    "/o/1/fleet/viewer/addressbook-of-x/",
]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    "after", ["", "/stream", "/state?after=abc", ".geojson", "/geojson", "/something-long", "/"]
)
def test_no_log_line_shows_a_key(before, after):
    masked = mask(before + KEY + after)
    assert KEY not in masked
    assert "[masked]" in masked


def test_the_form_that_was_asked_for_stays_in_the_log():
    assert (
        mask(f"/o/1/fleet/viewer/address/{KEY}/stream?after=x")
        == "/o/1/fleet/viewer/address/[masked]/stream?after=x"
    )


TEXTS = st.text(max_size=60)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    rest=TEXTS,
    form=st.sampled_from(["", "/stream", "/state", ".geojson", "/geojson"]),
    query=st.text(alphabet="after=&%;+x0\udcff", max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["accept-language", "last-event-id", "accept-encoding"]),
        st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
    ),
    is_real=st.booleans(),
)
async def test_no_request_breaks_the_public_side(tmp_path_factory, rest, form, query, headers, is_real):
    async with open_viewing(tmp_path_factory.mktemp("fuzz")) as viewing:
        org = await viewing.make_org()
        van = await viewing.make_vehicle(org)
        _, key = await viewing.make_share(org, asset_id=van.body.number, expires_ms=NOON_MS + 1, trail_min=-1)
        await viewing.report(org, van, 52.1, 4.3)
        if form == "/stream":
            viewing.clock.move(1)  # so that the stream ends
        before = "/o/1/fleet/viewer/address/"
        answer = await viewing.get(
            f"{before}{key if is_real else rest.replace('?', '')}{form}?{query}", headers=headers
        )
        assert answer.status in {200, 404, 410}
        if form == "/state":
            msgspec.json.decode(answer.body)
