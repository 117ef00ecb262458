"""Fixes as the bytes of requests: rendered by whole columns into rows of one width, cut and framed when sent.

Rendering a number costs some 10 ns this way, so that the generator leaves the processor to the server.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import Fixes

HOST: Final = b"Host: bench\r\nUser-Agent: odograph-bench\r\n"
CKMH_PER_KNOT: Final = 185.2

_Bytes = npt.NDArray[np.uint8]
_Whole = npt.NDArray[np.int64]
_GROUP: Final = 10_000
_FOUR_DIGITS: Final = np.frombuffer(b"".join(b"%04d" % n for n in range(_GROUP)), dtype=np.uint8).reshape(-1, 4)
_PADDED_THREE: Final = np.frombuffer(b"".join(b"%3d" % n for n in range(1000)), dtype=np.uint8).reshape(-1, 3)

_JSON_ROW: Final = b'{"time":0000000000000,"lat":00.0000000,"lon":-00.0000000,"heading":  0.00,"speed":  0.00},'
_QUERY_ROW: Final = b"timestamp=0000000000000&lat=00.0000000&lon=-00.0000000&speed=000.000000&bearing=000.00"
_JSON_HEAD: Final = b'{"fixes":['
_JSON_TAIL: Final = b"]}"
QUERY_WIDTH: Final = len(_QUERY_ROW)


def json_rows(fixes: Fixes) -> bytes:
    """Fixes of a `Fleet` as JSON objects of the batch protocol, each with its comma, all of one width."""
    out = _rows(_JSON_ROW, len(fixes))
    _put_place(out, _JSON_ROW, fixes, b'"time":', b'"lat":', b'"lon":-')
    for name, column in ((b'"heading":', "heading_cdeg"), (b'"speed":', "speed_ckmh")):
        place = _JSON_ROW.index(name) + len(name)
        whole, hundredths = np.divmod(fixes[column].astype(np.int64), 100)
        out[:, place : place + 3] = _PADDED_THREE[whole]
        _put(out, place + 4, hundredths, 2)
    return out.tobytes()


def query_rows(fixes: Fixes) -> bytes:
    """Fixes of a `Fleet` as queries of the OsmAnd protocol, each QUERY_WIDTH bytes."""
    out = _rows(_QUERY_ROW, len(fixes))
    _put_place(out, _QUERY_ROW, fixes, b"timestamp=", b"lat=", b"lon=-")
    micro_knots = np.rint(fixes["speed_ckmh"] * (1e6 / CKMH_PER_KNOT)).astype(np.int64)
    _put_decimal(out, _QUERY_ROW.index(b"speed=") + 6, micro_knots, 3, 6)
    _put_decimal(out, _QUERY_ROW.index(b"bearing=") + 8, fixes["heading_cdeg"].astype(np.int64), 3, 2)
    return out.tobytes()


class BatchRequests:
    """POST requests of `size` fixes each; `rows` is what `json_rows` made."""

    def __init__(self, size: int) -> None:
        self._width = len(_JSON_ROW) * size
        self._length = len(_JSON_HEAD) + self._width - 1 + len(_JSON_TAIL)

    def head(self, key: str) -> bytes:
        """What all requests of the device with this key begin with."""
        lines = (
            b"POST /ingest/batch HTTP/1.1\r\n" + HOST,
            b"X-Device-Key: " + key.encode() + b"\r\nContent-Type: application/json\r\n",
            b"Content-Length: %d\r\n\r\n" % self._length + _JSON_HEAD,
        )
        return b"".join(lines)

    def request(self, head: bytes, rows: bytes, index: int) -> bytes:
        """The `index`-th run of `size` rows as one request."""
        start = index * self._width
        return head + rows[start : start + self._width - 1] + _JSON_TAIL


class QueryRequests:
    """GET requests of one fix each; `rows` is what `query_rows` made."""

    _TAIL: Final = b" HTTP/1.1\r\n" + HOST + b"\r\n"

    def head(self, key: str) -> bytes:
        """What all requests of the device with this key begin with."""
        return b"GET /ingest/osmand/" + key.encode() + b"?"

    def request(self, head: bytes, rows: bytes, index: int) -> bytes:
        """The `index`-th row as one request."""
        start = index * QUERY_WIDTH
        return head + rows[start : start + QUERY_WIDTH] + self._TAIL


def _rows(template: bytes, count: int) -> _Bytes:
    return np.tile(np.frombuffer(template, dtype=np.uint8), (count, 1))


def _put_place(out: _Bytes, template: bytes, fixes: Fixes, time: bytes, lat: bytes, lon: bytes) -> None:
    def after(name: bytes) -> int:
        return template.index(name) + len(name)

    _put(out, after(time), fixes["time_ms"], 13)
    _put_decimal(out, after(lat), fixes["lat_e7"].astype(np.int64), 2, 7)
    _put_decimal(out, after(lon), -fixes["lon_e7"].astype(np.int64), 2, 7)


def _put_decimal(out: _Bytes, place: int, values: _Whole, before: int, behind: int) -> None:
    whole, fraction = np.divmod(values, 10**behind)
    _put(out, place, whole, before)
    _put(out, place + before + 1, fraction, behind)


def _put(out: _Bytes, place: int, values: _Whole, digits: int) -> None:
    """Write `values` with leading zeros into columns place to place + digits."""
    end = place + digits
    while end > place:
        values, group = np.divmod(values, _GROUP)
        width = min(4, end - place)
        out[:, end - width : end] = _FOUR_DIGITS[group, 4 - width :]
        end -= width
