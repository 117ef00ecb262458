"""How many requests an API token and an org may make; device keys never come here."""

from __future__ import annotations

import math
from typing import Final

from odograph.api.resources.base import Endpoint, Limit
from odograph.clock import Clock
from odograph.errors import Kind, Refusal
from odograph.model.access import Principal

PER_TOKEN: Final = Limit(150, 1)
PER_ORG: Final = Limit(200, 1)

_TIDY_AT: Final = 4096  # keys before the first tidying: more than most installs have tokens and orgs

Key = tuple[object, ...]


class RateLimits:
    """Buckets that hold a full period of calls and refill evenly, one number each.

    That number is the moment at which the bucket will be full again: a bucket nobody uses is full and can
    be forgotten, so that memory is bounded by the callers of one period.
    """

    def __init__(self, clock: Clock, per_token: Limit = PER_TOKEN, per_org: Limit = PER_ORG) -> None:
        self._clock = clock
        self._per_token = per_token
        self._per_org = per_org
        self._full_at: dict[Key, float] = {}
        self._tidy_at = _TIDY_AT

    def charge(self, principal: Principal, endpoint: Endpoint) -> None:
        """Count one request. RATE_LIMITED, with the seconds to wait, and nothing counted where any limit is hit."""
        if principal.is_operator:
            return
        buckets: list[tuple[Key, Limit]] = [
            (("token", principal.token), self._per_token),
            (("org", principal.org), self._per_org),
        ]
        if endpoint.limit is not None:
            buckets.append((("endpoint", principal.org, endpoint.method, endpoint.path), endpoint.limit))
        now_s = self._clock.steady_s()
        wait_s = max(self._wait_s(key, limit, now_s) for key, limit in buckets)
        if wait_s > 0:
            raise Refusal(
                Kind.RATE_LIMITED,
                "Exceeded rate limit. Wait as Retry-After says, then go on more slowly.",
                retry_after_s=max(1, math.ceil(wait_s)),
            )
        for key, limit in buckets:
            self._full_at[key] = max(self._full_at.get(key, now_s), now_s) + limit.seconds / limit.calls
        if len(self._full_at) > self._tidy_at:
            self._tidy(now_s)

    def _wait_s(self, key: Key, limit: Limit, now_s: float) -> float:
        """Seconds until one more call fits; <= 0 where it fits now."""
        missing_s = self._full_at.get(key, now_s) - now_s
        room_s = limit.seconds * (1 - 1 / limit.calls)
        return missing_s - room_s - 1e-9  # sums of intervals carry rounding: the last call of a period must fit

    def _tidy(self, now_s: float) -> None:
        self._full_at = {key: full for key, full in self._full_at.items() if full > now_s}
        self._tidy_at = max(_TIDY_AT, 2 * len(self._full_at))

    def __len__(self) -> int:
        return len(self._full_at)
