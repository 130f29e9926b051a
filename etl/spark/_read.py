"""What a task reads: objects through our own store, so that Spark needs no connector and no credentials of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.accumulators import Accumulator

from etl.arrays import values_to_array
from etl.compact import read_log, read_raw
from etl.errors import ObjectNotFound, RowsNotConserved, SourceError
from etl.lake import Input, Lake, PlannedLog, open_store, raw_name
from etl.spark._rows import COMMITTED_NAMES, COMMITTED_SCHEMA, PLACE, READ_SCHEMA, REPORT, ROWS_BITS
from etl.spark._session import ROWS_PER_BATCH

_BYTES_PER_BATCH: Final = 8 << 20


@dataclass(frozen=True)
class ReadInputs:
    """Turns inputs of a plan, as JSON, into their rows, and a report on each after its rows.

    An input that turns out to be unreadable may have given some rows by then: its report says that they do not count. Reports are
    rows, not Spark's accumulators, because a task may run twice and its rows still count once.
    """

    lake_uri: str
    ingest_date: str
    rows_read: Accumulator[int]

    def __call__(self, tasks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Runs on an executor."""
        lake = Lake(open_store(self.lake_uri))
        items = (item for task in tasks for text in task.column(0).to_pylist() for item in json.loads(text))
        return _in_batches(rows for item in items for rows in self._read(lake, item))

    def _read(self, lake: Lake, item: dict[str, Any]) -> Iterator[pa.RecordBatch]:
        number = item["number"]
        rows = size = 0
        found: dict[str, Any] = {"number": number}
        try:
            for batch in self._rows_of(lake, item, found):
                yield _placed(batch, (number << ROWS_BITS) + rows)
                rows += batch.num_rows
                size += batch.nbytes
        except (ObjectNotFound, RowsNotConserved, SourceError) as error:
            found["unreadable"] = error.reason
        self.rows_read.add(rows)
        yield _report({**found, "bytes": size})

    def _rows_of(self, lake: Lake, item: dict[str, Any], found: dict[str, Any]) -> Iterator[pa.RecordBatch]:
        if "raw" in item:
            yield from read_raw(lake, Input(**item["raw"]))
            return
        log = PlannedLog(**item["log"])
        known = {raw_name(log.source_key, log.version)} if item["quarantined"] else frozenset[str]()
        with read_log(lake, log, ingest_date=self.ingest_date, quarantined=known) as read:
            yield from read.batches
        found["input"] = asdict(read.input)


@dataclass(frozen=True)
class ReadCommitted:
    """Turns keys of committed files into (file, source_key), each once, or into the columns that make two rows the same."""

    lake_uri: str
    keys_only: bool

    def __call__(self, tasks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Runs on an executor."""
        store = open_store(self.lake_uri)
        names = ["source_key"] if self.keys_only else COMMITTED_NAMES
        for key in (key for task in tasks for text in task.column(0).to_pylist() for key in json.loads(text)):
            with pq.ParquetFile(store.path(key), filesystem=store.filesystem) as file:
                if self.keys_only:
                    keys = file.read(names).column(0).combine_chunks().unique()
                    yield from _slices(pa.record_batch({"file": pa.repeat(key, len(keys)), "source_key": keys}))
                else:
                    for batch in file.iter_batches(ROWS_PER_BATCH, columns=names):
                        yield from _slices(batch.select(names).cast(COMMITTED_SCHEMA))


def _placed(rows: pa.RecordBatch, first: int) -> pa.RecordBatch:
    places = values_to_array(np.arange(first, first + rows.num_rows), None, pa.int64())
    times = rows.column("request_time").cast(pa.int64())
    named = dict(zip(rows.schema.names, rows.columns, strict=True))
    named |= {"request_time": times, PLACE: places, REPORT: pa.nulls(rows.num_rows, pa.string())}
    return pa.RecordBatch.from_arrays([named[name] for name in READ_SCHEMA.names], schema=READ_SCHEMA)


def _report(found: dict[str, Any]) -> pa.RecordBatch:
    values = {REPORT: pa.array([json.dumps(found)], pa.string())}
    nothing = [values.get(field.name, pa.nulls(1, field.type)) for field in READ_SCHEMA]
    return pa.RecordBatch.from_arrays(nothing, schema=READ_SCHEMA)


def _in_batches(found: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches that are worth sending: those of many tiny objects together, those of a large one in slices."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in found:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ROWS_PER_BATCH or size >= _BYTES_PER_BATCH:
            yield from _slices(pa.concat_batches(held))
            held, rows, size = [], 0, 0
    if held:
        yield from _slices(pa.concat_batches(held))


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    parts = max(-(-batch.num_rows // ROWS_PER_BATCH), -(-batch.nbytes // _BYTES_PER_BATCH), 1)
    step = max(-(-batch.num_rows // parts), 1)
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)
