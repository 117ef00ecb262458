"""What a public link shows, as its page, its stream and its polling all read it: the only form in which it leaves.

Whatever is not in these structs cannot reach a viewer. Times are epoch milliseconds, positions degrees, distances
metres, speeds km/h, headings degrees clockwise from north; what is not known is left out. `web/src/lib/wire.ts` is
made from here by `tools/page_types.py`, and a test compares.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Point = tuple[int, float, float]
"""Time, latitude and longitude: one point of a trail."""


class Fence(msgspec.Struct, rename="camel", kw_only=True):
    """A geofence: a circle (`radiusM`), or a polygon (`vertices`, each latitude and longitude)."""

    radius_m: float | UnsetType = UNSET
    vertices: list[tuple[float, float]] | UnsetType = UNSET


class Place(msgspec.Struct, rename="camel", kw_only=True):
    """Where things are bound, or near which they are shown."""

    name: str
    address: str | UnsetType = UNSET
    lat: float
    lon: float
    fence: Fence | UnsetType = UNSET


class Fix(msgspec.Struct, rename="camel", kw_only=True):
    """Where something was at a moment. `near` is a line of text for it, such as `12 km from Lyon, FR`."""

    time: int
    lat: float
    lon: float
    heading: float | UnsetType = UNSET
    speed_kmh: float | UnsetType = UNSET
    near: str


class Eta(msgspec.Struct, rename="camel", kw_only=True):
    """An estimate whose error is known from earlier drives: eight in ten come between `earliest` and `latest`."""

    at: int
    earliest: int
    latest: int


class Asset(msgspec.Struct, rename="camel", kw_only=True):
    """Something that the link shows now.

    `key` names it within this link alone. `motion` is that of the last position, however old that is: the page
    says its age. `since`: since when it stands, or has been inside. `where` is given near a place: `inside`, or
    `coming` for one that is on its way by route.
    """

    key: str
    name: str
    plate: str | UnsetType = UNSET
    fix: Fix | UnsetType = UNSET
    motion: Literal["moving", "stopped"] | UnsetType = UNSET
    since: int | UnsetType = UNSET
    where: Literal["inside", "coming"] | UnsetType = UNSET
    distance_m: float | UnsetType = UNSET
    """In a straight line to the destination, the place or the next stop."""
    progress: float | UnsetType = UNSET
    """Share of the way that is done, 0 to 1, measured from where the link first showed it."""
    planned: int | UnsetType = UNSET
    eta: Eta | UnsetType = UNSET
    arrived: int | UnsetType = UNSET
    trail: list[Point] | UnsetType = UNSET
    """In a first state: the points so far, oldest first. In an update: points to be put in by their time."""


class Stop(msgspec.Struct, rename="camel", kw_only=True):
    """A stop of the route. `planned` is its scheduled arrival, or departure where it has no arrival."""

    name: str
    lat: float
    lon: float
    state: Literal["done", "here", "next", "todo", "skipped"]
    planned: int | UnsetType = UNSET
    arrived: int | UnsetType = UNSET
    departed: int | UnsetType = UNSET
    late_s: int | UnsetType = UNSET
    """Of a stop that was reached: seconds after its planned arrival, negative before it."""
    eta: Eta | UnsetType = UNSET


class Route(msgspec.Struct, rename="camel", kw_only=True):
    """The run that is shown: the one under way, else the next one planned, else the last one.

    `lateS`: how late it is now, by the last stop reached or by the next one missed; absent before the start.
    """

    name: str
    state: Literal["planned", "underway", "ended", "none"]
    starts: int | UnsetType = UNSET
    late_s: int | UnsetType = UNSET
    stops: list[Stop]
    asset: str | UnsetType = UNSET
    """Key of the vehicle that drives it, where it is shown now."""


class Link(msgspec.Struct, rename="camel", kw_only=True):
    """What the link is. `hidden` says why nothing is shown just now, in the terms of the link's own policy."""

    type: Literal["asset", "place", "route"]
    name: str
    description: str | UnsetType = UNSET
    org: str
    time_zone: str
    """IANA name: of the destination or place, else of what is shown, else of the organisation."""
    ends: int | UnsetType = UNSET
    ends_on_arrival: bool = False
    hidden: Literal["nothing", "notYetNear", "private"] | UnsetType = UNSET
    """`nothing`: there is nothing to show; `notYetNear`: shown only near the stop; `private`: in a private zone."""


class State(msgspec.Struct, rename="camel", kw_only=True):
    """Everything that the link shows now: inlined in the page, first event of a stream, answer of a poll."""

    now: int
    """The server's clock, so that ages are right on devices whose clock is not."""
    link: Link
    assets: list[Asset]
    """Near a place: inside first, then by distance. Otherwise by name."""
    place: Place | UnsetType = UNSET
    """The destination, or the place; absent where there is none."""
    route: Route | UnsetType = UNSET


class Update(msgspec.Struct, rename="camel", kw_only=True):
    """What changed: each asset whole in place of its last state (its trail is added to), the others stay."""

    now: int
    assets: list[Asset]
    gone: list[str] = []
    """Keys of assets that the link shows no longer."""
    link: Link | UnsetType = UNSET
    place: Place | UnsetType = UNSET
    route: Route | UnsetType = UNSET


class Ended(msgspec.Struct, rename="camel", kw_only=True):
    """The last event of a stream.

    `arrived`: it ended because what it showed is there. `gone`: revoked, rotated or deleted. `later`: moved to a
    start in the future.
    """

    reason: Literal["expired", "arrived", "gone", "later"]


class Poll(msgspec.Struct, rename="camel", kw_only=True):
    """The answer of polling: the state now, the points after the cursor, and where to go on.

    `missed` holds, for each key, the points that were shown since `after`; empty without `after`.
    """

    state: State
    missed: dict[str, list[Point]]
    cursor: str
    has_more: bool
