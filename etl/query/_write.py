"""Write the rows of a query: for people, for programs, for other tools."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import QueryError
from etl.query._texts import column_json, column_texts, dump
from etl.terminal import cells, cut, escape

if TYPE_CHECKING:
    from collections.abc import Callable

Format = Literal["table", "csv", "json", "parquet"]

_WIDEST = 60
"""Columns of a terminal that one value may take."""
_SAMPLED = 1000
"""Rows that decide how wide the columns of a table are; later rows may stick out."""


def write_result(reader: pa.RecordBatchReader, *, format: Format, out: BinaryIO) -> int:
    """Write all rows to `out` and return how many there were; memory holds one batch at a time.

    `table` is aligned text in which nothing can drive a terminal and long values are cut; the others keep the data as
    it is. `csv` is RFC 4180 in UTF-8 with a header, null as nothing and an empty text as `""` (in a result of one
    column both are `""`, since an empty line would be no row); formulas are not defused. `json` is one array of
    objects. `parquet` is zstd. Raises `QueryError` if the query fails on the way, and whatever `out` raises.
    """
    return _WRITERS[format](reader, out)


def _write_table(reader: pa.RecordBatchReader, out: BinaryIO) -> int:
    names = [cut(escape(name), _WIDEST) for name in reader.schema.names]
    rows = _table_rows(reader)
    sample = list(itertools.islice(rows, _SAMPLED))
    widths = [max(map(cells, column)) for column in zip(names, *sample, strict=True)]
    right = [
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in reader.schema.types
    ]

    def line(texts: list[str]) -> bytes:
        padded = []
        for text, width, to_the_right in zip(texts, widths, right, strict=True):
            space = " " * (width - cells(text))
            padded.append(space + text if to_the_right else text + space)
        return ("  ".join(padded).rstrip() + "\n").encode()

    out.write(line(names))
    out.write(("  ".join("-" * width for width in widths) + "\n").encode())
    count = 0
    for row in itertools.chain(sample, rows):
        out.write(line(row))
        count += 1
    return count


def _table_rows(reader: pa.RecordBatchReader) -> Iterator[list[str]]:
    for batch in reader:
        columns = [
            ["-" if text is None else cut(escape(text[: 4 * _WIDEST]), _WIDEST) for text in column_texts(column)]
            for column in batch.columns
        ]
        yield from map(list, zip(*columns, strict=True))


def _write_csv(reader: pa.RecordBatchReader, out: BinaryIO) -> int:
    alone = len(reader.schema.names) == 1
    out.write((",".join(map(_csv_field, reader.schema.names)) + "\r\n").encode())
    count = 0
    for batch in reader:
        columns = [
            [('""' if alone else "") if text is None else _csv_field(text) for text in column_texts(column)]
            for column in batch.columns
        ]
        lines = [",".join(row) for row in zip(*columns, strict=True)]
        out.write("".join(line + "\r\n" for line in lines).encode())
        count += len(lines)
    return count


def _csv_field(text: str) -> str:
    if text and text.isalnum():
        return text
    plain = text and not any(character in text for character in ',"\r\n') and text == text.strip()
    return text if plain else '"' + text.replace('"', '""') + '"'


def _write_json(reader: pa.RecordBatchReader, out: BinaryIO) -> int:
    keys = [dump(name) + ": " for name in reader.schema.names]
    count = 0
    for batch in reader:
        columns = [
            [key + value for value in column_json(column)] for key, column in zip(keys, batch.columns, strict=True)
        ]
        for row in zip(*columns, strict=True):
            out.write((("[\n" if count == 0 else ",\n") + "{" + ", ".join(row) + "}").encode())
            count += 1
    out.write(b"\n]\n" if count else b"[]\n")
    return count


def _write_parquet(reader: pa.RecordBatchReader, out: BinaryIO) -> int:
    count = 0
    try:
        writer = pq.ParquetWriter(out, reader.schema, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise QueryError("parquet", str(error).partition("\n")[0], hint="cast the column to varchar") from None
    with writer:
        for batch in reader:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


_WRITERS: dict[Format, Callable[[pa.RecordBatchReader, BinaryIO], int]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
