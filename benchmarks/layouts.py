"""Ways to lay a day out in one file, judged by its size and by what the queries that come with the product must read of it."""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.raw_day import RawDay
from benchmarks.rounds import markdown_table
from benchmarks.scanned import Question
from etl.schema import BATCH_ID, COMPACTED_FIELDS, COMPACTED_SCHEMA, Kind

_STRINGS: Final = [name for name in COMPACTED_SCHEMA.names if pa.types.is_string(COMPACTED_SCHEMA.field(name).type)]
_PLAIN: Final = ("request_id", "host_id", "version_id", "request_time")
_ORDERS: Final = {
    "bucket, operation, key, time": ("bucket_name", "operation", "key_name", "request_time"),
    "bucket, operation, time": ("bucket_name", "operation", "request_time"),
    "bucket, operation, requester, time": ("bucket_name", "operation", "requester", "request_time"),
    "bucket, operation, hour, key": ("bucket_name", "operation", "date_trunc('hour', request_time)", "key_name"),
    "bucket, requester, operation, time": ("bucket_name", "requester", "operation", "request_time"),
    "bucket, key, time": ("bucket_name", "key_name", "request_time"),
    "bucket, time": ("bucket_name", "request_time"),
    "operation, bucket, key": ("operation", "bucket_name", "key_name", "request_time"),
    "time": ("request_time",),
}
CHOSEN: Final = "bucket, operation, time"


@dataclass(frozen=True)
class Layout:
    """How a sorted table is written."""

    rows_per_group: int = 100_000
    level: int = 3
    plain: Sequence[str] = _PLAIN
    """Columns without a dictionary."""
    encodings: Mapping[str, str] = field(default_factory=dict)
    """Columns with another encoding."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of pyarrow's writer."""

    def write(self, table: pa.Table) -> tuple[pq.FileMetaData, int, float]:
        """Footer, bytes and seconds of the file."""
        file = io.BytesIO()
        left_out = {*self.plain, *self.encodings}
        started = time.perf_counter()
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=self.level,
            use_dictionary=[name for name in table.column_names if name not in left_out],
            column_encoding=dict(self.encodings) or None,
            store_schema=False,
            row_group_size=self.rows_per_group,
            **self.options,
        )
        return pq.read_metadata(file), file.tell(), time.perf_counter() - started


_TIME_DELTA: Final = {"request_time": "DELTA_BINARY_PACKED"}
_STRING_DELTA: Final = {"request_id": "DELTA_LENGTH_BYTE_ARRAY", "host_id": "DELTA_LENGTH_BYTE_ARRAY"}
_INTS: Final = [f.name for f in COMPACTED_FIELDS if f.kind is not Kind.STRING]
_BASE: Final = Layout()
_VARIANTS: Final = {
    "as chosen": _BASE,
    "dictionary everywhere": replace(_BASE, plain=()),
    "dictionary nowhere": replace(_BASE, plain=COMPACTED_SCHEMA.names),
    "DELTA_BINARY_PACKED time": replace(_BASE, encodings=_TIME_DELTA),
    "DELTA_BINARY_PACKED numbers": replace(_BASE, encodings=dict.fromkeys(_INTS, "DELTA_BINARY_PACKED")),
    "DELTA_LENGTH_BYTE_ARRAY ids": replace(_BASE, encodings=_STRING_DELTA),
    "DELTA_LENGTH_BYTE_ARRAY texts": replace(_BASE, encodings=dict.fromkeys(_STRINGS, "DELTA_LENGTH_BYTE_ARRAY")),
    "DELTA_BYTE_ARRAY texts": replace(_BASE, encodings=dict.fromkeys(_STRINGS, "DELTA_BYTE_ARRAY")),
    "page index": replace(_BASE, options={"write_page_index": True}),
    "dictionaries of 4 MiB": replace(_BASE, options={"dictionary_pagesize_limit": 1 << 22}),
    "zstd 1": replace(_BASE, level=1),
    "zstd 6": replace(_BASE, level=6),
    "zstd 9": replace(_BASE, level=9),
    "50,000 rows a group": replace(_BASE, rows_per_group=50_000),
    "250,000 rows a group": replace(_BASE, rows_per_group=250_000),
    "1,000,000 rows a group": replace(_BASE, rows_per_group=1_000_000),
}


def compare_layouts(day: RawDay, questions: Sequence[Question]) -> str:
    """Two tables: sort orders written alike, and the chosen order written in other ways."""
    written = {}
    for name, order in _ORDERS.items():
        table = read_sorted_day(day, order)
        written[name] = _judge(_BASE, table, questions)
        if name == CHOSEN:
            variants = {label: _judge(layout, table, questions) for label, layout in _VARIANTS.items()}
        print(name, file=sys.stderr)
    return (
        f"### Sort orders\n\n{_table('order', written, CHOSEN)}\n"
        f"### The order {CHOSEN}, written in other ways\n\n{_table('', variants, 'as chosen')}"
    )


def read_sorted_day(day: RawDay, order: Sequence[str]) -> pa.Table:
    """The day's rows with the compacted schema, all in memory."""
    names = [field.name for field in COMPACTED_FIELDS if field is not BATCH_ID]
    columns = ", ".join(f"{name}::TIMESTAMP_MS AS {name}" if name == "request_time" else name for name in names)
    files = [str(file) for file in day.files]
    by = ", ".join([*order, "source_key", "line_no"])
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        table = connection.sql(f"SELECT {columns} FROM read_parquet({files!r}) ORDER BY {by}").to_arrow_table()
    # What compaction restores: the keys of generated lines decode to texts that are hardly longer or shorter.
    key, status = (COMPACTED_SCHEMA.get_field_index(name) for name in ("object_key", "parse_status"))
    table = table.set_column(key, "object_key", table.column("key_name"))
    table = table.set_column(status, "parse_status", table.column("parse_status").fill_null("clean"))
    batch = pa.repeat(pa.scalar("0000000001"), table.num_rows)
    return table.append_column(BATCH_ID.name, batch).cast(COMPACTED_SCHEMA)


@dataclass(frozen=True)
class _Judged:
    size: int
    seconds: float
    footer: int
    read: tuple[int, ...]


def _judge(layout: Layout, table: pa.Table, questions: Sequence[Question]) -> _Judged:
    metadata, size, seconds = layout.write(table)
    return _Judged(size, seconds, metadata.serialized_size, tuple(each.count_bytes([metadata]) for each in questions))


def _table(head: str, judged: Mapping[str, _Judged], baseline: str) -> str:
    base = judged[baseline].read
    rows = []
    for name, found in judged.items():
        ratio = math.exp(sum(math.log(one / other) for one, other in zip(found.read, base, strict=True)) / len(base))
        cells = [f"{found.size / 1e6:.1f}", f"{sum(found.read) / 1e6:.1f}", f"{ratio:.2f}"]
        rows.append([name, *cells, f"{found.seconds:.1f}", f"{found.footer / 1e3:.0f}"])
    columns = ("MB", "MB read by all queries", "x read by a query, geometric mean", "seconds to write", "footer, KB")
    return markdown_table((head, *columns), rows)
