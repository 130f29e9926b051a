"""What a rewrite writes: sorted rows to files of one event day and about the target size each."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.compact._order import is_sought
from etl.lake import Lake, Output
from etl.lake._layout import compacted_key, staged_key
from etl.schema import BATCH_ID, COMPACTED_SCHEMA

ROWS_PER_GROUP: Final = 100_000
ROWS_WORTH_A_GROUP: Final = 1_000
"""Of the rows that stand first because they are sought. Fewer share their row group with those that follow."""
BYTES_PER_GROUP: Final = 1 << 27
"""Bytes held before they are written: a client chooses how long its lines are."""
_RANDOM: Final = frozenset(("request_id", "host_id", "version_id", "request_time"))
"""Columns for which a dictionary is larger than the values (docs/adr/0010-layout-of-compacted-files.md)."""
_DICTIONARY: Final = [name for name in COMPACTED_SCHEMA.names if name not in _RANDOM]


class Outputs:
    """Takes batches of rows, sorted by event day first, and puts finished files into the attempt's folder of staging.

    One row group is written by a thread while the next is collected: two are in memory at most.
    """

    def __init__(self, lake: Lake, batch: str, attempt: str, scratch: Path, target_bytes: int) -> None:
        self._lake, self._batch, self._attempt = lake, batch, attempt
        self._scratch, self._target_bytes = scratch, target_bytes
        self._day = ""
        self._is_sought = False
        self._pending: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._file = scratch / "output"
        self._file_rows = 0
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[None] | None = None
        self._numbers: dict[str, int] = {}
        self._written: list[Output] = []

    def __enter__(self) -> Outputs:
        """The outputs themselves: leaving ends their thread."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being written, whether it counts or not: its folder may go next."""
        self._thread.shutdown()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows in order. Those that are sought have row groups of their own, if they are worth one."""
        days, sought = batch.column("event_date"), is_sought(batch)
        start = 0
        while start < batch.num_rows:
            day, first = days[start].as_py(), sought[start].as_py()
            others = pc.or_(pc.not_equal(days.slice(start), day), pc.xor(sought.slice(start), sought[start]))
            rows = pc.index(others, True).as_py()
            rows = min(batch.num_rows - start if rows < 0 else rows, ROWS_PER_GROUP - self._rows)
            if day != self._day:
                self._close()
                self._day = day
            elif first != self._is_sought and self._rows >= ROWS_WORTH_A_GROUP:
                self._flush()
            self._is_sought = first
            self._pending.append(batch.slice(start, rows))
            self._rows += rows
            self._bytes += self._pending[-1].nbytes
            if self._rows >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
                self._flush()
            start += rows

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return sum(output.rows for output in self._written) + self._file_rows + self._rows

    def finish(self) -> tuple[Output, ...]:
        """Close the last file; all files of the attempt."""
        self._close()
        return tuple(self._written)

    def _flush(self) -> None:
        """Have the rows that are collected written, to a new file if this one is large enough."""
        if not self._rows:
            return
        self._wait()
        if self._writer is not None and self._file.stat().st_size >= self._target_bytes:
            self._finish_file()
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file,
                COMPACTED_SCHEMA,
                compression="zstd",
                compression_level=3,
                use_dictionary=_DICTIONARY,
                store_schema=False,
            )
        self._writing = self._thread.submit(self._write, self._writer, self._pending)
        self._file_rows += self._rows
        self._pending, self._rows, self._bytes = [], 0, 0

    def _write(self, writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
        table = pa.Table.from_batches(batches).drop_columns("event_date")
        batch_ids = pa.repeat(pa.scalar(self._batch), table.num_rows)
        table = table.append_column(BATCH_ID.name, batch_ids).cast(COMPACTED_SCHEMA)
        writer.write_table(table, row_group_size=table.num_rows)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _close(self) -> None:
        self._flush()
        self._wait()
        if self._writer is not None:
            self._finish_file()

    def _finish_file(self) -> None:
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        number = self._numbers[self._day] = self._numbers.get(self._day, 0) + 1
        key = compacted_key(self._batch, self._day, number)
        self._written.append(Output(key, self._file.stat().st_size, self._file_rows))
        self._lake.store.move_in(staged_key(self._batch, self._attempt, key), self._file)
        self._file_rows = 0
