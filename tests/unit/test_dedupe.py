"""Exactly once, and what is a jump."""

from __future__ import annotations

import random

import numpy as np
import pytest

from odograph.model.fixes import MARK_JUMP, MARK_ZERO_ISLAND, MAX_TIME_MS, Fixes
from odograph.model.ids import MAX_ASSETS
from odograph.store.base import Outcome
from odograph.store.sqlite import dedupe as dedupe_module
from odograph.store.sqlite import unsealed
from odograph.store.sqlite.dedupe import Dedupe, Verdict
from odograph.store.sqlite.keys import are_possible, keys_of, print_of, prints_of
from odograph.store.sqlite.unsealed import UnsealedKeys
from tests.support.stores import make_fixes, make_track

STORED, KNOWN, DIFFERENT, UNJUDGED = Outcome


class Shelf:
    """Stands for the day files: the prints of what is sealed, by key."""

    def __init__(self) -> None:
        self.prints: dict[int, int] = {}
        self.asked = 0

    def find(self, asset, times):
        self.asked += len(times)
        keys = [(asset << 42) | time for time in times.tolist()]
        found = np.array([key in self.prints for key in keys], dtype=np.bool_)
        return found, np.array([self.prints[key] for key in keys if key in self.prints], dtype=np.uint32)


def take(dedupe: Dedupe, fixes: Fixes, head: int = 0) -> list[Outcome]:
    verdict = dedupe.judge(fixes)
    dedupe.take(verdict, head + len(verdict.fixes))
    return [Outcome(code) for code in verdict.outcomes.tolist()]


def test_new_fixes_keep_the_order_in_which_they_arrived():
    fixes = make_fixes([3, 1, 2, 1, 3, 1], [5, 9, 1, 2, 5, 9])
    verdict = Dedupe(Shelf().find).judge(fixes)
    assert verdict.outcomes.tolist() == [STORED, STORED, STORED, STORED, KNOWN, KNOWN]
    assert verdict.fixes.tolist() == fixes[:4].tolist()
    assert verdict.keys.tolist() == sorted(keys_of(fixes[:4]).tolist())
    assert keys_of(verdict.fixes[verdict.order]).tolist() == verdict.keys.tolist()


def test_judging_changes_nothing():
    dedupe = Dedupe(Shelf().find)
    fixes = make_track(1, 5)
    for _ in range(2):
        assert dedupe.judge(fixes).outcomes.tolist() == [STORED] * 5
    take(dedupe, fixes)
    assert dedupe.judge(fixes).outcomes.tolist() == [KNOWN] * 5


def test_nothing_at_all_is_judged_too():
    verdict = Dedupe(Shelf().find).judge(make_fixes([], []))
    assert not len(verdict.outcomes)
    assert not len(verdict.fixes)


@pytest.mark.parametrize("seed", range(6))
def test_outcomes_agree_with_a_dict_whatever_is_sealed(seed: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unsealed, "GENERATION_KEYS", 300)
    monkeypatch.setattr(unsealed, "RUN_KEYS", 16)
    monkeypatch.setattr(unsealed, "LOOSE_KEYS", 20)
    dice = random.Random(seed)
    shelf = Shelf()
    dedupe = Dedupe(shelf.find)
    model: dict[tuple[int, int], tuple[int, ...]] = {}
    log: list[Fixes] = []
    head = sealed = 0
    for _ in range(120):
        count = dice.randrange(0, 60)
        fixes = make_fixes(
            [dice.randrange(1, 9) for _ in range(count)], [dice.randrange(400) for _ in range(count)]
        )
        fixes["heading_cdeg"] ^= np.array([dice.random() < 0.1 for _ in range(count)], dtype=np.uint16)
        verdict = dedupe.judge(fixes)
        for row, code in zip(fixes.tolist(), verdict.outcomes.tolist(), strict=True):
            first = model.get(row[:2])
            assert code == (STORED if first is None else KNOWN if first == row else DIFFERENT)
            model.setdefault(row[:2], row)
        head += len(verdict.fixes)
        dedupe.take(verdict, head)
        log.append(verdict.fixes)
        if dice.random() < 0.1 and head:
            everything = np.concatenate(log)
            sealed = dice.randrange(sealed, head + 1)
            part = everything[:sealed]
            shelf.prints = dict(zip(keys_of(part).tolist(), prints_of(part).tolist(), strict=True))
            ordered = part[np.argsort(keys_of(part))]
            is_last = np.append(ordered["asset"][1:] != ordered["asset"][:-1], True)[: len(ordered)]
            dedupe.spans_grew(ordered[is_last])
            dedupe.sealed(sealed)
    assert shelf.asked


