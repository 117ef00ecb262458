"""A PMTiles 3 archive: tiles by their place, without a directory decoded again for each of them.

The root directory is decoded at the start, leaf directories when they are first needed; the last ones stay. So an
archive opens in milliseconds and keeps to a few megabytes, whether it holds a town or a continent.
"""

from __future__ import annotations

import hashlib
import os
import weakref
import zlib
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
from pmtiles.tile import (
    Compression,
    HeaderDict,
    TileType,
    deserialize_header,
    zxy_to_tileid,
)

from odograph.errors import Corrupt, Refusal, invalid
from odograph.tiles.directory import Directory, Entry, decode_directory

MAGIC: Final = b"PMTiles"
FORMAT: Final = 3
HEADER_BYTES: Final = 127
MAX_ZOOM: Final = 22  # a map is not enlarged further; the format would go to 31
MAX_UNPACKED: Final = 16 << 20  # of a directory or the metadata: many times what tools write
LEAVES_KEPT: Final = 64  # of 4,096 entries and 32 bytes each, as tools write them: 8 MB
_MAX_DEPTH: Final = 3  # directories from the root to a tile, as the format has it
_VERSION_CHARACTERS: Final = 12  # 48 bits: two archives of one name never share a version by chance
_PIECE: Final = 1 << 20
_GZIP_WINDOW: Final = 31  # zlib's way to say that there is a gzip header
_PROTOMAPS_LAYERS: Final = frozenset({"earth", "water", "roads"})

Schema = Literal["protomaps"]


class TileKind(Enum):
    """What a tile is. Each with the content type that it is served as."""

    MVT = "application/vnd.mapbox-vector-tile"
    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"


_KINDS: Final = {
    TileType.MVT: TileKind.MVT,
    TileType.PNG: TileKind.PNG,
    TileType.JPEG: TileKind.JPEG,
    TileType.WEBP: TileKind.WEBP,
}


class Bounds(NamedTuple):
    """In degrees."""

    west: float
    south: float
    east: float
    north: float


class _Layer(msgspec.Struct):
    id: str


class _Metadata(msgspec.Struct):
    attribution: str = ""
    vector_layers: list[_Layer] = []


class _File:
    """Bytes of a file that stays open as long as somebody holds this, also where its name is gone.

    Read and not mapped: who copies over the file in place cuts it short under us, and a mapping would then end the
    process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)
        self.size = os.fstat(self._handle).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Corrupt where there is less."""
        data = os.pread(self._handle, length, offset)
        if len(data) < length:
            raise Corrupt(f"{self.path}: it ends within the {length} bytes from {offset} on")
        return data


class Archive:
    """One open archive."""

    def __init__(self, file: _File, header: HeaderDict) -> None:
        self.path = file.path
        self.kind = _KINDS[header["tile_type"]]
        self.is_gzipped = header["tile_compression"] is Compression.GZIP
        self.min_zoom, self.max_zoom = header["min_zoom"], header["max_zoom"]
        self.bounds = _bounds(header)
        self._file = file
        self._header = header
        unpack = partial(_unpack, is_gzipped=header["internal_compression"] is Compression.GZIP)
        packed_root = file.read(header["root_offset"], header["root_length"])
        packed_metadata = file.read(header["metadata_offset"], header["metadata_length"])
        metadata = msgspec.json.decode(unpack(packed_metadata), type=_Metadata) if packed_metadata else _Metadata()
        self.attribution = metadata.attribution
        """Who must be named, as HTML of whoever made the archive: never to be shown as it is."""
        self.layers = frozenset(layer.id for layer in metadata.vector_layers)
        """Of vector tiles, as the metadata has them."""
        self.version = _version(file, header, packed_root, packed_metadata)
        """For URLs: another one where the archive is another one, the same wherever it was copied to."""
        self._root = decode_directory(unpack(packed_root))
        read = partial(_read_leaf, file, header, unpack)
        self._leaf: Callable[[int, int], Directory] = lru_cache(LEAVES_KEPT)(read)  # holds the file and not us

    @classmethod
    def open(cls, path: Path) -> Archive:
        """INVALID, naming the file, where it is no archive that can be served; OSError where it can't be read."""
        file = _File(path)
        if file.size < HEADER_BYTES:
            raise invalid(f"{path} is not a PMTiles archive: {file.size} bytes are too few.")
        first = file.read(0, HEADER_BYTES)
        if not first.startswith(MAGIC):
            raise invalid(f"{path} is not a PMTiles archive: it begins with something else.")
        if first[len(MAGIC)] != FORMAT:
            raise invalid(f"{path} is PMTiles of version {first[len(MAGIC)]}; version {FORMAT} is served.")
        try:
            header = deserialize_header(first)
            _check_header(header, file.size)
            return cls(file, header)
        except (ValueError, zlib.error, msgspec.MsgspecError) as error:
            raise invalid(f"{path} is a damaged PMTiles archive: {error}.") from error
        except Corrupt as damage:
            raise invalid(f"{damage}.") from damage
        except Refusal as refusal:
            raise invalid(f"{path} can't be served: {refusal.message}") from None

    @property
    def schema(self) -> Schema | None:
        """Which known meaning the layers of vector tiles have."""
        is_known = self.kind is TileKind.MVT and self.layers >= _PROTOMAPS_LAYERS
        return "protomaps" if is_known else None

    def may_hold(self, z: int, x: int, y: int) -> bool:
        """Whether there is such a place within the zooms of the archive."""
        return self.min_zoom <= z <= self.max_zoom and 0 <= x < 1 << z and 0 <= y < 1 << z

    def get(self, z: int, x: int, y: int) -> bytes | None:
        """A tile as it is stored. Corrupt where the file turns out to be damaged there."""
        if not self.may_hold(z, x, y):
            return None
        tile_id = zxy_to_tileid(z, x, y)
        directory = self._root
        for _ in range(_MAX_DEPTH):
            entry = directory.find(tile_id)
            if entry is None:
                return None
            if entry.run_length:
                return self.read(entry)
            directory = self._leaf(entry.offset, entry.length)
        raise Corrupt(f"{self.path}: the directories of tile {z}/{x}/{y} go on without an end")

    def entries(self) -> Iterator[Entry]:
        """Each tile of the archive in the order of ids. Corrupt where a directory is damaged."""
        yield from self._entries(self._root, 1)

    def _entries(self, directory: Directory, depth: int) -> Iterator[Entry]:
        for index in range(len(directory)):
            entry = directory.entry(index)
            if entry.run_length:
                yield entry
            elif depth < _MAX_DEPTH:
                yield from self._entries(self._leaf(entry.offset, entry.length), depth + 1)
            else:
                raise Corrupt(f"{self.path}: the directories of tile id {entry.tile_id} go on without an end")

    def read(self, entry: Entry) -> bytes:
        """The bytes of a tile. Corrupt where they would lie outside of the file's tiles."""
        if entry.offset + entry.length > self._header["tile_data_length"]:
            raise Corrupt(f"{self.path}: the tile of id {entry.tile_id} lies behind the end of all tiles")
        return self._file.read(self._header["tile_data_offset"] + entry.offset, entry.length)


