"""Text of unknown origin, made safe and narrow enough for a terminal.

A client of S3 chooses its user agent, referer and keys, so a value may hold escape sequences that drive a terminal, or
bidirectional marks that show text in another order than it has.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ESCAPED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
"""Unicode categories that draw nothing themselves: controls, format and bidirectional marks, surrogates, unassigned, spaces."""
IGNORABLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
"""What of the other categories draws nothing, as a pattern has it between brackets: Unicode's Default_Ignorable_Code_Point
(fillers, joiners, variation selectors), and the empty pattern of Braille."""
_IGNORED = re.compile(f"[{IGNORABLE}]")
_WIDE = {"F", "W"}
_COMBINING = {"Mn", "Me"}


def escape(text: str) -> str:
    r"""The text with every character that draws nothing, but the space itself, as `\x1b`, `\u202e` or `\U000e0001`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits in `width` columns with an ellipsis.

    A combining mark counts as a column here, so that a pile of them cannot grow without end.
    """
    if len(text) <= width and cells(text) <= width:
        return text
    used = 0
    for at, character in enumerate(text):
        used += max(1, _cells(character))
        if used >= width:
            return text[:at] + "…"
    return text


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    if character == " " or not (unicodedata.category(character) in _ESCAPED or _IGNORED.match(character)):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(maxsize=4096)
def _cells(character: str) -> int:
    if unicodedata.category(character) in _COMBINING:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
