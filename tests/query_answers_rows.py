"""What the plain-Python answers to the shipped queries are made of: rows as dicts, and an answer with the order it promises."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
Day: TypeAlias = str
"""A parameter that is a day: `YYYY-MM-DD`, `today`, or back from it, `-30d`."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Seen:
    """What a query sees: the rows of `access_logs`, in any order."""

    rows: Sequence[Row]
    newest_day: Day
    """`today` is this day."""
    now: dt.datetime = field(default_factory=_now)

    def between(self, since: Day, until: Day) -> list[Row]:
        """Rows of these days, both inclusive."""
        return [row for row in self.rows if since <= row["event_date"] <= until]


@dataclass(frozen=True)
class Answer:
    """All rows that belong to it, in the order promised; where the order leaves rows tied, any of them may come first."""

    rows: list[Row]
    order: tuple[str, ...]
    """Columns, a descending one with a minus; null is last either way."""
    limit: int | None = None


def in_order(rows: Iterable[Row], *order: str, limit: int | None = None) -> Answer:
    """The answer of these rows, put in order."""
    done = list(rows)
    for column in reversed(order):
        name = column.removeprefix("-")
        present = [row for row in done if row[name] is not None]
        present.sort(key=lambda row: row[name], reverse=column.startswith("-"))
        done = present + [row for row in done if row[name] is None]
    return Answer(done, order, limit)


def disagreement(columns: Sequence[str], found: Sequence[tuple[Any, ...]], answer: Answer) -> str:
    """How what an engine found differs from the answer, short enough to read; empty if it does not.

    Rows that the order leaves tied are compared as a multiset, and where a limit cuts through such rows, what was found has to
    be among them.
    """
    wanted = answer.rows[: answer.limit]
    if answer.rows and list(answer.rows[0]) != list(columns):
        return f"columns {columns}, not {list(answer.rows[0])}"
    if len(found) != len(wanted):
        return f"{len(found)} rows, not {len(wanted)}"
    keys = [column.removeprefix("-") for column in answer.order]
    classes: dict[tuple[Any, ...], Counter[tuple[Any, ...]]] = {}
    for row in answer.rows:
        classes.setdefault(tuple(row[key] for key in keys), Counter())[tuple(row.values())] += 1
    for number, (mine, theirs) in enumerate(zip(wanted, found, strict=True)):
        tied = classes[tuple(mine[key] for key in keys)]
        if not tied[tuple(theirs)]:
            return f"row {number}: {theirs}, not {tuple(mine.values())}"
        tied[tuple(theirs)] -= 1
    return ""


def days_before(day: Day, days: int) -> Day:
    return (dt.date.fromisoformat(day) - dt.timedelta(days=days)).isoformat()


def groups(rows: Iterable[Row], *names: str) -> list[tuple[Row, list[Row]]]:
    """(the group's values, its rows) of each group; nulls are a group like any other."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return [(dict(zip(names, key, strict=True)), some) for key, some in found.items()]


def take(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


def when(rows: Iterable[Row]) -> Row:
    times = [row["request_time"] for row in rows]
    return {"first_request": min(times), "last_request": max(times)}


def distinct(rows: Iterable[Row], name: str) -> int:
    """How many values there are; none is no value."""
    return len({row[name] for row in rows if row[name] is not None})


def bytes_sent(rows: Iterable[Row]) -> int:
    return sum(row["bytes_sent_size"] or 0 for row in rows)


def has_failed(row: Row) -> bool:
    return row["http_status"] is not None and row["http_status"] >= 400


def was_served(row: Row) -> bool:
    """Its status is known, and below 400."""
    return row["http_status"] is not None and row["http_status"] < 400


def is_ambiguous(row: Row) -> bool:
    return bool(row["parse_status"] == "ambiguous")


def status_may(row: Row, fits: Callable[[int], bool]) -> bool:
    """Whether the status fits: of an ambiguous row, that of some reading; whether it does is not known where the line is not."""
    if not is_ambiguous(row):
        return row["http_status"] is not None and fits(row["http_status"])
    return row["raw_line"] is None or any(fits(status) for status in _statuses(row["raw_line"]))


def _statuses(line: str) -> list[int]:
    """The statuses of three digits that a line's readings have.

    A quote opens the URI. After a later one come status, error, and four numbers between single spaces, then the quote that
    opens the referer; after that a quote, a space and a quote end it, and one more quote ends the user agent.
    """
    pieces = line.split('"')
    found = []
    for place, piece in enumerate(pieces[2:-1], start=2):
        words = piece.split(" ")
        if len(words) != 8 or words[0] or words[7] or not words[2]:
            continue
        numbers = all(word == "-" or (word.isascii() and word.isdigit()) for word in words[3:7])
        # What is left after the opening quote of the referer, without the last piece, which no quote ends.
        goes_on = " " in pieces[place + 2 : -2]
        if numbers and goes_on and len(words[1]) == 3 and words[1].isascii() and words[1].isdigit():
            found.append(int(words[1]))
    return found


def was_accepted(status: int) -> bool:
    """Something was done: neither an error nor a redirect, nor a digit that no answer begins with."""
    return 100 <= status < 300


def shown_key(row: Row) -> str | None:
    """Decoded, or as it was logged where it cannot be decoded."""
    key: str | None = row["key_name"] if row["object_key"] is None else row["object_key"]
    return key


# --- Lines ------------------------------------------------------------------------------------------------------------


def once(rows: Iterable[Row]) -> list[Row]:
    """Each log line once, however often it was delivered, the earliest first."""
    lines = {(row["source_key"], row["line_no"]): row for row in rows}
    return sorted(lines.values(), key=lambda row: (row["request_time"], row["source_key"], row["line_no"]))


def each_line(rows: Iterable[Row], *names: str) -> Answer:
    """A finding for each line."""
    found = []
    for row in once(rows):
        time = row["request_time"]
        head = take(row, "source_key", "line_no") | {"requests": 1, "first_request": time, "last_request": time}
        found.append(head | take(row, *names))
    return in_order(found, "first_request", "source_key", "line_no")


def first_of_each(rows: Iterable[Row], *group: str, at_least: int = 1) -> list[tuple[Row, list[Row]]]:
    """The first line of each group that has so many, beside the group's lines."""
    return [(some[0], some) for _, some in groups(once(rows), *group) if len(some) >= at_least]


def finding(first: Row, some: Sequence[Row], *names: str) -> Row:
    """What a detection says of a group: its first line, its size, its times, and what it shows of that line."""
    return take(first, "source_key", "line_no") | {"requests": len(some)} | when(some) | take(first, *names)


def findings(rows: Iterable[Row]) -> Answer:
    return in_order(rows, "first_request", "source_key", "line_no")