def judged(dedupe: Dedupe, fixes: Fixes, head: int) -> Verdict:
    verdict = dedupe.judge(fixes)
    dedupe.take(verdict, head + len(verdict.fixes))
    return verdict


@pytest.mark.parametrize("seed", range(6))
def test_few_fixes_get_the_verdict_of_many(seed: int, monkeypatch: pytest.MonkeyPatch):
    dice = random.Random(seed)
    by_row, by_array, head, jumps = Dedupe(Shelf().find), Dedupe(Shelf().find), 0, 0
    for _ in range(150):
        count = dice.randrange(0, 20)
        fixes = make_fixes(
            [dice.randrange(1, 5) for _ in range(count)], [dice.randrange(200) * 500 for _ in range(count)]
        )
        for column, values in (("lat_e7", (0, 1, -(10**9) + 7, 10**5)), ("lon_e7", (0, 1, 1_799_999_999, -5))):
            fixes[column] = [dice.choice(values) for _ in range(count)]
        fixes["marks"] = np.where((fixes["lat_e7"] == 0) & (fixes["lon_e7"] == 0), MARK_ZERO_ISLAND, 0)
        monkeypatch.setattr(dedupe_module, "FEW", 1000)
        few = judged(by_row, fixes, head)
        monkeypatch.setattr(dedupe_module, "FEW", -1)
        many = judged(by_array, fixes, head)
        for name in ("outcomes", "fixes", "keys", "prints", "order"):
            assert getattr(few, name).tolist() == getattr(many, name).tolist(), name
        head += len(few.fixes)
        jumps += int(np.count_nonzero(few.fixes["marks"] & MARK_JUMP))
    for name in ("time_ms", "place_ms", "lat_e7", "lon_e7"):
        assert getattr(by_row._newest, name).tolist() == getattr(by_array._newest, name).tolist()
    assert jumps


def test_a_restart_knows_what_was_known():
    track, late = make_track(1, 1000), make_track(1, 10, start_ms=1)
    sealed, loaded = track[:400], track[400:]
    shelf = Shelf()
    shelf.prints = dict(zip(keys_of(sealed).tolist(), prints_of(sealed).tolist(), strict=True))
    dedupe = Dedupe(shelf.find)
    dedupe.load_sealed(sealed[-1:])
    dedupe.load(loaded[::-1], 1000)
    assert take(dedupe, np.concatenate((track, late))) == [KNOWN] * 1000 + [STORED] * 10


def test_fresh_fixes_ask_nobody():
    shelf = Shelf()
    dedupe = Dedupe(shelf.find)
    dedupe.load_sealed(make_track(1, 1))
    take(dedupe, make_track(1, 100, start_ms=1))
    take(dedupe, make_track(2, 100))
    assert shelf.asked == 0
    take(dedupe, make_fixes([1], [-1]))
    assert shelf.asked == 1


def test_keys_tell_every_asset_and_time_apart():
    extremes = make_fixes([1, 1, MAX_ASSETS - 1, MAX_ASSETS - 1], [0] * 4)
    extremes["time_ms"] = [0, MAX_TIME_MS - 1, 0, MAX_TIME_MS - 1]
    assert are_possible(extremes)
    keys = keys_of(extremes).tolist()
    assert keys == sorted(set(keys))
    assert min(keys) > 0
    for asset, time_ms in ((MAX_ASSETS, 0), (0, 0), (1, MAX_TIME_MS), (1, -1)):
        fixes = make_fixes([asset], [0])
        fixes["time_ms"] = time_ms
        assert not are_possible(fixes)


