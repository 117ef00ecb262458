"""What the viewer is given: where it writes down what it disclosed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from odograph.live.entity import Entity
from odograph.model.catalog import LiveShare


class Ledger(Protocol):
    """What was disclosed through each link, in which minute. Must take note at once and never raise."""

    def loaded(self, share: Entity[LiveShare]) -> None:
        """Its page, or its GeoJSON, was asked for."""
        ...

    def polled(self, share: Entity[LiveShare]) -> None:
        """Its state was asked for without a stream."""
        ...

    def streams(self, share: Entity[LiveShare], open_now: int) -> None:
        """So many streams of it are open now."""
        ...

    def disclosed(self, share: Entity[LiveShare], assets: Sequence[int], first_seq: int, last_seq: int) -> None:
        """Positions of these assets were sent, of what the log holds in this range of seqs."""
        ...


class NoLedger:
    """For servers that keep none."""

    def loaded(self, share: Entity[LiveShare]) -> None:
        """Nothing."""

    def polled(self, share: Entity[LiveShare]) -> None:
        """Nothing."""

    def streams(self, share: Entity[LiveShare], open_now: int) -> None:
        """Nothing."""

    def disclosed(self, share: Entity[LiveShare], assets: Sequence[int], first_seq: int, last_seq: int) -> None:
        """Nothing."""
