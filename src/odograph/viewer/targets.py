"""From the key in a URL to the link that it opens: of a share, or of a stop of a route.

Every key is hashed and looked up in both, whatever it is, so that how long it takes tells nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple

from odograph.clock import Clock
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare, Route
from odograph.model.ids import OrgId, RecordId
from odograph.sharing.keys import key_hash, stop_key
from odograph.sharing.runs import find_stop
from odograph.sharing.views import by_stop
from odograph.store.base import Record

STOPS_KEPT_MS: Final = 7 * 86_400_000  # the link of a run that ended longer ago is unknown: most runs are long past


class _StopAt(NamedTuple):
    org: OrgId
    route: RecordId
    stop: int


class Targets:
    """Follows the routes; shares are looked up where they are."""

    def __init__(self, directory: Directory, server_key: bytes, clock: Clock) -> None:
        self._directory = directory
        self._server_key = server_key
        self._clock = clock
        self._stops: dict[bytes, _StopAt] = {}
        self._of_route: dict[RecordId, list[bytes]] = {}
        self._tidied_ms = clock.now_ms()

    def watch(self, records: Sequence[Record]) -> None:
        """Take note of routes that were made, changed or deleted."""
        for record in records:
            if record.kind == "route":
                self._note(record.org, record.id)
        if self._clock.now_ms() - self._tidied_ms > STOPS_KEPT_MS:
            self._tidy()

    def find(self, key: str) -> Entity[LiveShare] | None:
        """The link of this key, whether it is open or not; None where no link has it."""
        hashed = key_hash(key)
        share, stop = self._directory.shares.find_by_key(hashed), self._find_stop(hashed)
        return share or stop

    def again(self, entity: Entity[LiveShare]) -> Entity[LiveShare] | None:
        """The same link as it is now; None where it is gone or has another key."""
        if entity.body.type == by_stop.NAME:
            return self._find_stop(bytes.fromhex(entity.body.key_hash))
        found = self._directory.shares.find(entity.org, entity.id)
        return found if found is not None and found.body.key_hash == entity.body.key_hash else None

    def _find_stop(self, hashed: bytes) -> Entity[LiveShare] | None:
        at = self._stops.get(hashed)
        route = None if at is None else self._directory.routes.find(at.org, at.route)
        stop = None if at is None or route is None else find_stop(route.body, at.stop)
        if at is None or route is None or stop is None:
            return None
        found = Entity(at.org, RecordId(-stop.number), route.rev, by_stop.as_share(route.body, stop, hashed))
        return found if hmac.compare_digest(bytes.fromhex(found.body.key_hash), hashed) else None

    def _tidy(self) -> None:
        """Forget the runs that have become old since they were noted."""
        self._tidied_ms = self._clock.now_ms()
        for route_id, hashes in list(self._of_route.items()):
            org = self._stops[hashes[0]].org
            route = self._directory.routes.find(org, route_id)
            if route is None or self._is_old(route.body):
                self._forget(route_id)

    def _is_old(self, route: Route) -> bool:
        return 0 < route.ended_ms < self._clock.now_ms() - STOPS_KEPT_MS

    def _forget(self, route_id: RecordId) -> None:
        for hashed in self._of_route.pop(route_id, ()):
            self._stops.pop(hashed, None)

    def _note(self, org: OrgId, route_id: RecordId) -> None:
        self._forget(route_id)
        route = self._directory.routes.find(org, route_id)
        if route is None or self._is_old(route.body) or not route.body.stops:
            return
        hashes = []
        for stop in route.body.stops:
            hashed = key_hash(stop_key(self._server_key, org, stop.number))
            self._stops[hashed] = _StopAt(org, route_id, stop.number)
            hashes.append(hashed)
        self._of_route[route_id] = hashes
