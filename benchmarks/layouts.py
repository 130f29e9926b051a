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
from etl.compact._order import FILE_ORDER, is_sought
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
    "sought first, bucket, operation, key, time": (*FILE_ORDER[1:-1], "key_name", "request_time"),
    "sought first, bucket, operation, time": FILE_ORDER[1:],
}
CHOSEN: Final = "sought first, bucket, operation, time"


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
    apart: int = 0
    """Rows at the start that have row groups of their own."""

    def write(self, table: pa.Table) -> tuple[pq.FileMetaData, int, float]:
        """Footer, bytes and seconds of the file."""
        file = io.BytesIO()
        left_out = {*self.plain, *self.encodings}
        started = time.perf_counter()
        with pq.ParquetWriter(
            file,
            table.schema,
            compression="zstd",
            compression_level=self.level,
            use_dictionary=[name for name in table.column_names if name not in left_out],
            column_encoding=dict(self.encodings) or None,
            store_schema=False,
            **self.options,
        ) as writer:
            for part in (table.slice(0, self.apart), table.slice(self.apart)):
                if part.num_rows:
                    writer.write_table(part, row_group_size=self.rows_per_group)
        return pq.read_metadata(file), file.tell(), time.perf_counter() - started


_TIME_DELTA: Final = {"request_time": "DELTA_BINARY_PACKED"}
_STRING_DELTA: Final = {"request_id": "DELTA_LENGTH_BYTE_ARRAY", "host_id": "DELTA_LENGTH_BYTE_ARRAY"}
_INTS: Final = [f.name for f in COMPACTED_FIELDS if f.kind is not Kind.STRING]
_BASE: Final = Layout()


def _vary(base: Layout) -> dict[str, Layout]:
    """Other ways to write what the chosen one writes."""
    return {
        "as chosen": base,
        "sought rows not apart": _BASE,
        "dictionary everywhere": replace(base, plain=()),
        "dictionary nowhere": replace(base, plain=COMPACTED_SCHEMA.names),
        "DELTA_BINARY_PACKED time": replace(base, encodings=_TIME_DELTA),
        "DELTA_BINARY_PACKED numbers": replace(base, encodings=dict.fromkeys(_INTS, "DELTA_BINARY_PACKED")),
        "DELTA_LENGTH_BYTE_ARRAY ids": replace(base, encodings=_STRING_DELTA),
        "DELTA_LENGTH_BYTE_ARRAY texts": replace(base, encodings=dict.fromkeys(_STRINGS, "DELTA_LENGTH_BYTE_ARRAY")),
        "DELTA_BYTE_ARRAY texts": replace(base, encodings=dict.fromkeys(_STRINGS, "DELTA_BYTE_ARRAY")),
        "page index": replace(base, options={"write_page_index": True}),
        "dictionaries of 4 MiB": replace(base, options={"dictionary_pagesize_limit": 1 << 22}),
        "zstd 1": replace(base, level=1),
        "zstd 6": replace(base, level=6),
        "zstd 9": replace(base, level=9),
        "50,000 rows a group": replace(base, rows_per_group=50_000),
        "250,000 rows a group": replace(base, rows_per_group=250_000),
        "1,000,000 rows a group": replace(base, rows_per_group=1_000_000),
    }


def compare_layouts(day: RawDay, questions: Sequence[Question]) -> str:
    """Two tables: sort orders written alike, and the chosen order written in other ways."""
    written = {}
    for name, order in _ORDERS.items():
        table = read_sorted_day(day, order)
        if name == CHOSEN:
            base = replace(_BASE, apart=sum(is_sought(batch).true_count for batch in table.to_batches()))
            variants = {label: _judge(layout, table, questions) for label, layout in _vary(base).items()}
            written[name] = variants["as chosen"]
        else:
            written[name] = _judge(_BASE, table, questions)
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
