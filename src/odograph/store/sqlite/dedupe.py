"""Exactly once: which of some fixes are new, decided by (asset, millisecond) for ever.

Most fixes are later than all that their asset sent before, which one comparison of arrays tells. The others
are looked up by sorted keys in what is unsealed, then in the sealed chunks whose span of time could hold them.

A live device's commit holds a fix or a few, for which calls of numpy would cost more than all else that the
writer does: FEW and less are judged one by one, to the same verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import MARK_JUMP, MARK_ZERO_ISLAND, MAX_SPEED_KMH, MAX_TIME_MS, Fixes
from odograph.model.ids import AssetId
from odograph.store.base import Outcome
from odograph.store.sqlite.keys import TIME_BITS, Keys, Mask, Prints, Times, keys_of, print_of, prints_of
from odograph.store.sqlite.unsealed import UnsealedKeys

EARTH_RADIUS_KM: Final = 6371.0
MS_AN_HOUR: Final = 3_600_000
FEW: Final = 32  # fixes; of more, arrays are judged faster than rows
_FIRST_ASSETS: Final = 1024
_NEVER_MS: Final = -1
_UNJUDGED: Final = -1  # where a print would stand

Row = tuple[int, int, int, int, int, int, int]
"""One row of FIX_DTYPE."""

FindSealed = Callable[[AssetId, Times], tuple[Mask, Prints] | None]
"""Which of an asset's times (sorted, each once) are sealed, and the prints of those; None: it can't be read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of each fix, and what to remember once the new ones are on disk.

    `fixes` are the new ones in arrival order, marked; `keys` and `prints` are theirs, sorted by key, and
    `order` says which row of `fixes` each key belongs to.
    """

    outcomes: npt.NDArray[np.uint8]
    fixes: Fixes
    keys: Keys
    prints: Prints
    order: npt.NDArray[np.intp]


class Newest:
    """By asset number: the newest time of all, the newest sealed one, and the last position; 32 bytes an asset."""

    def __init__(self) -> None:
        self.time_ms = np.full(_FIRST_ASSETS, _NEVER_MS, dtype=np.int64)
        self.sealed_ms = np.full(_FIRST_ASSETS, _NEVER_MS, dtype=np.int64)
        self.place_ms = np.full(_FIRST_ASSETS, _NEVER_MS, dtype=np.int64)
        self.lat_e7 = np.zeros(_FIRST_ASSETS, dtype=np.int32)
        self.lon_e7 = np.zeros(_FIRST_ASSETS, dtype=np.int32)

    def reach(self, asset: int) -> None:
        """Make room for the asset."""
        if asset >= len(self.time_ms):
            room = max(asset + 1, 2 * len(self.time_ms)) - len(self.time_ms)
            for name, empty in (("time_ms", _NEVER_MS), ("sealed_ms", _NEVER_MS), ("place_ms", _NEVER_MS)):
                setattr(self, name, np.pad(getattr(self, name), (0, room), constant_values=empty))
            for name in ("lat_e7", "lon_e7"):
                setattr(self, name, np.pad(getattr(self, name), (0, room)))

    def take(self, fixes: Fixes, order: npt.NDArray[np.intp]) -> None:
        """Take in fixes; `order` sorts them by asset and time."""
        if not len(fixes):
            return
        self.reach(int(fixes["asset"][order[-1]]))
        last = _last_of_each(fixes, order)
        self.time_ms[last["asset"]] = np.maximum(self.time_ms[last["asset"]], last["time_ms"])
        is_nowhere = fixes["marks"] & MARK_ZERO_ISLAND != 0
        if is_nowhere.any():
            last = _last_of_each(fixes, order[~is_nowhere[order]])
        last = last[last["time_ms"] > self.place_ms[last["asset"]]]
        for name, column in ((self.place_ms, "time_ms"), (self.lat_e7, "lat_e7"), (self.lon_e7, "lon_e7")):
            name[last["asset"]] = last[column]

    def take_few(self, rows: Iterable[Row]) -> None:
        """As `take`, of a few in any order, for whose assets there is room."""
        for asset, time_ms, lat_e7, lon_e7, _, _, marks in rows:
            if time_ms > self.time_ms.item(asset):
                self.time_ms[asset] = time_ms
            if not marks & MARK_ZERO_ISLAND and time_ms > self.place_ms.item(asset):
                self.place_ms[asset], self.lat_e7[asset], self.lon_e7[asset] = time_ms, lat_e7, lon_e7

    def take_sealed(self, fixes: Fixes) -> None:
        """Take in fixes, one per asset, that are sealed now."""
        if len(fixes):
            self.reach(int(fixes["asset"].max()))
            np.maximum.at(self.sealed_ms, fixes["asset"], fixes["time_ms"])


class Dedupe:
    """Knows every fix there is. `judge` changes nothing; `take` is for what a commit made durable."""

    def __init__(self, find_sealed: FindSealed) -> None:
        self._find_sealed = find_sealed
        self._unsealed = UnsealedKeys()
        self._newest = Newest()

    def judge(self, fixes: Fixes) -> Verdict:
        """Decide about fixes in arrival order; the first one of a moment counts."""
        if len(fixes):
            self._newest.reach(int(fixes["asset"].max()))
        return self._judge_few(fixes) if len(fixes) <= FEW else self._judge_many(fixes)

    def _judge_many(self, fixes: Fixes) -> Verdict:
        keys = keys_of(fixes)
        prints = prints_of(fixes)
        order = np.argsort(keys, kind="stable")
        is_first = np.ones(len(order), dtype=np.bool_)
        is_first[1:] = np.diff(keys[order]) != 0
        firsts = order[is_first]
        is_stored, stored_prints, unjudged = self._look_up(keys[firsts], prints[firsts])
        outcomes = np.empty(len(fixes), dtype=np.uint8)
        moments = np.cumsum(is_first) - 1
        matches = prints[order] == stored_prints[moments]
        outcomes[order] = np.where(matches, Outcome.KNOWN, Outcome.SAME_TIME_DIFFERENT)
        outcomes[firsts[~is_stored]] = Outcome.STORED
        if unjudged:
            is_stored[unjudged] = True  # or not: it is not to be stored now
            outcomes[order[np.isin(moments, unjudged)]] = Outcome.UNJUDGED
        return self._verdict(fixes, outcomes, keys, prints, firsts[~is_stored])

    def take(self, verdict: Verdict, last: int) -> None:
        """Remember the new ones; `last` is the last seq that they were given."""
        if len(verdict.keys):
            self._unsealed.add(verdict.keys, verdict.prints, last)
            if len(verdict.keys) <= FEW:
                self._newest.take_few(verdict.fixes.tolist())
            else:
                self._newest.take(verdict.fixes, verdict.order)

    def load(self, fixes: Fixes, last: int) -> None:
        """Take in some unsealed fixes as they lie on disk, after all earlier ones."""
        keys = keys_of(fixes)
        order = np.argsort(keys)
        self._unsealed.add(keys[order], prints_of(fixes)[order], last)
        self._newest.take(fixes, order)

    def load_sealed(self, fixes: Fixes) -> None:
        """Take in the newest sealed fix of each asset, when starting."""
        self._newest.take(fixes, np.argsort(fixes["asset"]))
        self._newest.take_sealed(fixes)

    def spans_grew(self, newest: Fixes) -> None:
        """From now on sealed fixes are to be found up to these, one per asset."""
        self._newest.take_sealed(newest)

    def sealed(self, through: int) -> None:
        """Everything up to `through` can be found sealed."""
        self._unsealed.sealed(through)

    def _judge_few(self, fixes: Fixes) -> Verdict:
        rows: list[Row] = fixes.tolist()
        keys = [row[0] << TIME_BITS | row[1] for row in rows]
        prints = [print_of(*row[2:6]) for row in rows]
        stored = self._look_up_few(rows, keys)
        outcomes = bytearray([Outcome.STORED]) * len(rows)
        new: list[int] = []  # places of the new ones, sorted by key
        for place in sorted(range(len(rows)), key=keys.__getitem__):
            known = stored.get(keys[place])
            if known is None:
                stored[keys[place]] = prints[place]
                new.append(place)
            elif known == _UNJUDGED:
                outcomes[place] = Outcome.UNJUDGED
            else:
                outcomes[place] = Outcome.KNOWN if known == prints[place] else Outcome.SAME_TIME_DIFFERENT
        kept = sorted(new)
        verdict = Verdict(
            np.frombuffer(outcomes, dtype=np.uint8),
            fixes[kept],
            np.array([keys[place] for place in new], dtype=np.int64),
            np.array([prints[place] for place in new], dtype=np.uint32),
            np.searchsorted(kept, new),
        )
        for jump in self._jumps_of_few([rows[place] for place in new]):
            verdict.fixes["marks"][verdict.order[jump]] |= MARK_JUMP
        return verdict

    def _look_up_few(self, rows: Sequence[Row], keys: Sequence[int]) -> dict[int, int]:
        """The prints of what is stored, by key; _UNJUDGED where nobody can tell."""
        time_ms = self._newest.time_ms
        late = sorted({key for key, row in zip(keys, rows, strict=True) if row[1] <= time_ms.item(row[0])})
        if not late:
            return {}
        is_stored, prints, unjudged = self._look_up(
            np.array(late, dtype=np.int64), np.zeros(len(late), dtype=np.uint32)
        )
        found = zip(late, prints.tolist(), is_stored.tolist(), strict=True)
        stored = {key: print_ for key, print_, is_found in found if is_found}
        return stored | {late[place]: _UNJUDGED for place in unjudged}

    def _look_up(self, keys: Keys, prints: Prints) -> tuple[Mask, Prints, list[int]]:
        """Of sorted keys, each once: which are stored, and the prints of what is (else those given).

        The last value are the places of those of which nobody can tell; they do not count as stored.
        """
        is_stored = np.zeros(len(keys), dtype=np.bool_)
        assets = keys >> TIME_BITS
        times = keys & (MAX_TIME_MS - 1)
        late = np.flatnonzero(times <= self._newest.time_ms[assets])
        unjudged: list[int] = []
        if not len(late):
            return is_stored, prints, unjudged
        prints = prints.copy()
        found, found_prints = self._unsealed.find(keys[late])
        is_stored[late[found]] = True
        prints[late[found]] = found_prints[found]
        late = late[~found]
        late = late[times[late] <= self._newest.sealed_ms[assets[late]]]
        for part in np.split(late, np.flatnonzero(np.diff(assets[late])) + 1) if len(late) else ():
            sealed = self._find_sealed(AssetId(int(assets[part[0]])), times[part])
            if sealed is None:
                unjudged += part.tolist()
                continue
            hits, sealed_prints = sealed
            is_stored[part[hits]] = True
            prints[part[hits]] = sealed_prints
        return is_stored, prints, unjudged

    def _verdict(
        self, fixes: Fixes, outcomes: npt.NDArray[np.uint8], keys: Keys, prints: Prints, rows: npt.NDArray[np.intp]
    ) -> Verdict:
        """`rows`: the new ones, sorted by key."""
        is_new = outcomes == Outcome.STORED
        new = fixes[is_new]
        order = (np.cumsum(is_new) - 1)[rows]
        jumps = order[self._are_jumps(new[order])]
        new["marks"][jumps] |= MARK_JUMP
        return Verdict(outcomes, new, keys[rows], prints[rows], order)

    def _are_jumps(self, fixes: Fixes) -> Mask:
        """Which of these, sorted by asset and time, the asset could not have reached from its fix before.

        Only fixes later than the last known position are judged, and (0, 0) is no position.
        """
        is_jump = np.zeros(len(fixes), dtype=np.bool_)
        is_judged = (fixes["marks"] & MARK_ZERO_ISLAND == 0) & (
            fixes["time_ms"] > self._newest.place_ms[fixes["asset"]]
        )
        judged = fixes[is_judged]
        assets = judged["asset"]
        follows = np.zeros(len(judged), dtype=np.bool_)
        follows[1:] = assets[1:] == assets[:-1]
        before = [
            np.where(follows, np.roll(judged[column], 1), known[assets]).astype(np.float64)
            for column, known in (
                ("time_ms", self._newest.place_ms),
                ("lat_e7", self._newest.lat_e7),
                ("lon_e7", self._newest.lon_e7),
            )
        ]
        hours = (judged["time_ms"] - before[0]) / MS_AN_HOUR
        apart_km = _apart_km(before[1], before[2], judged["lat_e7"], judged["lon_e7"])
        is_jump[is_judged] = (before[0] >= 0) & (apart_km > MAX_SPEED_KMH * hours)
        return is_jump

    def _jumps_of_few(self, rows: Sequence[Row]) -> Iterator[int]:
        """As `_are_jumps`, the places of those that are."""
        newest = self._newest
        before: dict[int, tuple[int, int, int]] = {}
        for place, (asset, time_ms, lat_e7, lon_e7, _, _, marks) in enumerate(rows):
            place_ms = newest.place_ms.item(asset)
            if marks & MARK_ZERO_ISLAND or time_ms <= place_ms:
                continue
            known = (place_ms, newest.lat_e7.item(asset), newest.lon_e7.item(asset))
            before_ms, before_lat_e7, before_lon_e7 = before.get(asset, known)
            before[asset] = (time_ms, lat_e7, lon_e7)
            reach_km = MAX_SPEED_KMH * (time_ms - before_ms) / MS_AN_HOUR
            if before_ms >= 0 and _distance_km(before_lat_e7, before_lon_e7, lat_e7, lon_e7) > reach_km:
                yield place


def _last_of_each(fixes: Fixes, order: npt.NDArray[np.intp]) -> Fixes:
    """The last row of each asset, of the rows in this order, which is by asset and time."""
    assets = fixes["asset"][order]
    is_last = np.ones(len(order), dtype=np.bool_)
    is_last[:-1] = assets[1:] != assets[:-1]
    return fixes[order[is_last]]


def _apart_km(
    lat0_e7: npt.NDArray[np.float64],
    lon0_e7: npt.NDArray[np.float64],
    lat1_e7: npt.NDArray[np.int32],
    lon1_e7: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]:
    """Great-circle distances."""
    scale = np.pi / 180e7
    lat0, lat1 = lat0_e7 * scale, lat1_e7 * scale
    half_lat, half_lon = (lat1 - lat0) / 2, (lon1_e7 - lon0_e7) * scale / 2
    chord = np.sin(half_lat) ** 2 + np.cos(lat0) * np.cos(lat1) * np.sin(half_lon) ** 2
    angles: npt.NDArray[np.float64] = 2 * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return EARTH_RADIUS_KM * angles


def _distance_km(lat0_e7: int, lon0_e7: int, lat1_e7: int, lon1_e7: int) -> float:
    """As `_apart_km`, of one pair."""
    scale = math.pi / 180e7
    half_lat, half_lon = (lat1_e7 - lat0_e7) * scale / 2, (lon1_e7 - lon0_e7) * scale / 2
    chord = (
        math.sin(half_lat) ** 2 + math.cos(lat0_e7 * scale) * math.cos(lat1_e7 * scale) * math.sin(half_lon) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(chord, 1.0)))
