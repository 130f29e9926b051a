"""The rewriting step on one machine: DuckDB reads and folds, `_sort` sorts on the disk, pyarrow writes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from etl.compact._fold import COPIES_SQL, KEPT_SQL, REDELIVERED_SQL, REPEATED_SQL, SUSPECTS_SQL
from etl.compact._fold_committed import fold_committed, read_parquet
from etl.compact._inspect import find_damage
from etl.compact._left_out import restore_left_out
from etl.compact._order import FILE_ORDER
from etl.compact._outputs import Outputs
from etl.compact._protocol import OnRows
from etl.compact._read_input import write_log
from etl.compact._sort import BYTES_PER_PART, PLACE, SORT_KEY, Parts, choose_bounds, ints_of
from etl.errors import LakeUnusable, ObjectNotFound, RowsNotConserved, SourceError, first_line
from etl.lake import Input, Lake, ObjectStore, Plan, Winner, request_each
from etl.lake._layout import day_of
from etl.schema import RAW_TABLE_FIELDS, Kind

DEFAULT_TARGET_BYTES: Final = 256 << 20
_ROWS_PER_BATCH: Final = 40_000
_MEMORY_LIMIT: Final = "512MB"
_NAMES: Final = tuple(field.name for field in RAW_TABLE_FIELDS)
_SAMPLED_ROWS: Final = 500_000
_MACHINE_TROUBLES: Final = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE),
    *(errno.EIO, errno.EACCES, errno.ENOENT, errno.ENOMEM),
)
"""What DuckDB tells as an IO error, as it does some damage. No object is left out for them."""
_NONE: Final = np.empty(0, np.int64)
_SQL_TYPES: Final = {Kind.STRING: "VARCHAR", Kind.INT: "INTEGER", Kind.BIGINT: "BIGINT", Kind.TIMESTAMP: "TIMESTAMP_MS"}

_OBJECTS_SQL: Final = """
CREATE TEMP TABLE objects AS
SELECT raw_object, source_key, event_date, count(event_date) AS dated FROM input GROUP BY ALL
"""
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
            damaged = _find_damaged(lake, readable.inputs)
            if not damaged:
                # DuckDB reads and writes local files alone: a disk that it finds full is not the bucket's.
                is_local = isinstance(error, duckdb.Error)
                raise _failed(str(lake.store.scratch()) if is_local else lake.uri, error) from error
        readable = replace(readable, inputs=tuple(item for item in readable.inputs if item.key not in damaged))
        left_out |= damaged


def _find_damaged(lake: Lake, inputs: Sequence[Input]) -> dict[str, str]:
    """Inputs that cannot be rewritten, and why. DuckDB refuses more than Arrow does, so it is asked where Arrow finds nothing."""
    for find in (find_damage, _find_refusal):
        damaged = {item.key: reason for item in inputs if (reason := find(lake.store, item))}
        if damaged:
            return damaged
    return {}


def _find_refusal(store: ObjectStore, item: Input) -> str:
    """Why DuckDB cannot read an input that is alone, `""` if it can."""
    try:
        with TemporaryDirectory(prefix="inspect-", dir=store.scratch(), ignore_cleanup_errors=True) as name:
            scratch = Path(name)
            items = {str(store.fetch(item.key, scratch)): item}
            with _connect(scratch) as connection:
                connection.execute(_input_sql(connection, items))
                connection.execute(_OBJECTS_SQL)
                _check_inputs(connection, items)
                connection.execute("SELECT sum(hash(COLUMNS(*))) FROM input").fetchall()
    except duckdb.OutOfMemoryException:
        return ""
    except (ObjectNotFound, RowsNotConserved) as error:
        return f"cannot be read: {first_line(error)}"
    except duckdb.Error as error:
        if any(os.strerror(code) in str(error) for code in _MACHINE_TROUBLES):
            raise _failed(str(store.scratch()), error) from error
        return f"cannot be read: {first_line(error)}"
    except OSError as error:
        raise _failed(str(store.scratch()), error) from error
    return ""


def _failed(subject: str, error: Exception) -> LakeUnusable:
    return LakeUnusable(subject, f"compaction failed: {getattr(error, 'strerror', None) or first_line(error)}")


def _rewrite(lake: Lake, plan: Plan, attempt: str, target_bytes: int, on_rows: OnRows) -> Winner:
    batch = plan.batch
    if not plan.inputs and not plan.logs:
        return Winner(batch, attempt, (), {})
    try:
        with TemporaryDirectory(prefix="compact-", dir=lake.store.scratch(), ignore_cleanup_errors=True) as name:
            scratch = Path(name)
            parsed, unreadable = _parse_logs(lake, plan, scratch)
            items = _fetch(lake, plan.inputs, scratch) | parsed
            found = Winner(batch, attempt, (), {}, tuple(unreadable), tuple(parsed.values()), unreadable)
            if not items:
                return found
            files = {file: item.key for file, item in items.items()}
            planned = sum(item.rows for item in items.values())
            on_rows(0, planned)
            with _connect(scratch) as connection:
                connection.execute(_input_sql(connection, files))
                connection.execute(_OBJECTS_SQL)
                _check_inputs(connection, items)
                folded = _fold(lake, batch, connection, files, scratch)
                parts = _sort(connection, planned, scratch)
            _drop_copies(files, scratch)
            with Outputs(lake, batch, attempt, scratch, target_bytes) as outputs:
                for part in parts.read_sorted():
                    rows = restore_left_out(part)
                    for start in range(0, rows.num_rows, _ROWS_PER_BATCH):
                        outputs.add(rows.slice(start, _ROWS_PER_BATCH))
                        on_rows(outputs.rows, planned)
                return replace(found, outputs=outputs.finish(), folded=folded)
    except OSError as error:
        # The disk of this machine: a bucket's trouble is a `LakeError` already.
        raise _failed(str(lake.store.scratch()), error) from error


def _fetch(lake: Lake, inputs: Sequence[Input], scratch: Path) -> dict[str, Input]:
    """Local files of the raw objects."""
    fetched = request_each(lake.store, lambda item: str(lake.store.fetch(item.key, scratch)), inputs)
    return dict(zip(fetched, inputs, strict=True))


def _parse_logs(lake: Lake, plan: Plan, scratch: Path) -> tuple[dict[str, Input], dict[str, str]]:
    """Local files of the log objects' rows, as `ingest` would have made them; and why others could not be read."""
    parsed: dict[str, Input] = {}
    unreadable: dict[str, str] = {}
    quarantined = lake.quarantined_names() if plan.logs else frozenset()
    for number, log in enumerate(plan.logs):
        rows_file = scratch / f"log-{number:07}"
        try:
            parsed[str(rows_file)] = write_log(
                lake,
                log,
                rows_file=rows_file,
                quarantine_file=scratch / "quarantine",
                ingest_date=plan.ingest_date,
                quarantined=quarantined,
            )
        except SourceError as error:
            unreadable[log.source_key] = error.reason
    return parsed, unreadable


