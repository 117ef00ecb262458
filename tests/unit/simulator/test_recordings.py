"""Recordings are read as they are: every good line once and in order, every bad one told with its place."""

from __future__ import annotations

import csv
import gzip
import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.errors import Refusal
from odograph.model.fixes import Report
from odograph.simulator.recordings import MAX_LINE, BadLine, Heard, Recording

RECORDINGS = os.environ.get("ODOGRAPH_RECORDINGS")
needs_recordings = pytest.mark.skipif(not RECORDINGS, reason="ODOGRAPH_RECORDINGS is not set")
HEADER = "vehicle_id,time_iso,lat,lon,heading_deg,speed_mph"


def read(path, **more):
    bad: list[BadLine] = []
    return list(Recording(path, **more).read(bad.append)), [(one.line, one.reason) for one in bad]


@pytest.fixture
def file(tmp_path):
    def write(text, name="one.csv"):
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("name", ["one.csv", "one.csv.gz", "named-otherwise.dat"])
def test_csv_rows_become_reports_in_order(file, name):
    path = file(
        f"\ufeff{HEADER},more\r\nb,2024-01-01T00:00:00.5Z,1.5,-2,359.9,10,x\r\na,2024-01-01 01:00+01:00,0,0,,\r\n",
        name,
    )
    heard, bad = read(path)
    assert heard == [
        ("b", Report(1_704_067_200_500, 1.5, -2.0, 359.9, 16.09344)),
        ("a", Report(1_704_067_200_000, 0.0, 0.0, None, None)),
    ]
    assert bad == []


