"""The shelf of routes: by vehicle, by recurring route, and by the time for which they are planned."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from odograph.live.routes import Routes
from odograph.model.catalog import Route, Stop
from odograph.model.ids import AssetId, OrgId, RecordId, RouteId
from odograph.store.base import Record

A, B = OrgId(1), OrgId(2)


def make(
    number: int, start_ms: int, end_ms: int, asset_id: int = 0, ended_ms: int = 0, recurring_id: int = 0
) -> Route:
    stops = (
        Stop(1, "a", scheduled_departure_ms=start_ms),
        Stop(2, "b", scheduled_arrival_ms=end_ms),
    )
    return Route(number, "r", stops, 1, 1, asset_id=asset_id, ended_ms=ended_ms, recurring_id=recurring_id)


def shelf_of(*states: tuple[OrgId, Route | None, int]) -> Routes:
    """Each state of a route in turn: org, body (None: deleted) and number."""
    shelf = Routes()
    for rev, (org, body, number) in enumerate(states, 1):
        if body is None:
            shelf.drop(RecordId(number))
        else:
            shelf.put(Record(org, "route", RecordId(number), rev, msgspec.json.encode(body)))
    return shelf


STATES = st.lists(
    st.tuples(
        st.sampled_from([A, B]),
        st.integers(1, 6),
        st.booleans(),
        st.integers(1, 50),
        st.integers(0, 30),
        st.integers(0, 3),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=25,
)


@settings(max_examples=200)
@given(STATES, st.integers(0, 60), st.integers(0, 60))
def test_every_look_up_finds_what_looking_at_all_of_them_finds(steps, start_ms, end_ms):
    living: dict[int, tuple[OrgId, Route]] = {}
    states = []
    for asked, number, is_there, start, lasts, asset, ended, recurring in steps:
        org = living[number][0] if number in living else asked
        body = make(number, start, start + lasts, asset, ended, recurring) if is_there else None
        states.append((org, body, number))
        if body is None:
            living.pop(number, None)
        else:
            living[number] = (org, body)
    shelf = shelf_of(*states)
    for org in (A, B):
        mine = sorted((body for owner, body in living.values() if owner == org), key=lambda body: body.number)

        def numbers(found):
            return [one.body.number for one in found]

        def wanted(which, mine=mine):
            return [body.number for body in mine if which(body)]

        assert numbers(shelf.planned(org, start_ms, end_ms)) == wanted(
            lambda body: (
                body.stops[0].scheduled_departure_ms < end_ms and body.stops[1].scheduled_arrival_ms >= start_ms
            )
        )
        for some in (1, 2, 3):
            assert numbers(shelf.of_asset(org, AssetId(some))) == wanted(
                lambda body, some=some: body.asset_id == some
            )
            assert numbers(shelf.open_of_asset(org, AssetId(some))) == wanted(
                lambda body, some=some: body.asset_id == some and not body.ended_ms
            )
            assert numbers(shelf.runs(org, RouteId(some))) == wanted(
                lambda body, some=some: body.recurring_id == some
            )
    bodies = [body for _, body in living.values()]
    assert set(shelf.assets()) == {body.asset_id for body in bodies if body.asset_id}
    assert set(shelf.open_assets()) == {body.asset_id for body in bodies if body.asset_id and not body.ended_ms}
