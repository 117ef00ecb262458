"""The opaque text of a place in a list, a history or the feed; nobody else knows what is inside.

A cursor is sealed to one endpoint and one org: it can't be made, changed or carried elsewhere, and shows
nobody how much others have stored. It also holds the feed's epoch and the time it was issued.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import blake2b
from typing import Final

from odograph.errors import Refusal, invalid
from odograph.model.ids import OrgId

MAX_AGE_MS: Final = 30 * 24 * 3600 * 1000  # contract D-42; retention is never shorter than that
_MAC_BYTES: Final = 8
_EPOCH_BYTES: Final = 4
_FIXED: Final = struct.Struct(">4sIQ")  # epoch, second of issue, number
_LONGEST: Final = 200  # no cursor of ours is longer; whatever is, was not made here


class Cursors:
    """Makes and reads cursors of one install."""

    def __init__(self, key: bytes, epoch: str) -> None:
        self._key = key
        self._epoch = blake2b(epoch.encode(), digest_size=_EPOCH_BYTES).digest()

    def encode(self, kind: str, org: OrgId, fields: tuple[int, ...], now_ms: int) -> str:
        """`fields` are whole numbers >= 0; `kind` names the endpoint that will read it back."""
        payload = b"".join((self._epoch, _varint(now_ms // 1000), *map(_varint, fields)))
        mac = self._mac(kind, org, payload)
        return base64.urlsafe_b64encode(mac + self._mask(mac, payload)).rstrip(b"=").decode()

    def decode(self, kind: str, org: OrgId, text: str, now_ms: int) -> tuple[int, ...]:
        """The fields. INVALID when it is garbage, of another endpoint or org, too old, or of a lost epoch."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _foreign() from None
        if len(text) > _LONGEST or len(raw) <= _MAC_BYTES + _EPOCH_BYTES:
            raise _foreign()
        mac, payload = raw[:_MAC_BYTES], self._mask(raw[:_MAC_BYTES], raw[_MAC_BYTES:])
        if not hmac.compare_digest(self._mac(kind, org, payload), mac):
            raise _foreign()
        if payload[:_EPOCH_BYTES] != self._epoch:
            raise invalid(
                "Parameter 'after': this cursor is from before the server was restored from a backup. "
                "Start again without a cursor."
            )
        issued_s, *fields = _varints(payload[_EPOCH_BYTES:])
        if now_ms - issued_s * 1000 > MAX_AGE_MS:
            raise invalid(
                "Parameter 'after': this cursor is older than 30 days and has expired. "
                "Start again without a cursor."
            )
        return tuple(fields)

    def seal(self, kind: str, org: OrgId, number: int, now_ms: int) -> str:
        """Always 32 characters, whatever the number (>= 0): for readers who may not even learn how long it is."""
        payload = _FIXED.pack(self._epoch, now_ms // 1000 & 0xFFFF_FFFF, number)
        mac = self._mac(kind, org, payload)
        return base64.urlsafe_b64encode(mac + self._mask(mac, payload)).decode()

    def unseal(self, kind: str, org: OrgId, text: str, now_ms: int) -> int | None:
        """The number; None for whatever is not ours, of another kind or org, too old, or of a lost epoch."""
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error, ValueError):
            return None
        if len(raw) != _MAC_BYTES + _FIXED.size:
            return None
        mac, payload = raw[:_MAC_BYTES], self._mask(raw[:_MAC_BYTES], raw[_MAC_BYTES:])
        if not hmac.compare_digest(self._mac(kind, org, payload), mac):
            return None
        epoch, issued_s, number = _FIXED.unpack(payload)
        if epoch != self._epoch or now_ms - issued_s * 1000 > MAX_AGE_MS:
            return None
        return int(number)

    def _mac(self, kind: str, org: OrgId, payload: bytes) -> bytes:
        return blake2b(b"%d %b " % (org, kind.encode()) + payload, key=self._key, digest_size=_MAC_BYTES).digest()

    def _mask(self, mac: bytes, payload: bytes) -> bytes:
        stream = blake2b(mac, key=self._key, person=b"cursor").digest()
        if len(payload) > len(stream):
            raise _foreign()
        return bytes(a ^ b for a, b in zip(payload, stream, strict=False))


def _foreign() -> Refusal:
    return invalid("Parameter 'after' is not a cursor that this endpoint gave to this organisation.")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(data: bytes) -> list[int]:
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number, shift = 0, 0
    return numbers
