"""Many vehicles at once: each row finds its vehicle or makes one; all in one commit, or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from odograph.catalog import fields as check
from odograph.catalog.assets import AssetFields, changed_body, new_body, number_assets
from odograph.catalog.changes import Catalog, Plan, put, take_numbers
from odograph.catalog.devices import check_device_id, fresh_body
from odograph.catalog.secrets import new_key
from odograph.catalog.sheets import Row
from odograph.catalog.tags import MAX_TAGS
from odograph.errors import Refusal, invalid
from odograph.live.directory import Directory
from odograph.live.entity import Entity
from odograph.model.catalog import Asset, Device, Tag
from odograph.model.ids import MAX_ASSETS, AssetId, OrgId, render_asset_id
from odograph.store.base import Change

_TEXTS: Final = ("name", "license_plate", "vin", "serial", "make", "model", "notes")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one row. `key` is that of its new device, shown this once; empty in a dry run."""

    line: int
    action: Literal["create", "update", "keep", "refuse"]
    name: str = ""
    id: str = ""
    device_id: str = ""
    key: str = ""
    error: str = ""


class Imported(msgspec.Struct, frozen=True):
    """One Line for each row, in order. Nothing was written unless `is_written`."""

    lines: list[Line]
    new_tags: list[str]
    is_written: bool


async def import_rows(
    catalog: Catalog, org: OrgId, rows: Sequence[Row], *, dry_run: bool = False, makes_tags: bool = False
) -> Imported:
    """Make or change a vehicle for each row.

    A row's vehicle is the one with its external id, VIN, serial, device id or plate, else with its name. Fields
    that are given replace; external ids are added; tags are replaced. A new vehicle gets a device with a key, and
    so does a vehicle whose row brings a device id that is new. With one row refused nothing is written. Tags that
    don't exist are refused, or made with `makes_tags`.
    """

    def plan() -> Plan[Imported]:
        sheet = _Sheet(catalog, org, makes_tags=makes_tags)
        lines = [sheet.read(row) for row in rows]
        is_refused = any(line.action == "refuse" for line in lines)
        if dry_run or is_refused:
            lines = [msgspec.structs.replace(line, key="") for line in lines]
            lines = [_without_new_id(line) for line in lines]
            return Plan([], lambda _: Imported(lines, list(sheet.new_tags), is_written=False))
        changes = sheet.all_changes()
        return Plan(changes, lambda _: Imported(lines, list(sheet.new_tags), is_written=True))

    return await catalog.change(plan)


def _without_new_id(line: Line) -> Line:
    """The number was not taken, so another vehicle may get it."""
    return msgspec.structs.replace(line, id="") if line.action == "create" else line


