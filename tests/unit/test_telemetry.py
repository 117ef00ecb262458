"""Log lines that can be read by machines and hold no secrets; figures for Prometheus."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from typing import Any

import pytest

from odograph import telemetry
from odograph.catalog.secrets import new_key, new_token
from odograph.telemetry import MASK, AccessLog, JsonLines, configure_logging, mask, new_request_id

CANARIES = [new_token(), new_key(), new_key().replace("-", ""), "s3cret-Word", "gEAitEnnOwcv92cuPzcU"]
TOKEN, KEY, BARE_KEY, PASSWORD, LINK = CANARIES
PLACES = {
    "QUOTED_KEY": KEY.replace("-", "%2D"),
    "BARE_KEY": BARE_KEY,
    "TOKEN": TOKEN,
    "PASSWORD": PASSWORD,
    "LINK": LINK,
    "KEY(?!=)": KEY,
}


@pytest.fixture
def log():
    """What is written, as text; the loggers are as before afterwards."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    stream = io.StringIO()
    configure_logging("info", stream)
    yield stream
    root.handlers[:], root.level = before


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer TOKEN",
        "authorization: bearer PASSWORD",
        "'Authorization': 'Basic PASSWORD'",
        "b'authorization', b'Bearer TOKEN'",
        "GET /ingest/owntracks/KEY HTTP/1.1",
        "/ingest/osmand/BARE_KEY?lat=1",
        "/ingest/batch/PASSWORD/",
        "/ingest/osmand?key=PASSWORD&lat=1",
        "/ingest/osmand?lat=1&KEY=PASSWORD",
        "?device_key=PASSWORD",
        "?token=TOKEN&x=1",
        "access_token=PASSWORD",
        "https://fleet.example/o/1/fleet/viewer/address/LINK",
        "/o/1/fleet/viewer/LINK?x=1",
        '{"token":"TOKEN","name":"x"}',
        '{"key": "PASSWORD"}',
        "made TOKEN for you",
        "typed KEY by hand",
        "typed QUOTED_KEY by hand",
        "twice TOKEN,TOKEN",
    ],
)
def test_no_secret_is_left_wherever_it_stands(text):
    for name, canary in PLACES.items():
        text = re.sub(rf"(?<![A-Z_]){name}(?![a-z_])", canary, text)
    masked = mask(text)
    assert MASK in masked
    for canary in CANARIES:
        assert canary not in masked


@pytest.mark.parametrize(
    "text",
    [
        "/fleet/vehicles/locations?vehicleIds=281474976710657&after=Abc",
        "/ingest/osmand?id=867&lat=52.1&lon=4.3&speed=12",
        "/ingest/batch",
        "keyboard=1 monkey=2 turkey=3",
        "/o/1/fleet/viewer/address/",
        "odograph.access",
        "There is no vehicle 'erp:0123-4567'.",
    ],
)
def test_what_is_no_secret_stays(text):
    assert mask(text) == text


