"""The rewriting step on Athena: it reads, folds and sorts; this machine names what it wrote and counts it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from etl.athena._adopt import adopt, files_by_day
from etl.athena._engine import Athena, StatementFailed, Trouble
from etl.athena._select import (
    STATEMENT_BYTES,
    Slice,
    Source,
    committed_rows_sql,
    folded_rows_sql,
    kept_rows_sql,
    listed,
    listed_within,
    rows_by_hour_sql,
    rows_by_object_sql,
)
from etl.athena._slices import ROWS_PER_STATEMENT, cut_hours
from etl.athena._wrangler import WrangledAthena
from etl.compact import DEFAULT_TARGET_BYTES, OnRows, is_intact
from etl.errors import BadParameter, LakeMismatch, LakeUnusable, QueryError
from etl.lake import GLUE_STATE, Input, Lake, Output, Plan, StoredObject, Winner
from etl.lake._layout import STAGING, day_of, name_of
from etl.schema import COMPACTED_TABLE

_OTHERS: Final = "accesslake compact --engine local or spark"
_TRIES: Final = 3
_UNLOAD_BYTES: Final = 1024
"""What UNLOAD itself adds to its SELECT, with room to spare."""
_LISTED_MOST: Final = 900
"""Paths of a list. Of more than 1,000 Trino 435 knows the first and the last alone when it opens objects."""
_LIMITS: Final = (
    "raise the workgroup's limit of scanned bytes or the query timeout, or accesslake compact --engine spark"
)
_ANY_HOUR: Final = "0000-00-00 00"
_AFTER_ALL_DAYS: Final = "~"
_T = TypeVar("_T")


class _Damaged(Exception):
    """Objects that cannot be read although their footers could: the plan is carried out without them."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(keys)
        self.keys = keys


def rewrite_on_athena(
    lake: Lake,
    plan: Plan,
    *,
    attempt: str,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    on_rows: OnRows = lambda done, planned: None,
    workgroup: str = "primary",
    rows_per_statement: int = ROWS_PER_STATEMENT,
    athena: Athena | None = None,
) -> Winner:
    """Write the plan's rows, each once, by event day and sorted, into the attempt's own folder of staging.

    The rows are those of `etl.compact.rewrite`. Athena is asked for the plan's objects by their addresses, so what arrived later
    is not read. It does not see whether an object is still the one that was planned: each has to give as many rows with a time
    as the plan says, before anything is written. Files come from the data manifests alone, each statement has a folder of its
    own, and a statement that fails in passing is run again in another: what it left there is never taken. An input that turns
    out to be damaged is left out and named.

    Within a file rows are sorted; files of a day overlap. An hour is never divided, nor the sort of it: a statement that is too
    large for Athena is a `QueryError`, like one that the workgroup's limit of scanned bytes ends. Raises `BadParameter` for a
    plan or a lake that Athena cannot see and a workgroup whose results cannot be read, `LakeMismatch` if Athena sees other
    committed rows than there are, `LakeUnusable` for trouble after which the next run goes on.
    """
    _check_seen(lake, plan)
    engine = athena or WrangledAthena(lake.database, workgroup, f"{lake.uri}/{STAGING}{plan.batch}/{attempt}/results/")
    inputs = plan.inputs
    left_out: tuple[str, ...] = ()
    while inputs:
        known = (*left_out, *(item.key for item in plan.left_out))
        run = _Run(lake, plan.batch, attempt, inputs, known, engine)
        try:
            with run.source() as source:
                written = run.write(source, target_bytes, rows_per_statement, on_rows)
            return replace(written, left_out=left_out)
        except _Damaged as found:
            inputs = tuple(item for item in inputs if item.key not in found.keys)
            left_out = (*left_out, *found.keys)
    return Winner(plan.batch, attempt, (), {}, left_out)


