"""Every kind of link that pages know, by its share type."""

from __future__ import annotations

from typing import Final

from odograph.sharing.views import by_asset, by_place, by_route, by_stop
from odograph.sharing.views.base import View

VIEWS: Final[dict[str, View]] = {
    view.name: view for view in (by_asset.VIEW, by_place.VIEW, by_route.VIEW, by_stop.VIEW)
}
