"""One link that somebody looks at: derived once for all its viewers, each event encoded once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET

from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare
from odograph.model.fixes import Fixes
from odograph.model.ids import OrgId
from odograph.model.place import Geofence
from odograph.sharing import page
from odograph.sharing.policy import trail_from_ms
from odograph.sharing.trace import Trace, points
from odograph.sharing.views.base import Frame, Scene, Shown, Subject, View
from odograph.viewer.streams import Stream

Reason = Literal["expired", "arrived", "gone", "later"]
_encoder: Final = msgspec.json.Encoder()


def event(name: str, data: bytes, cursor: str = "") -> bytes:
    """A server-sent event; the id is what a reconnecting viewer goes on from."""
    id_line = b"id: %b\n" % cursor.encode() if cursor else b""
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), id_line, data)


@dataclass(slots=True)
class Held:
    """One asset of a link, its trace, and what viewers were told of it last; None where it is not listed."""

    subject: Subject
    trace: Trace
    told: page.Asset | None = None
    meanwhile: list[Fixes] | None = None
    """While its history is being read: what came since."""


class Changed(NamedTuple):
    """What viewers must be told. `is_state` says that they must forget points, so that only a state will do."""

    update: page.Update | None
    disclosed: list[int]
    is_state: bool = False


@dataclass(eq=False)
class OpenLink:
    """Made by the hub, which alone calls what changes it. `is_stale`: the catalogue has changed since."""

    entity: Entity[LiveShare]
    view: View
    streams: set[Stream] = field(default_factory=set)
    held: dict[int, Held] = field(default_factory=dict)
    fence: Geofence | None = None
    is_stale: bool = True
    over: Reason | None = None
    used_s: float = 0.0
    unloaded: int = 0
    """Assets whose history is being read."""
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _frame: Frame | None = None
    _rest: bytes = b""
    _made_ms: int = 0

    @property
    def org(self) -> OrgId:
        """Whose link it is."""
        return self.entity.org

    @property
    def share(self) -> LiveShare:
        """Its record."""
        return self.entity.body

    def assets(self) -> list[int]:
        """Numbers of the assets it holds, ascending."""
        return sorted(self.held)

    def derive(self, scene: Scene) -> tuple[Changed, list[int]]:
        """Hold it against the catalogue as it is now. Also the assets that are new, with no history yet."""
        old, self.held, fresh, is_cut = self.held, {}, [], False
        for subject in self.view.subjects(scene):
            number = subject.asset.number
            known = old.pop(number, None)
            if known is None:
                known = Held(subject, Trace(subject.rules))
                newest = scene.sources.snapshot.newest(np.array([number], dtype=np.uint32))
                known.trace.load(newest, scene.now_ms)
                fresh.append(number)
            else:
                known.subject = subject
                is_cut |= known.trace.rule(subject.rules, scene.now_ms)
            self.held[number] = known
        self.fence = self.view.fence(scene)
        gone = [held.told.key for held in old.values() if held.told is not None]
        return self._compare(scene, self.held, {}, gone, is_cut), fresh

    def take(self, scene: Scene, fixes: Fixes) -> Changed:
        """Take in new fixes of assets that it holds."""
        added: dict[int, Fixes] = {}
        is_cut, changed = False, []
        numbers = fixes["asset"]
        for number in dict.fromkeys(numbers.tolist()):
            held = self.held[number]
            rows = fixes[numbers == number]
            if held.meanwhile is not None:
                held.meanwhile.append(rows)
            taken = held.trace.take(rows, scene.now_ms)
            is_cut |= taken.is_cut
            if taken.is_changed or taken.is_cut:
                changed.append(number)
                added[number] = taken.added
        return self._compare(scene, changed, added, [], is_cut)

    def load(self, scene: Scene, histories: Iterable[tuple[int, Fixes]]) -> Changed:
        """Begin the traces of some assets anew, of their histories and of what came while those were read."""
        changed = []
        for number, history in histories:
            held = self.held.get(number)
            if held is None or held.meanwhile is None:
                continue
            newest = scene.sources.snapshot.newest(np.array([number], dtype=np.uint32))
            held.trace.load(np.concatenate((history, *held.meanwhile, newest)), scene.now_ms)
            held.meanwhile = None
            changed.append(number)
        is_told = bool(self.streams)
        return self._compare(scene, changed, {}, [], is_told and bool(self.share.trail_min) and bool(changed))

    def refresh(self, scene: Scene) -> Changed:
        """See what the passing of time alone has changed."""
        return self._compare(scene, (), {}, [], is_cut=False)

    def state(self, now_ms: int) -> page.State:
        """Everything it shows now."""
        assert self._frame is not None
        assets = [
            msgspec.structs.replace(held.told, trail=held.trace.points(now_ms) or UNSET)
            for held in self.held.values()
            if held.told is not None
        ]
        if self._frame.link.type == "place":
            assets.sort(key=lambda asset: (asset.where != "inside", asset.distance_m or 0.0, asset.name))
        return page.State(
            now=now_ms, link=self._frame.link, assets=assets, place=self._frame.place, route=self._frame.route
        )

    def state_json(self, now_ms: int) -> bytes:
        """The same, encoded; kept while nothing changes but the time."""
        is_passing = self.share.trail_min > 0 and self._made_ms != now_ms
        if not self._rest or is_passing:
            encoded = _encoder.encode(self.state(now_ms))
            self._rest, self._made_ms = encoded[encoded.index(b",") :], now_ms
        return b'{"now":%d' % now_ms + self._rest

    def missed(self, fixes: Fixes, now_ms: int) -> dict[str, list[page.Point]]:
        """Of fixes in arrival order: the points that belong to the trails as they are shown now."""
        found: dict[str, list[page.Point]] = {}
        numbers = fixes["asset"]
        for number in dict.fromkeys(numbers.tolist()):
            held = self.held.get(number)
            if held is not None and held.told is not None:
                shown = held.trace.shows(fixes[numbers == number], now_ms)
                if len(shown):
                    found[held.told.key] = points(shown)
        return found

    def disclosed(self) -> list[int]:
        """Numbers of the assets whose positions it shows now."""
        return [
            number for number, held in self.held.items() if held.told is not None and held.trace.fix is not None
        ]

    def end(self, reason: Reason) -> None:
        """Tell all viewers that it is over."""
        self.over = reason
        for stream in self.streams:
            stream.end(self.last_word())
        self.held, self._rest = {}, b""
        self.loaded.set()

    def last_word(self) -> bytes:
        """The event that says why it is over."""
        return event("ended", _encoder.encode(page.Ended(reason=self.over or "gone")))

    def _shown(self) -> Shown:
        return [(held.subject, held.trace) for held in self.held.values()]

    def _compare(
        self, scene: Scene, numbers: Iterable[int], added: dict[int, Fixes], gone: list[str], is_cut: bool
    ) -> Changed:
        """Compose these assets and the frame, and find out what viewers don't know yet."""
        update = page.Update(now=scene.now_ms, assets=[], gone=gone)
        disclosed = []
        for number in list(numbers):
            held = self.held[number]
            if self._tell(scene, held, added.get(number), update) and held.trace.fix is not None:
                disclosed.append(number)
        frame, before = self.view.frame(scene, self._shown()), self._frame
        if before is not None:
            self._compare_frames(before, frame, update)
        is_cut |= before is not None and type(frame.place) is not type(before.place) and frame.place is UNSET
        self._frame = frame
        is_news = bool(update.assets or update.gone or is_cut) or any(
            part is not UNSET for part in (update.link, update.place, update.route)
        )
        if is_news or before is None:
            self._rest = b""
        return Changed(update if is_news else None, disclosed, is_cut)

    def _tell(self, scene: Scene, held: Held, added: Fixes | None, update: page.Update) -> bool:
        told, held.told = held.told, None
        if held.trace.hidden is not None and not self.view.is_listed_when_hidden:
            if told is not None:
                update.gone.append(told.key)
            return told is not None
        held.told = self.view.asset(scene, held.subject, held.trace)
        is_new = told is None or told.fix is UNSET
        trail = held.trace.points(scene.now_ms) if is_new else _trail(held.trace, added, scene.now_ms)
        if held.told == told and not trail:
            return False
        update.assets.append(msgspec.structs.replace(held.told, trail=trail) if trail else held.told)
        return True

    def _compare_frames(self, before: Frame, frame: Frame, update: page.Update) -> None:
        if frame.link != before.link:
            update.link = frame.link
        if frame.place != before.place:
            update.place = frame.place
        if frame.route != before.route:
            update.route = frame.route


def _trail(trace: Trace, added: Fixes | None, now_ms: int) -> list[page.Point]:
    begin_ms = trail_from_ms(trace.rules, now_ms)
    if added is None or begin_ms is None or trace.fix is None:
        return []
    times = added["time_ms"]
    return points(added[(times >= begin_ms) | (times == trace.fix["time_ms"])])
