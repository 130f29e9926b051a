"""`accesslake query`."""

from __future__ import annotations

import sys
from typing import cast

import click

from etl.cli._output import json_option, print_message
from etl.errors import BadParameter
from etl.query import Format, write_result
from etl.query import query as run_named


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
    chosen = cast(Format, format_name or ("json" if as_json else "table"))
    if chosen == "parquet" and sys.stdout.isatty():
        raise BadParameter("--format parquet", "is no text", hint="send stdout to a file")
    values = dict(_split(param) for param in params)
    rows = run_named(name, lake=lake, sql=sql, params=values, since=since, until=until)
    count = write_result(rows, format=chosen, out=sys.stdout.buffer)
    sys.stdout.flush()
    if not count:
        print_message(
            "accesslake: no rows (days count back from the newest day of the lake; --since and --until choose others)"
        )


def _split(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    if not equals:
        raise BadParameter(param, "is no parameter", hint="--param NAME=VALUE")
    return name, value
