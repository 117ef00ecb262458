"""Writes web/src/lib/wire.ts from `odograph.sharing.page`; a test compares the two."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec.inspect import (
    BoolType,
    DictType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    type_info,
)

from odograph.sharing import page

TARGET: Final = Path(__file__).parents[1] / "web" / "src" / "lib" / "wire.ts"
HEAD: Final = "// Made by tools/page_types.py from odograph/sharing/page.py, which says what each field means.\n"
_ABSENT: Final = (NODEFAULT, UNSET)
_SIMPLE: Final[dict[type[Type], str]] = {
    BoolType: "boolean",
    IntType: "number",
    FloatType: "number",
    StrType: "string",
}


def types() -> str:
    """The whole file."""
    return HEAD + "".join(map(_interface, _structs()))


def _structs() -> Iterator[type[msgspec.Struct]]:
    """Every struct of the module, in the order in which it is written."""
    for value in vars(page).values():
        if inspect.isclass(value) and issubclass(value, msgspec.Struct) and value.__module__ == page.__name__:
            yield value


def _interface(struct: type[msgspec.Struct]) -> str:
    info = type_info(struct)
    assert isinstance(info, StructType)
    lines = (f"  {field.encode_name}{_mark(field)}: {_spelled(field.type)};\n" for field in info.fields)
    return f"\nexport interface {struct.__name__} {{\n{''.join(lines)}}}\n"


def _mark(field: msgspec.inspect.Field) -> str:
    """Marks what may be left out. Other defaults are sent, so those fields are always there."""
    return "?" if not field.required and field.default_factory is NODEFAULT and field.default in _ABSENT else ""


def _spelled(kind: Type) -> str:
    simple = _SIMPLE.get(type(kind))
    return simple if simple is not None else _spelled_compound(kind)


def _spelled_compound(kind: Any) -> str:
    match kind:
        case StructType():
            return str(kind.cls.__name__)
        case LiteralType():
            return " | ".join(f'"{value}"' for value in kind.values)
        case TupleType():
            return f"[{', '.join(map(_spelled, kind.item_types))}]"
        case ListType():
            return f"{_spelled(kind.item_type)}[]"
        case DictType():
            return f"Record<{_spelled(kind.key_type)}, {_spelled(kind.value_type)}>"
        case UnionType():
            return " | ".join(map(_spelled, kind.types))
    raise TypeError(f"page.py uses {kind!r}, which this tool has no spelling for.")


if __name__ == "__main__":
    TARGET.write_text(types())
