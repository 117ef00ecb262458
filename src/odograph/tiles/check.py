"""Whether an archive can be shown: looked at before it is taken, so that no viewer meets what is wrong with it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from odograph.errors import Corrupt, invalid
from odograph.tiles.archive import Archive, TileKind
from odograph.tiles.directory import Entry

SAMPLES: Final = 200  # tiles that are decoded, spread evenly; of all others only the directory is read
MAX_TILE: Final = 16 << 20  # unpacked; tools write tiles of half a megabyte at most
_LAYER, _NAME, _BYTES = 3, 1, 2  # protobuf: field 3 of a tile is a layer, field 1 of a layer its name; wire type 2
_WIDTHS: Final = {1: 8, 5: 4}  # bytes of the wire types of a fixed width
_STARTS: Final = {
    TileKind.PNG: (b"\x89PNG\r\n\x1a\n",),
    TileKind.JPEG: (b"\xff\xd8\xff",),
    TileKind.WEBP: (b"RIFF",),
}


def check(archive: Archive) -> None:
    """INVALID, naming the file, unless every tile lies in it and a sample of them can be read."""
    try:
        count = _check_directories(archive)
        step = max(count // SAMPLES, 1)
        for number, entry in enumerate(archive.entries()):
            if number % step == 0 or number == count - 1:
                _check_tile(archive, entry)
    except Corrupt as damage:
        raise invalid(f"{damage}.") from damage


def _check_directories(archive: Archive) -> int:
    """How many entries there are."""
    count, end = 0, -1
    for entry in archive.entries():
        if entry.tile_id < end:
            raise invalid(f"{archive.path}: its directory has tile id {entry.tile_id} twice or out of order.")
        count, end = count + 1, entry.tile_id + entry.run_length
    if not count:
        raise invalid(f"{archive.path} holds no tile.")
    return count


def _check_tile(archive: Archive, entry: Entry) -> None:
    data = archive.read(entry)
    try:
        if archive.is_gzipped:
            data = _unpacked(data)
        if archive.kind is TileKind.MVT:
            layer_names(data)
        elif not data.startswith(_STARTS[archive.kind]):
            raise ValueError(f"it is not {archive.kind.name}")
    except (ValueError, zlib.error) as error:
        raise invalid(f"{archive.path}: the tile of id {entry.tile_id} can't be read: {error}.") from error


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(31)  # with a gzip header
    unpacked = unpacker.decompress(data, MAX_TILE)
    if not unpacker.eof:
        raise ValueError(f"it is cut short, or longer than {MAX_TILE} bytes")
    return unpacked


def layer_names(tile: bytes) -> list[str]:
    """Of a vector tile, uncompressed. ValueError where it is none."""
    return [
        name.decode()
        for field, layer in _fields(tile)
        if field == _LAYER
        for number, name in _fields(layer)
        if number == _NAME
    ]


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and content of each field of a protobuf message that has a length; others are passed over."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
            continue
        length, at = _varint(data, at) if kind == _BYTES else (_WIDTHS.get(kind, len(data) + 1), at)
        if at + length > len(data):
            raise ValueError("it is not a vector tile, or cut short")
        if kind == _BYTES:
            yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("it is cut short within a number")
