"""Rows that an earlier batch holds already: looked for in committed files, of which one that is damaged is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.compact._duckdb import scan
from etl.compact._fold import FOLDED_BEFORE_SQL, committed_sql
from etl.compact._inspect import UNREADABLE
from etl.errors import LakeUnusable, ObjectNotFound, first_line
from etl.lake import Lake, request_each
from etl.lake._layout import day_of


def fold_committed(lake: Lake, batch: str, connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
    """Fold rows whose log object was compacted before: only files of touched days, and only if an object comes again."""
    days = {day for (day,) in connection.execute("SELECT DISTINCT event_date FROM objects").fetchall()}
    log_objects = pa.array([key for (key,) in connection.execute("SELECT DISTINCT source_key FROM objects").fetchall()])
    repeating = [
        output.key
        for commit in lake.commits()
        for output in commit.outputs
        if commit.batch < batch and day_of(output.key) in days and _holds_any(lake, output.key, log_objects)
    ]
    files = dict(
        zip(repeating, request_each(lake.store, partial(_fetch_committed, lake, scratch), repeating), strict=True)
    )
    if files:
        try:
            connection.execute(f"CREATE TEMP TABLE committed AS {committed_sql(scan(files.values()))}")
        except duckdb.Error as error:
            for key, file in files.items():
                with _as_committed(lake, key):
                    connection.execute(f"SELECT sum(hash(COLUMNS(*))) FROM ({committed_sql(scan([file]))})").fetchall()
            raise error
        connection.execute(FOLDED_BEFORE_SQL)


def _fetch_committed(lake: Lake, scratch: Path, key: str) -> str:
    with _as_committed(lake, key):
        return str(lake.store.fetch(key, scratch))


def _holds_any(lake: Lake, key: str, log_objects: pa.StringArray) -> bool:
    with (
        _as_committed(lake, key),
        pq.ParquetFile(lake.store.path(key), filesystem=lake.store.filesystem) as file,
    ):
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, columns=["source_key"]).column(0)
            if pc.any(pc.is_in(names, log_objects)).as_py():
                return True
    return False


@contextmanager
def _as_committed(lake: Lake, key: str) -> Iterator[None]:
    """Name the committed file: without it nobody knows what is folded, so nothing is rewritten before it is mended."""
    try:
        yield
    except (duckdb.Error, ObjectNotFound, *UNREADABLE) as error:
        reason = f"this committed file cannot be read, and compaction needs it: {first_line(error)}"
        hint = "accesslake audit names what is damaged"
        raise LakeUnusable(f"{lake.uri}/{key}", reason, hint=hint) from error
