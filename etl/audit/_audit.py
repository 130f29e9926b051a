"""Lines = rows + quarantined + folded, day of arrival by day of arrival, held against what the files really hold."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from etl.compact import inspect_inputs
from etl.lake import Lake, open_lake, read_commits
from etl.lake._layout import COMPACTED, QUARANTINE, day_of


@dataclass
class _Day:
    log_objects: int = 0
    lines: int = 0
    rows: int = 0
    quarantined: int = 0
    folded: int = 0
    stored_quarantined: int = 0
    unreadable: int = 0
    event_days: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class AuditedDay:
    """One day of arrival. `rows` are those a reader sees, `folded` those dropped because they stand elsewhere."""

    ingest_date: str
    log_objects: int
    lines: int
    rows: int
    quarantined: int
    folded: int
    unreadable: int
    """Raw objects of the day that cannot be read."""
    lag_days: int | None
    """Days from the oldest event among the day's raw objects to their arrival; None if they are compacted."""
    ok: bool


@dataclass(frozen=True)
class Audit:
    """The whole lake. `ok` only if every day is, and every committed file holds the rows its commit says."""

    ok: bool
    days: tuple[AuditedDay, ...]
    days_beyond_today: tuple[str, ...]
    """Event days later than today: a clock was wrong somewhere, and queries bounded by today miss them."""
    problems: tuple[str, ...]


def audit(lake: str, *, now: datetime | None = None) -> Audit:
    """Count every line of a lake: what came in, and where it is now."""
    opened = open_lake(lake)
    days: dict[str, _Day] = defaultdict(_Day)
    problems: list[str] = []
    event_days: set[str] = set()
    _count_committed(opened, days, event_days, problems)
    _count_raw(opened, days, event_days, problems)
    _count_quarantined(opened, days, problems)
    audited = []
    for day, found in sorted(days.items()):
        ok = found.lines == found.rows + found.quarantined + found.folded and not found.unreadable
        if found.stored_quarantined != found.quarantined:
            ok = False
            problems.append(
                f"{day}: {found.quarantined} lines were quarantined, {found.stored_quarantined} are in quarantine/"
            )
        lag = (date.fromisoformat(day) - date.fromisoformat(min(found.event_days))).days if found.event_days else None
        audited.append(
            AuditedDay(
                day,
                found.log_objects,
                found.lines,
                found.rows,
                found.quarantined,
                found.folded,
                found.unreadable,
                lag,
                ok,
            )
        )
    today = (now or datetime.now(UTC)).strftime("%Y-%m-%d")
    return Audit(
        ok=all(day.ok for day in audited) and not problems,
        days=tuple(audited),
        days_beyond_today=tuple(sorted(day for day in event_days if day > today)),
        problems=tuple(problems),
    )


def _count_committed(lake: Lake, days: dict[str, _Day], event_days: set[str], problems: list[str]) -> None:
    stored = {item.key for item in lake.store.list(COMPACTED)}
    for commit in read_commits(lake.store):
        rows_in = rows_out = 0
        for item in commit.inputs:
            day = days[day_of(item.key)]
            day.log_objects += 1
            day.lines += item.lines
            day.quarantined += item.quarantined
            day.rows += item.rows
            rows_in += item.rows
        for item in commit.left_out:
            days[day_of(item.key)].unreadable += 1
            problems.append(f"{item.key}: cannot be read and is left out of batch {commit.batch}")
        for name, folded in commit.folded.items():
            days[name].folded += folded
            days[name].rows -= folded
        for output in commit.outputs:
            event_days.add(day_of(output.key))
            rows = _rows(lake, output.key) if output.key in stored else None
            if rows != output.rows:
                held = "is missing" if rows is None else f"holds {rows} rows"
                problems.append(f"{output.key}: {held}, {output.rows} were committed")
            rows_out += rows or 0
        folded_rows = sum(commit.folded.values())
        if rows_in != rows_out + folded_rows:
            problems.append(f"batch {commit.batch}: {rows_in} rows in, {rows_out} in its files, {folded_rows} folded")


def _count_raw(lake: Lake, days: dict[str, _Day], event_days: set[str], problems: list[str]) -> None:
    readable, unreadable = inspect_inputs(lake.store, lake.uncompacted())
    for item in readable:
        day = days[day_of(item.key)]
        day.log_objects += 1
        day.lines += item.lines
        day.rows += item.rows
        day.quarantined += item.quarantined
        found = _event_days(lake, item.key)
        day.event_days |= found
        event_days |= found
    for item in unreadable:
        days[day_of(item.key)].unreadable += 1
        problems.append(f"{item.key}: cannot be read")


def _count_quarantined(lake: Lake, days: dict[str, _Day], problems: list[str]) -> None:
    for stored in lake.store.list(QUARANTINE):
        rows = _rows(lake, stored.key)
        if rows is None:
            problems.append(f"{stored.key}: cannot be read")
        else:
            days[day_of(stored.key)].stored_quarantined += rows


def _rows(lake: Lake, key: str) -> int | None:
    try:
        return int(pq.read_metadata(lake.store.path(key), filesystem=lake.store.filesystem).num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


def _event_days(lake: Lake, key: str) -> set[str]:
    """Oldest and newest event day of a raw object, from its statistics."""
    metadata = pq.read_metadata(lake.store.path(key), filesystem=lake.store.filesystem)
    names = [metadata.schema.column(place).name for place in range(metadata.num_columns)]
    found = set()
    for group in range(metadata.num_row_groups):
        statistics = (
            metadata.row_group(group).column(names.index("event_date")).statistics if "event_date" in names else None
        )
        if statistics is not None and statistics.has_min_max:
            found |= {statistics.min, statistics.max}
    return found