def _bounds(header: HeaderDict) -> Bounds:
    """Sorted and within the world, whatever the header says: the map would refuse to start with others."""
    west, east = sorted(min(max(header[edge] / 1e7, -180.0), 180.0) for edge in ("min_lon_e7", "max_lon_e7"))
    south, north = sorted(min(max(header[edge] / 1e7, -90.0), 90.0) for edge in ("min_lat_e7", "max_lat_e7"))
    return Bounds(west, south, east, north)


def _check_header(header: HeaderDict, size: int) -> None:
    """INVALID without the file's name, which the caller puts before it."""
    end = max(
        header["root_offset"] + header["root_length"],
        header["metadata_offset"] + header["metadata_length"],
        header["leaf_directory_offset"] + header["leaf_directory_length"],
        header["tile_data_offset"] + header["tile_data_length"],
    )
    if end > size:
        raise invalid(f"it ends at byte {size}, and should go on to {end}.")
    if max(header["root_length"], header["metadata_length"]) > MAX_UNPACKED:
        raise invalid(f"its directory or its metadata is larger than {MAX_UNPACKED} bytes.")
    if header["tile_type"] not in _KINDS:
        raise invalid(f"its tiles are {header['tile_type'].name}; MVT, PNG, JPEG and WEBP are served.")
    for compression in (header["tile_compression"], header["internal_compression"]):
        if compression not in {Compression.NONE, Compression.GZIP}:
            raise invalid(f"it is compressed with {compression.name}; GZIP or nothing is served.")
    if not header["min_zoom"] <= header["max_zoom"] <= MAX_ZOOM:
        raise invalid(f"its zooms are {header['min_zoom']} to {header['max_zoom']}; 0 to {MAX_ZOOM} are served.")


def _version(file: _File, header: HeaderDict, *parts: bytes) -> str:
    """From all but the tiles: the directories hold the length of each, and no two builds agree in all of them."""
    digest = hashlib.sha256(file.read(0, HEADER_BYTES))
    for part in parts:
        digest.update(part)
    start, length = header["leaf_directory_offset"], header["leaf_directory_length"]
    for offset in range(0, length, _PIECE):
        digest.update(file.read(start + offset, min(_PIECE, length - offset)))
    return digest.hexdigest()[:_VERSION_CHARACTERS]


def _unpack(data: bytes, *, is_gzipped: bool) -> bytes:
    """ValueError where that is more than anybody means; zlib.error for damage."""
    if not is_gzipped:
        return data
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    unpacked = unpacker.decompress(data, MAX_UNPACKED)
    if not unpacker.eof:
        raise ValueError(f"{len(data)} bytes are cut short, or more than {MAX_UNPACKED} when unpacked")
    return unpacked


def _read_leaf(
    file: _File, header: HeaderDict, unpack: Callable[[bytes], bytes], offset: int, length: int
) -> Directory:
    if offset + length > header["leaf_directory_length"]:
        raise Corrupt(f"{file.path}: the directory at {offset} lies behind the end of all directories")
    start = header["leaf_directory_offset"] + offset
    try:
        return decode_directory(unpack(file.read(start, length)))
    except (ValueError, zlib.error) as error:
        raise Corrupt(f"{file.path}: the directory at byte {start} can't be read: {error}") from error
