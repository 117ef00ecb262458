"""Reads what a request brings: query parameters as its endpoint documents them, and JSON bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar, assert_never
from urllib.parse import parse_qsl

import msgspec
import msgspec.inspect

from odograph.api import problems
from odograph.api.resources.base import Param
from odograph.errors import Refusal, invalid
from odograph.model.ids import RecordId

MAX_IDS: Final = 2000  # over all filters of a request, as the vendor documents
_MAX_FIELDS: Final = 2 * MAX_IDS  # repeated parameters, one id each, and room for the rest
MAX_PAGE: Final = 512

AFTER: Final = Param("after", "string", "The `endCursor` of the page before. Absent or empty: from the start.")
LIMIT: Final = Param("limit", "int", "Objects a page.", minimum=1, maximum=MAX_PAGE)
TAG_IDS: Final = Param("tagIds", "csv", "Only what carries one of these tags directly.")
PARENT_TAG_IDS: Final = Param("parentTagIds", "csv", "Only what carries one of these tags or a descendant of one.")
VEHICLE_IDS: Final = Param("vehicleIds", "csv", "Only these vehicles: ids, or external ids as `key:value`.")

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+\- ])(\d\d):?(\d\d))", re.ASCII
)
_LONGEST_TIME: Final = 64  # the standard names no end of a fraction; nobody's clock writes that many digits
_INTEGER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str, *, rounds_up: bool = False) -> int | None:
    """Epoch milliseconds of an RFC 3339 time; None if it is not one. Finer fractions are cut, or rounded up.

    A blank stands for the `+` of an offset, which is what an unescaped one becomes in a URL.
    """
    match = _TIME.fullmatch(text.strip()) if len(text) <= _LONGEST_TIME else None
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, offset_h, offset_min = match.groups()[6:]
    is_leap = second == 60  # a leap second is the first instant of the next minute here, as on most clocks
    try:
        moment = datetime(year, month, day, hour, minute, second - is_leap, tzinfo=UTC)
    except ValueError:
        return None
    offset_s = 0
    if sign:
        if int(offset_h) > 23 or int(offset_min) > 59:
            return None
        offset_s = (int(offset_h) * 3600 + int(offset_min) * 60) * (-1 if sign == "-" else 1)
    since = moment - _EPOCH
    seconds = since.days * 86400 + since.seconds + is_leap - offset_s
    fraction = (fraction or "") + "000"
    return seconds * 1000 + int(fraction[:3]) + (rounds_up and fraction[3:].strip("0") != "")


def read_time(field: str, text: str) -> int:
    """Epoch milliseconds of a body's RFC 3339 time, never 0, which stands for none. INVALID names the field."""
    time_ms = parse_time(text)
    if time_ms is None:
        raise invalid(f"Field '{field}' must be an RFC 3339 time with a zone, such as 2031-01-01T00:00:00Z.")
    return max(time_ms, 1)


def parse_record_id(text: str) -> RecordId | None:
    """A catalogue object's id; None where the text can't be one."""
    return RecordId(int(text)) if text.isascii() and text.isdigit() and len(text) <= 18 else None


