"""The keys of all unsealed fixes, sorted for look-up: 12 bytes a fix.

Keys gather in generations of consecutive commits. Within one, sorted runs are merged as they come to be of
like length, so that there are few of them and each key is moved a few times only. Once all of a generation
is sealed it is let go whole; until then it may know more than is unsealed, which is never wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from odograph.store.sqlite.keys import Keys, Mask, Prints

GENERATION_KEYS: Final = 1 << 19  # merging two halves of it takes some milliseconds, once in as many fixes
RUN_KEYS: Final = 256  # fewer are cheaper to keep in a dict
LOOSE_KEYS: Final = 1024


@dataclass(slots=True)
class _Generation:
    """Some consecutive commits' keys; `last` is the last seq among them."""

    last: int = 0
    size: int = 0
    loose: dict[int, int] = field(default_factory=dict)
    runs: list[tuple[Keys, Prints]] = field(default_factory=list)

    def add(self, keys: Keys, prints: Prints, last: int) -> None:
        self.last = last
        self.size += len(keys)
        if len(keys) >= RUN_KEYS:
            self._push(keys, prints)
        else:
            self.loose.update(zip(keys.tolist(), prints.tolist(), strict=True))
            if len(self.loose) >= LOOSE_KEYS:
                self._settle()

    def close(self) -> None:
        """One run of everything."""
        self._settle()
        while len(self.runs) > 1:
            self._merge_two()

    def find(self, keys: Keys, found: Mask, prints: Prints) -> None:
        if self.loose:
            loose = self.loose
            for at, key in enumerate(keys.tolist()):
                if key in loose:
                    found[at] = True
                    prints[at] = loose[key]
        for run_keys, run_prints in self.runs:
            places = np.minimum(np.searchsorted(run_keys, keys), len(run_keys) - 1)
            hits = run_keys[places] == keys
            prints[hits] = run_prints[places[hits]]
            found |= hits

    def _settle(self) -> None:
        if self.loose:
            keys = np.fromiter(self.loose.keys(), dtype=np.int64, count=len(self.loose))
            prints = np.fromiter(self.loose.values(), dtype=np.uint32, count=len(self.loose))
            self.loose = {}
            order = np.argsort(keys)
            self._push(keys[order], prints[order])

    def _push(self, keys: Keys, prints: Prints) -> None:
        self.runs.append((keys, prints))
        while len(self.runs) > 1 and len(self.runs[-2][0]) < 2 * len(self.runs[-1][0]):
            self._merge_two()

    def _merge_two(self) -> None:
        (more_keys, more_prints), (keys, prints) = self.runs.pop(), self.runs.pop()
        places = np.searchsorted(keys, more_keys) + np.arange(len(more_keys))
        is_old = np.ones(len(keys) + len(more_keys), dtype=np.bool_)
        is_old[places] = False
        merged = np.empty(len(is_old), dtype=np.int64)
        merged[is_old], merged[places] = keys, more_keys
        merged_prints = np.empty(len(is_old), dtype=np.uint32)
        merged_prints[is_old], merged_prints[places] = prints, more_prints
        self.runs.append((merged, merged_prints))


class UnsealedKeys:
    """Which keys are in the log, and what their fixes looked like."""

    def __init__(self) -> None:
        self._generations: list[_Generation] = [_Generation()]

    def __len__(self) -> int:
        return sum(generation.size for generation in self._generations)

    def add(self, keys: Keys, prints: Prints, last: int) -> None:
        """Take in sorted new keys; `last` is the greatest seq of theirs, and of all before."""
        newest = self._generations[-1]
        if newest.size >= GENERATION_KEYS:
            newest.close()
            newest = _Generation()
            self._generations.append(newest)
        newest.add(keys, prints, last)

    def find(self, keys: Keys) -> tuple[Mask, Prints]:
        """Which of the keys are here, and their prints (0 where not)."""
        found = np.zeros(len(keys), dtype=np.bool_)
        prints = np.zeros(len(keys), dtype=np.uint32)
        for generation in self._generations:
            generation.find(keys, found, prints)
        return found, prints

    def sealed(self, through: int) -> None:
        """Let go of the generations that end at or before `through`."""
        kept = [generation for generation in self._generations if generation.last > through]
        self._generations = kept or [_Generation()]
