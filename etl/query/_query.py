"""Ask a lake one question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from etl.catalog import open_lake
from etl.query._bind import bind, history_start, resolve_days
from etl.query._catalog import Query, find_query
from etl.query._connect import connect
from etl.query._dialect import to_duckdb
from etl.query._run import run_query


def query(
    name: str | None = None,
    *,
    lake: str,
    sql: str | None = None,
    params: Mapping[str, str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> pa.RecordBatchReader:
    """The rows of a named query, or of `sql` in Athena's dialect, on one snapshot of the lake; `read_all()` makes a table.

    `since` and `until` (`YYYY-MM-DD`, `today`, `-7d`) are event days, both inclusive. Relative days count back from the newest
    day of the lake that is not in the future, so that old logs answer without more words. A query that compares with what was
    before (it has a parameter `history`) looks at the year before `since` too. Raises `UnknownQuery`, `BadParameter`,
    `QueryError`, or a `LakeError`.
    """
    asked: Query | str = sql if sql is not None else find_query(name or "")
    snapshot = open_lake(lake).snapshot()
    newest = newest_day(connect(snapshot))
    values = dict(params or {})
    first, last = resolve_days(since, until, newest_day=newest)
    known = {parameter.name for parameter in asked.parameters} if isinstance(asked, Query) else set()
    for option, day in (("since", first), ("until", last)):
        if day is not None and option in known:
            values.setdefault(option, day)
    if first is not None and "history" in known:
        values.setdefault("history", history_start(first))
        first = None
    bound = to_duckdb(bind(asked, values, newest_day=newest))
    connection = connect(snapshot, since=first, until=last)
    rows = run_query(connection, bound)
    return pa.RecordBatchReader.from_batches(rows.schema, _while_connected(rows, connection))


def newest_day(connection: duckdb.DuckDBPyConnection) -> str:
    """The newest event day that is not in the future; today for an empty lake."""
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    sql = to_duckdb(f"SELECT max(event_date) AS day FROM access_logs WHERE event_date <= '{today}'")
    found = run_query(connection, sql).read_all().column(0)[0].as_py()
    return str(found or today)


def _while_connected(rows: pa.RecordBatchReader, connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    """The rows; the connection, whose folder they may have been spilled to, lives as long as they are read."""
    yield from rows
    connection.close()
