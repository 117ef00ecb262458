"""A fleet larger than the connections that a process may have: its fixes come over few, as through gateways."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from odograph.bench.load import Address, Wire, connect_many
from odograph.bench.payloads import QueryRequests, query_rows
from odograph.bench.readers import Unexpected
from odograph.bench.traffic import DRAIN_S, Plan, follow

WIRES: Final = 128


class Gateways:
    """Sends each fix of a plan in a request of its own, with its own device's key, on whichever wire is free."""

    def __init__(self, address: Address, keys: Sequence[str]) -> None:
        self._address = address
        self._requests = QueryRequests()
        self._heads = [self._requests.head(key) for key in keys]
        self._wires: list[Wire] = []
        self._free: deque[Wire] = deque()
        self._waiting: deque[int] = deque()
        self._statuses: Counter[int] = Counter()
        self.behind_s: list[float] = []
        self.sent_s: list[float] = []
        """When each fix of the last plan was sent, by its flat index; 0 where it was not."""

    async def open(self) -> None:
        """Connect."""
        self._wires = await connect_many(self._address, WIRES, self._hear)
        self._free.extend(self._wires)

    async def run(self, plan: Plan) -> None:
        """Send the whole plan, each fix at its moment. Raises Unexpected where one was not taken."""
        self._each = plan.fixes.shape[1]
        self._rows = query_rows(plan.fixes.reshape(-1))
        self.sent_s, self.behind_s = [0.0] * plan.fixes.size, []
        self._statuses.clear()
        self._left = len(plan.indices)
        self._done = asyncio.Event()
        await follow(plan, self._offer, self.behind_s)
        async with asyncio.timeout(DRAIN_S):
            await self._done.wait()
        if set(self._statuses) != {200}:
            raise Unexpected(f"answers to fixes by status: {dict(self._statuses)}")

    def close(self) -> None:
        """Hang up."""
        self._free.clear()
        for wire in self._wires:
            wire.transport.close()

    def _offer(self, index: int) -> None:
        if self._free:
            self._send(self._free.popleft(), index)
        else:
            self._waiting.append(index)

    def _send(self, wire: Wire, index: int) -> None:
        self.sent_s[index] = perf_counter()
        wire.send(self._requests.request(self._heads[index // self._each], self._rows, index))

    def _hear(self, wire: Wire, status: int, _: bytes) -> None:
        if not status:  # hung up, by us at the end; the server would be missed by the statuses
            self._statuses[0] += 1
            return
        self._statuses[status] += 1
        self._left -= 1
        if not self._left:
            self._done.set()
        if self._waiting:
            self._send(wire, self._waiting.popleft())
        else:
            self._free.append(wire)