def _check_seen(lake: Lake, plan: Plan) -> None:
    if plan.logs:
        raise BadParameter(plan.batch, "is a back-fill of log objects, which Athena does not parse", hint=_OTHERS)
    if lake.state != GLUE_STATE or not lake.uri.startswith("s3://"):
        raise BadParameter(lake.uri, "has no tables in Glue, so Athena does not see it", hint=_OTHERS)
    for item in plan.inputs:
        if not day_of(item.key):
            raise BadParameter(item.key, "lies in no day's folder, where Athena looks for nothing", hint=_OTHERS)


@dataclass(frozen=True)
class _Run:
    """One go at the inputs that are thought to be readable."""

    lake: Lake
    batch: str
    attempt: str
    inputs: tuple[Input, ...]
    left_out: tuple[str, ...]
    """Keys of what this batch leaves out: it cannot be read."""
    athena: Athena

    @contextmanager
    def source(self) -> Iterator[Source]:
        """The inputs as SQL: a list in each statement, or a table of it for as long as it is needed where that is too long."""
        addresses = [self._address(item.key) for item in self.inputs]
        days = tuple(sorted({day_of(item.key) for item in self.inputs}))
        source = Source(self.lake.database, days, listed(addresses))
        if len(addresses) <= _LISTED_MOST and self._room(source) >= 0:
            yield source
            return
        run = uuid.uuid4().hex
        folder = f"{self._staging}planned-{run}/"
        rows = io.BytesIO()
        pq.write_table(pa.table({"address": pa.array(addresses, pa.string())}), rows)
        self.lake.store.create(f"{folder}planned.parquet", rows.getvalue())
        name = f"accesslake_plan_{self.batch}_{run}"
        table = f"`{self.lake.database}`.`{name}`"
        location = f"{self.lake.uri}/{folder}".replace("\\", "\\\\").replace("'", "\\'")
        # A statement that is tried again may have made the table already, and nothing else has this name.
        create = (
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {table} (`address` string) STORED AS PARQUET LOCATION '{location}'"
        )
        try:
            self._tried(lambda: self.athena.run(create))
            source = replace(source, objects=f'SELECT address FROM "{self.lake.database}"."{name}"')
            damaged = map(self._address, islice(self._damaged(days), _LISTED_MOST))
            yield replace(source, damaged=listed_within(damaged, self._room(source)))
        finally:
            with suppress(StatementFailed):  # a table that stays behind is read by nobody
                self.athena.run(f"DROP TABLE IF EXISTS {table}")

    def _damaged(self, days: Collection[str]) -> Iterable[str]:
        """Keys of what lies beside the inputs, in their days, and is known to be unreadable."""
        committed = (item.key for commit in self.lake.commits() for item in commit.left_out)
        return dict.fromkeys(key for key in (*self.left_out, *committed) if day_of(key) in days)

    def _room(self, source: Source) -> int:
        """Bytes that the longest statement leaves."""
        longest = kept_rows_sql(source, Slice(_ANY_HOUR, _ANY_HOUR, 0), batch=self.batch, again=source.days)
        return STATEMENT_BYTES - _UNLOAD_BYTES - len(longest.encode())

    def write(self, source: Source, target_bytes: int, rows_per_statement: int, on_rows: OnRows) -> Winner:
        """The attempt's files, statement by statement; a day is adopted once all of it is written."""
        planned = sum(item.rows for item in self.inputs)
        on_rows(0, planned)
        self._check_objects(source)
        hours = {str(hour): int(rows) for hour, rows in self._select(rows_by_hour_sql(source))}
        again = self._days_again(source, {hour[:10] for hour in hours})
        folded = {
            str(day): int(rows) for day, rows in self._select(folded_rows_sql(source, batch=self.batch, again=again))
        }
        slices = cut_hours(hours, rows_per_statement=rows_per_statement)
        outputs: list[Output] = []
        waiting: dict[str, list[StoredObject]] = {}
        for number, part in enumerate(slices, 1):
            for day, files in self._unload(source, part, again).items():
                waiting.setdefault(day, []).extend(files)
            unwritten = slices[number].first_day if number < len(slices) else _AFTER_ALL_DAYS
            done = sum(output.rows for output in outputs)
            outputs += adopt(
                self.lake,
                batch=self.batch,
                attempt=self.attempt,
                unloaded={day: waiting.pop(day) for day in sorted(waiting) if day < unwritten},
                target_bytes=target_bytes,
                on_rows=lambda rows, before=done: on_rows(before + rows, planned),  # type: ignore[misc]
            )
        return Winner(self.batch, self.attempt, tuple(outputs), folded)

    def _check_objects(self, source: Source) -> None:
        """Each input has to give the rows that were planned, each with a time. Raises `_Damaged` for damaged ones."""
        found = {str(address): int(rows) for address, rows in self._select(rows_by_object_sql(source))}
        odd = [item for item in self.inputs if found.get(self._address(item.key), 0) != item.rows]
        if odd:
            self._raise_damaged(odd)
            seen = found.get(self._address(odd[0].key), 0)
            raise LakeUnusable(
                self._address(odd[0].key),
                f"Athena sees {seen} rows with a time in it, {odd[0].rows} were planned",
                hint=_OTHERS,
            )

    def _days_again(self, source: Source, days: Collection[str]) -> frozenset[str]:
        """Event days of which earlier batches hold rows of log objects that come again.

        Raises `LakeMismatch` unless Athena sees all that is committed of these days: what it does not see, it does not fold.
        """
        held: dict[str, int] = {}
        for commit in self.lake.commits():
            for output in commit.outputs:
                day = day_of(output.key)
                if commit.batch < self.batch and day in days:
                    held[day] = held.get(day, 0) + output.rows
        if not held:
            return frozenset()
        answer = self._select(committed_rows_sql(source, batch=self.batch, days=held))
        seen = {str(day): (int(rows), int(repeated)) for day, rows, repeated in answer}
        for day, rows in sorted(held.items()):
            if seen.get(day, (0, 0))[0] != rows:
                raise LakeMismatch(
                    f"{self.lake.database}.{COMPACTED_TABLE.name}",
                    f"shows {seen.get(day, (0, 0))[0]} rows of {day} to Athena, {rows} are committed",
                    hint="accesslake doctor looks at the table; " + _OTHERS,
                )
        return frozenset(day for day, (_, repeated) in seen.items() if repeated and day in held)

    def _unload(self, source: Source, part: Slice, again: Collection[str]) -> dict[str, list[StoredObject]]:
        touched = frozenset(day for day in again if part.first_day <= day and f"{day} 00" < part.until)
        sql = kept_rows_sql(source, part, batch=self.batch, again=touched)

        def unload() -> dict[str, list[StoredObject]]:
            folder = f"{self._staging}unload-{uuid.uuid4().hex}/"
            return files_by_day(self.lake, self.athena.unload(sql, f"{self.lake.uri}/{folder}"), folder)

        return self._tried(unload)

    def _select(self, sql: str) -> list[tuple[Any, ...]]:
        return self._tried(lambda: self.athena.select(sql))

    def _tried(self, act: Callable[[], _T]) -> _T:
        """What a statement gives. Failures that pass are tried again, the others looked into."""
        for remaining in reversed(range(_TRIES)):
            try:
                return act()
            except StatementFailed as error:
                if error.trouble is Trouble.TOO_LARGE:
                    raise QueryError("Athena", error.reason, hint=_LIMITS) from error
                if error.trouble is Trouble.OTHER:
                    self._raise_damaged([item for item in self.inputs if name_of(item.key) in error.reason])
                    self._raise_damaged(self.inputs)
                    raise LakeUnusable(self.lake.uri, f"compaction failed: {error.reason}") from error
                if error.trouble is Trouble.STOPPED or not remaining:
                    raise LakeUnusable("Athena", error.reason) from error
        raise AssertionError("unreachable")

    def _raise_damaged(self, items: Collection[Input]) -> None:
        damaged = tuple(item.key for item in items if not is_intact(self.lake.store, item))
        if damaged:
            raise _Damaged(damaged)

    def _address(self, key: str) -> str:
        return f"{self.lake.uri}/{key}"

    @property
    def _staging(self) -> str:
        return f"{STAGING}{self.batch}/{self.attempt}/"
