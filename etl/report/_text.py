"""Numbers, times and texts as people read them; what came out of a log masked, visible and of bounded length. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from etl.detect import mask_secrets
from etl.report._data import Period, Totals
from etl.terminal import cells, cut, escape

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_LONGEST: Final = 10_000


@dataclass(frozen=True)
class Shown:
    """A text of a log as the page shows it: `text` is cut, `full` is not, and is `""` if nothing was cut."""

    text: str
    full: str = ""


def show(text: str, *, width: int = 64) -> Shown:
    """A text of unknown origin: credentials masked first, then what draws nothing made visible, then cut.

    A browser may lay out bidirectional marks, and shows no NUL; a reader has to see that they are there.
    """
    full = escape(mask_secrets(text))
    short = cut_middle(full, width)
    if short == full:
        return Shown(full)
    return Shown(short, full if len(full) <= _LONGEST else full[: _LONGEST - 1] + "…")


def cut_middle(text: str, width: int) -> str:
    """The text, or its two ends with an ellipsis within `width` columns: keys, ARNs and paths tell most at their end.

    Columns are counted as by `cut`. The second end never begins with a combining mark, which would change the ellipsis.
    """
    if cut(text, width) == text:
        return text
    before = (width - 1) // 2
    at, left = len(text), width - 1 - before
    while (left := left - max(1, cells(text[at - 1]))) >= 0:
        at -= 1
    while at < len(text) and not cells(text[at]):
        at += 1
    return cut(text, before + 1) + text[at:]


def show_count(count: int) -> str:
    """A whole number with its thousands apart."""
    return f"{count:,}"


def show_bytes(size: int) -> str:
    """Bytes in powers of a thousand, as AWS bills them: `96.9 MB`; three digits at least tell."""
    value = float(size)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{size:,} B" if unit == "B" else f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"


def show_share(part: int, whole: int) -> str:
    """A part of a whole in percent, never rounded to nothing or to all."""
    if not whole or not part:
        return "0 %"
    share = part / whole * 100
    if share < 0.01:
        return "< 0.01 %"
    if part < whole and share > 99.9:
        return "> 99.9 %"
    return f"{share:.2f} %" if share < 1 else f"{share:.1f} %" if share < 99.95 else "100 %"


def show_usd(usd: float) -> str:
    """A price, small ones to the thousandth of a cent."""
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.5f}"


def show_time(moment: dt.datetime | None) -> str:
    """A time to the minute; all times are UTC, which the page says once."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def show_day(day: str) -> str:
    """`2026-07-01` as `1 July 2026`; anything else as it is."""
    try:
        found = dt.date.fromisoformat(day)
    except ValueError:
        return day
    return f"{found.day} {found:%B} {found.year}"


def count_of(count: int, one: str, many: str = "") -> str:
    """`1 finding`, `2 findings`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def show_period(period: Period, totals: Totals) -> str:
    """The days that the numbers about requests are from, in words."""
    first = period.since or (f"{totals.first_request:%Y-%m-%d}" if totals.first_request else "")
    last = period.until or (f"{totals.last_request:%Y-%m-%d}" if totals.last_request else "")
    if not first or not last:
        return "All days"
    return show_day(first) if first == last else f"{show_day(first)} to {show_day(last)}"
