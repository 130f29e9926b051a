"""The rewriting step on one machine: DuckDB reads and folds, `_sort` sorts on the disk, pyarrow writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from etl.compact._bundle import Bundles, are_many, bundle, remove_copies
from etl.compact._damaged import compaction_failed, find_damaged
from etl.compact._duckdb import bundled_rows, check_inputs, connect, count_objects, raw_rows
from etl.compact._fold import COPIES_SQL, KEPT_SQL, REDELIVERED_SQL, REPEATED_SQL, SUSPECTS_SQL
from etl.compact._fold_committed import fold_committed
from etl.compact._inspect import check_file
from etl.compact._left_out import restore_left_out
from etl.compact._order import FILE_ORDER
from etl.compact._outputs import Outputs
from etl.compact._protocol import OnRows
from etl.compact._read_input import write_log
from etl.compact._sort import BYTES_PER_PART, PLACE, SORT_KEY, Parts, choose_bounds, ints_of
from etl.errors import ObjectNotFound, RowsNotConserved, SourceError
from etl.lake import Input, Lake, Plan, Winner, request_each
from etl.lake._layout import day_of
from etl.schema import RAW_TABLE_FIELDS

DEFAULT_TARGET_BYTES: Final = 256 << 20
_ROWS_PER_BATCH: Final = 40_000
_NAMES: Final = tuple(field.name for field in RAW_TABLE_FIELDS)
_SAMPLED_ROWS: Final = 500_000
_NONE: Final = np.empty(0, np.int64)

_GROUP_KEYS: Final = {f"key_{number}": key for number, key in enumerate(FILE_ORDER[:-1])}
_GROUPS_SQL: Final = f"""
CREATE TEMP TABLE sort_groups AS
SELECT *, row_number() OVER (ORDER BY {", ".join(_GROUP_KEYS)}) - 1 AS sort_group
FROM (SELECT DISTINCT {", ".join(f"{key} AS {name}" for name, key in _GROUP_KEYS.items())} FROM input)
"""
_LONG: Final = ("key_name", "key_name", "request_uri", "referer", "user_agent", "extra_fields", "raw_line")
_WEIGHT: Final = " + ".join(["400", *(f"coalesce(strlen({name}), 0)" for name in _LONG)])


def rewrite(
    lake: Lake,
    plan: Plan,
    *,
    attempt: str,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    on_rows: OnRows = lambda done, planned: None,
) -> Winner:
    """Write the plan's rows, each once, by event day and sorted, into the attempt's own folder of staging.

    Touches nothing that a reader of rows can see; unreadable lines of log objects go to quarantine/, as on their way into raw/.
    The order is total, so equal inputs give equal files. Memory is bounded: DuckDB has a limit and spills, sorting holds a part
    of the rows, the writer two row groups. An input that turns out to be damaged is left out and named: a plan stands once it is
    made, and one bad object must not hold up all that follow. Raises `LakeUnusable`.
    """
    readable = plan
    left_out: dict[str, str] = {}
    while True:
        try:
            written = _rewrite(lake, readable, attempt, target_bytes, on_rows)
            return replace(written, left_out=(*left_out, *written.left_out), reasons=left_out | {**written.reasons})
        except (duckdb.Error, pa.ArrowException, ObjectNotFound, RowsNotConserved) as error:
            # Of many inputs those that are damaged were left out when they were read, once and for all.
            suspects = () if are_many(readable.inputs) else readable.inputs
            damaged = find_damaged(lake, suspects, error)
        readable = replace(readable, inputs=tuple(item for item in readable.inputs if item.key not in damaged))
        left_out |= damaged


def _rewrite(lake: Lake, plan: Plan, attempt: str, target_bytes: int, on_rows: OnRows) -> Winner:
    batch = plan.batch
    if not plan.inputs and not plan.logs:
        return Winner(batch, attempt, (), {})
    try:
        with TemporaryDirectory(prefix="compact-", dir=lake.store.scratch(), ignore_cleanup_errors=True) as name:
            scratch = Path(name)
            parsed, unreadable = _parse_logs(lake, plan, scratch)
            with connect(scratch) as connection:
                inputs = _gather(lake, connection, plan.inputs, parsed, scratch)
                reasons = unreadable | inputs.left_out
                found = Winner(batch, attempt, (), {}, tuple(reasons), tuple(parsed), reasons)
                if not inputs.items:
                    return found
                planned = sum(item.rows for item in inputs.items)
                on_rows(0, planned)
                folded = _fold(lake, batch, connection, inputs.items, scratch)
                parts = _sort(connection, planned, scratch)
            remove_copies(inputs.files, scratch)
            with Outputs(lake, batch, attempt, scratch, target_bytes) as outputs:
                for part in parts.read_sorted():
                    rows = restore_left_out(part)
                    for start in range(0, rows.num_rows, _ROWS_PER_BATCH):
                        outputs.add(rows.slice(start, _ROWS_PER_BATCH))
                        on_rows(outputs.rows, planned)
                return replace(found, outputs=outputs.finish(), folded=folded)
    except OSError as error:
        # The disk of this machine: a bucket's trouble is a `LakeError` already.
        raise compaction_failed(str(lake.store.scratch()), error) from error


def _gather(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    inputs: Sequence[Input],
    parsed: Mapping[Input, str],
    scratch: Path,
) -> Bundles:
    """Have the rows of raw objects and of log objects as `input`, what each object holds as `objects`; where they come from."""
    items = (*inputs, *parsed)

    def fetch(item: Input) -> str:
        if item in parsed:
            return parsed[item]
        file = str(lake.store.fetch(item.key, scratch))
        check_file(file, item.key)
        return file

    def find(some: Sequence[Input], error: Exception) -> Mapping[str, str]:
        return find_damaged(lake, [item for item in some if item not in parsed], error)

    if are_many(items):
        found = bundle(
            connection,
            items,
            scratch=scratch,
            fetch=lambda some: request_each(lake.store, fetch, some),
            find_damaged=find,
        )
        rows = bundled_rows(found.files)
    else:
        found = Bundles(tuple(request_each(lake.store, fetch, items)), items)
        rows = raw_rows(found.files)
    if found.items:
        connection.execute(f"CREATE TEMP VIEW input AS {rows}")
        connection.execute(f"CREATE TEMP TABLE objects AS {count_objects('FROM input')}")
        check_inputs(connection, "FROM objects", found.items)
    return found


def _parse_logs(lake: Lake, plan: Plan, scratch: Path) -> tuple[dict[Input, str], dict[str, str]]:
    """Local files of the log objects' rows, as `ingest` would have made them; and why others could not be read."""
    parsed: dict[Input, str] = {}
    unreadable: dict[str, str] = {}
    quarantined = lake.quarantined_names() if plan.logs else frozenset()
    for number, log in enumerate(plan.logs):
        rows_file = scratch / f"log-{number:07}"
        try:
            item = write_log(
                lake,
                log,
                rows_file=rows_file,
                quarantine_file=scratch / "quarantine",
                ingest_date=plan.ingest_date,
                quarantined=quarantined,
            )
            parsed[item] = str(rows_file)
        except SourceError as error:
            unreadable[log.source_key] = error.reason
    return parsed, unreadable


