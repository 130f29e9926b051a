"""Inputs of a plan as rows: what every engine starts from, so that all of them rewrite the same ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.compact._inspect import has_columns, is_intact
from etl.compact._left_out import restore_left_out
from etl.errors import LakeUnusable, ObjectNotFound, RowsNotConserved, first_line
from etl.lake import Input, Lake, PlannedLog, quarantine_key, raw_key, raw_name
from etl.parse import parse_stream
from etl.schema import SCHEMA
from etl.sinks import scratch_files, write_parquet
from etl.sources import LogSource, read_parts, text_only

_ROWS_PER_BATCH: Final = 40_000


@dataclass(frozen=True)
class LogRows:
    """A log object that was read to its end: what it held, and its rows in input order, once."""

    input: Input
    batches: Iterator[pa.RecordBatch]
    """With `etl.SCHEMA`, which is a compacted file's without batch_id and with event_date."""


def read_raw(lake: Lake, item: Input) -> Iterator[pa.RecordBatch]:
    """The rows of a raw object, with `etl.SCHEMA`, as the parser gave them, through whichever sink they came.

    Milliseconds whatever the file has, INT96 too; what a sink left out is put back; event_date is that of request_time. Memory
    is bounded by a row group. Raises `ObjectNotFound`, `LakeUnusable` for the store's trouble, and `RowsNotConserved` if the
    object does not hold the rows that were planned, each with a time. The last may come after some rows: what was made of them
    has to be thrown away, and the object left out.
    """
    rows = 0
    try:
        with pq.ParquetFile(
            lake.store.path(item.key), filesystem=lake.store.filesystem, coerce_int96_timestamp_unit="ms"
        ) as file:
            if not has_columns(file.schema_arrow):
                raise RowsNotConserved(item.key, "lacks a column, or has one of another type")
            names = [name for name in SCHEMA.names if name in file.schema_arrow.names and name != "event_date"]
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=names):
                rows += batch.num_rows
                yield restore_left_out(_with_schema(batch))
    except FileNotFoundError as error:
        raise ObjectNotFound(item.key, "no such object in the lake") from error
    except (OSError, pa.ArrowException) as error:
        if is_intact(lake.store, item):
            raise LakeUnusable(f"{lake.uri}/{item.key}", first_line(error)) from error
        raise RowsNotConserved(item.key, f"cannot be read: {first_line(error)}") from error
    if rows != item.rows:
        raise RowsNotConserved(item.key, f"{rows} rows, {item.rows} were planned")


@contextmanager
def read_log(
    lake: Lake, log: PlannedLog, *, ingest_date: str, quarantined: Collection[str] = frozenset()
) -> Iterator[LogRows]:
    """The rows of a log object where it lies, all of it or nothing, and the object of quarantine/ that `ingest` would have made.

    It is read to its end first, onto the local disk: of half an object no row may count, and S3 tells of one that was cut short,
    or replaced, only then. `quarantined` are the names whose unreadable lines the lake has already (`Lake.quarantined_names`).
    Memory is bounded by a row group. Raises a `SourceError` if the object, in the version that was planned, cannot be read or is
    no log, `LakeUnusable` for trouble with the lake or the disk.
    """
    with scratch_files(lake.store) as (rows_file, quarantine_file):
        item = write_log(
            lake,
            log,
            rows_file=rows_file,
            quarantine_file=quarantine_file,
            ingest_date=ingest_date,
            quarantined=quarantined,
        )
        with pq.ParquetFile(rows_file) as file:
            yield LogRows(item, file.iter_batches(_ROWS_PER_BATCH))


def write_log(
    lake: Lake,
    log: PlannedLog,
    *,
    rows_file: Path,
    quarantine_file: Path,
    ingest_date: str,
    quarantined: Collection[str],
) -> Input:
    """Put the log object's rows into a local Parquet file and its unreadable lines into quarantine/; what it held.

    `quarantine_file` is in the store's scratch folder. Raises as `read_log` does.
    """
    source = LogSource(log.source_key, log.location, log.size, log.version)
    parts = parse_stream(text_only(log.source_key, read_parts(source)), source_key=log.source_key)
    name = raw_name(log.source_key, log.version)
    try:
        written = write_parquet(parts, rows_file=rows_file, quarantine_file=quarantine_file)
    except OSError as error:
        raise LakeUnusable(str(rows_file.parent), f"cannot write: {error.strerror or error}") from error
    if written.quarantined and name not in quarantined:
        lake.store.move_in(quarantine_key(name, ingest_date), quarantine_file)
    return Input(raw_key(name, ingest_date), log.version, log.size, written.rows, written.lines, written.quarantined)


def _with_schema(rows: pa.RecordBatch) -> pa.RecordBatch:
    """All columns of the schema, in its order and types."""
    times = rows.column("request_time").cast(pa.timestamp("ms"), safe=False)
    if times.null_count:
        raise pa.ArrowInvalid("a row without a time")
    columns = {name: rows.column(name) for name in rows.schema.names}
    columns |= {"request_time": times, "event_date": times.cast(pa.date32()).cast(pa.string())}
    nothing = pa.nulls(rows.num_rows, pa.string())
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, nothing).cast(field.type) for field in SCHEMA], schema=SCHEMA
    )
