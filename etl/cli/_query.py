"""`accesslake query`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import cast

import click
import duckdb

from etl.cli._output import json_option, print_message
from etl.errors import BadParameter
from etl.lake import open_lake
from etl.query import Format, Query, bind, connect, find_query, resolve_day, run_query, to_duckdb, write_result


@click.command()
@click.argument("name", required=False)
@click.option("--sql", help="SQL of your own, in Athena's dialect.")
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the query; repeatable.")
@click.option("--since", help="First event day (YYYY-MM-DD, today or -7d).")
@click.option("--until", help="Last event day, inclusive.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default=None,
    help="Default: table.",
)
@json_option
def query(
    name: str | None,
    sql: str | None,
    lake: str,
    params: tuple[str, ...],
    since: str | None,
    until: str | None,
    format_name: str | None,
    as_json: bool,
) -> None:
    """Answer a question about the lake: a named query (see `accesslake queries`), or SQL of your own.

    Relative days such as the default of most queries count back from the newest day of the lake, so that old logs answer too.
    """
    if (name is None) == (sql is None):
        raise BadParameter("query", "takes the name of a query, or --sql", hint="accesslake queries lists the names")
    values = dict(_split(param) for param in params)
    asked = find_query(name) if name is not None else str(sql)
    snapshot = open_lake(lake).snapshot()
    newest_day = _newest_day(connect(snapshot))
    for option, value in (("since", since), ("until", until)):
        if value is not None and isinstance(asked, Query) and option in {item.name for item in asked.parameters}:
            values.setdefault(option, value)
    bound = bind(asked, values, newest_day=newest_day)
    first = resolve_day("--since", since, newest_day=newest_day) if since is not None else None
    last = resolve_day("--until", until, newest_day=newest_day) if until is not None else None
    connection = connect(snapshot, since=first, until=last)
    chosen = cast(Format, format_name or ("json" if as_json else "table"))
    if chosen == "parquet" and sys.stdout.isatty():
        raise BadParameter("--format parquet", "is no text", hint="send stdout to a file")
    rows = write_result(run_query(connection, to_duckdb(bound)), format=chosen, out=sys.stdout.buffer)
    sys.stdout.flush()
    if not rows:
        print_message(f"accesslake: no rows; the newest day of the lake is {newest_day}")


def _split(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    if not equals:
        raise BadParameter(param, "is no parameter", hint="--param NAME=VALUE")
    return name, value


def _newest_day(connection: duckdb.DuckDBPyConnection) -> str:
    """The newest event day that is not in the future; today for an empty lake."""
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    sql = to_duckdb(f"SELECT max(event_date) AS day FROM access_logs WHERE event_date <= '{today}'")
    found = run_query(connection, sql).read_all().column(0)[0].as_py()
    return str(found or today)
