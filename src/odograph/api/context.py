"""What the API's handlers work with; made once by `server`."""

from __future__ import annotations

from dataclasses import dataclass

from odograph.catalog.changes import Catalog
from odograph.clock import Clock
from odograph.geocoding.base import Geocoder
from odograph.live.presence import Presence
from odograph.live.view import Live
from odograph.model.cursor import Cursors
from odograph.store.base import Store


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a handler may reach."""

    store: Store
    live: Live
    presence: Presence
    catalog: Catalog
    clock: Clock
    geocoder: Geocoder
    cursors: Cursors
    server_key: bytes
    """What the keys of links are made from."""
    public_url: str
    """Base of the URLs we print, without a trailing slash."""
    metrics_public: bool = False
    """Whether /metrics answers other machines too."""
