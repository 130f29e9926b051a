"""The requests of a period, counted by day, by who sent them and by how they failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from etl.query import run_query
from etl.report._data import Day, ErrorCode, FailingKey, Reader, Totals

if TYPE_CHECKING:
    import duckdb

LISTED: Final = 10
"""How many of the most frequent are listed."""
_CLIENT_ERRORS: Final = "count(*) FILTER (WHERE http_status BETWEEN 400 AND 499)"
_SERVER_ERRORS: Final = "count(*) FILTER (WHERE http_status >= 500)"
_BYTES: Final = "coalesce(sum(bytes_sent_size), 0)"
EVERY_ROW, EACH_ROW_ONCE = "access_logs", "access_logs_exact"
"""The views to count in. A report's numbers must not change when compaction takes out what Firehose delivered twice."""


def read_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """The rows of a SELECT in DuckDB's SQL."""
    rows: list[dict[str, Any]] = run_query(connection, sql).read_all().to_pylist()
    return rows


def read_days(connection: duckdb.DuckDBPyConnection, view: str) -> tuple[Totals, tuple[Day, ...]]:
    """All requests that the connection sees, together and by day."""
    rows = read_rows(
        connection,
        f"SELECT event_date AS day, count(*) AS requests, {_BYTES} AS bytes_sent, {_CLIENT_ERRORS} AS client_errors, "
        f"{_SERVER_ERRORS} AS server_errors, count(*) FILTER (WHERE parse_status = 'ambiguous') AS ambiguous, "
        "count(*) FILTER (WHERE parse_status = 'short') AS short, min(request_time) AS first, max(request_time) AS last "
        f"FROM {view} GROUP BY event_date ORDER BY event_date",
    )
    totals = Totals(
        requests=_sum(rows, "requests"),
        bytes_sent=_sum(rows, "bytes_sent"),
        client_errors=_sum(rows, "client_errors"),
        server_errors=_sum(rows, "server_errors"),
        ambiguous=_sum(rows, "ambiguous"),
        short=_sum(rows, "short"),
        first_request=min((row["first"] for row in rows), default=None),
        last_request=max((row["last"] for row in rows), default=None),
    )
    names = ("day", "requests", "bytes_sent", "client_errors", "server_errors")
    return totals, tuple(Day(**{name: row[name] for name in names}) for row in rows)


def read_readers(connection: duckdb.DuckDBPyConnection, view: str, column: str) -> tuple[Reader, ...]:
    """The most frequent values of a column of who sent a request; most bytes first among those with as many requests."""
    rows = read_rows(
        connection,
        f"SELECT {column} AS name, count(*) AS requests, {_BYTES} AS bytes_sent, "
        f"count(*) FILTER (WHERE http_status >= 400) AS failed FROM {view} GROUP BY 1 "
        f"ORDER BY requests DESC, bytes_sent DESC, name NULLS LAST LIMIT {LISTED}",
    )
    return tuple(Reader(**row) for row in rows)


def read_errors(connection: duckdb.DuckDBPyConnection, view: str) -> tuple[ErrorCode, ...]:
    """The most frequent errors: statuses of 400 and more, as everywhere. A redirect has an error code, too, and is none."""
    rows = read_rows(
        connection,
        "SELECT error_code AS code, http_status AS status, count(*) AS requests, max(request_time) AS last_request "
        f"FROM {view} WHERE http_status >= 400 GROUP BY 1, 2 "
        f"ORDER BY requests DESC, code NULLS LAST, status LIMIT {LISTED}",
    )
    return tuple(ErrorCode(**row) for row in rows)


def read_failing_keys(connection: duckdb.DuckDBPyConnection, view: str) -> tuple[FailingKey, ...]:
    """The objects whose requests fail most often."""
    rows = read_rows(
        connection,
        "SELECT bucket_name AS bucket, coalesce(object_key, key_name) AS key, error_code AS code, http_status AS status, "
        f"count(*) AS requests FROM {view} WHERE http_status >= 400 AND key_name IS NOT NULL GROUP BY ALL "
        f"ORDER BY requests DESC, bucket, key NULLS LAST, code NULLS LAST, status LIMIT {LISTED}",
    )
    return tuple(FailingKey(**row) for row in rows)


def _sum(rows: Iterable[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in rows)
