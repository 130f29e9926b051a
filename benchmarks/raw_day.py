"""A day's raw files as Firehose writes them, of the product's own generated lines."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.generate import generate
from etl.parse import CLEAN, parse
from etl.schema import RAW_TABLE_FIELDS, arrow_schema

DAY = datetime.date(2026, 3, 31)
_ARRIVED = DAY + datetime.timedelta(days=1)
_LINES_PER_OBJECT = 1000
"""At most: a file holds whole log objects."""


@dataclass(frozen=True)
class RawDay:
    """One event day in raw/."""

    files: tuple[Path, ...]
    rows: int
    text_bytes: int
    """Of the log lines."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.stat().st_size for file in self.files)


def write_raw_day(lake: Path, *, lines: int, files: int) -> RawDay:
    """Write so many generated lines of one day into so many files, in the order in which their log objects were delivered.

    SNAPPY, INT96 times, a row group a file, no object key, and no status for clean rows. Memory is that of one file.
    """
    folder = lake / "raw" / f"ingest_date={_ARRIVED}"
    folder.mkdir(parents=True)
    written: list[Path] = []
    pending: list[pa.Table] = []
    rows = text_bytes = 0
    lines_per_object = max(1, min(_LINES_PER_OBJECT, lines // files))
    for log in generate(lines=lines, seed=1, end=DAY, days=1, lines_per_object=lines_per_object):
        pending.append(parse(log.body, source_key=f"s3://logs/{log.key}").table)
        rows += pending[-1].num_rows
        text_bytes += len(log.body)
        if rows >= lines * (len(written) + 1) // files and len(written) < files - 1:
            written.append(_write(pending, folder / f"{len(written):06}.parquet"))
            pending = []
    if pending:
        written.append(_write(pending, folder / f"{len(written):06}.parquet"))
    return RawDay(tuple(written), rows, text_bytes)


def _write(tables: list[pa.Table], file: Path) -> Path:
    table = pa.concat_tables(tables).combine_chunks()
    status = table.column("parse_status")
    left_out = {
        "object_key": pa.nulls(table.num_rows, pa.string()),
        "parse_status": pc.if_else(pc.equal(status, CLEAN), pa.scalar(None, pa.string()), status),
    }
    columns = [left_out.get(field.name, table.column(field.name)) for field in RAW_TABLE_FIELDS]
    raw = pa.table(columns, schema=arrow_schema(RAW_TABLE_FIELDS))
    pq.write_table(raw, file, compression="snappy", use_deprecated_int96_timestamps=True, store_schema=False)
    return file
