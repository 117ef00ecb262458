"""What a link shows of one asset so far: the stretch of its fixes up to the newest one, without a hidden one in it.

Where the newest fix is hidden there is no stretch: an end of a trail would tell where a private zone begins.
Where a hidden one lies between, the stretch begins after it. So no page is made of what was hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from odograph.model.fixes import Fixes, empty_fixes
from odograph.model.place import Position
from odograph.sharing.page import Point
from odograph.sharing.policy import Hidden, Judged, Rules, judge, trail_from_ms

_ROWS: Final = 128  # enough to tell since when it stands
_ROWS_OF_TRAIL: Final = 1000
_KEPT_WHOLE: Final = 64  # the newest rows, never thinned


@dataclass(frozen=True, slots=True)
class Taken:
    """What some new fixes changed: points that were added, and whether earlier ones must go."""

    added: Fixes
    is_changed: bool
    is_cut: bool = False


class Trace:
    """Made of all known fixes with `load`, kept with `take`, held against new rules with `rule`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.run: Fixes = empty_fixes()
        """By time, all of them shown; the last one is the asset's newest."""
        self.hidden: Hidden | None = "nothing"
        """Why nothing is shown; None where something is."""
        self.is_entry_seen = False
        """Whether the fix right before the stretch was outside of the place within which it is shown."""
        self.origin: Position | None = None
        """Where the link first showed it."""
        self._origin_ms = 0
        self._newest: Fixes = empty_fixes()  # one row, hidden or not
        self._is_outside = False  # the newest, where it is hidden
        self._cut_ms = 0  # of the newest hidden fix that is older than the newest one

    @property
    def fix(self) -> np.void | None:
        """The newest fix, where that may be shown."""
        return self.run[-1] if len(self.run) else None

    def load(self, fixes: Fixes, now_ms: int) -> None:
        """Begin anew, of all that is known of the asset: in any order, the same more than once."""
        self.run, self.hidden, self.is_entry_seen = empty_fixes(), "nothing", False
        self._newest, self._cut_ms, self._is_outside = empty_fixes(), 0, False
        if not len(fixes):
            return
        fixes = fixes[np.unique(fixes["time_ms"], return_index=True)[1]]
        judged = judge(self.rules, fixes, now_ms)
        shown = fixes[judged.is_shown & (fixes["time_ms"] >= self.rules.since_ms)]
        if len(shown) and (self.origin is None or int(shown["time_ms"][0]) < self._origin_ms):
            self.origin, self._origin_ms = _position(shown[0]), int(shown["time_ms"][0])
        counted = np.flatnonzero(judged.is_shown | judged.is_hidden)
        if len(counted):
            self._begin(fixes, judged, counted)

    def _begin(self, fixes: Fixes, judged: Judged, counted: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        last = int(counted[-1])
        self._newest = fixes[last : last + 1].copy()
        if judged.is_hidden[last]:
            self.hidden, self._is_outside = judged.reason(last), bool(judged.is_outside[last])
            self._cut_ms = int(fixes["time_ms"][last])
            return
        hidden = np.flatnonzero(judged.is_hidden)
        if len(hidden):
            self.is_entry_seen = bool(judged.is_outside[hidden[-1]])
            self._cut_ms = int(fixes["time_ms"][hidden[-1]])
        self.hidden = None
        self.run = self._thinned(fixes[judged.is_shown & (fixes["time_ms"] > self._cut_ms)])

    def take(self, fixes: Fixes, now_ms: int) -> Taken:
        """Take in what just arrived, in any order. Each fix comes once."""
        judged = judge(self.rules, fixes, now_ms)
        is_changed = is_cut = False
        added: list[Fixes] = []
        for row in np.argsort(fixes["time_ms"], kind="stable").tolist():
            if judged.is_hidden[row]:
                did_change, did_cut = self._hide(fixes[row : row + 1], judged, row)
                is_changed, is_cut = is_changed or did_change, is_cut or did_cut
                if did_change:
                    added.clear()
            elif judged.is_shown[row] and self._show(fixes[row : row + 1]):
                is_changed = True
                added.append(fixes[row : row + 1])
        if added:
            self.run = self._thinned(self.run)
        return Taken(np.concatenate(added) if added else fixes[:0], is_changed, is_cut)

    def rule(self, rules: Rules, now_ms: int) -> bool:
        """Go on under other rules: what they hide goes; what they would show is in what comes.

        Says whether points went that were shown, of an asset that still is.
        """
        was, rows, self.rules = self.rules, len(self.run), rules
        if rules == was:
            return False
        kept = np.concatenate((self.run, self._newest)) if self._newest_ms() > self._last_ms() else self.run
        if not len(kept):
            return False
        cut_ms, is_entry_seen = self._cut_ms, self.is_entry_seen
        self.load(kept, now_ms)
        if not self._cut_ms:
            self._cut_ms, self.is_entry_seen = cut_ms, is_entry_seen
        begins_elsewhere = trail_from_ms(rules, now_ms) != trail_from_ms(was, now_ms)
        return self.hidden is None and (len(self.run) < rows or begins_elsewhere)

    def points(self, now_ms: int) -> list[Point]:
        """The trail as it is shown now, oldest first; none where the link has none."""
        begin_ms = trail_from_ms(self.rules, now_ms)
        if begin_ms is None or not len(self.run):
            return []
        times = self.run["time_ms"]
        return points(self.run[(times >= begin_ms) | (times == times[-1])])

    def shows(self, fixes: Fixes, now_ms: int) -> Fixes:
        """Those of the asset's own fixes, by arrival, that belong to the trail as it is shown now."""
        begin_ms = trail_from_ms(self.rules, now_ms)
        if begin_ms is None or not len(self.run):
            return fixes[:0]
        is_shown = judge(self.rules, fixes, now_ms).is_shown
        times = fixes["time_ms"]
        return fixes[is_shown & (times >= begin_ms) & (times > self._cut_ms) & (times <= self._last_ms())]

    def _hide(self, fix: Fixes, judged: Judged, row: int) -> tuple[bool, bool]:
        """A hidden fix came: whether the newest is hidden now, and whether earlier points must go."""
        time_ms, is_outside = int(fix["time_ms"][0]), bool(judged.is_outside[row])
        if time_ms > self._newest_ms():
            was, self.hidden = self.hidden, judged.reason(row)
            self._newest, self.run = fix.copy(), empty_fixes()
            self._cut_ms, self._is_outside = time_ms, is_outside
            return was != self.hidden, False
        if self.hidden is not None or time_ms <= self._cut_ms:
            return False, False
        kept = self.run[self.run["time_ms"] > time_ms]
        is_cut = len(kept) < len(self.run)
        self.run, self._cut_ms, self.is_entry_seen = kept, time_ms, is_outside
        return False, is_cut

    def _show(self, row: Fixes) -> bool:
        """A fix that may be shown came: whether it is among what is shown now."""
        time_ms = int(row["time_ms"][0])
        if time_ms > self._newest_ms():
            if self.hidden is not None:
                self.is_entry_seen = self._is_outside
            self._newest, self.hidden = row.copy(), None
            self.run = np.concatenate((self.run, row))
            if self.origin is None and time_ms >= self.rules.since_ms:
                self.origin, self._origin_ms = _position(row[0]), time_ms
            return True
        if self.hidden is not None or time_ms <= self._cut_ms:
            return False
        at = int(np.searchsorted(self.run["time_ms"], time_ms))
        self.run = np.concatenate((self.run[:at], row, self.run[at:]))
        return True

    def _thinned(self, run: Fixes) -> Fixes:
        """Within its room, by halves: of what is long ago every second point, the first one always."""
        room = _ROWS_OF_TRAIL if self.rules.trail_min else _ROWS
        while len(run) > room:
            old, new = run[:-_KEPT_WHOLE], run[-_KEPT_WHOLE:]
            run = np.concatenate((old[::2], new))
        return run

    def _newest_ms(self) -> int:
        return int(self._newest["time_ms"][0]) if len(self._newest) else 0

    def _last_ms(self) -> int:
        return int(self.run["time_ms"][-1]) if len(self.run) else 0


def points(fixes: Fixes) -> list[Point]:
    """As pages have them: time, latitude, longitude."""
    lat, lon = (fixes["lat_e7"] / 1e7).tolist(), (fixes["lon_e7"] / 1e7).tolist()
    return list(zip(fixes["time_ms"].tolist(), lat, lon, strict=True))


def _position(row: np.void) -> Position:
    return Position(int(row["lat_e7"]) / 1e7, int(row["lon_e7"]) / 1e7)
