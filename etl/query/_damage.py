"""Which files an engine cannot read, when all it says is that it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.errors import QueryError
from etl.query._connect import connect
from etl.query._failures import ASK_AGAIN
from etl.query._run import run_query
from etl.query._views import quote_name, table_columns
from etl.schema import COMPACTED_TABLE, RAW_TABLE, Table

if TYPE_CHECKING:
    from etl.lake._snapshot import DataFile, Snapshot


def find_damaged(snapshot: Snapshot) -> dict[str, str]:
    """The reason for each compacted or raw file, by its path, of which some value cannot be read.

    DuckDB does not say in which file a page was damaged. All values of all files are read, then of halves of what cannot be:
    one damaged file costs twice the reading of everything, and nothing at all before a query has failed. Raises `QueryError` if
    a file is gone: nothing is known of its rows then, which are in another file.
    """
    return dict(
        each
        for table, files in ((COMPACTED_TABLE, snapshot.compacted), (RAW_TABLE, snapshot.raw))
        for each in _damaged(snapshot, table, files)
    )


def without_files(snapshot: Snapshot, paths: Mapping[str, str]) -> Snapshot:
    """The snapshot without the compacted and raw files at these paths."""
    return replace(
        snapshot,
        compacted=tuple(file for file in snapshot.compacted if file.path not in paths),
        raw=tuple(file for file in snapshot.raw if file.path not in paths),
    )


def _damaged(snapshot: Snapshot, table: Table, files: tuple[DataFile, ...]) -> Iterator[tuple[str, str]]:
    reason = _read_all(snapshot, table, files) if files else ""
    if reason and len(files) == 1:
        yield files[0].path, reason
    elif reason:
        half = len(files) // 2
        yield from _damaged(snapshot, table, files[:half])
        yield from _damaged(snapshot, table, files[half:])


def _read_all(snapshot: Snapshot, table: Table, files: tuple[DataFile, ...]) -> str:
    """Read every value of files of one table: why that fails, or nothing."""
    compacted, raw = (files, ()) if table is COMPACTED_TABLE else ((), files)
    # Of a hash no statistics tell the maximum, so that pages are read.
    columns = ", ".join(f"max(hash({quote_name(name)}) % 2)" for name, _ in table_columns(table))
    try:
        with connect(replace(snapshot, compacted=compacted, raw=raw, quarantine=(), findings=())) as connection:
            run_query(connection, f"SELECT {columns} FROM {table.name}").read_all()
    except QueryError as error:
        if error.hint == ASK_AGAIN:
            raise
        return error.reason
    return ""
