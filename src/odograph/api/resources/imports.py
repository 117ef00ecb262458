"""`/odograph/vehicles/import`: a list of vehicles as people keep them, in one commit or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from odograph.api.resources.base import Answer, Call, Endpoint, Limit, Param
from odograph.api.wire import Count, to_json
from odograph.catalog import bulk
from odograph.catalog.sheets import parse_rows
from odograph.errors import forbidden
from odograph.model.access import Scope

_DRY_RUN: Final = Param("dryRun", "bool", "Whether only to say what would happen.")
_MAKES_TAGS: Final = Param("makeTags", "bool", "Whether to make tags that don't exist, instead of refusing.")


class ImportedLine(msgspec.Struct, rename="camel", kw_only=True):
    """What became of one row; `action` is create, update, keep or refuse. `key` is shown this once."""

    line: Count
    action: str
    name: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    device_id: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class ImportResult(msgspec.Struct, rename="camel", kw_only=True):
    """One line for each row. With a single row refused, or in a dry run, nothing was written."""

    is_written: bool
    lines: list[ImportedLine]
    new_tags: list[str]


class ImportAnswer(msgspec.Struct, kw_only=True):
    """What became of the list."""

    data: ImportResult


async def import_vehicles(call: Call) -> Answer:
    """Make or change a vehicle for each row of a CSV file."""
    if call.principal.tag_ids is not None:
        raise forbidden("This API token is limited to tags, so it can't import vehicles.")
    if Scope.WRITE_ASSETS not in call.principal.scopes:
        raise forbidden(f"This API token lacks the scope '{Scope.WRITE_ASSETS.label}', which an import needs too.")
    imported = await bulk.import_rows(
        call.context.catalog,
        call.principal.org,
        parse_rows(call.body),
        dry_run=call.query.boolean(_DRY_RUN),
        makes_tags=call.query.boolean(_MAKES_TAGS),
    )
    result = ImportResult(
        is_written=imported.is_written,
        lines=[_line(line) for line in imported.lines],
        new_tags=imported.new_tags,
    )
    return Answer(to_json(ImportAnswer(data=result)))


def _line(line: bulk.Line) -> ImportedLine:
    return ImportedLine(
        line=line.line,
        action=line.action,
        name=line.name or UNSET,
        id=line.id or UNSET,
        device_id=line.device_id or UNSET,
        key=line.key or UNSET,
        error=line.error or UNSET,
    )


class ImportsResource:
    """One call."""

    name = "Import"

    def endpoints(self) -> Sequence[Endpoint]:
        """Everything it serves."""
        return (
            Endpoint(
                "POST", "/odograph/vehicles/import", Scope.WRITE_DEVICES, import_vehicles,
                "Import vehicles and their devices from a CSV list",
                params=(_DRY_RUN, _MAKES_TAGS), consumes="text/csv", answers=ImportAnswer, limit=Limit(30, 60),
                is_extension=True,
            ),
        )  # fmt: skip


RESOURCE = ImportsResource()