def test_columns_may_come_in_any_order_and_heading_and_speed_may_be_missing(file):
    heard, _ = read(file("lon,lat,time_iso,vehicle_id\n2,1,2024-01-01T00:00:00Z,v\n"))
    assert heard == [("v", Report(1_704_067_200_000, 1.0, 2.0))]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2024-01-01T00:00:00Z,1,2,,", "vehicle_id is empty"),
        ("v,2024-01-01T00:00:00,1,2,,", "zone"),
        ("v,noon,1,2,,", "ISO 8601"),
        ("v,2024-01-01T00:00:00Z,,2,,", "lat or lon is empty"),
        ("v,2024-01-01T00:00:00Z,north,2,,", "could not convert"),
        ("v,2024-01-01T00:00:00Z,nan,2,,", "not finite"),
        ("v,2024-01-01T00:00:00Z,1,2,inf,", "not finite"),
        ("v", "ISO 8601"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_its_neighbours_are_kept(file, row, reason):
    good = "v,2024-01-01T00:00:00Z,1,2,,"
    heard, bad = read(file("\n".join([HEADER, good, row, "", good])))
    assert len(heard) == 2
    assert [line for line, _ in bad] == [3]
    assert reason in bad[0][1]


def test_what_is_impossible_but_well_written_is_passed_on_for_the_server_to_refuse(file):
    heard, bad = read(file(f"{HEADER}\nv,2024-01-01T00:00:00Z,400.1,2,720,9999\n"))
    assert heard[0].report.lat == 400.1
    assert bad == []


def test_a_line_without_end_does_not_fill_the_memory(file):
    heard, bad = read(file(f"{HEADER}\n{'x' * (3 * MAX_LINE)}\nv,2024-01-01T00:00:00Z,1,2,,\n"))
    assert len(heard) == 1
    assert bad


def test_a_gzip_file_cut_off_gives_what_it_holds_and_says_that_it_ends(file, tmp_path):
    rows = "".join(f"v,2024-01-01T00:00:{i % 60:02}Z,{i % 90},{i},,\n" for i in range(5000))
    whole = file(f"{HEADER}\n{rows}", "whole.csv.gz").read_bytes()
    heard, bad = read(file(whole[: len(whole) // 2], "cut.csv"))
    assert 0 < len(heard) < 5000
    assert "can't be read on" in bad[-1][1]


@pytest.mark.parametrize("text", ["", "hello\n", "a,b,c\n1,2,3\n", "<kml></kml>", "\0\1\2"])
def test_other_files_are_refused(file, text):
    with pytest.raises(Refusal, match="no recording"):
        Recording(file(text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match="Cannot read"):
        Recording(tmp_path / "none.csv")


@settings(max_examples=60)
@given(noise=st.binary(max_size=400), at=st.integers(0, 400), kind=st.sampled_from(["csv", "gpx", "nmea"]))
def test_noise_never_stops_the_reading(tmp_path_factory, noise, at, kind):
    start = {
        "csv": HEADER.encode() + b"\nv,2024-01-01T00:00:00Z,1,2,,\n",
        "gpx": GPX.encode(),
        "nmea": NMEA.encode(),
    }[kind]
    path = tmp_path_factory.mktemp("noise") / "noise"
    path.write_bytes(start[: len(start) // 3] + start[len(start) // 3 :][:at] + noise + start[at:])
    try:
        recording = Recording(path)
    except Refusal:
        return
    for heard in recording.read(lambda bad: None):
        assert isinstance(heard.report, Report)


GPX = """<?xml version="1.0"?>
<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1" xmlns:t="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">
<metadata><time>1999-01-01T00:00:00Z</time></metadata>
<wpt lat="9" lon="9"><time>2020-01-01T00:00:00Z</time></wpt>
<rte><rtept lat="8" lon="8"><time>2020-01-01T00:00:00Z</time></rtept></rte>
<trk><name>n</name><trkseg>
<trkpt lat="1.5" lon="-2.5"><time>2024-01-01T00:00:00.250Z</time><speed>10</speed><course>90.5</course></trkpt>
<trkpt lat="1.6" lon="-2.6"/>
<trkpt lat="1.7"><time>2024-01-01T00:00:02Z</time></trkpt>
<trkpt lat="1.8" lon="-2.8"><time>2024-01-01T00:00:03</time><extensions><t:TrackPointExtension><t:speed>2</t:speed>
<t:course>7</t:course></t:TrackPointExtension><x><time>1</time><speed>99</speed></x></extensions></trkpt>
</trkseg></trk></gpx>
"""


def test_gpx_tracks_give_their_points_with_speed_and_course(file):
    heard, bad = read(file(GPX, "morning drive.gpx"))
    assert heard == [
        ("morning drive", Report(1_704_067_200_250, 1.5, -2.5, 90.5, 36.0)),
        ("morning drive", Report(1_704_067_203_000, 1.8, -2.8, 7.0, 7.2)),
    ]
    assert bad == [(8, "a track point without a time"), (9, "a point without lon")]
    assert [one.vehicle for one in read(file(GPX, "x.gpx.gz"), vehicle="van-1")[0]] == ["van-1", "van-1"]


def test_gpx_waypoints_count_where_there_is_no_track(file):
    text = '<gpx><wpt lat="1" lon="2"><time>2024-01-01T00:00:00Z</time></wpt><wpt lat="3" lon="4"/></gpx>'
    assert read(file(text, "w.gpx")) == ([("w", Report(1_704_067_200_000, 1.0, 2.0))], [])


def test_gpx_with_a_document_type_is_read_no_further(file):
    bomb = '<!DOCTYPE gpx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    heard, bad = read(file(bomb + "<gpx><trk><trkseg>" + "&b;" * 1000 + "</trkseg></trk></gpx>", "bomb.gpx"))
    assert heard == []
    assert "document type" in bad[0][1]


def test_gpx_cut_off_gives_what_it_holds(file):
    heard, bad = read(file(GPX[: GPX.index('<trkpt lat="1.7"')], "cut.gpx"))
    assert len(heard) == 1
    assert "no XML from here on" in bad[-1][1]


def sentence(body):
    total = 0
    for char in body:
        total ^= ord(char)
    return f"${body}*{total:02X}\r\n"


NMEA = (
    "# a log\n"
    + sentence("GPRMC,235959.00,A,3745.0000,S,17518.0000,W,10.0,181.5,311214,,,A")
    + sentence("GPGGA,235959.00,3745.0000,S,17518.0000,W,1,08,1.1,59.9,M,23.7,M,,")
)


def test_nmea_sentences_of_one_moment_are_one_report(file):
    heard, bad = read(file(NMEA, "log.nmea"))
    assert heard == [("log", Report(1_420_070_399_000, -37.75, -175.3, 181.5, 18.52))]
    assert bad == []


def test_nmea_goes_over_midnight_with_and_without_a_date(file):
    more = "".join(sentence(f"GPGGA,{time},3745.0,S,17518.0,W,1,08,1,1,M,1,M,,") for time in ("000000.5", "120000"))
    heard, _ = read(file(NMEA + more, "log.nmea"))
    assert [one.report.time_ms for one in heard] == [1_420_070_399_000, 1_420_070_400_500, 1_420_113_600_000]


def test_nmea_without_a_date_is_told_or_takes_the_day_that_is_given(file):
    text = "".join(sentence(f"GPGGA,{time},3745.0,S,17518.0,W,1,08,1,1,M,1,M,,") for time in ("230000", "010000"))
    heard, bad = read(file(text, "log.nmea"))
    assert heard == []
    assert [line for line, _ in bad] == [1, 2]
    heard, _ = read(file(text, "log.nmea"), day=date(2024, 2, 28))
    assert [one.report.time_ms for one in heard] == [1_709_161_200_000, 1_709_168_400_000]


def test_nmea_takes_its_date_from_zda_too(file):
    text = sentence("GPZDA,120000,01,01,2024,00,00") + sentence("GPGGA,120000,1,N,1,E,1,8,1,1,M,1,M,,").replace(
        ",1,N,1,E", ",0100.0,N,00100.0,E"
    )
    good = sentence("GPZDA,120000,01,01,2024,00,00") + sentence("GPGGA,120000,0100.0,N,00100.0,E,1,8,1,1,M,1,M,,")
    assert [one.report for one in read(file(good, "log.nmea"))[0]] == [Report(1_704_110_400_000, 1.0, 1.0)]
    assert "checksum" in read(file(text, "log.nmea"))[1][0][1]


@pytest.mark.parametrize(
    "body",
    [
        "GPRMC,235959.00,V,3745.0000,S,17518.0000,W,10.0,181.5,311214,,,A",
        "GPRMC,235959.00,A,3745.0000,S,17518.0000,W,10.0,181.5,311214,,,N",
        "GPGGA,235959.00,3745.0000,S,17518.0000,W,0,08,1.1,59.9,M,23.7,M,,",
        "GPGSV,3,1,00,,,,,,,,,,,,,,,,",
    ],
)
def test_nmea_without_a_fix_is_silent(file, body):
    heard, bad = read(file(NMEA + sentence(body.replace("235959.00", "235959.50")), "log.nmea"))
    assert (len(heard), bad) == (1, [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            sentence("GPRMC,235959.50,A,3745.0000,S,17518.0000,W,10.0,181.5,311214,,,A").replace("3745", "3746"),
            "checksum",
        ),
        ("$GPRMC,235959.50,A,3745.0000,S,17518\n", "no checksum"),
        (sentence("GPRMC,995959.50,A,3745.0000,S,17518.0000,W,10.0,181.5,311214,,,A"), "no time of day"),
        (sentence("GPRMC,235959.50,A,3745.0000,S,17518.0000,W,10.0,181.5,310214,,,A"), "no date"),
        (sentence("GPRMC,235959.50,A,3745.0000,X,17518.0000,W,10.0,181.5,311214,,,A"), "side"),
        (sentence("GPRMC,235959.50,A,37xx,S,17518.0000,W,10.0,181.5,311214,,,A"), "no angle"),
        (sentence("GPRMC,235959.50,A"), "fields"),
    ],
)
def test_a_bad_sentence_is_told_and_the_rest_is_read(file, line, reason):
    heard, bad = read(file(NMEA + line, "log.nmea"))
    assert len(heard) == 1
    assert bad[0][0] == 4
    assert reason in bad[0][1]


@needs_recordings
def test_every_recorded_csv_is_read_whole():
    for path in sorted(Path(str(RECORDINGS)).glob("edge/*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        heard, bad = read(path)
        assert len(heard) + len(bad) == len(rows)
        assert len(bad) == sum(not row["lat"] for row in rows)
        good = [row for row in rows if row["lat"]]
        assert [(one.vehicle, one.report.lat, one.report.lon) for one in heard] == [
            (row["vehicle_id"], float(row["lat"]), float(row["lon"])) for row in good
        ]


@needs_recordings
def test_every_recorded_gpx_has_as_many_timed_points_as_its_index_says():
    tracks = Path(str(RECORDINGS)) / "tracks"
    seen = 0
    for entry in map(json.loads, (tracks / "index.jsonl").read_text().splitlines()):
        if entry["file"].endswith(".gpx") and entry.get("timed"):
            path = tracks / entry["file"]
            heard, _ = read(path if path.exists() else path.with_name(path.name + ".gz"))
            assert len(heard) == entry["timed"]
            seen += 1
    assert seen > 10


@needs_recordings
def test_recorded_nmea_says_what_gpsd_understood():
    compared = 0
    sentences = Path(str(RECORDINGS)) / "vectors/nmea_rmc_gpsd.jsonl"
    for vector in map(json.loads, sentences.read_text().splitlines()):
        expected = vector.get("expected_gpsd_tpv")
        if not (expected and vector["checksum_ok"] and vector["status"] == "A" and "lat" in expected):
            continue
        path = Path(str(RECORDINGS)) / "vectors/nmea_gpsd" / vector["id"].split("/")[1]
        heard = _all_of(path)
        match = [one.report for one in heard if abs(one.report.lat - expected["lat"]) < 1e-6]
        assert any(abs(report.lon - expected["lon"]) < 1e-6 for report in match), vector["id"]
        compared += 1
    assert compared > 100


_READ: dict[Path, list[Heard]] = {}


def _all_of(path):
    if path not in _READ:
        _READ[path] = read(path)[0]
    return _READ[path]


def test_a_csv_that_names_its_vehicles_tells_so(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(
        "vehicle_id,time_iso,lat,lon,vehicle_name\n7,2024-05-01T10:00:00Z,1,2,Van 7\n8,2024-05-01T10:00:00Z,1,2,\n"
    )
    recording = Recording(path)
    assert [heard.vehicle for heard in recording.read(lambda _: None)] == ["7", "8"]
    assert recording.names == {"7": "Van 7"}
