"""Teltonika trackers over TCP: login by IMEI, then frames of Codec 8, 8 Extended or 16; receipts count records."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from odograph.model.fixes import Report
from odograph.protocols.base import BadFrame, Claim, Event, Hello, Reports

CODEC_8: Final = 0x08
CODEC_8_EXTENDED: Final = 0x8E
CODEC_16: Final = 0x10
MESSAGE_CODECS: Final = (0x0C, 0x0D, 0x0E, 0x0F)
"""Texts and files of the serial port or the camera, answers to commands: no fix in them, and no receipt is owed."""

MAX_DATA: Final = 16_384  # the makers say 1,280 bytes; long lists of sensors and pictures go above, to some 2,100
MAX_PACKET: Final = 1280  # what trackers themselves send at most, for our encoder
IMEI_DIGITS: Final = range(14, 18)  # an IMEI has 15, without its check digit 14, with a software version 16 or 17

WELCOME: Final = b"\x01"
REFUSE: Final = b"\x00"
_PING: Final = 0xFF  # keeps the connection open between frames
_PREAMBLE: Final = b"\0\0\0\0"
_HEAD: Final = 8  # preamble and length
_CRC_SIZE: Final = 4
_UNKNOWN: Final = 0xFFFF

_RECORD: Final = struct.Struct(">qBiihHBH")
"""Time in ms, priority, longitude and latitude in 1e-7 degree, altitude, angle, satellites, speed in km/h."""


class _Layout(NamedTuple):
    """How a codec lays out the sensors' values that follow each position."""

    head: int  # bytes before the first count: the event's id, perhaps its cause, the total
    wide_ids: bool
    wide_counts: bool
    has_texts: bool  # a fifth group, of values that state their own length


_LAYOUTS: Final = {
    CODEC_8: _Layout(head=2, wide_ids=False, wide_counts=False, has_texts=False),
    CODEC_8_EXTENDED: _Layout(head=4, wide_ids=True, wide_counts=True, has_texts=True),
    CODEC_16: _Layout(head=4, wide_ids=True, wide_counts=False, has_texts=False),
}


def _crc_of_pairs() -> array[int]:
    """The CRC of every two bytes, by their little-endian number: half the steps of a table by bytes."""
    crc = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        crc = np.where(crc & 1, (crc >> 1) ^ 0xA001, crc >> 1)
    return array("H", crc.astype(np.uint16).tobytes())


_PAIRS: Final = _crc_of_pairs()


def crc16(data: bytes) -> int:
    """CRC-16/IBM (also called ARC): polynomial 0x8005 reflected, from 0."""
    even = len(data) & ~1
    crc = 0
    for pair in struct.unpack(f"<{even >> 1}H", data[:even]):
        crc = _PAIRS[crc ^ pair]
    if even == len(data):
        return crc
    # A step of one byte is a step of two that shifts the second half out as it came in.
    return _PAIRS[(crc ^ data[-1]) << 8 & 0xFFFF] ^ (crc >> 8)


class TeltonikaDecoder:
    """Reads one tracker's connection; what `feed` returns must be read to its end before the next bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 1
        self._is_known = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Hello once, then Reports for each whole frame: empty if no record in it had a fix. Raises BadFrame."""
        self._buffer += data
        while len(self._buffer) >= self._wanted:
            event = self._read_frame() if self._is_known else self._read_login()
            if event is not None:
                yield event

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._wanted = 1
        return taken

    def _skip_pings(self) -> bool:
        pings = len(self._buffer) - len(self._buffer.lstrip(b"\xff"))
        if pings:
            self._take(pings)
        return bool(self._buffer)

    def _read_login(self) -> Hello | None:
        if not self._skip_pings() or not self._has(2):
            return None
        digits = int.from_bytes(self._buffer[:2], "big")
        if digits not in IMEI_DIGITS:
            raise BadFrame(f"a login starts with the IMEI's length, 14 to 17, not {digits}")
        if not self._has(2 + digits):
            return None
        imei = self._take(2 + digits)[2:]
        if not imei.isdigit():
            raise BadFrame(f"an IMEI is digits, not {imei!r}")
        self._is_known = True
        return Hello(Claim(device=imei.decode("ascii")), WELCOME, REFUSE)

    def _read_frame(self) -> Reports | None:
        if not self._skip_pings() or not self._has(_HEAD):
            return None
        if self._buffer[:4] != _PREAMBLE:
            raise BadFrame(f"a frame starts with four zero bytes, not {self._buffer[:4].hex()}")
        size = int.from_bytes(self._buffer[4:_HEAD], "big")
        if not 3 <= size <= MAX_DATA:
            raise BadFrame(f"a frame holds 3 to {MAX_DATA} bytes, not {size}")
        if not self._has(_HEAD + size + _CRC_SIZE):
            return None
        frame = self._take(_HEAD + size + _CRC_SIZE)
        data, said = frame[_HEAD:-_CRC_SIZE], int.from_bytes(frame[-_CRC_SIZE:], "big")
        if crc16(data) != said:
            raise BadFrame(f"the frame's checksum is {said:#06x}, its bytes give {crc16(data):#06x}")
        return _read_data(data)

    def _has(self, size: int) -> bool:
        self._wanted = size
        return len(self._buffer) >= size


