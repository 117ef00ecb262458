"""Whatever happens, nothing that a link may not show is in any byte that the public side sends.

Every fix and every name has digits or letters of its own. A model of the rules, written to be read and not to be
fast, says which of them a viewer may be told by now; every answer is searched for all the others.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from odograph.catalog import addresses
from odograph.live.entity import Entity
from odograph.model.catalog import Address, Asset, Destination, LiveShare, Route, Stop, Tag
from odograph.model.ids import AssetId, OrgId
from odograph.sharing import policy, trace
from odograph.sharing.trace import Trace
from odograph.sharing.views import base, by_asset
from odograph.viewer import hub, org_links, pages
from odograph.viewer.open_link import OpenLink
from odograph.viewer.org_links import OrgLinks
from odograph.viewer.targets import Targets
from tests.support.viewing import MINUTE_MS, Viewing, Watching, open_viewing

STEPS = 50
METRES_A_DEGREE = 111_195.0


@dataclass(frozen=True)
class Fix:
    """`text` is what its latitude reads like, wherever it is written: no other fix has it."""

    asset: int
    time_ms: int
    lat: float
    lon: float
    text: str


@dataclass(frozen=True)
class Zone:
    lat: float
    lon: float
    radius_m: float

    def holds(self, fix: Fix) -> bool:
        return metres(self.lat, self.lon, fix.lat, fix.lon) <= self.radius_m


def metres(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    across = (lon_b - lon_a) * math.cos(math.radians((lat_a + lat_b) / 2))
    return math.hypot(lat_b - lat_a, across) * METRES_A_DEGREE


@dataclass
class World:
    """The model beside the real thing."""

    viewing: Viewing
    org: OrgId
    dice: random.Random
    assets: list[Entity[Asset]] = field(default_factory=list)
    tags: list[Entity[Tag]] = field(default_factory=list)
    zones: list[tuple[Entity[Address], Zone]] = field(default_factory=list)
    past_zones: list[tuple[Entity[Address], Zone, int]] = field(default_factory=list)
    """Those that were deleted, with the time."""
    fixes: list[Fix] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    """Canary name of each asset."""
    shares: dict[int, tuple[Entity[LiveShare], str]] = field(default_factory=dict)
    watching: dict[int, Watching] = field(default_factory=dict)
    place: tuple[Entity[Address], Zone] | None = None
    route: Entity[Route] | None = None
    serial: int = 0
    seen: set[str] = field(default_factory=set)
    """Canaries that were told, as they might be."""

    # -- the model

    def may_show(self, share: LiveShare, fix: Fix, margin_m: float) -> bool:
        """Whether this one fix may be shown now, looked at by itself."""
        directory, now_ms = self.viewing.live.directory, self.viewing.clock.now_ms()
        asset = directory.assets.find_by_number(self.org, AssetId(fix.asset))
        if asset is None or share.starts_ms > now_ms or 0 < share.expires_ms <= now_ms:
            return False
        if fix.time_ms < share.shown_from_ms:
            return False
        if any(zone.holds(fix) for _, zone in self.zones):
            return False
        if any(zone.holds(fix) and fix.time_ms <= ended_ms for _, zone, ended_ms in self.past_zones):
            return False
        if share.limit_tag_ids and not self.carried(asset.body, share.limit_tag_ids, fix.time_ms):
            return False
        if share.disclose_m and not self.is_near(share, fix, margin_m):
            return False
        return self.is_subject(share, asset.body, fix)

    def is_subject(self, share: LiveShare, asset: Asset, fix: Fix) -> bool:
        if share.type == "assetsNearLocation":
            assert self.place is not None
            is_there = share.address_id == self.place[0].body.number and self.place_lives()
            return is_there and self.place[1].holds(fix)
        if share.type == "assetsOnRoute":
            route = self.viewing.live.directory.routes.find_by_number(self.org, share.route_id)
            return route is not None and self.is_on_run(route.body, fix)
        if share.asset_id:
            return share.asset_id == fix.asset
        return self.carried(asset, share.tag_ids, fix.time_ms)

    def is_on_run(self, route: Route, fix: Fix) -> bool:
        is_its = route.asset_id == fix.asset
        return is_its and 0 < route.started_ms <= fix.time_ms and not route.ended_ms

    def is_near(self, share: LiveShare, fix: Fix, margin_m: float) -> bool:
        """A place without a fence is a circle of 150 m; `margin_m` more or less, for what rounding does."""
        to = share.destination
        return to is not None and metres(to.lat, to.lon, fix.lat, fix.lon) <= share.disclose_m + 150 + margin_m

    def carried(self, asset: Asset, tag_ids: tuple[int, ...], time_ms: int) -> bool:
        tags = self.viewing.live.directory.tags
        since = dict(zip(asset.tag_ids, asset.tagged_ms or (asset.created_ms,) * len(asset.tag_ids), strict=True))
        return any(
            tag in since and since[tag] <= time_ms and tags.find_by_number(self.org, tag) is not None
            for tag in tag_ids
        )

    def shown(self, share: LiveShare, margin_m: float = 10.0) -> set[str]:
        """Texts of all fixes that the link may show now; with a margin below 0, of those that it has to."""
        found: set[str] = set()
        for number in {fix.asset for fix in self.fixes}:
            mine = sorted((fix for fix in self.fixes if fix.asset == number), key=lambda fix: fix.time_ms)
            stretch: list[Fix] = []
            for fix in mine:
                stretch = [*stretch, fix] if self.may_show(share, fix, margin_m) else []
            oldest_ms = {0: math.inf, -1: 0}.get(
                share.trail_min, self.viewing.clock.now_ms() - share.trail_min * MINUTE_MS
            )
            oldest_ms = max(oldest_ms, share.created_ms, share.starts_ms, share.past_from_ms)
            found |= {fix.text for fix in stretch if fix.time_ms >= oldest_ms or fix is stretch[-1]}
        return found

    def named(self, share: LiveShare, shown: set[str]) -> set[str]:
        """Canary names that the link may tell now."""
        if share.shown_name:
            return set()
        directory = self.viewing.live.directory
        found = set()
        for asset in (directory.assets.find_by_number(self.org, AssetId(one.body.number)) for one in self.assets):
            if asset is None:
                continue
            is_held = self.holds(share, asset.body, shown)
            now_ms = self.viewing.clock.now_ms()
            if is_held and (not share.limit_tag_ids or self.carried(asset.body, share.limit_tag_ids, now_ms)):
                found.add(self.names[asset.body.number])
        return found

    def holds(self, share: LiveShare, asset: Asset, shown: set[str]) -> bool:
        """Whether the asset may be listed; near a place only where it may be seen."""
        if share.type == "assetsNearLocation":
            return any(fix.asset == asset.number and fix.text in shown for fix in self.fixes)
        if share.type == "assetsOnRoute":
            route = self.viewing.live.directory.routes.find_by_number(self.org, share.route_id)
            return route is not None and route.body.asset_id == asset.number
        return share.asset_id == asset.number or self.carried(asset, share.tag_ids, self.viewing.clock.now_ms())

    def place_lives(self) -> bool:
        place = self.place
        return place is not None and self.viewing.live.directory.addresses.find(self.org, place[0].id) is not None

    def share(self, number: int) -> LiveShare | None:
        share, _ = self.shares[number]
        found = self.viewing.live.directory.shares.find(self.org, share.id)
        return None if found is None else found.body

    # -- searching

    def search(self, sent: bytes, allowed: set[str], where: str) -> None:
        """No canary that may not be told is in these bytes."""
        text = sent.decode("utf-8", "replace")
        for canary in [fix.text for fix in self.fixes] + list(self.names.values()):
            if canary in text:
                assert canary in allowed, f"{where} tells {canary}"
                self.seen.add(canary)
        secret = [address for address, _ in self.zones] + [address for address, _, _ in self.past_zones]
        for address in secret:
            for canary in (address.body.name, repr(address.body.lat)):
                assert canary not in text, f"{where} tells the private place {canary}"

    async def search_all(self) -> None:
        """What streams have said since the last time, and every form in which each link can be asked for.

        Links to assets also tell all that they may, so that it is not by silence that nothing leaks.
        """
        for number, (_, key) in self.shares.items():
            share = self.share(number)
            shown = set() if share is None else self.shown(share)
            allowed = set() if share is None else shown | self.named(share, shown)
            if number in self.watching:
                raw = self.watching[number].raw
                self.search(bytes(raw), allowed, f"the stream of link {number}")
                raw.clear()
            paths = [f"/o/1/fleet/viewer/{key}{form}" for form in ("", "/state", "/geojson")]
            for path in [*paths, f"/fleet/viewer/job/{key}/state?after=x"]:
                answer = await self.viewing.get(path)
                assert answer.status in {200, 403, 404, 410}
                is_open, where = answer.status == 200, path.replace(key, "KEY")
                self.search(answer.all_bytes(), allowed if is_open else set(), where)
                if is_open and share is not None and share.type == "assetsLocation":
                    due = self.shown(share, margin_m=-10.0)
                    missing = {text for text in due if text.encode() not in answer.body}
                    assert not missing, f"{where} withholds {missing}"

    # -- what happens

    async def settle(self) -> None:
        """Let streams write what they have."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def happen(self) -> None:
        acts: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self.drive, self.drive, self.drive, self.drive, self.drive, self.drive_late, self.retag, self.rezone,
            self.reshare, self.open_stream, self.come_again, self.pass_time, self.reroute, self.end_something,
        ]  # fmt: skip
        await self.dice.choice(acts)()
        await self.settle()
        await self.search_all()

    def fix(self, asset: Entity[Asset], time_ms: int) -> Fix:
        """In a box that holds all zones, so small that 30 s are enough to cross it without seeming to jump.

        The latitude's last four digits are its own, and never end in 0, which numbers would leave out.
        """
        self.serial += 1
        lat_e7 = round((52.0 + self.dice.random() * 0.1) * 1e3) * 10_000 + self.serial * 10 + 7
        return Fix(asset.body.number, time_ms, lat_e7 / 1e7, 4.0 + self.dice.random() * 0.1, f"{lat_e7 / 1e7:.7f}")

    async def _report(self, fixes: list[Fix]) -> None:
        by_number = {asset.body.number: asset for asset in self.assets}
        taken = {(fix.asset, fix.time_ms) for fix in self.fixes}
        fixes = [fix for fix in fixes if (fix.asset, fix.time_ms) not in taken]
        self.fixes += fixes
        if fixes:
            await self.viewing.report_many(
                self.org, [(by_number[fix.asset], fix.time_ms, fix.lat, fix.lon, 30.0, 0) for fix in fixes]
            )

    async def drive(self) -> None:
        self.viewing.clock.move(3 * MINUTE_MS)
        now_ms = self.viewing.clock.now_ms()
        chosen = self.dice.sample(self.assets, k=self.dice.randint(1, len(self.assets)))
        await self._report([self.fix(asset, now_ms) for asset in chosen])

    async def drive_late(self) -> None:
        """A backlog: times between those that are known, or before them."""
        asset = self.dice.choice(self.assets)
        now_ms = self.viewing.clock.now_ms()
        ages_ms = sorted({self.dice.randint(1, 40) * MINUTE_MS - MINUTE_MS // 2 for _ in range(3)})
        fixes = [self.fix(asset, now_ms - age_ms) for age_ms in ages_ms]
        if self.zones and self.dice.random() < 0.5:  # a visit to a private zone of which nothing was known
            zone = self.zones[-1][1]
            lat_e7 = round(zone.lat * 1e3) * 10_000 + self.serial * 10 + 7
            fixes[-1] = Fix(asset.body.number, fixes[-1].time_ms, lat_e7 / 1e7, zone.lon, f"{lat_e7 / 1e7:.7f}")
        await self._report(fixes)

    async def retag(self) -> None:
        asset = self.dice.choice(self.assets)
        current = self.viewing.live.directory.assets.find(self.org, asset.id)
        assert current is not None
        numbers = tuple(sorted(tag.body.number for tag in self.tags if self.dice.random() < 0.5))
        since = dict(zip(current.body.tag_ids, current.body.tagged_ms, strict=False))
        tagged_ms = tuple(since.get(number, self.viewing.clock.now_ms()) for number in numbers)
        await self.viewing.change(asset, tag_ids=numbers, tagged_ms=tagged_ms)

    async def rezone(self) -> None:
        """A zone is added, often as a stop of the route; or one goes, and what stops there stays there."""
        assert self.route is not None
        if self.zones and self.dice.random() < 0.4:
            address, zone = self.zones.pop(self.dice.randrange(len(self.zones)))
            await addresses.remove(self.viewing.catalog, self.org, address.body.number)
            self.past_zones.append((address, zone, self.viewing.clock.now_ms()))
            return
        lat, lon = 52.0 + self.dice.random() * 0.1, 4.0 + self.dice.random() * 0.1
        name = f"Zone{len(self.names)}x{self.dice.randrange(10**9):09d}"
        address = await self.viewing.make_address(self.org, lat, lon, 1200, name=name, is_private=True)
        self.zones.append((address, Zone(lat, lon, 1200)))
        route = self.viewing.live.directory.routes.find(self.org, self.route.id)
        if route is not None and self.dice.random() < 0.5:
            stop = Stop(901 + len(self.names) + self.dice.randrange(10**9), name, address_id=address.body.number)
            await self.viewing.change(self.route, stops=(*route.body.stops, stop))

    async def reshare(self) -> None:
        """A link is made, or changed: where that widens it, its floor moves up."""
        now_ms = self.viewing.clock.now_ms()
        number = self.dice.choice(list(self.shares))
        share, choice = self.share(number), self.dice.randrange(6)
        if share is None or choice == 0:
            await self.make_share()
        elif choice == 1:
            await self.viewing.change(
                self.shares[number][0], trail_min=self.dice.choice((0, 10, -1)), past_from_ms=now_ms
            )
        elif choice == 2:
            await self.viewing.change(self.shares[number][0], shown_name="A parcel")
        elif choice == 3 and share.type == "assetsLocation":
            await self.limit(self.shares[number][0], share, now_ms)
        elif choice == 4:
            old = self.shares[number][0]
            current = self.viewing.live.directory.shares.find(self.org, old.id)
            assert current is not None
            self.shares[number] = (old, await self.viewing.rotate(current))
        else:
            await self.viewing.change(self.shares[number][0], expires_ms=now_ms + 20 * MINUTE_MS)

    async def limit(self, entity: Entity[LiveShare], share: LiveShare, now_ms: int) -> None:
        """It gets a limit, or loses it."""
        if share.disclose_m:
            await self.viewing.change(entity, disclose_m=0, shown_from_ms=now_ms + 1)
        else:
            to = Destination("Customer", "Somewhere 1", 52.05, 4.05)
            await self.viewing.change(entity, destination=to, disclose_m=3000)

    async def make_share(self) -> None:
        kind = self.dice.choice(("asset", "tag", "tag", "place", "route"))
        fields: dict[str, Any] = {"trail_min": self.dice.choice((0, 0, 10, -1))}
        type_ = "assetsLocation"
        if kind == "asset":
            fields["asset_id"] = self.dice.choice(self.assets).body.number
        elif kind == "tag":
            fields["tag_ids"] = (self.dice.choice(self.tags).body.number,)
        elif kind == "place":
            assert self.place is not None
            type_, fields["address_id"] = "assetsNearLocation", self.place[0].body.number
        else:
            assert self.route is not None
            type_, fields["route_id"] = "assetsOnRoute", self.route.body.number
        if self.dice.random() < 0.3:
            fields["limit_tag_ids"] = (self.dice.choice(self.tags).body.number,)
        if self.dice.random() < 0.2:
            fields["starts_ms"] = self.viewing.clock.now_ms() + 10 * MINUTE_MS
        self.shares[len(self.shares)] = await self.viewing.make_share(self.org, type_, "A link", **fields)

    async def open_stream(self) -> None:
        number = self.dice.choice(list(self.shares))
        if number not in self.watching:
            watching = await self.viewing.watch(self.shares[number][1])
            if not watching.task.done():
                self.watching[number] = watching

    async def come_again(self) -> None:
        """A viewer drops, and comes back with a cursor from before."""
        if self.watching:
            number = self.dice.choice(list(self.watching))
            watching = self.watching.pop(number)
            ids = [
                event.id
                for event in [watching.events.get_nowait() for _ in range(watching.events.qsize())]
                if event.id
            ]
            await watching.close()
            again = await self.viewing.watch(self.shares[number][1], self.dice.choice(ids) if ids else "nonsense")
            if not again.task.done():
                self.watching[number] = again

    async def pass_time(self) -> None:
        self.viewing.clock.move(self.dice.randint(1, 15) * MINUTE_MS)

    async def reroute(self) -> None:
        """The run starts, ends, or goes to another vehicle from now on."""
        assert self.route is not None
        route = self.viewing.live.directory.routes.find(self.org, self.route.id)
        assert route is not None
        now_ms = self.viewing.clock.now_ms()
        if not route.body.started_ms:
            await self.viewing.change(self.route, started_ms=now_ms)
        elif self.dice.random() < 0.5:
            number = self.dice.choice(self.assets).body.number
            if number != route.body.asset_id:
                await self.viewing.change(self.route, asset_id=number, assigned_ms=now_ms, started_ms=now_ms)
        elif not route.body.ended_ms:
            await self.viewing.change(self.route, ended_ms=now_ms)

    async def end_something(self) -> None:
        choice = self.dice.randrange(3)
        if choice == 0 and len(self.tags) > 1:
            await self.viewing.remove(self.tags.pop())
        elif choice == 1 and self.place_lives() and self.dice.random() < 0.3:
            assert self.place is not None
            await self.viewing.remove(self.place[0])
        else:
            number = self.dice.choice(list(self.shares))
            if self.share(number) is not None and self.dice.random() < 0.3:
                await self.viewing.remove(self.shares[number][0])


async def make_world(viewing: Viewing, dice: random.Random) -> World:
    org = await viewing.make_org()
    world = World(viewing, org, dice)
    world.tags = [await viewing.make_tag(org, f"Tag {at}") for at in range(3)]
    for at in range(4):
        tags = tuple(tag.body.number for tag in world.tags if dice.random() < 0.5)
        name = f"Van{at}y{dice.randrange(10**9):09d}"
        asset = await viewing.make_vehicle(org, name, tag_ids=tags)
        world.assets.append(asset)
        world.names[asset.body.number] = name
    address = await viewing.make_address(org, 52.05, 4.05, 2500, name="Depot")
    world.place = (address, Zone(52.05, 4.05, 2500))
    stop = Stop(900, "First stop", lat=52.08, lon=4.08)
    world.route = await viewing.make_route(org, [stop], asset_id=world.assets[0].body.number)
    for _ in range(3):
        await world.make_share()
    return world


async def play(seed: int, steps: int = STEPS) -> World:
    with tempfile.TemporaryDirectory() as folder:
        async with open_viewing(Path(folder)) as viewing:
            world = await make_world(viewing, random.Random(seed))
            for _ in range(steps):
                await world.happen()
            for watching in world.watching.values():
                await watching.close()
            return world


@settings(max_examples=20, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_nothing_that_a_link_may_not_show_is_in_any_byte_sent(seed):
    asyncio.run(play(seed))


def test_what_links_may_show_is_told_often_enough_to_be_searched():
    worlds = [asyncio.run(play(seed)) for seed in range(5)]
    told = sum(fix.text in world.seen for world in worlds for fix in world.fixes)
    assert told > 60
    assert told < sum(len(world.fixes) for world in worlds)


# -- planted leaks: each must be found


def _judge_that_knows_zones_for_the_newest_only(monkeypatch):
    def judge(rules, fixes, now_ms):
        judged = policy.judge(rules, fixes, now_ms)
        if len(fixes) == 1:
            return judged
        open_ = policy.judge(dataclasses.replace(rules, private=policy.NO_ZONES), fixes, now_ms)
        return judged if judged.is_hidden[-1] else open_

    monkeypatch.setattr(trace, "judge", judge)


def _missed_points_are_not_judged(monkeypatch):
    monkeypatch.setattr(Trace, "shows", lambda self, fixes, now_ms: fixes)


def _hidden_newest_leaves_the_trail(monkeypatch):
    hide = Trace._hide

    def keep(self, fix, judged, row):
        run = self.run
        done = hide(self, fix, judged, row)
        self.run, self.hidden = run, None if len(run) else self.hidden
        return done

    monkeypatch.setattr(Trace, "_hide", keep)


def _late_zone_visits_do_not_cut(monkeypatch):
    hide = Trace._hide

    def keep(self, fix, judged, row):
        return hide(self, fix, judged, row) if fix["time_ms"][0] > self._newest_ms() else (False, False)

    monkeypatch.setattr(Trace, "_hide", keep)


def _asset_records_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(OrgLinks, "_of_asset", lambda self, record: [])


def _address_records_are_not_looked_at(monkeypatch):
    concerned = OrgLinks.concerned
    monkeypatch.setattr(
        OrgLinks, "concerned", lambda self, one: [] if one.kind == "address" else concerned(self, one)
    )


def _limit_tags_are_ignored(monkeypatch):
    monkeypatch.setattr(base, "limited_from_ms", lambda scene, asset: 0)


def _tags_hold_from_the_beginning(monkeypatch):
    held_from_ms = base.held_from_ms
    monkeypatch.setattr(by_asset, "held_from_ms", lambda *args: None if held_from_ms(*args) is None else 0)


def _the_floor_is_ignored(monkeypatch):
    rules_of = base.rules_of

    def low(*args, **kwargs):
        rules = rules_of(*args, **kwargs)
        return None if rules is None else dataclasses.replace(rules, floor_ms=0)

    monkeypatch.setattr(by_asset, "rules_of", low)


def _expiry_is_looked_at_on_opening_only(monkeypatch):
    monkeypatch.setattr(hub, "status", lambda share, now_ms: "open")


def _revoked_links_go_on(monkeypatch):
    monkeypatch.setattr(Targets, "again", lambda self, entity: entity)


def _names_leak_past_the_shown_name(monkeypatch):
    share = pages.Pages.share

    def leak(self, state, state_json, map_json, language):
        page = share(self, state, state_json, map_json, language)
        return page and page.replace(b"</title>", b" " + leaked[0].encode() + b"</title>")

    leaked = [""]
    asset_of = base.asset_of

    def note(scene, subject, trace_):
        leaked[0] = subject.asset.name
        return asset_of(scene, subject, trace_)

    monkeypatch.setattr(by_asset, "asset_of", note)
    monkeypatch.setattr(pages.Pages, "share", leak)


def _trails_go_back_beyond_their_minutes(monkeypatch):
    monkeypatch.setattr(trace, "trail_from_ms", lambda rules, now_ms: 0 if rules.trail_min else None)


def _pages_are_kept_while_their_trail_ages(monkeypatch):
    state_json = OpenLink.state_json

    def stale(self, now_ms):
        if not self._rest:
            state_json(self, now_ms)
        return b'{"now":%d' % now_ms + self._rest

    monkeypatch.setattr(OpenLink, "state_json", stale)


def _disclosure_by_distance_is_ignored(monkeypatch):
    monkeypatch.setattr(policy, "_is_disclosed", lambda rules, lat, *_: np.ones(len(lat), dtype=bool))


def _zones_are_forgotten_when_they_end(monkeypatch):
    zones = policy.Zones
    monkeypatch.setattr(org_links, "Zones", lambda fences, past=(): zones(fences))


def _stops_at_a_deleted_zone_are_like_all_others(monkeypatch):
    of_its_own = addresses._of_its_own

    def plain(stop, address):
        return of_its_own(stop, msgspec.structs.replace(address, is_private=False))

    monkeypatch.setattr(addresses, "_of_its_own", plain)


def _what_was_before_a_longer_trail_is_in_it(monkeypatch):
    rules_of = base.rules_of

    def early(scene, *args, **kwargs):
        rules = rules_of(scene, *args, **kwargs)
        return None if rules is None else dataclasses.replace(rules, since_ms=scene.share.created_ms)

    monkeypatch.setattr(by_asset, "rules_of", early)


LEAKS = [
    _judge_that_knows_zones_for_the_newest_only,
    _missed_points_are_not_judged,
    _hidden_newest_leaves_the_trail,
    _late_zone_visits_do_not_cut,
    _asset_records_are_not_looked_at,
    _address_records_are_not_looked_at,
    _limit_tags_are_ignored,
    _tags_hold_from_the_beginning,
    _the_floor_is_ignored,
    _expiry_is_looked_at_on_opening_only,
    _revoked_links_go_on,
    _names_leak_past_the_shown_name,
    _trails_go_back_beyond_their_minutes,
    _pages_are_kept_while_their_trail_ages,
    _disclosure_by_distance_is_ignored,
    _zones_are_forgotten_when_they_end,
    _stops_at_a_deleted_zone_are_like_all_others,
    _what_was_before_a_longer_trail_is_in_it,
]
SEEDS = 100


async def play_many() -> None:
    for seed in range(SEEDS):
        await play(seed)


@pytest.mark.parametrize("leak", LEAKS, ids=[leak.__name__.strip("_") for leak in LEAKS])
def test_a_planted_leak_is_found(leak, monkeypatch):
    leak(monkeypatch)
    with pytest.raises(AssertionError, match=r"tells|withholds"):
        asyncio.run(play_many())
