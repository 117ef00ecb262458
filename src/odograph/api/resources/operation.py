"""`/odograph/status` and `/odograph/backup`: the server itself, for its operator alone."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from odograph.api.params import read_new
from odograph.api.resources.base import Answer, Call, Endpoint
from odograph.api.wire import Count, to_json
from odograph.errors import invalid


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


class NewBackup(msgspec.Struct, kw_only=True):
    """Where to put a copy of everything: a directory that does not exist, on the server's machine."""

    directory: str


class Backup(msgspec.Struct):
    """A finished copy."""

    bytes: Count


class BackupAnswer(msgspec.Struct):
    """A finished copy."""

    data: Backup


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


async def make_backup(call: Call) -> Answer:
    """Copy everything while serving goes on; answers when the copy is whole."""
    directory = read_new(call.body, NewBackup).directory
    if not Path(directory).is_absolute():
        raise invalid("Field 'directory' must be an absolute path on the server's machine.")
    return Answer(to_json(BackupAnswer(Backup(await call.context.store.backup(directory)))))


class OperationResource:
    """Status and backup."""

    name = "Operation"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        return (
            Endpoint(
                "GET", "/odograph/status", None, get_status, "How far the server is",
                answers=StatusAnswer, is_extension=True, operator_only=True,
            ),
            Endpoint(
                "POST", "/odograph/backup", None, make_backup, "Copy everything to a new directory",
                takes=NewBackup, answers=BackupAnswer, is_extension=True, operator_only=True,
            ),
        )  # fmt: skip


RESOURCE = OperationResource()
