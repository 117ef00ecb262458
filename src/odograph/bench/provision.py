"""An org, its vehicles with devices and keys, and a token, made through the control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from odograph.bench.readers import checked
from odograph.model.ids import ASSET_ID_BASE

if TYPE_CHECKING:
    from odograph.bench.install import Install

_AT_ONCE: Final = 5_000  # rows an import, well below the API's longest body


class _Line(msgspec.Struct):
    id: str
    key: str


class _Lines(msgspec.Struct):
    lines: list[_Line]


class _Imported(msgspec.Struct):
    data: _Lines


class _Made(msgspec.Struct):
    token: str = ""


class _One(msgspec.Struct):
    data: _Made


async def provision(install: Install, vehicles: int) -> None:
    """Fill `install` with an org of `vehicles` vehicles, their keys and a token that may read."""
    operator = install.operator()
    checked(await operator.send("POST", "/odograph/orgs", b'{"name":"bench"}'))
    answer = checked(await operator.send("POST", "/odograph/tokens", b'{"name":"bench"}'))
    install.token = msgspec.json.decode(answer.body, type=_One).data.token
    for first in range(0, vehicles, _AT_ONCE):
        numbers = range(first, min(vehicles, first + _AT_ONCE))
        sheet = "name,device_id\n" + "".join(f"Bench {number},bench-{number}\n" for number in numbers)
        answer = checked(await operator.send("POST", "/odograph/vehicles/import", sheet.encode(), "text/csv"))
        lines = msgspec.json.decode(answer.body, type=_Imported).data.lines
        install.keys += [line.key for line in lines]
        install.assets += [int(line.id) - ASSET_ID_BASE for line in lines]
    operator.close()
