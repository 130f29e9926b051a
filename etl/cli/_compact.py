"""`accesslake compact`."""

from __future__ import annotations

from dataclasses import asdict

import click

from etl.cli._output import json_option, print_json, print_message
from etl.compact import DEFAULT_TARGET_BYTES
from etl.compact import compact as compact_lake


@click.command()
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@click.option(
    "--target-size",
    type=click.IntRange(1, 4096),
    default=DEFAULT_TARGET_BYTES >> 20,
    show_default=True,
    help="Size of a compacted file, in MiB.",
)
@json_option
def compact(lake: str, target_size: int, as_json: bool) -> int:
    """Rewrite raw files into few large sorted ones by event day, each row once.

    Readers see the lake as it was or as it will be, nothing between; it may be run at any time, by anybody, twice.
    """
    done = compact_lake(lake, target_bytes=target_size << 20)
    for key in done.left_out:
        print_message(f"accesslake: {key}: cannot be read and is left out of batch {done.batch}; it stays where it is")
    if as_json:
        print_json(asdict(done))
    elif done.batch is None:
        click.echo("nothing to compact")
    else:
        click.echo(
            f"batch {done.batch}: {done.rows_in:,} rows in, {done.rows_out:,} out, {done.duplicates:,} folded; "
            f"{done.files:,} files, {done.bytes / 1e6:,.1f} MB"
        )
    return 1 if done.left_out else 0
