"""`accesslake ddl`."""

from __future__ import annotations

from datetime import datetime

import click

from etl.cli._output import json_option, print_json
from etl.ddl import DEFAULT_FIRST_DAY
from etl.ddl import ddl as all_ddl


@click.command()
@click.option("--location", default="s3://amzn-s3-demo-bucket/lake", show_default=True, help="Where the lake lies.")
@click.option("--database", default="accesslake", show_default=True, help="Database of the tables and views.")
@click.option("--recipe-database", default="default", show_default=True, help="Database of the view s3accesslog.")
@click.option(
    "--first-day",
    type=click.DateTime(["%Y-%m-%d"]),
    default=DEFAULT_FIRST_DAY,
    show_default=True,
    help="First day of the projection.",
)
@json_option
def ddl(location: str, database: str, recipe_database: str, first_day: datetime, as_json: bool) -> None:
    """Print the Athena DDL of the lake's tables and views."""
    statements = all_ddl(
        location=location.rstrip("/"),
        database=database,
        recipe_database=recipe_database,
        first_day=f"{first_day:%Y-%m-%d}",
    )
    if as_json:
        print_json({"statements": statements})
    else:
        click.echo(";\n\n".join(statements) + ";")
