"""`accesslake queries`."""

from __future__ import annotations

from dataclasses import asdict

import click

from etl.cli._output import json_option, print_json
from etl.query import list_queries


@click.command()
@json_option
def queries(as_json: bool) -> None:
    """List the named queries, with the question that each answers."""
    listed = list_queries()
    if as_json:
        print_json({"queries": [asdict(query) for query in listed]})
        return
    width = max((len(query.name) for query in listed), default=0)
    for query in listed:
        click.echo(f"{query.name:{width}}  {query.question}")
