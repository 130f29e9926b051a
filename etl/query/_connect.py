"""A DuckDB connection that sees one snapshot of a lake under the names it has on AWS, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa

from etl.errors import QueryError
from etl.lake import TEMPORARY_PREFIX
from etl.query._bind import resolve_day
from etl.query._failures import query_failure
from etl.query._views import (
    derived_views,
    no_rows,
    quote,
    read_parquet,
    requested_between,
    table_view,
)
from etl.schema import (
    COMPACTED_TABLE,
    FINDINGS_TABLE,
    QUARANTINE_TABLE,
    RAW_TABLE,
    Table,
)
from etl.terminal import escape

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from etl.lake._snapshot import DataFile, Snapshot

_GLOB = re.compile(r"[*?\[\]{}]")
_UNREADABLE_HINT: Final = "rename or mend it; a raw file that stays so is left out by accesslake compact"
_ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    # Microseconds, since a filter on DuckDB's TIMESTAMP is pushed into the dataset only if the types are equal.
    "timestamp": pa.timestamp("us"),
    "binary": pa.binary(),
}


def connect(
    snapshot: Snapshot, *, since: str | None = None, until: str | None = None, memory_limit: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Tables and views over exactly the files of the snapshot, to be queried with SQL from `to_duckdb`.

    `access_logs_raw`, `_compacted`, `_quarantine` and `_findings` are the tables, `access_logs`, `access_logs_exact`
    and `"default"."s3accesslog"` the views; columns and types are AWS's. `since` and `until` (`YYYY-MM-DD`, inclusive)
    limit by event day all that holds requests. `memory_limit` is DuckDB's (`"2GB"`); what does not fit spills into a
    private temporary folder, removed with the connection.

    Whoever writes SQL for it can read the snapshot's files and no other, load no extension and change no setting. Of a lake in a
    folder, `COPY ... TO` one of these files overwrites it: SQL of others goes through `run_query`, after `to_duckdb`, which takes
    nothing but a SELECT. Raises `BadParameter` for a date that is none, `QueryError` if DuckDB does not start, and for a file
    whose name is not UTF-8.
    """
    for name, day in (("since", since), ("until", until)):
        if day is not None:
            resolve_day(name, day, newest_day=day)
    compacted = tuple(
        file
        for file in snapshot.compacted
        if (since is None or file.day >= since) and (until is None or file.day <= until)
    )
    tables: list[tuple[Table, tuple[DataFile, ...], str]] = [
        (RAW_TABLE, snapshot.raw, requested_between(since, until)),
        (COMPACTED_TABLE, compacted, ""),
        (QUARANTINE_TABLE, snapshot.quarantine, ""),
        (FINDINGS_TABLE, snapshot.findings, ""),
    ]
    connection = _start(memory_limit)
    try:
        allowed: list[str] = []
        for table, files, where in tables:
            relation = _relation(connection, table, files, snapshot, allowed)
            connection.execute(table_view(table, relation, where=where))
        for statement in derived_views():
            connection.execute(statement)
        connection.execute(f"SET allowed_paths = [{', '.join(quote(path) for path in allowed)}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise query_failure(error) from None
    return connection


def _start(memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    spill = tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": os.path.join(spill, "spill"),
        # 5 / 2 is 2 in Athena.
        "integer_division": True,
    }
    if memory_limit is not None:
        settings["memory_limit"] = memory_limit
    try:
        connection = duckdb.connect(config=settings)
    except duckdb.Error as error:
        os.rmdir(spill)
        raise query_failure(error) from None
    weakref.finalize(connection, shutil.rmtree, spill, ignore_errors=True)
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB draws a bar on standard output where it takes the program for a person at a prompt, in `python -c` for one.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _relation(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: tuple[DataFile, ...],
    snapshot: Snapshot,
    allowed: list[str],
) -> str:
    """SQL for the table's files; those that DuckDB is to open itself are added to `allowed`."""
    if not files:
        return no_rows(table)
    _check_names(files)
    paths = [os.path.abspath(file.path) for file in files] if snapshot.filesystem is None else []
    # DuckDB takes [ ] * ? in a path for a pattern, and would then read another folder's files.
    if paths and all(_is_plain(table, path, file.day) for path, file in zip(paths, files, strict=True)):
        allowed.extend(paths)
        return read_parquet(table, paths)
    name = f"{table.name}_files"
    connection.register(name, _dataset(table, files, snapshot))
    return name


def _check_names(files: Iterable[DataFile]) -> None:
    """Names of a folder's files are bytes; DuckDB opens none that is not UTF-8, and says so in no words."""
    for file in files:
        try:
            file.path.encode()
        except UnicodeEncodeError:
            raise QueryError(escape(file.path), "its name is not UTF-8", hint=_UNREADABLE_HINT) from None


def _is_plain(table: Table, path: str, day: str) -> bool:
    folder = os.path.basename(os.path.dirname(path))
    return folder == f"{table.partition_key}={day}" and _GLOB.search(path) is None


def _dataset(table: Table, files: tuple[DataFile, ...], snapshot: Snapshot) -> ds.Dataset:
    """The files as an Arrow dataset: DuckDB pushes columns and filters into it, and it skips files by their day."""
    # Imported here: it takes a second where pandas is installed, and a local lake does not need it.
    import pyarrow.dataset as ds
    import pyarrow.fs as pafs

    filesystem = snapshot.filesystem or pafs.LocalFileSystem()
    schema = pa.schema([(name, _ARROW_TYPES[kind]) for name, kind, _ in table.columns])
    schema = schema.append(pa.field(table.partition_key, pa.string()))
    parquet = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(None, coerce_int96_timestamp_unit="us"))
    fragments = [
        parquet.make_fragment(
            file.path, filesystem, partition_expression=ds.field(table.partition_key) == ds.scalar(file.day)
        )
        for file in files
    ]
    return ds.FileSystemDataset(fragments, schema, parquet, filesystem)
