"""The rewriting step on one machine: DuckDB folds and sorts, spilling to disk, pyarrow writes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.compact._fold import CONTENT, FOLDED_BEFORE_SQL, FOLDED_SQL, KEPT_SQL, SUSPECTS_SQL
from etl.errors import LakeUnusable, first_line
from etl.lake import Lake, Output, Plan, Winner, read_commits
from etl.lake._layout import compacted_key, day_of, staged_key
from etl.schema import BATCH_ID, COMPACTED_FIELDS, COMPACTED_SCHEMA

DEFAULT_TARGET_BYTES: Final = 256 << 20
ROWS_PER_GROUP: Final = 100_000
_ROWS_PER_BATCH: Final = 20_000
_MEMORY_LIMIT: Final = "1GB"
_NAMES: Final = tuple(field.name for field in COMPACTED_FIELDS if field is not BATCH_ID)
_COLUMNS: Final = ", ".join(_NAMES)
_ORDER: Final = "event_date, bucket_name, operation, key_name, request_time, source_key, line_no"
_DICTIONARY: Final = [
    name
    for name in COMPACTED_SCHEMA.names
    if name not in ("request_id", "host_id", "request_time", "line_no", "bytes_sent_size", "object_size")
]


def rewrite(lake: Lake, plan: Plan, *, attempt: str, target_bytes: int = DEFAULT_TARGET_BYTES) -> Winner:
    """Write the plan's rows, each once, by event day and sorted, into the attempt's own folder of staging.

    Touches nothing that a reader can see. The order is total, so equal inputs give equal files. Memory is bounded: DuckDB has a
    limit and spills, the writer holds one row group.
    """
    if not plan.inputs:
        return Winner(plan.batch, attempt, (), {})
    scratch = Path(tempfile.mkdtemp(prefix="compact-", dir=lake.store.scratch()))
    try:
        files = {str(lake.store.fetch(item.key, scratch)): item.key for item in plan.inputs}
        connection = _connect(scratch)
        try:
            connection.execute(_input_sql(files))
            connection.execute(SUSPECTS_SQL)
            connection.execute(FOLDED_SQL)
            _fold_committed(lake, connection, scratch)
            folded: dict[str, int] = {}
            for file, rows in connection.execute("SELECT raw_object, count(*) FROM folded GROUP BY ALL").fetchall():
                day = day_of(files[file])
                folded[day] = folded.get(day, 0) + rows
            kept = connection.sql(f"SELECT {_COLUMNS}, event_date FROM ({KEPT_SQL}) ORDER BY {_ORDER}")
            outputs = _Outputs(lake, plan.batch, attempt, scratch, target_bytes)
            for batch in kept.to_arrow_reader(_ROWS_PER_BATCH):
                outputs.add(batch)
            written = outputs.finish()
        finally:
            connection.close()
    except duckdb.Error as error:
        raise LakeUnusable(lake.uri, f"compaction failed: {first_line(error)}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Winner(plan.batch, attempt, written, folded)


def _connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )


def _input_sql(files: Iterable[str]) -> str:
    """The rows of all raw objects; INT96 becomes milliseconds, and the event day is derived for every row."""
    milliseconds = "request_time::TIMESTAMP_MS AS request_time"
    columns = ", ".join(milliseconds if name == "request_time" else name for name in _NAMES)
    return (
        f"CREATE TEMP VIEW input AS SELECT {columns}, strftime(request_time, '%Y-%m-%d') AS event_date, "
        f"filename AS raw_object FROM {_read_parquet(files)}"
    )


def _read_parquet(files: Iterable[str]) -> str:
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{listed}], filename=true, union_by_name=true, hive_partitioning=false)"


def _fold_committed(lake: Lake, connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
    """Fold rows whose log object was compacted before: only files of the touched days, and only if an object comes again."""
    days = {day for (day,) in connection.execute("SELECT DISTINCT event_date FROM input").fetchall()}
    log_objects = pa.array([key for (key,) in connection.execute("SELECT DISTINCT source_key FROM input").fetchall()])
    repeating = [
        output.key
        for commit in read_commits(lake.store)
        for output in commit.outputs
        if day_of(output.key) in days and _holds_any(lake, output.key, log_objects)
    ]
    if repeating:
        files = [str(lake.store.fetch(key, scratch)) for key in repeating]
        connection.execute(
            f"CREATE TEMP TABLE committed AS SELECT {CONTENT}, source_key, line_no FROM {_read_parquet(files)} "
            "WHERE source_key IN (SELECT source_key FROM input)"
        )
        connection.execute(FOLDED_BEFORE_SQL)


def _holds_any(lake: Lake, key: str, log_objects: pa.StringArray) -> bool:
    with pq.ParquetFile(lake.store.path(key), filesystem=lake.store.filesystem) as file:
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, columns=["source_key"]).column(0)
            if pc.any(pc.is_in(names, log_objects)).as_py():
                return True
    return False


class _Outputs:
    """Writes sorted batches to files of one event day and about the target size each."""

    def __init__(self, lake: Lake, batch: str, attempt: str, scratch: Path, target_bytes: int) -> None:
        self._lake, self._batch, self._attempt = lake, batch, attempt
        self._scratch, self._target_bytes = scratch, target_bytes
        self._day = ""
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._file = scratch / "output"
        self._file_rows = 0
        self._numbers: dict[str, int] = {}
        self._written: list[Output] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows in order."""
        days = batch.column(batch.num_columns - 1)
        start = 0
        while start < batch.num_rows:
            day = days[start].as_py()
            rows = pc.index(pc.not_equal(days.slice(start), day), True).as_py()
            rows = batch.num_rows - start if rows < 0 else rows
            if day != self._day:
                self._close()
                self._day = day
            self._pending.append(batch.slice(start, rows))
            self._rows += rows
            if self._rows >= ROWS_PER_GROUP:
                self._flush()
                if self._file.stat().st_size >= self._target_bytes:
                    self._close()
            start += rows

    def finish(self) -> tuple[Output, ...]:
        """Close the last file; all files of the attempt."""
        self._close()
        return tuple(self._written)

    def _flush(self) -> None:
        if not self._rows:
            return
        table = pa.Table.from_batches(self._pending).drop_columns("event_date")
        batch_ids = pa.repeat(pa.scalar(self._batch), table.num_rows)
        table = table.append_column(BATCH_ID.name, batch_ids).cast(COMPACTED_SCHEMA)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file,
                COMPACTED_SCHEMA,
                compression="zstd",
                compression_level=3,
                use_dictionary=_DICTIONARY,
                store_schema=False,
            )
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        self._file_rows += self._rows
        self._pending, self._rows = [], 0

    def _close(self) -> None:
        self._flush()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        number = self._numbers[self._day] = self._numbers.get(self._day, 0) + 1
        key = compacted_key(self._batch, self._day, number)
        self._written.append(Output(key, self._file.stat().st_size, self._file_rows))
        self._lake.store.move_in(staged_key(self._batch, self._attempt, key), self._file)
        self._file_rows = 0
