"""What ingest saw of each device: kept by its place, told from what was there before it, gone with it."""

from __future__ import annotations

import msgspec
import numpy as np

from odograph.live.directory import Directory
from odograph.live.presence import Heard, Presence, Rejection
from odograph.live.snapshot import Snapshot
from odograph.model.catalog import Device
from odograph.model.fixes import FIX_DTYPE
from odograph.model.ids import OrgId, RecordId
from odograph.store.base import Newest, Record

ORG = OrgId(1)


def put(directory, number, created_ms=10, rev=1, **fields):
    body = msgspec.json.encode(Device(name=f"d{number}", created_ms=created_ms, **fields))
    directory.apply([Record(ORG, "device", RecordId(number), rev, body)])
    return directory.devices.find(ORG, RecordId(number))


def test_a_device_keeps_what_was_seen_of_it_when_it_is_changed():
    directory = Directory()
    presence = Presence(directory.devices)
    one, other = put(directory, 5), put(directory, 7)
    assert (presence.last_heard(one), presence.last_rejection(one)) == (None, None)
    presence.hear(other.id, 1_700_000_000_000)
    presence.reject(other.id, 1_700_000_000_001, "time_in_future")
    other = put(directory, 7, rev=2, is_enabled=False)
    assert presence.last_heard(other) == Heard(1_700_000_000_000, is_of_vehicle=False)
    assert presence.last_rejection(other) == Rejection(1_700_000_000_001, "time_in_future")
    assert (presence.last_heard(one), presence.last_rejection(one)) == (None, None)


def test_who_comes_after_a_deleted_device_inherits_nothing():
    directory = Directory()
    presence = Presence(directory.devices)
    gone = put(directory, 5)
    presence.hear(gone.id, 100)
    presence.reject(gone.id, 100, "not_finite")
    directory.apply([Record(ORG, "device", gone.id, 2, None)])
    presence.hear(gone.id, 200)
    presence.reject(gone.id, 200, "not_finite")
    new = put(directory, 9, created_ms=150, rev=3)
    assert directory.devices.slot(new.id) == 0, "the place of the one before it"
    assert (presence.last_heard(new), presence.last_rejection(new)) == (None, None)


def test_before_anything_is_heard_a_devices_contact_is_its_vehicles():
    directory, snapshot = Directory(), Snapshot()
    early, late, loose = put(directory, 5, asset_id=1), put(directory, 6, 600, asset_id=1), put(directory, 7)
    fix = np.array([(1, 400, 0, 0, 0, 0, 0)], dtype=FIX_DTYPE)
    snapshot.load(Newest(fix, np.array([1]), np.array([500])))
    presence = Presence(directory.devices)
    presence.begin(snapshot)
    assert presence.last_heard(early) == Heard(500, is_of_vehicle=True)
    assert presence.last_heard(late) is None, "it was not there yet"
    assert presence.last_heard(loose) is None
    presence.hear(early.id, 700)
    assert presence.last_heard(early) == Heard(700, is_of_vehicle=False)
