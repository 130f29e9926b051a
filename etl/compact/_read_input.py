"""Inputs of a plan as rows: what every engine starts from, so that all of them rewrite the same ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.compact._inspect import UNREADABLE, find_damage, read_batches
from etl.compact._left_out import restore_left_out
from etl.errors import LakeUnusable, ObjectNotFound, RowsNotConserved, first_line
from etl.lake import Input, Lake, PlannedLog, quarantine_key, raw_key, raw_name
from etl.parse import parse_stream
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
            for batch in read_batches(file, item.key, rows_at_once=_ROWS_PER_BATCH):
                rows += batch.num_rows
                yield restore_left_out(batch)
    except FileNotFoundError as error:
        raise ObjectNotFound(item.key, "no such object in the lake") from error
    except UNREADABLE as error:
        damage = find_damage(lake.store, item)
        if not damage:
            raise LakeUnusable(f"{lake.uri}/{item.key}", first_line(error)) from error
        raise RowsNotConserved(item.key, damage) from error
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
