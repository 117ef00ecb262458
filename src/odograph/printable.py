"""Text that strangers made up, as people may see it: nothing in it moves a cursor or turns a line around."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

INSTEAD: Final = "\N{REPLACEMENT CHARACTER}"
_NEVER: Final = frozenset(
    {"Cc", "Cf", "Cs", "Zl", "Zp"}
)  # controls (of direction, too), halves of pairs, line ends
_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # within words of many scripts, and in emoji


def printable(text: str, keep: str = "", instead: Callable[[str], str] = lambda _: INSTEAD) -> str:
    """The same text in any script and direction, but `instead` of what is no sign and not in `keep`."""
    if text.isprintable():
        return text
    kept = keep + _JOINERS
    return "".join(
        instead(sign) if unicodedata.category(sign) in _NEVER and sign not in kept else sign for sign in text
    )