@pytest.mark.parametrize(
    "words",
    [
        "/fleet/viewer/",
        "/fleet/viewer/a/",
        "/fleet/viewer//",
        "/ingest/a/",
        "/ingest/a-",
        "authorization ",
        "authorization: bearer",
        "basic ",
        "key=",
        "'key' ",
        "odo_",
        "abcd-",
        "a/",
        "'",
    ],
)
def test_masking_takes_no_longer_a_letter_of_a_long_text_than_of_a_short_one(words):
    """Whoever makes a text may not make it slow: a quadratic step would take ten seconds for the long one."""
    short, long = (min(took(words * (size // len(words))) for _ in range(3)) for size in (4_096, 65_536))
    assert long < 80 * short + 0.05


def took(text):
    begin = time.perf_counter()
    mask("/fleet/viewer/" + text)
    return time.perf_counter() - begin


async def test_a_long_url_is_cut_in_its_line_before_a_word(log):
    await speak("/nowhere/" + "a" * 1000, query=b"a=" + b"b" * 980 + b"&c=odo_" + b"d" * 40)
    await speak("/nowhere/" + "a" * 5000)
    first, second = (line["path"] for line in lines(log))
    assert first == "/nowhere/" + "a" * 1000 + "?a=" + "b" * 980 + "&c=…"
    assert second == "/nowhere/…"


def test_a_line_is_json_with_what_it_was_given(log):
    request_id = new_request_id()
    logging.getLogger("odograph.x").warning("disk %s", "full", extra={"bytes": 7, "where": f"key={PASSWORD}"})
    (line,) = lines(log)
    assert line == {
        "time": line["time"],
        "level": "warning",
        "logger": "odograph.x",
        "event": "disk full",
        "requestId": request_id,
        "bytes": 7,
        "where": f"key={MASK}",
    }
    assert line["time"].endswith("+00:00")


def test_a_traceback_is_one_line_and_masked(log):
    try:
        raise ValueError(f"Bearer {TOKEN}\nsecond line")
    except ValueError:
        logging.getLogger("odograph.x").exception("broken")
    assert TOKEN not in log.getvalue()
    (line,) = lines(log)
    assert "ValueError" in line["traceback"]


def test_the_servers_own_logger_writes_the_same_lines_and_its_access_log_is_off(log):
    logging.getLogger("uvicorn.error").info("Started key=%s", PASSWORD)
    logging.getLogger("uvicorn.access").info("GET /ingest/osmand/%s", KEY)
    logging.getLogger("httpx").info("HTTP Request: GET http://x/?key=%s", PASSWORD)
    (line,) = lines(log)
    assert (line["logger"], line["event"]) == ("uvicorn.error", f"Started key={MASK}")


def test_half_a_surrogate_pair_does_not_stop_a_line():
    record = logging.makeLogRecord({"msg": "device \ud800 said hello", "device": "\udfff"})
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["device"]) == (r"device \ud800 said hello", r"\udfff")


async def speak(path: str, status: int = 200, query: bytes = b"", client: Any = ("198.51.100.7", 5)) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"12345"})

    async def send(_: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": [], "client": client}
    await AccessLog(app)(scope, receive, send)


async def test_every_api_request_has_a_line_without_secrets(log):
    await speak("/fleet/vehicles", query=f"limit=1&token={TOKEN}".encode())
    (line,) = lines(log)
    assert line["path"] == f"/fleet/vehicles?limit=1&token={MASK}"
    assert (line["method"], line["status"], line["bytes"], line["client"]) == ("GET", 200, 5, "198.51.100.7")
    assert len(line["requestId"]) == 8


async def test_devices_are_logged_only_when_they_are_refused(log):
    await speak(f"/ingest/owntracks/{KEY}")
    assert log.getvalue() == ""
    await speak(f"/ingest/owntracks/{KEY}", status=401)
    (line,) = lines(log)
    assert line["path"] == f"/ingest/owntracks/{MASK}"


async def test_a_request_whose_app_breaks_is_still_counted(log):
    async def app(*_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await AccessLog(app)(
            {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "client": None}, app, app
        )
    assert lines(log)[0]["status"] == 0


async def test_requests_are_counted_by_endpoint_and_status():
    before = telemetry.REGISTRY.get_sample_value(
        "odograph_requests_total", {"endpoint": "/ingest", "status": "503"}
    )
    await speak("/ingest/osmand", status=503)
    after = telemetry.REGISTRY.get_sample_value("odograph_requests_total", {"endpoint": "/ingest", "status": "503"})
    assert after == (before or 0) + 1


def test_paths_that_nobody_serves_share_one_name_so_that_scanners_make_no_series():
    assert b"/wp-login.php" not in telemetry.render_metrics()


def test_every_metric_says_what_it_is():
    for name, kind, text in telemetry.metrics():
        assert name.startswith("odograph_")
        assert kind in {"counter", "gauge", "histogram"}
        assert text.endswith(".")
    assert f"{len(telemetry.metrics())}" != "0"


def test_request_ids_are_short_hex_and_never_the_same():
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 8 and int(one, 16) >= 0 for one in ids)


def test_a_device_key_is_masked_by_its_shape_wherever_it_stands():
    key = "jghz-1xdv-ax2r-xqzn-aa3t-nsbh-byr8"
    for line in (f"knock from {key}", f"{key.upper()} refused", f"x={key.replace('-', '%2D')}"):
        assert "xqzn" not in mask(line).lower()
    other = "8f3a11c2-90ab-4cde-8f01-23456789abcd 356307042441013 took 3 ms"
    assert mask(other) == other
