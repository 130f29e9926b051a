"""DuckDB on one thread: its CSV reader, and one regular expression (RE2) over a column of lines. Neither is exact."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.methods._exact_lines import WIRE_SCHEMA
from benchmarks.methods._plain_lines import LF
from benchmarks.methods._typed_columns import TOKENS
from etl.schema import WIRE_FIELDS, Kind

_MEMORY = Path("/dev/shm")
_TYPES = {Kind.INT: "INTEGER", Kind.BIGINT: "BIGINT"}
_QUOTABLE = r'(?:"([^"]*)"|-)'
_TOKEN = r"([^ \n]+)"
_PATTERN = (
    r"^([^ ]+) ([^ ]+) \[([^\]]+)\] ([^ ]+) ([^ ]+) ([^ ]+) ([\w.]+) ([^ ]+) "
    + " ".join([_QUOTABLE, *[_TOKEN] * 6, _QUOTABLE, _QUOTABLE])
    + f"(?: {_TOKEN})?" * 10
)


def read_csv(data: bytes) -> pa.Table:
    """read_csv with every lenience it has; short lines padded with nulls. The bytes pass through a file in memory."""
    tokens = ", ".join(f"'t{place}': 'VARCHAR'" for place in range(TOKENS + 1))
    with tempfile.NamedTemporaryFile(dir=_MEMORY if _MEMORY.is_dir() else None, suffix=".log") as file:
        file.write(data)
        file.flush()
        return _run(
            _typed({field.name: _token_of(field.wire or 0) for field in WIRE_FIELDS}, "[%d/%b/%Y:%H:%M:%S")
            + f" FROM read_csv('{file.name}', delim = ' ', quote = '\"', escape = '', header = false, auto_detect = false,"
            " null_padding = true, strict_mode = false, ignore_errors = true, parallel = false, nullstr = '-',"
            f" columns = {{{tokens}}})"
        )


def extract(data: bytes) -> pa.Table:
    """regexp_extract with a group a field; it cannot tell an unquoted dash from an empty string."""
    text = np.frombuffer(data, np.uint8)
    offsets = np.concatenate([[0], np.flatnonzero(text == LF) + 1])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    lines = pa.table({"line": pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)})
    names = ", ".join(f"'{field.name}'" for field in WIRE_FIELDS)
    return _run(
        _typed({name: f"nullif(nullif(f.{name}, '-'), '')" for name in WIRE_SCHEMA.names}, "%d/%b/%Y:%H:%M:%S %z")
        + f" FROM (SELECT regexp_extract(line, $pattern, [{names}]) AS f FROM lines) WHERE f.bucket_name <> ''",
        pattern=_PATTERN,
        lines=lines,
    )


def _token_of(field: int) -> str:
    return f"t{field - 1 if field < 4 else field}"


def _typed(texts: dict[str, str], time_format: str) -> str:
    columns = []
    for field in WIRE_FIELDS:
        text = texts[field.name]
        if field.kind is Kind.TIMESTAMP:
            text = f"try_strptime({text}, '{time_format}')::TIMESTAMP_MS"
        elif field.kind in _TYPES:
            text = f"TRY_CAST({text} AS {_TYPES[field.kind]})"
        columns.append(f"{text} AS {field.name}")
    return "SELECT " + ", ".join(columns)


def _run(sql: str, *, pattern: str | None = None, lines: pa.Table | None = None) -> pa.Table:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if lines is not None:
            connection.register("lines", lines)
        return connection.sql(sql, params=None if pattern is None else {"pattern": pattern}).to_arrow_table()
