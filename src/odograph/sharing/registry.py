"""Every type of live share."""

from __future__ import annotations

from typing import Any, Final

from odograph.sharing import by_asset, by_location, by_route
from odograph.sharing.base import ShareType

SHARE_TYPES: Final[dict[str, ShareType[Any]]] = {
    one.name: one for one in (by_asset.TYPE, by_location.TYPE, by_route.TYPE)
}
