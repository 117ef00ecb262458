"""What ingest saw of each device since this process began: when it was heard, and what of it was not stored."""

from __future__ import annotations

from array import array
from typing import NamedTuple

from odograph.live.devices import Devices
from odograph.live.entity import Entity
from odograph.live.snapshot import Snapshot
from odograph.model.catalog import Device
from odograph.model.ids import AssetId, RecordId

_CODE_BITS = 8  # of a word that holds a moment and the place of its reason: ingest knows some thirty reasons


class Heard(NamedTuple):
    """When something last came from a device, or, not so exact, from whatever was mounted on its vehicle."""

    time_ms: int
    is_of_vehicle: bool


class Rejection(NamedTuple):
    """When a report of a device was last not stored, and why."""

    time_ms: int
    reason: str


class Presence:
    """Two columns beside those of the devices: 16 bytes each, and a store into an array for each message.

    The log knows vehicles and not the devices that spoke for them, and nothing of what was not stored. So what is
    here ends with the process; `begin` puts in its place what the log does know.
    """

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._heard = array("q")  # ms; below zero: of the vehicle, before this process began
        self._rejected = array("q")  # ms, and the place of the reason in the last bits
        self._reasons: list[str] = []

    def begin(self, snapshot: Snapshot) -> None:
        """Before anything is heard: the devices as of now were last heard when their vehicles were."""
        for slot, asset in enumerate(self._devices.assets()):
            self._reach(slot)
            self._heard[slot] = -snapshot.received_ms(AssetId(asset))

    def hear(self, device: RecordId, now_ms: int) -> None:
        """A device was let in; nothing happens where there is no such by now."""
        slot = self._devices.slot(device)
        if slot >= len(self._heard):
            self._reach(slot)
        if slot >= 0:
            self._heard[slot] = now_ms

    def reject(self, device: RecordId, now_ms: int, reason: str) -> None:
        """A report of a device was not stored; nothing happens where there is no such by now."""
        slot = self._devices.slot(device)
        if slot < 0:
            return
        self._reach(slot)
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._rejected[slot] = now_ms << _CODE_BITS | self._reasons.index(reason)

    def last_heard(self, device: Entity[Device]) -> Heard | None:
        """The last one of a device; None where there was none, as far as is known."""
        word = self._word(self._heard, device)
        # What is older than the device is of one that had the slot before, or of another on its vehicle.
        return Heard(abs(word), word < 0) if abs(word) >= device.body.created_ms and word else None

    def last_rejection(self, device: Entity[Device]) -> Rejection | None:
        """The last one of a device since this process began."""
        time_ms, code = divmod(self._word(self._rejected, device), 1 << _CODE_BITS)
        return Rejection(time_ms, self._reasons[code]) if time_ms >= device.body.created_ms and time_ms else None

    def _word(self, column: array[int], device: Entity[Device]) -> int:
        slot = self._devices.slot(device.id)
        return column[slot] if 0 <= slot < len(column) else 0

    def _reach(self, slot: int) -> None:
        room = slot + 1 - len(self._heard)
        if room > 0:
            self._heard.extend([0] * room)
            self._rejected.extend([0] * room)
