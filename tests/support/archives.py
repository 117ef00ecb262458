"""Small PMTiles archives, written by the format's own library, and the tiles in them."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

Place = tuple[int, int, int]
"""Zoom, column, row."""

STREETS = ("earth", "water", "roads", "buildings")
BERLIN: Place = (12, 2200, 1343)
PNG = b"\x89PNG\r\n\x1a\n"


def vector_tile(*layers: str) -> bytes:
    """A vector tile, packed, whose layers have a name each and a point."""
    return gzip.compress(b"".join(_field(3, _layer(name)) for name in layers), mtime=0)


def _layer(name: str) -> bytes:
    point = b"\x18\x01" + _field(4, bytes((9, 50, 34)))  # a point; its geometry is one move
    return b"\x78\x02" + _field(1, name.encode()) + _field(2, point) + b"\x28\x80\x20"  # version 2, extent 4096


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes((number << 3 | 2, len(content))) + content


def png_tile() -> bytes:
    """A picture of one pixel."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")


def make_archive(
    path: Path,
    tiles: Mapping[Place, bytes] | None = None,
    *,
    kind: TileType = TileType.MVT,
    layers: tuple[str, ...] = STREETS,
    attribution: str = "",
    **header: Any,
) -> Path:
    """An archive of vector tiles in the Protomaps schema around Berlin, unless told otherwise."""
    tiles = {BERLIN: vector_tile(*layers)} if tiles is None else tiles
    is_vector = kind is TileType.MVT
    metadata: dict[str, Any] = {"name": "A town", "attribution": attribution}
    if is_vector:
        metadata["vector_layers"] = [{"id": name, "fields": {}} for name in layers]
    full = {
        "tile_type": kind,
        "tile_compression": Compression.GZIP if is_vector else Compression.NONE,
        "min_lon_e7": 130_000_000,
        "min_lat_e7": 523_000_000,
        "max_lon_e7": 138_000_000,
        "max_lat_e7": 527_000_000,
        **header,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = Writer(file)
        for place, data in sorted(tiles.items(), key=lambda item: zxy_to_tileid(*item[0])):
            writer.write_tile(zxy_to_tileid(*place), data)
        writer.finalize(full, metadata)
    return path
