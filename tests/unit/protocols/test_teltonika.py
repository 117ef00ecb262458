"""The Teltonika frames in detail: checksums, counts, limits, records without a fix, every codec's layout."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odograph.model.fixes import Report
from odograph.protocols.base import BadFrame, Claim, Hello, Reports
from odograph.protocols.teltonika import (
    CODEC_8,
    CODEC_8_EXTENDED,
    CODEC_16,
    MAX_DATA,
    MAX_PACKET,
    MAX_REPORTS,
    TeltonikaDecoder,
    TeltonikaEncoder,
    crc16,
)

IMEI = "352093086403655"
HELLO = b"\x00\x0f" + IMEI.encode()
SENSORS = {
    CODEC_8: "01 05 02 1503 0101 01 425E0F 01 F10000601A 01 4E0000000000000000",
    CODEC_8_EXTENDED: "0001 0006 0001 000100 0001 0011001D 0001 0010015E2C88 0001 000B000000003544C87A"
    "0002 01000003AABBCC 01010000",
    CODEC_16: "000B 05 04 02 000100 000300 01 000B0027 01 0042 0000563A 00",
}


def record(*, time_ms=1_700_000_000_000, lon=25.2562916, lat=54.6676016, angle=90, satellites=9, speed=50) -> bytes:
    return struct.pack(">QBiihHBH", time_ms, 1, round(lon * 1e7), round(lat * 1e7), 138, angle, satellites, speed)


def frame(data: bytes) -> bytes:
    return bytes(4) + len(data).to_bytes(4, "big") + data + crc16(data).to_bytes(4, "big")


def codec_8(*records: bytes) -> bytes:
    count = bytes([len(records)])
    return frame(b"\x08" + count + b"".join(each + bytes(6) for each in records) + count)


def hear(*stream: bytes) -> list[Reports]:
    decoder = TeltonikaDecoder()
    events = [event for part in (HELLO, *stream) for event in decoder.feed(part)]
    assert events[0] == Hello(Claim(IMEI), b"\x01", b"\x00")
    return [event for event in events[1:] if isinstance(event, Reports)]


def test_the_checksum_is_crc_16_arc():
    assert crc16(b"123456789") == 0xBB3D
    assert crc16(b"") == 0


@given(st.binary(max_size=33))
def test_the_checksum_equals_its_definition_bit_by_bit(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    assert crc16(data) == crc


@pytest.mark.parametrize("codec", SENSORS)
def test_sensors_of_every_layout_are_stepped_over(codec):
    sensors = bytes.fromhex(SENSORS[codec])
    data = bytes([codec, 2]) + record() + sensors + record(speed=51) + sensors + b"\x02"
    heading_and_speeds = [(report.heading_deg, report.speed_kmh) for report in hear(frame(data))[0].reports]
    assert heading_and_speeds == [(90.0, 50.0), (90.0, 51.0)]


def test_records_without_a_fix_store_nothing_but_are_in_the_receipt():
    nothing = record(lon=0, lat=0, satellites=0, speed=0, angle=0)
    (heard,) = hear(codec_8(nothing, record(), nothing))
    assert heard == Reports((Report(1_700_000_000_000, 54.6676016, 25.2562916, 90.0, 50.0),), b"\0\0\0\x03")
    (heard,) = hear(codec_8(nothing, nothing))
    assert heard == Reports((), b"\0\0\0\x02")


def test_a_place_repeated_without_satellites_has_no_heading_and_speed():
    (heard,) = hear(codec_8(record(satellites=0, speed=0, angle=0)))
    assert heard.reports == (Report(1_700_000_000_000, 54.6676016, 25.2562916, None, None),)


def test_a_fix_at_zero_zero_with_satellites_is_passed_on():
    (heard,) = hear(codec_8(record(lon=0, lat=0)))
    assert heard.reports[0][1:3] == (0.0, 0.0)


def test_the_speed_and_angle_that_mean_nothing_are_unknown():
    (heard,) = hear(codec_8(record(speed=0xFFFF, angle=0xFFFF), record(speed=0, angle=360)))
    assert [report[3:] for report in heard.reports] == [(None, None), (360.0, 0.0)]


def test_places_south_and_west_are_negative():
    (heard,) = hear(codec_8(record(lat=-33.8567844, lon=-70.6693)))
    assert heard.reports[0][1:3] == (-33.8567844, -70.6693)


def test_pings_between_frames_are_skipped():
    assert len(hear(b"\xff", b"\xff\xff" + codec_8(record()) + b"\xff", codec_8(record()))) == 2
    assert next(iter(TeltonikaDecoder().feed(b"\xff\xff" + HELLO))).claim == Claim(IMEI)  # type: ignore[union-attr]  # a Hello


@pytest.mark.parametrize("codec", [0x0C, 0x0D, 0x0E, 0x0F])
def test_messages_that_hold_no_positions_are_owed_nothing(codec):
    text = frame(bytes([codec]) + b"\x01\x06\0\0\0\x02ok\x01")
    assert len(hear(text + codec_8(record()))) == 1


@given(st.integers(0, 8 * len(codec_8(record())) - 1))
def test_any_flipped_bit_is_noticed(bit):
    damaged = bytearray(codec_8(record()))
    damaged[bit // 8] ^= 1 << bit % 8
    heard = []
    try:
        heard = hear(bytes(damaged))
    except BadFrame:
        return
    # Only a length that grew leaves the decoder waiting for the rest.
    assert heard == []


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (HELLO + b"\0\0\0\x01\0\0\0\x2a", "four zero bytes, not 00000001"),
        (HELLO + bytes(8), f"3 to {MAX_DATA} bytes, not 0"),
        (HELLO + bytes(4) + (MAX_DATA + 1).to_bytes(4, "big"), f"not {MAX_DATA + 1}"),
        (HELLO + codec_8(record())[:-1] + b"\0", "checksum"),
        (HELLO + frame(b"\x08\x02" + record() + bytes(6) + b"\x01"), "2 records at its start and 1 at its end"),
        (HELLO + frame(b"\x08\x02" + record() + bytes(6) + b"\x02"), "record 1 of 2 goes beyond"),
        (HELLO + frame(b"\x08\x01" + record() + b"\0\0\xff" + bytes(3) + b"\x01"), "goes beyond"),
        (HELLO + frame(b"\x08\x01" + record() + bytes(7) + b"\x01"), "1 records end at byte 32"),
        (HELLO + frame(b"\x07\x01\x01"), "codec 0x07 is not spoken: set the tracker to Codec 8"),
        (b"\0\x02hi", "14 to 17, not 2"),
        (b"GET / HTTP/1.1\r\n", "IMEI's length"),
        (b"\0\x0f35209308640365x", "an IMEI is digits"),
    ],
)
def test_what_is_no_frame_is_refused_with_its_reason(stream, words):
    with pytest.raises(BadFrame, match=words):
        list(TeltonikaDecoder().feed(stream))


def test_a_frame_too_long_is_refused_before_its_bytes_are_kept():
    decoder = TeltonikaDecoder()
    assert len(list(decoder.feed(HELLO))) == 1
    with pytest.raises(BadFrame):
        list(decoder.feed(bytes(4) + b"\x7f\xff\xff\xff"))


@pytest.mark.parametrize("codec", [CODEC_8, CODEC_8_EXTENDED])
def test_the_encoder_fills_no_packet_beyond_what_trackers_send(codec):
    said = [Report(1_700_000_000_000 + index, -1.5, 2.5, None, 7.0) for index in range(MAX_REPORTS)]
    sent = TeltonikaEncoder(codec).reports(said)
    assert len(sent) <= MAX_PACKET
    assert list(hear(sent)[0].reports) == said
    with pytest.raises(ValueError, match=f"{MAX_REPORTS} reports at most"):
        TeltonikaEncoder(codec).reports([*said, said[0]])


@pytest.mark.parametrize("device", [None, "", "van-7", "123", "٣٥٢٠٩٣٠٨٦٤٠٣٦٥٥"])
def test_the_encoder_wants_an_imei(device):
    with pytest.raises(ValueError, match="is an IMEI of 14 to 17 digits"):
        TeltonikaEncoder().hello(Claim(device))


def test_the_encoder_rounds_to_whole_degrees_and_kilometres_an_hour():
    (heard,) = hear(TeltonikaEncoder().reports([Report(1, 0.0, 0.0, 359.6, 49.6), Report(2, 1.0, 1.0, 0.4, 1e9)]))
    assert [report[3:] for report in heard.reports] == [(0.0, 50.0), (0.0, 65534.0)]