class Query:
    """The query string of one request, read by the `Param` that documents each parameter.

    Empty values count as absent; unknown parameters are never looked at. Every method raises
    Refusal(INVALID) with the parameter's name, and Problem 414 for more than MAX_IDS ids in all.
    """

    __slots__ = ("_bracketed", "_csv", "_values")

    def __init__(self, raw: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        self._csv: dict[str, tuple[str, ...]] = {}
        self._bracketed: list[str] = []
        if raw:
            self._parse(raw)

    def _parse(self, raw: bytes) -> None:
        if raw.count(b"&") >= _MAX_FIELDS:
            raise problems.too_many_ids(MAX_IDS)
        try:
            pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            raise invalid("The query string is not valid UTF-8.") from None
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)
            if "[" in name:
                self._bracketed.append(name)

    def check(self, params: Sequence[Param]) -> None:
        """Refuse what the endpoint's documented parameters do not allow, before its handler runs."""
        if not self._values and not any(param.required for param in params):
            return
        for param in params:
            self._check(param)

    def _check(self, param: Param) -> None:
        match param.kind:
            case "string":
                self.text(param)
            case "csv":
                self.csv(param)
            case "time":
                self.time_ms(param)
            case "int":
                self.integer(param, 0)
            case "bool":
                self.boolean(param)
            case _:
                assert_never(param.kind)

    def text(self, param: Param) -> str | None:
        """One string. Given twice it must be the same."""
        values = [value for value in self._all(param) if value]
        if not values:
            if param.required:
                raise invalid(f"Parameter '{param.name}' is required.")
            return None
        if values.count(values[0]) != len(values):
            raise invalid(f"Parameter '{param.name}' is given more than once, with different values.")
        if param.values and values[0] not in param.values:
            raise invalid(f"Parameter '{param.name}' must be one of: {', '.join(param.values)}.")
        return values[0]

    def csv(self, param: Param) -> tuple[str, ...]:
        """Distinct items in the order given, however the list was written: commas, repeats, or both."""
        known = self._csv.get(param.name)
        if known is not None:
            return known
        parts = (item.strip() for value in self._all(param) for item in value.split(","))
        items = self._csv[param.name] = tuple(dict.fromkeys(item for item in parts if item))
        if sum(map(len, self._csv.values())) > MAX_IDS:
            raise problems.too_many_ids(MAX_IDS)
        if param.required and not items:
            raise invalid(f"Parameter '{param.name}' is required.")
        for item in items if param.values else ():
            if item not in param.values:
                raise invalid(f"Parameter '{param.name}' must hold only: {', '.join(param.values)}.")
        return items

    def time_ms(self, param: Param) -> int | None:
        """An RFC 3339 time as epoch milliseconds, rounded up where the parameter is a bound."""
        text = self.text(param)
        if text is None:
            return None
        time_ms = parse_time(text, rounds_up=param.is_bound)
        if time_ms is None:
            raise invalid(
                f"Parameter '{param.name}' must be an RFC 3339 time with a zone, such as 2024-05-01T10:00:00Z."
            )
        return time_ms

    def required_time_ms(self, param: Param) -> int:
        """`time_ms` of a parameter that must be there."""
        time_ms = self.time_ms(param)
        if time_ms is None:
            raise invalid(f"Parameter '{param.name}' is required.")
        return time_ms

    def integer(self, param: Param, default: int) -> int:
        """A whole number within the documented range."""
        text = self.text(param)
        if text is None:
            return default
        number = int(text) if _INTEGER.fullmatch(text) else None
        low, high = param.minimum, param.maximum
        if number is None or (low is not None and number < low) or (high is not None and number > high):
            raise invalid(f"Parameter '{param.name}' must be a whole number{_range(low, high)}.")
        return number

    def boolean(self, param: Param, default: bool = False) -> bool:
        """`true` or `false`, in whatever case."""
        text = self.text(param)
        if text is None:
            return default
        if text.lower() not in ("true", "false"):
            raise invalid(f"Parameter '{param.name}' must be true or false.")
        return text.lower() == "true"

    def _all(self, param: Param) -> list[str]:
        if self._bracketed and any(name.startswith(param.name + "[") for name in self._bracketed):
            raise invalid(
                f"Parameter '{param.name}' must not carry brackets: write {param.name}=a,b "
                f"or {param.name}=a&{param.name}=b."
            )
        return self._values.get(param.name, [])


def _range(low: int | None, high: int | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f", {low} or more"
    return f" between {low} and {high}" if low is not None else f", {high} or less"


Body = TypeVar("Body", bound=msgspec.Struct)


def read_new(
    body: bytes,
    shape: type[Body],
    without: Container[str] = (),
    otherwise: Mapping[str, object] = MappingProxyType({}),
) -> Body:
    """The JSON body of a POST or PUT; null counts as absent, unknown fields and those of `without` are ignored.

    `otherwise` says what fields are that are not given.
    """
    given = {**otherwise, **_decode(body, _drop_nulls)}
    return _convert({name: value for name, value in given.items() if name not in without}, shape)


def read_patch(body: bytes, shape: type[Body]) -> Body:
    """The JSON body of a PATCH, a merge patch: absent keeps (UNSET), null removes (None)."""
    return _convert(_decode(body, lambda value: value), shape)


def _decode(body: bytes, prepare: Callable[[Any], Any]) -> dict[str, Any]:
    try:
        value = prepare(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise invalid(f"The request body is not valid JSON: {reason}.") from None
    if not isinstance(value, dict):
        raise invalid("The request body must be a JSON object.")
    return value


def _drop_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_drop_nulls(item) for item in value]
    return value


def _convert(value: Any, shape: type[Body]) -> Body:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise _named(str(error), shape) from None


def _named(text: str, shape: type[msgspec.Struct]) -> Refusal:
    """Say which field it was, msgspec ends its message with a path, and of a few words which are allowed."""
    missing = re.fullmatch(r"Object missing required field `([^`]+)`(?: - at `\$\.?(.*)`)?", text)
    if missing:
        return invalid(f"Field '{'.'.join(filter(None, (missing[2], missing[1])))}' is required.")
    what, _, path = text.partition(" - at `$")
    what = re.sub(r"`([^`]*)`", lambda match: _plain(match[1]), what)
    name = path.rstrip("`").lstrip(".")
    if what.startswith("Invalid enum value"):
        allowed = dict.fromkeys(_allowed(msgspec.inspect.type_info(shape), name.replace("[", ".[").split(".")))
        what = f"{what}; allowed: {', '.join(allowed)}"
    return invalid(f"Field '{name}': {what[0].lower()}{what[1:]}." if name else f"{what}.")


def _allowed(kind: msgspec.inspect.Type, steps: Sequence[str]) -> Iterator[str]:
    """The words that are allowed at the end of a path."""
    match kind:
        case msgspec.inspect.UnionType():
            for one in kind.types:
                yield from _allowed(one, steps)
        case msgspec.inspect.LiteralType() if not steps:
            yield from map(str, kind.values)
        case msgspec.inspect.ListType() if steps:
            yield from _allowed(kind.item_type, steps[1:])
        case msgspec.inspect.StructType() if steps:
            for field in kind.fields:
                if field.encode_name == steps[0]:
                    yield from _allowed(field.type, steps[1:])


_WORDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def _plain(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))
