"""`/odograph/status`: the server itself, for its operator alone."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from odograph.api.resources.base import Answer, Call, Endpoint
from odograph.api.wire import Count, to_json


class Status(msgspec.Struct, rename="camel", kw_only=True):
    """How far the server is; the seqs count fixes in the order in which they were stored."""

    version: str
    head_seq: Count
    visible_seq: Count
    sealed_seq: Count
    bytes_on_disk: Count
    orgs: Count
    vehicles: Count
    devices: Count


class StatusAnswer(msgspec.Struct):
    """How far the server is."""

    data: Status


async def get_status(call: Call) -> Answer:
    """How far the server is."""
    status, live = await call.context.store.status(), call.context.live
    data = Status(
        version=version("odograph"),
        head_seq=status.head,
        visible_seq=live.stretch.head,
        sealed_seq=status.sealed_through,
        bytes_on_disk=status.bytes_on_disk,
        orgs=len(live.directory.orgs),
        vehicles=len(live.directory.assets),
        devices=len(live.directory.devices),
    )
    return Answer(to_json(StatusAnswer(data)))


class OperationResource:
    """Status."""

    name = "Operation"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        return (
            Endpoint(
                "GET", "/odograph/status", None, get_status, "How far the server is",
                answers=StatusAnswer, is_extension=True, operator_only=True,
            ),
        )  # fmt: skip


RESOURCE = OperationResource()
