"""A fleet on the move: the same tracks for the same seed, as FIX_DTYPE rows, all vehicles at once.

Vehicles drive for 5 to 50 minutes and stand for 1 to 20; one that stands repeats its position. A receiver's noise
is a slow wander of about a metre a step. Nine steps of ten are exact; the others come early or late.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import FIX_DTYPE, Fixes

STEP_MS: Final = 5_000
JITTERED: Final = 0.08  # of the fixes are not on the beat
JITTER_MS: Final = 1_500

_METRES_A_DEGREE: Final = 111_320.0
_DRIVE_STEPS: Final = (60, 600)
_STAND_STEPS: Final = (12, 240)
_CENTRE: Final = (40.0, -85.0)
_REACH_DEG: Final = 8.0  # further out a vehicle turns back: every latitude and longitude then has the same width

Numbers = npt.NDArray[np.float64]


class Fleet:
    """`vehicles` vehicles, numbered from 0 in the rows' asset column; `advance` moves all of them on."""

    def __init__(self, vehicles: int, *, start_ms: int, seed: int = 1, step_ms: int = STEP_MS) -> None:
        self.vehicles = vehicles
        self._random = np.random.default_rng(seed)
        self._step_ms = step_ms
        self._next_ms = start_ms
        self._lat = _CENTRE[0] + self._random.uniform(-5, 5, vehicles)
        self._lon = _CENTRE[1] + self._random.uniform(-5, 5, vehicles)
        self._heading = self._random.uniform(0, 360, vehicles)
        self._speed = self._random.uniform(0, 90, vehicles)
        self._cruise = self._random.uniform(20, 110, vehicles)
        self._is_driving = self._random.random(vehicles) < 0.73
        self._left = self._random.integers(1, 240, vehicles)
        self._north = np.zeros(vehicles)
        self._east = np.zeros(vehicles)
        self._shown = (self._lat.copy(), self._lon.copy())

    def advance(self, steps: int) -> Fixes:
        """The next fixes of every vehicle: an array of shape (vehicles, steps)."""
        rows = np.zeros((steps, self.vehicles), dtype=FIX_DTYPE)
        rows["asset"] = np.arange(self.vehicles, dtype=np.uint32)
        normals = self._random.standard_normal((4, steps, self.vehicles))
        turns = self._random.random((steps, self.vehicles))
        for step in range(steps):
            self._move(normals[:, step], turns[step])
            rows[step]["lat_e7"] = np.rint(self._shown[0] * 1e7)
            rows[step]["lon_e7"] = np.rint(self._shown[1] * 1e7)
            rows[step]["heading_cdeg"] = np.rint(self._heading * 100).astype(np.int64) % 36_000
            rows[step]["speed_ckmh"] = np.rint(self._speed * 100)
        rows["time_ms"] = self._times(steps)
        return np.ascontiguousarray(rows.T)

    def _times(self, steps: int) -> npt.NDArray[np.int64]:
        beats = self._next_ms + self._step_ms * np.arange(steps, dtype=np.int64)
        self._next_ms += self._step_ms * steps
        reach_ms = min(JITTER_MS, self._step_ms // 3)  # below half a step, so that times still grow
        shift = self._random.integers(-reach_ms, reach_ms + 1, (steps, self.vehicles))
        shift[self._random.random(shift.shape) >= JITTERED] = 0
        return beats[:, None] + shift

    def _move(self, normals: Numbers, turns: Numbers) -> None:
        self._change_phase()
        drives = self._is_driving
        speed = self._speed + 0.15 * (self._cruise - self._speed) + 3 * normals[0]
        self._speed = np.where(drives, np.clip(speed, 0, 130), 0.0)
        heading = self._heading + 4 * normals[1] + np.where(turns < 0.01, 90, np.where(turns > 0.99, -90, 0))
        self._heading = np.where(drives, self._turn_back(heading) % 360, self._heading)
        metres = self._speed / 3.6 * self._step_ms / 1000
        radians, width = np.radians(self._heading), np.cos(np.radians(self._lat))
        self._lat += metres * np.cos(radians) / _METRES_A_DEGREE
        self._lon += metres * np.sin(radians) / (_METRES_A_DEGREE * width)
        self._north = 0.95 * self._north + 0.9 * normals[2]
        self._east = 0.95 * self._east + 0.9 * normals[3]
        lat = self._lat + self._north / _METRES_A_DEGREE
        lon = self._lon + self._east / (_METRES_A_DEGREE * width)
        self._shown = np.where(drives, lat, self._shown[0]), np.where(drives, lon, self._shown[1])

    def _change_phase(self) -> None:
        self._left -= 1
        ends = self._left <= 0
        count = int(ends.sum())
        if not count:
            return
        self._is_driving = self._is_driving ^ ends
        drive, stand = self._random.integers(*_DRIVE_STEPS, count), self._random.integers(*_STAND_STEPS, count)
        self._left[ends] = np.where(self._is_driving[ends], drive, stand)
        self._cruise[ends] = self._random.uniform(20, 110, count)

    def _turn_back(self, heading: Numbers) -> Numbers:
        north, east = _CENTRE[0] - self._lat, _CENTRE[1] - self._lon
        is_far = np.maximum(np.abs(north), np.abs(east)) > _REACH_DEG
        return np.where(is_far, np.degrees(np.arctan2(east, north)), heading)