def test_a_print_tells_every_field_but_the_marks_apart():
    fix = make_fixes([1], [0])
    for name in ("lat_e7", "lon_e7", "heading_cdeg", "speed_ckmh"):
        other = fix.copy()
        other[name] += 1
        assert prints_of(other) != prints_of(fix)
    marked = fix.copy()
    marked["marks"] = 7
    assert prints_of(marked) == prints_of(fix)
    for row, print_ in zip(make_track(3, 50).tolist(), prints_of(make_track(3, 50)).tolist(), strict=True):
        assert print_of(*row[2:6]) == print_
    many = make_track(1, 20_000, step_ms=1)
    many["lat_e7"] = np.arange(20_000)
    assert len(np.unique(prints_of(many))) > 19_990


def test_generations_are_let_go_whole_once_they_are_sealed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unsealed, "GENERATION_KEYS", 1000)
    index = UnsealedKeys()
    for commit in range(40):
        keys = np.arange(commit * 100, commit * 100 + 100)
        index.add(keys, keys.astype(np.uint32), (commit + 1) * 100)
    assert len(index) == 4000
    index.sealed(1999)
    assert len(index) == 3000
    found, prints = index.find(np.array([500, 1500, 3999, 4000]))
    assert found.tolist() == [False, True, True, False]
    assert prints.tolist() == [0, 1500, 3999, 0]
    index.sealed(4000)
    assert len(index) == 0
    index.add(np.array([7]), np.array([1], dtype=np.uint32), 4001)
    assert index.find(np.array([7]))[0].tolist() == [True]


# -- jumps


def at(asset: int, time_s: int, lat_deg: float, lon_deg: float) -> Fixes:
    fix = make_fixes([asset], [time_s * 1000])
    fix["lat_e7"], fix["lon_e7"] = round(lat_deg * 1e7), round(lon_deg * 1e7)
    return fix


def marks(*fixes: Fixes, known: Fixes | None = None) -> list[int]:
    dedupe = Dedupe(Shelf().find)
    if known is not None:
        take(dedupe, known)
    verdict = dedupe.judge(np.concatenate(fixes))
    found: list[int] = verdict.fixes["marks"].tolist()
    return found


def test_as_fast_as_an_aircraft_is_no_jump_and_faster_than_any_is_one():
    degree_km = 111.195
    for speed_kmh, mark in ((1990, 0), (2010, MARK_JUMP)):
        further = at(1, 3600, speed_kmh / degree_km, 0)
        assert marks(at(1, 0, 0, 0.0001), further) == [0, mark]
        assert marks(further, known=at(1, 0, 0, 0.0001)) == [mark]


def test_the_antimeridian_is_no_jump():
    assert marks(at(1, 0, 10, 179.9999), at(1, 5, 10, -179.9999)) == [0, 0]


def test_each_fix_is_measured_from_its_own_assets_fix_before():
    fixes = (at(1, 0, 0, 1), at(2, 1, 50, 50), at(1, 2, 0, 1), at(2, 3, 50, 50))
    assert marks(*fixes) == [0, 0, 0, 0]


def test_late_fixes_and_the_first_of_all_are_not_judged():
    assert marks(at(1, -5, 80, 80), known=at(1, 0, 0, 1)) == [0]
    assert marks(at(5, 0, 80, 80)) == [0]


def test_zero_island_is_not_where_anything_came_from():
    nowhere = at(1, 1, 0, 0)
    nowhere["marks"] = MARK_ZERO_ISLAND
    assert marks(at(1, 0, 50, 50), nowhere, at(1, 2, 50, 50)) == [0, MARK_ZERO_ISLAND, 0]
    assert marks(at(1, 2, 50, 50), known=np.concatenate((at(1, 0, 50, 50), nowhere))) == [0]
