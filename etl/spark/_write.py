"""What a task writes: files under names of its own, which the driver then numbers.

A task may run twice, beside itself or after it failed half way. So each run writes into a folder of staging that no other run
writes into, and names its files in what it returns; Spark returns the answer of one run of each task. Files that nobody names
stay in staging, and go with it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa
from pyspark import TaskContext
from pyspark.accumulators import Accumulator

from etl.compact import Outputs
from etl.lake import Lake, Output, open_store
from etl.lake._layout import compacted_key, day_of, staged_key
from etl.schema import SCHEMA

WRITTEN: Final = pa.schema([("written", pa.string())])


@dataclass(frozen=True)
class Written:
    """A file that a task wrote: which part of the sorted rows it is from, and the name of its run."""

    part: int
    run: str
    output: Output
    """Its key is as if this run were all of the batch."""


@dataclass(frozen=True)
class WriteFiles:
    """Turns sorted rows into files, and tells which."""

    lake_uri: str
    batch: str
    attempt: str
    target_bytes: int
    rows_written: Accumulator[int]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Runs on an executor."""
        lake, run = Lake(open_store(self.lake_uri)), uuid.uuid4().hex
        context = TaskContext.get()
        assert context is not None  # a task has one
        with TemporaryDirectory(prefix="compact-", dir=lake.store.scratch(), ignore_cleanup_errors=True) as scratch:
            attempt = run_folder(self.attempt, run)
            with Outputs(lake, self.batch, attempt, Path(scratch), self.target_bytes) as outputs:
                for rows in batches:
                    outputs.add(_with_times(rows))
                written = outputs.finish()
        self.rows_written.add(sum(output.rows for output in written))
        part = context.partitionId()
        texts = [json.dumps(asdict(Written(part, run, output))) for output in written]
        yield pa.record_batch([pa.array(texts, pa.string())], schema=WRITTEN)


@dataclass(frozen=True)
class NameFiles:
    """Gives staged files, told as JSON pairs of keys, their second names. A task that runs again finds them named."""

    lake_uri: str

    def __call__(self, tasks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Runs on an executor."""
        store = open_store(self.lake_uri)
        for task in tasks:
            for text in task.column(0).to_pylist():
                for source, target in json.loads(text):
                    store.copy(source, target)
            yield task.rename_columns(WRITTEN.names)


def run_folder(attempt: str, run: str) -> str:
    """Where in an attempt's folder a run of a task writes: in none of its days."""
    return f"{attempt}/runs/{run}"


def number_files(
    written: Iterable[Written], *, batch: str, attempt: str
) -> tuple[tuple[Output, ...], Mapping[str, str]]:
    """The files as the batch's outputs, numbered within their day in the order of the rows; and their keys by where they lie.

    `written` is in each task's own order.
    """
    outputs: list[Output] = []
    names: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for each in sorted(written, key=lambda each: (day_of(each.output.key), each.part)):
        day = day_of(each.output.key)
        numbers[day] = numbers.get(day, 0) + 1
        key = compacted_key(batch, day, numbers[day])
        outputs.append(Output(key, each.output.size, each.output.rows))
        names[staged_key(batch, run_folder(attempt, each.run), each.output.key)] = staged_key(batch, attempt, key)
    return tuple(outputs), names


def read_written(texts: Sequence[str]) -> list[Written]:
    """What `WriteFiles` told."""
    found: list[dict[str, Any]] = [json.loads(text) for text in texts]
    return [Written(each["part"], each["run"], Output(**each["output"])) for each in found]


def _with_times(rows: pa.RecordBatch) -> pa.RecordBatch:
    place = SCHEMA.get_field_index("request_time")
    times = rows.column(place).cast(pa.timestamp("ms"))
    return pa.RecordBatch.from_arrays([*rows.columns[:place], times, *rows.columns[place + 1 :]], schema=SCHEMA)
