"""Who is at the other end of a connection, as far as an address tells, and whether it is welcome."""

from __future__ import annotations

import ipaddress
from typing import Final

WELCOME: Final = "odograph.welcome"
"""Key of the ASGI scope under which an app says that a request brought a living token, or a link's key."""
_IPV6_NETWORK_BITS: Final = 64  # what one subscriber is given at least


def client_of(host: str | None) -> str:
    """What an address is counted under: itself, or its IPv6 network; empty for this machine's own."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return host or ""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if address.is_loopback:
        return ""
    if address.version == 6:
        return str(ipaddress.ip_network((int(address), _IPV6_NETWORK_BITS), strict=False))
    return str(address)
