"""Every device protocol that this build speaks: one line each."""

from __future__ import annotations

from typing import Final

from odograph.protocols import batch, gpslogger, osmand, owntracks, teltonika, traccar
from odograph.protocols.base import Registry

PROTOCOLS: Final = Registry(
    http=(
        batch.PROTOCOL,
        osmand.PROTOCOL,
        owntracks.PROTOCOL,
        gpslogger.PROTOCOL,
        traccar.PROTOCOL,
    ),
    stream=(teltonika.PROTOCOL,),
)
