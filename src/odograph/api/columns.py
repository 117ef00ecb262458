"""Text of many numbers at once: matrices of characters, one number a row, in which 0 stands for no character.

The same texts as one by one (`wire.py`), for a tenth of the time. What numbers are made of is looked up: two or
four digits at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from odograph.api.wire import ENDINGS, number_text, number_texts

Table = npt.NDArray[np.uint8]
"""A text in each row, filled up with 0 to the longest."""
Column = tuple[Table, npt.NDArray[Any]]
"""A table, and which of its rows each fix has."""

_NOTHING: Final = (1 << 16) - 1  # the row of unknown numbers, behind those of every heading and speed to 655 km/h
_NUMBER: Final = 24  # characters of the longest
_ROWS: Final = 1024  # laid out at a time: some 250 kB, which stays in the processor's cache
_DAY_S: Final = 86_400


def table(texts: Iterable[str]) -> Table:
    """A row a text."""
    return table_of([text.encode() for text in texts])


def table_of(texts: Sequence[bytes]) -> Table:
    """The same of texts that are bytes already."""
    rows = np.array(texts)
    return rows.view(np.uint8).reshape(len(rows), -1) if rows.itemsize else np.zeros((len(rows), 0), np.uint8)


_MINUTES: Final = table(f"{n // 60:02d}:{n % 60:02d}:" for n in range(1440))  # of a day
_SECONDS: Final = table(f"{n:02d}" for n in range(60))
_ENDINGS: Final = table(ENDINGS)
_BELOW_ZERO: Final = 181
_UPPER: Final = table(
    [*(f"{n:04d}" for n in range(10_000)), *(f"{n:04d}".rstrip("0") or "0" for n in range(10_000))]
)
_LAST: Final = 10_000  # of four digits behind which nothing but zeros comes
_LOWER: Final = table(f"{n:03d}".rstrip("0") for n in range(1000))


def times(before: str, times_ms: npt.NDArray[np.int64]) -> list[Column]:
    """A text, and what `wire.render_time` says."""
    seconds, milliseconds = _divided(times_ms, 1000)
    days, second = _divided(seconds, _DAY_S)
    minutes, second = _divided(second.astype(np.uint32), 60)
    is_start = starts_of(days)
    dates = [f"{before}{datetime.fromtimestamp(day * _DAY_S, UTC):%Y-%m-%dT}" for day in days[is_start].tolist()]
    return [
        (table(dates), np.cumsum(is_start) - 1),
        (_MINUTES, minutes),
        (_SECONDS, second),
        (_ENDINGS, milliseconds),
    ]


def degrees(before: str, e7: npt.NDArray[np.int32]) -> list[Column]:
    """A text, and what `wire.degrees_text` says."""
    whole, behind = _divided(np.abs(e7).view(np.uint32), 10_000_000)
    upper, lower = _divided(behind, 1000)
    whole[e7 < 0] += _BELOW_ZERO
    upper[lower == 0] += _LAST
    return [(_whole_degrees(before), whole), (_UPPER, upper), (_LOWER, lower)]


@lru_cache(maxsize=8)
def _whole_degrees(before: str) -> Table:
    return table(f"{before}{sign}{degree}." for sign in ("", "-") for degree in range(_BELOW_ZERO))


def starts_of(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a value is another one than in the row before."""
    is_start = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=is_start[1:])
    return is_start


def _divided(numbers: npt.NDArray[Any], by: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Quotient and remainder of numbers from 0 on; `np.divmod` takes three times as long."""
    quotient = numbers // numbers.dtype.type(by)
    return quotient, numbers - quotient * numbers.dtype.type(by)


class Numbers:
    """Texts of numbers from 0 on: those below _NOTHING are kept as they come up, as rows of a table."""

    def __init__(self, before: str, convert: Callable[[int], float], unknown: int, nothing: str = "") -> None:
        """A known number is written as `before` and what `convert` makes of it, `unknown` as `nothing`."""
        self._before = before
        self._convert = convert
        self._unknown = unknown
        # The pages of these that nobody asks for are never touched, and cost nothing.
        self._texts = np.zeros((_NOTHING + 1, len(before) + _NUMBER), dtype=np.uint8)
        self._is_kept = np.zeros(_NOTHING + 1, dtype=np.bool_)
        self._nothing = nothing
        self._keep([_NOTHING], [nothing.encode()])

    def text(self, number: int) -> str:
        """Of one."""
        return self._nothing if number == self._unknown else self._before + number_text(self._convert(number))

    def column(self, numbers: npt.NDArray[np.unsignedinteger]) -> Column:
        """Of many."""
        if numbers.max() >= _NOTHING:
            is_unknown = numbers == self._unknown
            if (numbers[~is_unknown] >= _NOTHING).any():
                distinct, which = np.unique(numbers, return_inverse=True)
                return table(map(self.text, distinct.tolist())), which
            numbers = np.where(is_unknown, _NOTHING, numbers)
        is_kept = self._is_kept.take(numbers)
        if not is_kept.all():
            missing = np.unique(numbers[~is_kept]).tolist()
            before = self._before.encode()
            self._keep(missing, [before + text for text in number_texts(map(self._convert, missing))])
        return self._texts, numbers

    def _keep(self, numbers: list[int], texts: Sequence[bytes]) -> None:
        rows = table_of(texts)
        self._texts[numbers, : rows.shape[1]] = rows
        self._is_kept[numbers] = True


class Paper:
    """Where columns are laid out side by side. It is kept, because fresh memory costs as much as all the rest."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, dtype=np.uint8)
        self._is_used = np.empty(0, dtype=np.bool_)

    def written(self, columns: Sequence[Column], rows: int) -> Iterator[memoryview]:
        """The columns beside each other, row by row end to end, in pieces of _ROWS rows."""
        width = sum(table.shape[1] for table, _ in columns)
        for start in range(0, rows, _ROWS):
            count = min(_ROWS, rows - start)
            text, is_used = self._sheet(count * width)
            sheet, at = text.reshape(count, width), 0
            for table, which in columns:
                end = at + table.shape[1]
                # By `take`, which is several times as fast as an index.
                sheet[:, at:end] = table.take(which[start : start + count], axis=0)
                at = end
            yield text[np.not_equal(text, 0, out=is_used)].data

    def _sheet(self, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        if size > len(self._bytes):
            self._bytes, self._is_used = np.empty(size, dtype=np.uint8), np.empty(size, dtype=np.bool_)
        return self._bytes[:size], self._is_used[:size]
