"""The port of arrival estimators: when something will be there, with the error that is known of such estimates."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from odograph.model.ids import AssetId, OrgId
from odograph.model.place import Position


class Estimate(NamedTuple):
    """Epoch milliseconds. Of ten such estimates in the past, eight came between `earliest_ms` and `latest_ms`."""

    at_ms: int
    earliest_ms: int
    latest_ms: int


class Estimator(Protocol):
    """Must answer from memory: it is asked for every position that is shown."""

    def estimate(
        self, org: OrgId, asset: AssetId, here: Position, destination: Position, time_ms: int
    ) -> Estimate | None:
        """The arrival of what was `here` at `time_ms`; None where the error of an estimate is not known yet."""
        ...


class NoEstimator:
    """For installs and orgs of which nothing is known: distance and plan are shown, and no invented clock."""

    def estimate(
        self, org: OrgId, asset: AssetId, here: Position, destination: Position, time_ms: int
    ) -> Estimate | None:
        """None."""
        del org, asset, here, destination, time_ms
        return None