def _fold(
    lake: Lake, batch: str, connection: duckdb.DuckDBPyConnection, items: Sequence[Input], scratch: Path
) -> dict[str, int]:
    """Find the rows to drop; how many they are, by the day their raw object arrived."""
    for statement in (REPEATED_SQL, SUSPECTS_SQL, REDELIVERED_SQL):
        connection.execute(statement)
    fold_committed(lake, batch, connection, scratch)
    connection.execute(COPIES_SQL)
    folded: dict[str, int] = {}
    for number, rows in connection.execute("SELECT raw_object, count(*) FROM folded GROUP BY ALL").fetchall():
        day = day_of(items[number].key)
        folded[day] = folded.get(day, 0) + rows
    return folded


def _sort(connection: duckdb.DuckDBPyConnection, rows: int, scratch: Path) -> Parts:
    """Deal the rows that are kept out to parts of about equal size."""
    connection.execute(_GROUPS_SQL)
    every = rows // _SAMPLED_ROWS + 1
    sample = f"SELECT {SORT_KEY}, ({_WEIGHT}) * {every} AS weight FROM ({_keyed_sql()}) WHERE {PLACE} % {every} = 0"
    found = connection.sql(sample).to_arrow_table()
    keys, weights = (np.concatenate([_NONE, *map(ints_of, column.chunks)]) for column in found.columns)
    parts = Parts(scratch / "parts", choose_bounds(keys, weights, target=BYTES_PER_PART))
    names = ", ".join([*_NAMES, "event_date", SORT_KEY, PLACE])
    reader = connection.sql(f"SELECT {names} FROM ({_keyed_sql()})").to_arrow_reader(_ROWS_PER_BATCH)
    while (batch := _next_batch(reader)) is not None:
        parts.add(batch)
    return parts


def _keyed_sql() -> str:
    """The rows that are kept, with one integer for all of `FILE_ORDER`, and one for where they lie."""
    of_the_group = " AND ".join(f"{key} = {name}" for name, key in _GROUP_KEYS.items())
    return f"""
        SELECT kept.* EXCLUDE (raw_object, file_row),
            sort_group * 86_400_000 + epoch_ms(request_time) % 86_400_000 AS {SORT_KEY},
            (raw_object << 32) + file_row AS {PLACE}
        FROM ({KEPT_SQL}) AS kept JOIN sort_groups ON {of_the_group}
    """


def _next_batch(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """DuckDB's next rows. Raises `duckdb.Error` as a statement would: through Arrow, its errors come as those of a disk."""
    try:
        return next(reader, None)
    except (OSError, pa.ArrowInvalid) as error:
        raise duckdb.Error(str(error)) from error