def _read_data(data: bytes) -> Reports | None:
    codec, count = data[0], data[1]
    if codec in MESSAGE_CODECS:
        return None
    layout = _LAYOUTS.get(codec)
    if layout is None:
        raise BadFrame(f"codec {codec:#04x} is not spoken: set the tracker to Codec 8 or 8 Extended")
    if data[-1] != count:
        raise BadFrame(f"the frame says {count} records at its start and {data[-1]} at its end")
    reports: list[Report] = []
    place = 2
    try:
        for _ in range(count):
            report = _report_of(*_RECORD.unpack_from(data, place))
            if report is not None:
                reports.append(report)
            place = _skip_values(data, place + _RECORD.size, layout)
    except (struct.error, IndexError) as error:
        raise BadFrame(f"record {len(reports)} of {count} goes beyond the frame's end") from error
    if place != len(data) - 1:
        raise BadFrame(f"{count} records end at byte {place}, the frame's data at {len(data) - 1}")
    return Reports(tuple(reports), count.to_bytes(4, "big"))


def _report_of(
    time_ms: int, _priority: int, lon_e7: int, lat_e7: int, _altitude: int, angle: int, satellites: int, speed: int
) -> Report | None:
    if not satellites:
        # Without satellites the tracker repeats its last position, with an angle and speed of 0 that say nothing.
        return Report(time_ms, lat_e7 / 1e7, lon_e7 / 1e7) if lat_e7 or lon_e7 else None
    return Report(
        time_ms,
        lat_e7 / 1e7,
        lon_e7 / 1e7,
        None if angle > 360 else float(angle),
        None if speed == _UNKNOWN else float(speed),
    )


def _skip_values(data: bytes, place: int, layout: _Layout) -> int:
    """Where the record ends whose sensors' values start at `place`."""
    id_size = 2 if layout.wide_ids else 1
    place += layout.head
    for value_size in (1, 2, 4, 8):
        count, place = _read_count(data, place, layout)
        place += count * (id_size + value_size)
    if layout.has_texts:
        count, place = _read_count(data, place, layout)
        for _ in range(count):
            place += 4 + int.from_bytes((data[place + 2], data[place + 3]), "big")
    return place


def _read_count(data: bytes, place: int, layout: _Layout) -> tuple[int, int]:
    if layout.wide_counts:
        return data[place] << 8 | data[place + 1], place + 2
    return data[place], place + 1


class TeltonikaEncoder:
    """Speaks as a tracker without sensors would, in Codec 8 or 8 Extended."""

    def __init__(self, codec: int = CODEC_8) -> None:
        layout = _LAYOUTS[codec]
        groups = 4 + layout.has_texts
        self._codec = codec
        self._no_values = bytes(layout.head + groups * (2 if layout.wide_counts else 1))

    def hello(self, claim: Claim) -> bytes:
        """The login. Raises ValueError where the device's id is no IMEI."""
        imei = claim.device or ""
        if not (imei.isascii() and imei.isdigit() and len(imei) in IMEI_DIGITS):
            raise ValueError(f"a Teltonika tracker's id is an IMEI of 14 to 17 digits, not {claim.device!r}")
        return len(imei).to_bytes(2, "big") + imei.encode("ascii")

    def reports(self, reports: Sequence[Report]) -> bytes:
        """One frame: positions to 1e-7 degree, headings in whole degrees, speeds in whole km/h."""
        if len(reports) > MAX_REPORTS:
            raise ValueError(f"a frame takes {MAX_REPORTS} reports at most, not {len(reports)}")
        count = bytes([len(reports)])
        records = b"".join(_record_of(report) + self._no_values for report in reports)
        data = bytes([self._codec]) + count + records + count
        return _PREAMBLE + len(data).to_bytes(4, "big") + data + crc16(data).to_bytes(4, "big")

    def receipt_size(self) -> int:
        """The count of records, four bytes."""
        return 4


def _record_of(report: Report) -> bytes:
    angle = _UNKNOWN if report.heading_deg is None else round(report.heading_deg) % 360
    speed = _UNKNOWN if report.speed_kmh is None else min(round(report.speed_kmh), _UNKNOWN - 1)
    lat_e7, lon_e7 = round(report.lat * 1e7), round(report.lon * 1e7)
    return _RECORD.pack(report.time_ms, 0, lon_e7, lat_e7, 0, angle, 9, speed)


MAX_REPORTS: Final = (MAX_PACKET - _HEAD - 3 - _CRC_SIZE) // (_RECORD.size + 14)
"""What a packet takes in the wider of the encoder's codecs."""


class Teltonika:
    """There is no secret in it: a tracker is known by its IMEI and where it comes from, or by the IMEI alone."""

    name = "teltonika"
    default_port = 5027
    max_reports = MAX_REPORTS

    def decoder(self) -> TeltonikaDecoder:
        """For one new connection."""
        return TeltonikaDecoder()

    def encoder(self) -> TeltonikaEncoder:
        """For one new connection, the tracker's side, in Codec 8."""
        return TeltonikaEncoder()


PROTOCOL = Teltonika()