class _Sheet:
    """The plan as it grows, row by row."""

    def __init__(self, catalog: Catalog, org: OrgId, *, makes_tags: bool) -> None:
        self.new_tags: dict[str, int] = {}
        self._catalog = catalog
        self._directory: Directory = catalog.directory
        self._org = org
        self._makes_tags = makes_tags
        self._next_asset = number_assets(self._directory, 0)[0].start
        self._next_tag = take_numbers(self._directory, "tags", 0, MAX_TAGS)[0].start
        self._new_assets = 0
        self._changes: list[Change] = []
        self._taken: dict[str, int] = {}
        self._named: dict[str, int] = {}
        self._plates: dict[str, list[Entity[Asset]]] = defaultdict(list)
        self._names: dict[str, list[Entity[Asset]]] = defaultdict(list)
        self._tags = {tag.body.name.casefold(): tag.body.number for tag in self._directory.tags.list_(org)}
        for asset in self._directory.assets.list_(org):
            self._names[asset.body.name.casefold()].append(asset)
            self._plates[_plain(asset.body.license_plate)].append(asset)

    def read(self, row: Row) -> Line:
        """Plan one row. Once a row is refused nothing of the sheet will be written."""
        try:
            return self._plan(row)
        except Refusal as refusal:
            return Line(line=row.line, action="refuse", name=row.name, error=refusal.message)

    def all_changes(self) -> list[Change]:
        """Everything in one commit: vehicles, devices, new tags and the numbers they took."""
        changes = list(self._changes)
        for name, number in self.new_tags.items():
            changes.append(put(None, self._org, Tag(number, name)))
        if self.new_tags:
            changes.append(take_numbers(self._directory, "tags", len(self.new_tags), MAX_TAGS)[1])
        if self._new_assets:
            changes.append(number_assets(self._directory, self._new_assets)[1])
        return changes

    def _plan(self, row: Row) -> Line:
        if row.error:
            raise invalid(row.error)
        pairs = _pairs(row)
        old = self._find(row, pairs)
        self._take(row, old)
        body = self._body(row, pairs, old)
        device, key = self._device(row, body, is_new=old is None)
        changes = [] if old is not None and body == old.body else [put(old, self._org, body)]
        if device is not None:
            changes.append(device)
        self._changes += changes
        if old is None:
            self._new_assets += 1
        return Line(
            line=row.line,
            action="create" if old is None else "update" if changes else "keep",
            name=body.name,
            id=render_asset_id(AssetId(body.number)),
            device_id=row.device_id,
            key=key,
        )

    def _find(self, row: Row, pairs: dict[str, str]) -> Entity[Asset] | None:
        """The vehicle that a row means, None for a new one; INVALID where it means two."""
        meant: dict[int, tuple[str, Entity[Asset]]] = {}
        for column, asset in self._hints(row, pairs):
            meant.setdefault(asset.body.number, (column, asset))
        if not meant and row.name:
            for asset in self._names.get(row.name.casefold(), ()):
                meant.setdefault(asset.body.number, ("name", asset))
        if len(meant) > 1:
            (column, one), (other_column, other) = list(meant.values())[:2]
            raise invalid(
                f"{column} means {one.body.name!r} ({render_asset_id(AssetId(one.body.number))}), {other_column} "
                f"means {other.body.name!r} ({render_asset_id(AssetId(other.body.number))}); a row must mean one."
            )
        return next((asset for _, asset in meant.values()), None)

    def _hints(self, row: Row, pairs: dict[str, str]) -> Iterator[tuple[str, Entity[Asset]]]:
        assets = self._directory.assets
        named = [("externalIds", f"{key}:{value}") for key, value in pairs.items()]
        named += [("vin", f"samsara.vin:{row.vin}")] if row.vin else []
        named += [("serial", f"samsara.serial:{row.serial}")] if row.serial else []
        for column, text in named:
            if asset := assets.find_by_name(self._org, text):
                yield column, asset
        device = self._known_device(row)
        if device and (asset := assets.find_by_number(self._org, AssetId(device.body.asset_id))):
            yield "deviceId", asset
        if plate := _plain(row.license_plate):
            for asset in self._plates.get(plate, ()):
                yield "licensePlate", asset

    def _take(self, row: Row, old: Entity[Asset] | None) -> None:
        """No two rows may mean the same vehicle, nor bring the same mark for one.

        Marks are compared as `_find` compares them: else the rows would make two vehicles that no list can tell
        apart. For the same reason a row that is known by its name alone shares that name with no other.
        """
        texts = [f"externalIds {text}" for text in row.external_ids]
        texts += [f"vin {row.vin}"] if row.vin else []
        texts += [f"serial {row.serial}"] if row.serial else []
        texts += [f"deviceId {row.device_id}"] if row.device_id else []
        texts += [f"licensePlate {plate.upper()}"] if (plate := _plain(row.license_plate)) else []
        name = f"name {row.name.casefold()}"
        is_by_name = not texts
        if is_by_name:
            texts.append(name)
        if old is not None:
            texts.append(f"vehicle {old.body.name!r} ({render_asset_id(AssetId(old.body.number))})")
        for text in texts if is_by_name or not row.name else [*texts, name]:
            if text in self._taken:
                raise invalid(f"{text}: line {self._taken[text]} has it already; a vehicle may stand in one row.")
        if is_by_name and (line := self._named.get(name)):
            raise invalid(f"{name}: line {line} has it too; give this row a mark of its own, such as a plate.")
        self._taken.update(dict.fromkeys(texts, row.line))
        self._named[name] = row.line

    def _body(self, row: Row, pairs: dict[str, str], old: Entity[Asset] | None) -> Asset:
        given: dict[str, object] = {field: value for field in _TEXTS if (value := getattr(row, field))}
        if row.year:
            given["year"] = _year(row.year)
        if pairs:
            given["external_ids"] = pairs
        if old is None and "name" not in given and "serial" not in given and row.device_id:
            given["serial"] = row.device_id
        fields = msgspec.convert(given, AssetFields)
        if old is None:
            body = new_body(self._catalog, self._org, self._next_number(), fields)
        else:
            body = changed_body(self._catalog, self._org, old, fields)
        tag_ids = tuple(sorted({self._tag(text) for text in row.tags})) or body.tag_ids
        if tag_ids == body.tag_ids:
            return body
        now_ms = self._catalog.clock.now_ms()
        return msgspec.structs.replace(body.carrying(tag_ids, now_ms), updated_ms=now_ms)

    def _next_number(self) -> int:
        number = self._next_asset + self._new_assets
        if number >= MAX_ASSETS:
            raise invalid(
                f"row: this install holds at most {MAX_ASSETS - 1} vehicles; there is no room for this one."
            )
        return number

    def _tag(self, text: str) -> int:
        """The number of a tag by its name, else its id or `key:value`; a new one where that is wanted."""
        number = self._tags.get(text.casefold()) or self.new_tags.get(text)
        if number is not None:
            return number
        tag = self._directory.find_tag(self._org, text)
        if tag is not None:
            return tag.body.number
        if not self._makes_tags:
            raise invalid(f"tags: there is no tag {text[:60]!r}; make it first, or ask for tags to be made.")
        name = check.name("tags", text, check.MAX_TAG_NAME)
        self.new_tags[name] = self._next_tag
        self._next_tag += 1
        return self.new_tags[name]

    def _known_device(self, row: Row) -> Entity[Device] | None:
        return self._directory.devices.find_by_device_id(self._org, row.device_id) if row.device_id else None

    def _device(self, row: Row, body: Asset, *, is_new: bool) -> tuple[Change | None, str]:
        """What must change with the devices so that the row's own is mounted, and the key if it is new."""
        known = self._known_device(row)
        if known is not None:
            if known.body.is_forwarder:
                raise invalid(f"deviceId: {row.device_id!r} is a forwarder; it can't be mounted on a vehicle.")
            if known.body.asset_id == body.number:
                return None, ""
            mounted = msgspec.structs.replace(known.body, asset_id=body.number)
            return put(known, self._org, mounted), ""
        if not row.device_id and not is_new:
            return None, ""
        device_id = check_device_id(self._directory, self._org, row.device_id)
        key = new_key()
        now_ms = self._catalog.clock.now_ms()
        return put(None, self._org, fresh_body(body.name, body.number, now_ms, device_id=device_id, key=key)), key


def _pairs(row: Row) -> dict[str, str]:
    pairs = {}
    for text in row.external_ids:
        key, colon, value = text.partition(":")
        if not (colon and value):
            raise invalid(f"externalIds: {text[:60]!r} is not key:value.")
        pairs[key] = value
    return pairs


def _year(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        raise invalid(f"year: {text[:20]!r} is not a model year; four digits are allowed.")
    return int(text)


def _plain(plate: str) -> str:
    """A plate without what people write differently each time."""
    return "".join(char for char in plate.casefold() if char.isalnum())
