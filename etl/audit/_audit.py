"""Lines = rows + quarantined + folded, day of arrival by day of arrival, held against what the files really hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from etl.catalog import open_lake
from etl.compact import inspect_inputs, is_straggler, read_footer
from etl.errors import ObjectNotFound
from etl.lake import Commit, Input, Lake, StoredObject, never_taken_again
from etl.lake._layout import COMPACTED, day_of, is_after_batch, is_visible, name_of, next_batch
from etl.replay import read_receipts


@dataclass
class _Day:
    log_objects: int = 0
    lines: int = 0
    rows: int = 0
    quarantined: int = 0
    folded: int = 0
    unreadable: int = 0
    event_days: set[str] = field(default_factory=set)
    quarantine_holds: bool = True


@dataclass(frozen=True)
class _Replays:
    """What receipts say."""

    moved: Mapping[str, int]
    """By raw name, how many of its quarantined lines became rows, which count where they are rows."""
    outputs: Collection[str]
    """Raw names of replayed rows: those are no log objects."""


@dataclass
class _Counts:
    """What the audit finds on its way through the lake."""

    days: dict[str, _Day] = field(default_factory=lambda: defaultdict(_Day))
    event_days: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    """Raw objects that are readable, or were when they were compacted."""
    replays: _Replays = field(default_factory=lambda: _Replays({}, frozenset()))
    stragglers: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    strays_in_compacted: list[str] = field(default_factory=list)

    def add(self, item: Input) -> _Day:
        """Count a raw object on the day it arrived."""
        day = self.days[day_of(item.key)]
        name = name_of(item.key)
        moved = min(self.replays.moved.get(name, 0), item.quarantined)
        day.log_objects += name not in self.replays.outputs
        day.lines += item.lines - moved
        day.rows += item.rows
        day.quarantined += item.quarantined - moved
        self.inputs.append(item)
        return day


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
    """The whole lake. `ok` only if every day is, every committed file holds the rows its commit says, and no other is there."""

    ok: bool
    days: tuple[AuditedDay, ...]
    days_beyond_today: tuple[str, ...]
    """Event days later than today: a clock was wrong somewhere, and queries bounded by today miss them."""
    problems: tuple[str, ...]
    stragglers: tuple[str, ...] = ()
    """Raw objects that queries do not see until the next compaction, since their day was sealed when they came."""
    left_out: tuple[str, ...] = ()
    """Raw objects that a batch left out, and whose logs were not taken again."""
    strays_in_raw: tuple[str, ...] = ()
    """Objects of raw/ that are not named `*.parquet`, and not hidden either: nobody here reads them, and Athena reads all."""
    strays_in_compacted: tuple[str, ...] = ()
    """Objects of compacted/ that no commit names, and that are of no batch still to come: Athena shows their rows."""


def audit(lake: str, *, now: datetime | None = None) -> Audit:
    """Count every line of a lake: what came in, and where it is now.

    Footers are read, and no rows: a byte that changed within a row is not found. Raises `LakeUnusable` for the store's trouble.

    Others may ingest, compact and replay meanwhile. So what tells of something is read before the thing itself, where that
    comes first and stays (quarantine/, then raw/; compacted/, then its commit), and what is moved is looked for where it was
    before where it goes to (the state and raw/, then the commits; lines of quarantine/, then receipts).
    """
    opened = open_lake(lake)
    earlier = _read_replays(opened)
    raw_since = opened.keeper.read().raw_since
    raw, strays = opened.raw_objects_and_strays()
    commits = list(opened.commits())
    counts = _Counts()
    quarantined = _count_quarantined(opened, counts)
    counts.replays = _read_replays(opened)
    consumed = {key for commit in commits for key in commit.consumed}
    waiting = [stored for stored in raw if stored.key not in consumed]
    counts.problems += [f"{key}: is not named *.parquet, so none of its rows is in an answer" for key in strays]
    _count_committed(opened, commits, counts)
    _count_left_out(commits, {name_of(stored.key) for stored in waiting}, counts)
    _count_raw(opened, waiting, raw_since, counts)
    _hold_against_quarantine(quarantined, earlier, counts)
    days = tuple(_audited(day, found) for day, found in sorted(counts.days.items()))
    today = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d")
    return Audit(
        ok=all(day.ok for day in days) and not counts.problems,
        days=days,
        days_beyond_today=tuple(sorted(day for day in counts.event_days if day > today)),
        problems=tuple(counts.problems),
        stragglers=tuple(counts.stragglers),
        left_out=tuple(counts.left_out),
        strays_in_raw=tuple(strays),
        strays_in_compacted=tuple(counts.strays_in_compacted),
    )


def _audited(day: str, found: _Day) -> AuditedDay:
    lines_hold = found.lines == found.rows + found.quarantined + found.folded and found.rows >= 0
    return AuditedDay(
        day,
        found.log_objects,
        found.lines,
        found.rows,
        found.quarantined,
        found.folded,
        found.unreadable,
        _lag_days(day, found.event_days),
        lines_hold and found.quarantine_holds and not found.unreadable,
    )


def _lag_days(day: str, event_days: set[str]) -> int | None:
    try:
        return (date.fromisoformat(day) - date.fromisoformat(min(event_days))).days
    except ValueError:
        return None  # no events, or a raw object in a folder that is no day


def _read_replays(lake: Lake) -> _Replays:
    """Each line once: both copies of an object that was taken on two days may have been replayed."""
    lines: dict[str, set[tuple[str, int]]] = defaultdict(set)
    outputs = set()
    for receipt in read_receipts(lake.store):
        outputs.add(receipt.output)
        for source_key, numbers in receipt.lines.items():
            lines[name_of(receipt.object)].update((source_key, number) for number in numbers)
    return _Replays({name: len(found) for name, found in lines.items()}, outputs)


def _count_committed(lake: Lake, commits: Sequence[Commit], counts: _Counts) -> None:
    stored = {item.key: item.size for item in lake.store.list(COMPACTED)}
    last = ""
    for commit in commits:
        if commit.batch != next_batch(last):
            counts.problems.append(f"batch {next_batch(last)}: its commit is missing, batch {commit.batch} has one")
        last = commit.batch
        for item in commit.inputs:
            counts.add(item)
        for day, folded in commit.folded.items():
            counts.days[day].folded += folded
            counts.days[day].rows -= folded
        rows_in = sum(item.rows for item in commit.inputs)
        rows_out = 0
        for output in commit.outputs:
            counts.event_days.add(day_of(output.key))
            rows = _rows(lake, output.key) if output.key in stored else None
            if rows != output.rows:
                held = (
                    f"holds {rows} rows"
                    if rows is not None
                    else "cannot be read"
                    if output.key in stored
                    else "is missing"
                )
                counts.problems.append(f"{output.key}: {held}, {output.rows} rows were committed")
            elif stored[output.key] != output.size:
                counts.problems.append(f"{output.key}: is not the file that was committed")
            rows_out += rows or 0
        folded_rows = sum(commit.folded.values())
        if rows_in != rows_out + folded_rows:
            counts.problems.append(
                f"batch {commit.batch}: {rows_in} rows in, {rows_out} in its files, {folded_rows} folded"
            )
    _count_strays(stored, commits, counts)


def _count_strays(stored: Iterable[str], commits: Sequence[Commit], counts: _Counts) -> None:
    """What is in compacted/ and in no commit, but for the files of a batch that is under way, or was committed meanwhile."""
    named = {output.key for commit in commits for output in commit.outputs}
    last = commits[-1].batch if commits else ""
    counts.strays_in_compacted += [
        key for key in stored if key not in named and is_visible(key) and not is_after_batch(key, last)
    ]
    counts.problems += [
        f"{key}: no commit names it, so none of its rows is in an answer here; Athena shows them"
        for key in counts.strays_in_compacted
    ]


def _count_left_out(commits: Sequence[Commit], waiting: Collection[str], counts: _Counts) -> None:
    """All but those whose log objects were taken again: where raw objects are named after them, their rows are in the lake."""
    for item, batch in never_taken_again(commits, waiting):
        counts.left_out.append(item.key)
        counts.days[day_of(item.key)].unreadable += 1
        counts.problems.append(f"{item.key}: cannot be read and is left out of batch {batch}")


def _count_raw(lake: Lake, waiting: Sequence[StoredObject], raw_since: str, counts: _Counts) -> None:
    """What is gone when it is its turn was compacted and collected meanwhile: nobody else deletes there."""
    counts.stragglers += [stored.key for stored in waiting if is_straggler(stored.key, raw_since=raw_since)]
    readable, unreadable = inspect_inputs(lake.store, waiting)
    for item in readable:
        found = _event_days(lake, item.key)
        counts.add(item).event_days |= found
        counts.event_days |= found
    for item in unreadable:
        counts.days[day_of(item.key)].unreadable += 1
        counts.problems.append(f"{item.key}: cannot be read")


def _count_quarantined(lake: Lake, counts: _Counts) -> Mapping[str, list[int]]:
    """The lines in each object of quarantine/, by log object: a run that was interrupted may have put them on an earlier day."""
    found: dict[str, list[int]] = defaultdict(list)
    for key in lake.quarantined_keys():
        try:
            footer = read_footer(lake.store, key)
        except ObjectNotFound:
            continue  # all of its lines became rows since it was listed
        if footer is None:
            counts.problems.append(f"{key}: cannot be read")
        found[name_of(key)].append(footer.num_rows if footer else 0)
    return found


def _hold_against_quarantine(quarantined: Mapping[str, list[int]], earlier: _Replays, counts: _Counts) -> None:
    """Every quarantined line is stored, unless it was replayed: since the audit began, or before."""
    for item in counts.inputs:
        name = name_of(item.key)
        found = quarantined.get(name, [0])
        most, least = (item.quarantined - replays.moved.get(name, 0) for replays in (earlier, counts.replays))
        # A replay that ended early leaves lines in quarantine/ which are rows already; the next one takes them out.
        if not all(rows == item.quarantined or least <= rows <= most for rows in found):
            counts.days[day_of(item.key)].quarantine_holds = False
            counts.problems.append(
                f"{item.key}: {item.quarantined} of its lines were quarantined, {min(found)} are in quarantine/"
            )


def _rows(lake: Lake, key: str) -> int | None:
    """Rows of a committed file; None if it cannot be read."""
    try:
        footer = read_footer(lake.store, key)
    except ObjectNotFound:
        return None
    return None if footer is None else int(footer.num_rows)


def _event_days(lake: Lake, key: str) -> set[str]:
    """Oldest and newest event day of a raw object, from its statistics; none if it was collected meanwhile."""
    try:
        metadata = read_footer(lake.store, key)
    except ObjectNotFound:
        return set()
    if metadata is None:
        return set()
    names = [metadata.schema.column(place).name for place in range(metadata.num_columns)]
    if "event_date" not in names:
        return set()
    found = set()
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(names.index("event_date")).statistics
        if statistics is not None and statistics.has_min_max:
            with suppress(ValueError):  # of a foreign writer, bytes that are no text
                found |= {str(statistics.min), str(statistics.max)}
    return found
