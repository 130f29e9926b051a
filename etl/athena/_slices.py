"""How a rewrite is cut into statements: pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from etl.athena._select import Slice

DAYS_PER_STATEMENT: Final = 100
"""UNLOAD writes to no more partitions (https://docs.aws.amazon.com/athena/latest/ug/unload.html)."""
ROWS_PER_STATEMENT: Final = 100_000_000
"""A judgement: a sort ends on one machine of Athena, and each further statement scans the plan's objects again."""
_HOUR: Final = "%Y-%m-%d %H"


def cut_hours(rows: Mapping[str, int], *, rows_per_statement: int = ROWS_PER_STATEMENT) -> tuple[Slice, ...]:
    """Consecutive slices of all hours (`YYYY-MM-DD HH`) that have rows, of at most so many days each.

    And of at most so many rows, but for an hour that has more: none is divided.
    """
    slices: list[Slice] = []
    days: set[str] = set()
    for hour in sorted(rows):
        day = hour[:10]
        last = slices[-1] if slices else None
        fits = last is not None and last.rows + rows[hour] <= rows_per_statement
        if last is not None and fits and len(days | {day}) <= DAYS_PER_STATEMENT:
            days.add(day)
            slices[-1] = Slice(last.since, _after(hour), last.rows + rows[hour])
        else:
            days = {day}
            slices.append(Slice(hour, _after(hour), rows[hour]))
    return tuple(slices)


def _after(hour: str) -> str:
    # Not by `strftime`, which writes the year 500 as it likes.
    return (datetime.strptime(hour, _HOUR) + timedelta(hours=1)).isoformat(" ", "hours")