def _drop_copies(files: Iterable[str], scratch: Path) -> None:
    """Make room: what was fetched from a bucket is in the parts now."""
    for file in map(Path, files):
        if file.is_relative_to(scratch):
            file.unlink()


def _check_inputs(connection: duckdb.DuckDBPyConnection, items: Mapping[str, Input]) -> None:
    """Raise `RowsNotConserved` if an input does not hold the rows that were planned, each with a time of some `YYYY-MM-DD`."""
    counted = connection.execute(
        "SELECT raw_object, sum(dated) FROM objects "
        "WHERE regexp_full_match(event_date, '[0-9]{4}-[0-9]{2}-[0-9]{2}') GROUP BY ALL"
    ).fetchall()
    dated = dict(counted)
    for file, item in items.items():
        if dated.get(file, 0) != item.rows:
            raise RowsNotConserved(item.key, f"{dated.get(file, 0)} rows with a time, {item.rows} were planned")


def _fold(
    lake: Lake, batch: str, connection: duckdb.DuckDBPyConnection, files: Mapping[str, str], scratch: Path
) -> dict[str, int]:
    """Find the rows to drop; how many they are, by the day their raw object arrived."""
    for statement in (REPEATED_SQL, SUSPECTS_SQL, REDELIVERED_SQL):
        connection.execute(statement)
    fold_committed(lake, batch, connection, scratch)
    connection.execute(COPIES_SQL)
    folded: dict[str, int] = {}
    for file, rows in connection.execute("SELECT raw_object, count(*) FROM folded GROUP BY ALL").fetchall():
        day = day_of(files[file])
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
        SELECT kept.* EXCLUDE (raw_object, file_no, file_row),
            sort_group * 86_400_000 + epoch_ms(request_time) % 86_400_000 AS {SORT_KEY},
            ((file_no << 32) + file_row)::BIGINT AS {PLACE}
        FROM ({KEPT_SQL}) AS kept JOIN sort_groups ON {of_the_group}
    """


def _next_batch(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """DuckDB's next rows. Raises `duckdb.Error` as a statement would: through Arrow, its errors come as those of a disk."""
    try:
        return next(reader, None)
    except (OSError, pa.ArrowInvalid) as error:
        raise duckdb.Error(str(error)) from error


def _connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    # A time with a zone is a moment; without this its day would be that of the place where this runs.
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB draws a bar on standard output where it takes the program for a person at a prompt.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _input_sql(connection: duckdb.DuckDBPyConnection, files: Iterable[str]) -> str:
    """The rows of all raw objects; INT96 becomes milliseconds, and the event day is derived for every row."""
    source = read_parquet(files)
    present = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    columns = ", ".join(
        f"{field.name if field.name in present else 'NULL'}::{_SQL_TYPES[field.kind]} AS {field.name}"
        for field in RAW_TABLE_FIELDS
    )
    return (
        f"CREATE TEMP VIEW input AS SELECT {columns}, strftime(request_time, '%Y-%m-%d') AS event_date, "
        f"filename AS raw_object, file_index AS file_no, file_row_number AS file_row FROM {source}"
    )
