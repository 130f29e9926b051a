"""DuckDB as the local rewrite has it: a connection of bounded memory, and SQL for the rows of Parquet files."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import duckdb

from etl.errors import RowsNotConserved
from etl.lake import Input
from etl.schema import RAW_TABLE_FIELDS, Kind

_MEMORY_LIMIT: Final = "512MB"
_SQL_TYPES: Final = {Kind.STRING: "VARCHAR", Kind.INT: "INTEGER", Kind.BIGINT: "BIGINT", Kind.TIMESTAMP: "TIMESTAMP_MS"}
_NAMES: Final = ", ".join(field.name for field in RAW_TABLE_FIELDS)
_COLUMNS: Final = ", ".join(
    f"'{field.name}': {{name: '{field.name}', type: '{_SQL_TYPES[field.kind]}', default_value: NULL}}"
    for field in RAW_TABLE_FIELDS
)


def connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory, which spills into a folder of `scratch`."""
    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    # A time with a zone is a moment; without this its day would be that of the place where this runs.
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB draws a bar on standard output where it takes the program for a person at a prompt.
    connection.execute("SET enable_progress_bar = false")
    # How many rows there are DuckDB guesses from the first file, or not at all; all joins are written small side last.
    connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    return connection


def scan(files: Iterable[str]) -> str:
    """SQL for the rows of exactly these files, with the columns of the raw table; one that a file lacks is null.

    DuckDB is told the columns. To find them by itself (`union_by_name`) it opens every file once more for each statement, and
    keeps some 80 KB of each, beside its limit.
    """
    return f"read_parquet([{_listed(files)}], schema=MAP {{{_COLUMNS}}}, hive_partitioning=false)"


def raw_rows(files: Iterable[str], *, first: int = 0) -> str:
    """SQL for the rows of raw files, INT96 as milliseconds, with the event day of each.

    And with what tells each from all others: the number of its file, counted from `first` on, and its place in that.
    """
    return (
        f"SELECT {_NAMES}, strftime(request_time::TIMESTAMP, '%Y-%m-%d') AS event_date, "
        f"(file_index + {first})::BIGINT AS raw_object, file_row_number AS file_row FROM {scan(files)}"
    )


def bundled_rows(files: Iterable[str]) -> str:
    """SQL for rows that were read and written as `raw_rows` gives them."""
    return f"SELECT * FROM read_parquet([{_listed(files)}], hive_partitioning=false)"


def count_objects(rows: str) -> str:
    """SQL for what raw objects hold: their log objects and event days, and how many rows of each have a time."""
    return f"SELECT raw_object, source_key, event_date, count(event_date) AS dated FROM ({rows}) GROUP BY ALL"


def check_inputs(
    connection: duckdb.DuckDBPyConnection, objects: str, items: Sequence[Input], *, first: int = 0
) -> None:
    """Raise `RowsNotConserved` if an input does not hold the rows that were planned, each with a time of some `YYYY-MM-DD`.

    `objects` is SQL for what `count_objects` finds, `first` the number of the first input.
    """
    counted = connection.execute(
        f"SELECT raw_object, sum(dated) FROM ({objects}) "
        "WHERE regexp_full_match(event_date, '[0-9]{4}-[0-9]{2}-[0-9]{2}') GROUP BY ALL"
    ).fetchall()
    dated = dict(counted)
    for number, item in enumerate(items, first):
        if dated.get(number, 0) != item.rows:
            raise RowsNotConserved(item.key, f"{dated.get(number, 0)} rows with a time, {item.rows} were planned")


def quoted(text: str) -> str:
    """Text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _listed(files: Iterable[str]) -> str:
    return ", ".join(quoted(glob.escape(file)) for file in files)
