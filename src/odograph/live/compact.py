"""Small arrays in place of dicts of objects: what keeps a vehicle and its device under 400 bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec
import numpy as np

from odograph.live.entity import Entity
from odograph.model.ids import OrgId, RecordId
from odograph.store.base import Record

PAGE = 1024
EMPTY = -1
DEAD = -2
FIRST_SIZE = 64
SLACK = 1 << 16

T = TypeVar("T", bound=Hashable)
B = TypeVar("B", bound=msgspec.Struct)


class Places:
    """Number -> slot for numbers that were counted up: 4 bytes each where they lie close together."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def find(self, number: int) -> int:
        """The slot, or -1."""
        page = self._pages.get(number // PAGE)
        return EMPTY if page is None else page[number % PAGE]

    def put(self, number: int, slot: int) -> None:
        """Remember, or replace, where `number` is."""
        page = self._pages.get(number // PAGE)
        if page is None:
            page = self._pages[number // PAGE] = array("i", [EMPTY]) * PAGE
        page[number % PAGE] = slot

    def drop(self, number: int) -> None:
        """Forget `number`."""
        if self.find(number) != EMPTY:
            self.put(number, EMPTY)


class Hints:
    """32-bit hash -> the slots it may mean, in an open hash table of 8-byte cells.

    Different names can share a hash: whoever asks compares the name itself with what is in the slot.
    """

    __slots__ = ("_filled", "_hashes", "_slots")

    def __init__(self) -> None:
        self._hashes = array("I", [0]) * FIRST_SIZE
        self._slots = array("i", [EMPTY]) * FIRST_SIZE
        self._filled = 0

    def find(self, code: int) -> list[int]:
        """Slots that were added with this hash, most often none or one."""
        hashes, slots, mask = self._hashes, self._slots, len(self._slots) - 1
        cell, found = code & mask, []
        while (slot := slots[cell]) != EMPTY:
            if slot >= 0 and hashes[cell] == code:
                found.append(slot)
            cell = (cell + 1) & mask
        return found

    def add(self, code: int, slot: int) -> None:
        """Let `code` lead to `slot`."""
        if 3 * (self._filled + 1) > 2 * len(self._slots):
            self._rebuild()
        self._place(code, slot)

    def drop(self, code: int, slot: int) -> None:
        """Undo one `add`; nothing happens where there was none."""
        mask = len(self._slots) - 1
        cell = code & mask
        while self._slots[cell] != EMPTY:
            if self._slots[cell] == slot and self._hashes[cell] == code:
                self._slots[cell] = DEAD
                return
            cell = (cell + 1) & mask

    def _place(self, code: int, slot: int) -> None:
        mask = len(self._slots) - 1
        cell = code & mask
        while self._slots[cell] != EMPTY:
            cell = (cell + 1) & mask
        self._hashes[cell], self._slots[cell] = code, slot
        self._filled += 1

    def _rebuild(self) -> None:
        living = [(code, slot) for code, slot in zip(self._hashes, self._slots, strict=True) if slot >= 0]
        size = FIRST_SIZE
        while size < 2 * (len(living) + 1):
            size *= 2
        self._hashes = array("I", [0]) * size
        self._slots = array("i", [EMPTY]) * size
        self._filled = 0
        for code, slot in living:
            self._place(code, slot)


class Interned(Generic[T]):
    """Values that many slots share, each kept once under a small number while anyone holds it."""

    __slots__ = ("_codes", "_free", "_holders", "_values")

    def __init__(self) -> None:
        self._codes: dict[T, int] = {}
        self._values: list[T] = []
        self._holders: list[int] = []
        self._free: list[int] = []

    def hold(self, value: T) -> int:
        """The number of `value`; every `hold` needs its `release`."""
        code = self._codes.get(value)
        if code is None:
            code = self._new(value)
        self._holders[code] += 1
        return code

    def release(self, code: int) -> None:
        """One holder less."""
        self._holders[code] -= 1
        if not self._holders[code]:
            del self._codes[self._values[code]]
            self._free.append(code)

    def __getitem__(self, code: int) -> T:
        return self._values[code]

    def _new(self, value: T) -> int:
        if self._free:
            code = self._free.pop()
            self._values[code] = value
        else:
            code = len(self._values)
            self._values.append(value)
            self._holders.append(0)
        self._codes[value] = code
        return code


class Shelf:
    """Records of one kind in slots: id, rev and org in columns, all bodies end to end in one buffer."""

    __slots__ = ("_ends", "_free", "_wasted", "bodies", "ids", "orgs", "places", "revs", "starts")

    def __init__(self) -> None:
        self.ids = array("q")
        self.revs = array("q")
        self.orgs = array("i")
        self.places = Places()
        self.bodies = bytearray()
        self.starts = array("I")
        self._ends = array("I")
        self._wasted = 0
        self._free: list[int] = []

    def take(self, record_id: int) -> int:
        """A free slot for a record that has none; its org is -1 until it is filled."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self.ids)
            for column in (self.ids, self.revs, self.starts, self._ends):
                column.append(0)
            self.orgs.append(-1)
        self.ids[slot] = record_id
        self.places.put(record_id, slot)
        return slot

    def fill(self, slot: int, org: int, rev: int, body: bytes) -> None:
        """Put a record's newest state into its slot."""
        self._wasted += self._ends[slot] - self.starts[slot]
        self.starts[slot] = len(self.bodies)
        self.bodies += body
        self._ends[slot] = len(self.bodies)
        self.orgs[slot], self.revs[slot] = org, rev
        if self._wasted > max(len(self.bodies) // 4, SLACK):
            self._compact()

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self.places.drop(self.ids[slot])
        self.ids[slot] = 0
        self.fill(slot, -1, 0, b"")
        self._free.append(slot)

    def body(self, slot: int, start: int = 0, end: int | None = None) -> bytearray:
        """A copy of the body, or of the part of it between `start` and `end`."""
        base = self.starts[slot]
        return self.bodies[base + start : self._ends[slot] if end is None else base + end]

    def _compact(self) -> None:
        packed = bytearray()
        for slot in range(len(self.ids)):
            start = len(packed)
            packed += self.body(slot)
            self.starts[slot], self._ends[slot] = start, len(packed)
        self.bodies, self._wasted = packed, 0


class Many(ABC, Generic[B]):
    """Records of one kind on a shelf: for hundreds of thousands, where `Few` would take too much."""

    def __init__(self, body: type[B]) -> None:
        self._decoder = msgspec.json.Decoder(body)
        self._shelf = Shelf()

    def put(self, record: Record) -> None:
        """Take in a living record, unless a newer state of it is here."""
        assert record.body is not None
        shelf, slot = self._shelf, self._shelf.places.find(record.id)
        if slot >= 0:
            if shelf.revs[slot] >= record.rev:
                return
            self._unlink(slot)
        else:
            slot = shelf.take(record.id)
        self._link(slot, record, self._decoder.decode(record.body))

    def drop(self, record_id: RecordId) -> None:
        """Forget a record; nothing happens where it is unknown."""
        slot = self._shelf.places.find(record_id)
        if slot >= 0:
            self._unlink(slot)
            self._shelf.free(slot)

    def find(self, org: OrgId, record_id: RecordId) -> Entity[B] | None:
        """By its record id, within its org."""
        slot = self._shelf.places.find(record_id)
        return self._entity(slot) if slot >= 0 and self._shelf.orgs[slot] == org else None

    def _entity(self, slot: int) -> Entity[B]:
        shelf = self._shelf
        return Entity(OrgId(shelf.orgs[slot]), RecordId(shelf.ids[slot]), shelf.revs[slot], self._body(slot))

    @abstractmethod
    def _link(self, slot: int, record: Record, body: B) -> None:
        """Fill the slot, which is a new one or was unlinked, and make it findable."""

    @abstractmethod
    def _unlink(self, slot: int) -> None:
        """Undo what `_link` did besides filling the slot."""

    @abstractmethod
    def _body(self, slot: int) -> B:
        """What was linked."""

    def __len__(self) -> int:
        return int(np.count_nonzero(np.frombuffer(self._shelf.orgs, dtype=np.int32) >= 0))
