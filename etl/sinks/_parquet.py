"""The rows of one log object to one Parquet file, its unreadable lines to another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.parse import Parsed
from etl.schema import QUARANTINE_SCHEMA, SCHEMA
from etl.sinks._sink import Written

ROWS_PER_GROUP: Final = 100_000
"""Rows held in memory before they are written: some 70 MB of text."""
BYTES_PER_GROUP: Final = 1 << 27
"""Bytes held before they are written: a client chooses how long its lines are."""
_DISTINCT: Final = frozenset(
    (
        *("request_time", "request_id", "key_name", "object_key", "request_uri", "version_id", "host_id", "line_no"),
        *("bytes_sent_size", "object_size", "total_duration", "turn_around_duration", "raw_line"),
    )
)
"""Columns whose values hardly repeat: a dictionary of theirs would be built and thrown away."""
LINES_METADATA: Final = b"accesslake.lines"
QUARANTINED_METADATA: Final = b"accesslake.quarantined"


def write_parquet(parts: Iterable[Parsed], *, rows_file: Path, quarantine_file: Path) -> Written:
    """Write the rows to one file, and the quarantined lines, if there are any, to another.

    The same parts give the same bytes, so that a retry replaces a file by its equal. The counts of lines go into the rows file's
    metadata: `audit` holds what is stored against them. Memory is bounded by a row group.
    """
    with TableFile(rows_file, SCHEMA) as rows, TableFile(quarantine_file, QUARANTINE_SCHEMA) as quarantine:
        rows.open()
        for part in parts:
            rows.add(part.table)
            quarantine.add(part.quarantine)
        quarantined = quarantine.flush()
        lines = rows.flush() + quarantined
        rows.describe({LINES_METADATA: str(lines).encode(), QUARANTINED_METADATA: str(quarantined).encode()})
    return Written(lines, lines - quarantined, quarantined)


class TableFile:
    """A Parquet file that comes into being with its first row, or on request.

    Tables are collected until they fill a row group: many small groups are slow to read.
    """

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._written = 0
        self._pending: list[pa.Table] = []
        self._rows = 0
        self._bytes = 0

    def __enter__(self) -> TableFile:
        """The file itself: leaving closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Have all of the file on the disk; closing twice does nothing."""
        if self._writer is not None:
            self._writer.close()

    def open(self) -> pq.ParquetWriter:
        """Have the file, with or without rows."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=[name for name in self._schema.names if name not in _DISTINCT],
                store_schema=False,
            )
        return self._writer

    def add(self, table: pa.Table) -> None:
        """Take rows; they are written when there are enough."""
        if not table.num_rows:
            return
        self._pending.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self.flush()

    def flush(self) -> int:
        """Write what is collected; all rows written so far."""
        if self._rows:
            self.open().write_table(pa.concat_tables(self._pending), row_group_size=self._rows)
            self._written += self._rows
        self._pending, self._rows, self._bytes = [], 0, 0
        return self._written

    def describe(self, metadata: dict[bytes, bytes]) -> None:
        """Add to the metadata of the file, which is open."""
        self.open().add_key_value_metadata(metadata)
