"""Ask a lake in Athena's SQL: the queries that come with the product, and DuckDB to run them and any other embedded."""

from __future__ import annotations

from etl.query._bind import bind, check_order, history_start, resolve_day, resolve_days
from etl.query._catalog import Parameter, Query, find_query, list_queries
from etl.query._connect import connect
from etl.query._damage import find_damaged, without_files
from etl.query._dialect import to_duckdb
from etl.query._docs import docs_queries
from etl.query._query import newest_day, query
from etl.query._run import run_query
from etl.query._scan import ScannedFile, athena_usd, scanned_bytes
from etl.query._settled import settled_columns
from etl.query._syntax import parse_condition
from etl.query._write import Format, write_result

__all__ = [
    "Format",
    "Parameter",
    "Query",
    "ScannedFile",
    "athena_usd",
    "bind",
    "check_order",
    "connect",
    "docs_queries",
    "find_damaged",
    "find_query",
    "history_start",
    "list_queries",
    "newest_day",
    "parse_condition",
    "query",
    "resolve_day",
    "resolve_days",
    "run_query",
    "scanned_bytes",
    "settled_columns",
    "to_duckdb",
    "without_files",
    "write_result",
]
