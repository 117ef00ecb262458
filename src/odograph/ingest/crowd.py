"""Who is connected, and who has to go before descriptors run out: strangers, the longest idle first.

A stranger is a connection that has not yet shown a living key, token or link. A fleet behind one carrier's address,
or everybody behind one proxy, is known as soon as it is answered; so only strangers are bounded by their address.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from itertools import islice
from typing import Final, Protocol

from odograph.telemetry import CONNECTIONS, STRANGERS_CLOSED

RESERVE: Final = 256  # descriptors for the operator's socket, the store's files, maps, streams of exports
MOST_STRANGERS: Final = 2048  # of one address, where there are descriptors enough: a fleet that reconnects at once
STRANGERS_SHARE: Final = 4  # one address' strangers have a quarter of what there is at most
FEW_DESCRIPTORS: Final = 4096  # what even a small fleet, its viewers and a flood of strangers can share
ENOUGH_DESCRIPTORS: Final = 65_536  # where the system knows no bound
SAY_EVERY_S: Final = 60.0
_LOOKED_AT: Final = 32  # strangers that are being answered, before the newest has to go instead
_MOST_TOLD: Final = 8  # addresses that said to be proxies: beyond, it is a scanner's game

_REASONS: Final = {
    "address": "one address has too many connections that have shown no key",
    "descriptors": "there are as many connections as descriptors allow",
}
_log = logging.getLogger(__name__)


class Guest(Protocol):
    """A connection."""

    protocol: str
    """What it speaks, for the metrics."""
    party: str
    """What its address is counted under; empty where nobody counts."""

    def is_trusted(self) -> bool:
        """Whether it comes from a proxy of the operator's, which speaks for many."""
        ...

    def is_served(self) -> bool:
        """Whether an answer to it is on its way."""
        ...

    def turn_out(self) -> None:
        """Close it at once."""
        ...


class Crowd:
    """All connections of one server, at most `most`. Those that are known cost nothing here but a number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_strangers = min(MOST_STRANGERS, max(most // STRANGERS_SHARE, 1))
        self._open = 0
        self._strangers: dict[Guest, None] = {}  # the longest here first
        self._by_party: dict[str, dict[Guest, None]] = {}
        self._closed = 0
        self._say_from_s = 0.0
        self._told: set[str] = set()

    def enter(self, guest: Guest) -> None:
        """It has connected; one who deserves it least, perhaps itself, may have to go."""
        self._open += 1
        CONNECTIONS.labels(guest.protocol).inc()
        self._strangers[guest] = None
        party = self._by_party.setdefault(guest.party, {})
        party[guest] = None
        if len(party) > self._most_strangers and guest.party and not guest.is_trusted():
            self._close_one(party, guest, "address")
        elif self._open > self._most:
            self._close_one(self._strangers, guest, "descriptors")

    def know(self, guest: Guest) -> None:
        """It has shown what only friends have."""
        if guest in self._strangers:
            del self._strangers[guest]
            party = self._by_party[guest.party]
            del party[guest]
            if not party:
                del self._by_party[guest.party]

    def leave(self, guest: Guest) -> None:
        """It is closed."""
        self._open -= 1
        CONNECTIONS.labels(guest.protocol).dec()
        self.know(guest)

    def tell_of_proxy(self, address: str) -> None:
        """It says for whom it speaks, and nobody believes it: the operator may have forgotten to name it."""
        if address not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(address)
            _log.warning(
                "X-Forwarded-For is not believed from this address; if it is your proxy, add it to trusted_proxies",
                extra={"client": address},
            )

    def _close_one(self, among: dict[Guest, None], newest: Guest, reason: str) -> None:
        chosen = newest
        for guest in list(islice(among, _LOOKED_AT)):
            if not guest.is_served():
                chosen = guest
                break
            among[guest] = among.pop(guest)  # so that the next look begins with others
        self.know(chosen)
        chosen.turn_out()
        STRANGERS_CLOSED.labels(reason).inc()
        self._say(reason, chosen.party)

    def _say(self, reason: str, party: str) -> None:
        self._closed += 1
        now_s = asyncio.get_running_loop().time()
        if now_s < self._say_from_s:
            return
        _log.warning(
            "strangers' connections are closed: %s",
            _REASONS[reason],
            extra={
                "client": party or "this machine",
                "closed": self._closed,
                "open": self._open,
                "most": self._most,
            },
        )
        self._closed, self._say_from_s = 0, now_s + SAY_EVERY_S


def allow_descriptors() -> int:
    """Let this process, and those that it starts, open as many as the system lets it; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, ENOUGH_DESCRIPTORS) if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems have a bound that they don't tell
        return soft
    return wanted


def most_connections(descriptors: int) -> int:
    """How many connections so many descriptors are enough for, with a reserve for all else."""
    if descriptors < FEW_DESCRIPTORS:
        _log.warning(
            "this process may open few files: raise LimitNOFILE, or ulimit -Hn", extra={"descriptors": descriptors}
        )
    return max(descriptors - RESERVE, descriptors // 2)
