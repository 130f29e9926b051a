"""The direct sink: the rows of one log object to one Parquet file, its unreadable lines to another."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.parse import Parsed
from etl.schema import QUARANTINE_SCHEMA, SCHEMA

ROWS_PER_GROUP: Final = 100_000
"""Rows held in memory before they are written: some 70 MB of text."""
BYTES_PER_GROUP: Final = 1 << 27
"""Bytes held before they are written: a client chooses how long its lines are."""
_DISTINCT: Final = frozenset(
    (
        *("request_time", "request_id", "key_name", "object_key", "request_uri", "version_id", "host_id", "line_no"),
        *("bytes_sent_size", "object_size", "total_duration", "turn_around_duration"),
    )
)
"""Columns whose values hardly repeat: a dictionary of theirs would be built and thrown away."""
_DICTIONARY: Final = [name for name in SCHEMA.names if name not in _DISTINCT]
LINES_METADATA: Final = b"accesslake.lines"
QUARANTINED_METADATA: Final = b"accesslake.quarantined"


@dataclass(frozen=True)
class Written:
    """What became of one log object: non-blank lines = rows + quarantined."""

    lines: int
    rows: int
    quarantined: int


def write_parquet(parts: Iterable[Parsed], *, rows_file: Path, quarantine_file: Path) -> Written:
    """Write the rows to one file, and the quarantined lines, if there are any, to another.

    The same parts give the same bytes, so that a retry replaces a file by its equal. The counts of lines go into the rows file's
    metadata: `audit` holds what is stored against them. Memory is bounded by a row group.
    """
    with ExitStack() as stack:
        rows = _Grouped(stack.enter_context(_writer(rows_file, SCHEMA, _DICTIONARY)))
        quarantine: _Grouped | None = None
        for part in parts:
            rows.add(part.table)
            if part.quarantine.num_rows:
                quarantine = quarantine or _Grouped(
                    stack.enter_context(_writer(quarantine_file, QUARANTINE_SCHEMA, ["source_key", "reason"]))
                )
                quarantine.add(part.quarantine)
        rows.flush()
        quarantined = 0
        if quarantine is not None:
            quarantine.flush()
            quarantined = quarantine.written
        lines = rows.written + quarantined
        rows.writer.add_key_value_metadata(
            {LINES_METADATA: str(lines).encode(), QUARANTINED_METADATA: str(quarantined).encode()}
        )
    return Written(lines, rows.written, quarantined)


def _writer(file: Path, schema: pa.Schema, dictionary: list[str]) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        file, schema, compression="zstd", compression_level=1, use_dictionary=dictionary, store_schema=False
    )


class _Grouped:
    """Collects tables until they fill a row group: many small groups are slow to read."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self.writer = writer
        self.written = 0
        self._pending: list[pa.Table] = []
        self._rows = 0
        self._bytes = 0

    def add(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self.writer.write_table(pa.concat_tables(self._pending), row_group_size=self._rows)
            self.written += self._rows
        self._pending, self._rows, self._bytes = [], 0, 0
