"""`accesslake cost`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import click

from etl.cli._output import json_option, print_json
from etl.cost import PRICES, LineItem, Workload
from etl.cost import cost as estimate_cost


@click.command()
@click.option("--lines-per-day", type=int, required=True, help="Log lines that arrive on a day.")
@click.option("--bytes-per-line", type=int, default=Workload.bytes_per_line, show_default=True, help="Mean length.")
@click.option(
    "--lines-per-object",
    type=int,
    default=Workload.lines_per_object,
    show_default=True,
    help="Lines in a log object; quiet buckets have ten.",
)
@click.option(
    "--sink", type=click.Choice(["firehose", "parquet"]), default="firehose", show_default=True, help="The way in."
)
@click.option(
    "--days-kept", type=int, default=Workload.days_kept, show_default=True, help="Days that rows are kept; 0: none."
)
@click.option(
    "--queries-per-day",
    type=int,
    default=Workload.queries_per_day,
    show_default=True,
    help="Athena queries, each over a week.",
)
@json_option
def cost(
    lines_per_day: int,
    bytes_per_line: int,
    lines_per_object: int,
    sink: str,
    days_kept: int,
    queries_per_day: int,
    as_json: bool,
) -> None:
    """Estimate the monthly bill by part, with the arithmetic, beside what other ways in would cost.

    List prices of us-east-1, without free tier and discounts; --json also gives where each price is from.
    """
    workload = Workload(lines_per_day, bytes_per_line, lines_per_object, days_kept, queries_per_day)
    found = estimate_cost(workload, sink=sink)
    if as_json:
        print_json(asdict(found) | {"total": found.total, "prices": [asdict(price) for price in PRICES]})
        return
    click.echo(f"USD a month, {lines_per_day:,} lines a day of {bytes_per_line} bytes, through {sink}\n")
    _print(found.items)
    click.echo(f"{'together':40} {found.total:12,.2f}")
    click.echo("\nThe way in alone, without compaction, storage and watching\n")
    _print(found.alternatives)


def _print(items: Iterable[LineItem]) -> None:
    for item in items:
        click.echo(f"{item.name:40} {item.usd:12,.2f}  {item.how}")
