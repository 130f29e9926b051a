"""`accesslake compact`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from etl.cli._engines import COMPACT_ENGINES, rewrite_by
from etl.cli._output import json_option, print_errors, print_json, print_message
from etl.cli._progress import Progress, rows_so_far
from etl.compact import DEFAULT_GRACE, DEFAULT_SEAL_DELAY, DEFAULT_TARGET_BYTES, MAX_TARGET_MIB
from etl.compact import compact as compact_lake


@click.command()
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@click.option(
    "--engine",
    type=click.Choice(COMPACT_ENGINES),
    default="local",
    show_default=True,
    help="What rewrites: this machine, Spark, or Athena (where Glue keeps the lake's state).",
)
@click.option(
    "--workgroup",
    default="primary",
    show_default=True,
    help="Athena's workgroup; its limit of scanned bytes has to let a day's files pass twice in one statement.",
)
@click.option(
    "--target-size",
    type=click.IntRange(1, MAX_TARGET_MIB),
    default=DEFAULT_TARGET_BYTES >> 20,
    show_default=True,
    help="Size of a compacted file, in MiB.",
)
@click.option(
    "--grace",
    type=click.IntRange(0, 3650),
    default=DEFAULT_GRACE.days,
    show_default=True,
    help="Days that raw files are kept after their commit. With 0, a query that is running may find that they are gone.",
)
@click.option(
    "--seal-delay",
    type=click.IntRange(0, 24 * 365),
    default=DEFAULT_SEAL_DELAY // timedelta(hours=1),
    show_default=True,
    help="Hours after the end of a day of arrival until its raw files are rewritten. Only where Glue keeps the lake's state.",
)
@click.option("--now", type=click.DateTime(["%Y-%m-%dT%H:%M:%S"]), hidden=True, help="The time to go by, in UTC.")
@json_option
def compact(
    lake: str,
    engine: str,
    workgroup: str,
    target_size: int,
    grace: int,
    seal_delay: int,
    now: datetime | None,
    as_json: bool,
) -> int:
    """Rewrite raw files into few large sorted ones by event day, each row once.

    Readers see the lake as it was or as it will be, nothing between; it may be run at any time, by anybody, twice. A back-fill's
    batch that was left half done is carried out first, in its stead. Exit code 1 if a raw file or a log object cannot be read.
    """
    progress = Progress()

    def show(written: int, planned: int) -> None:
        progress.show(rows_so_far(written, planned), share=written / planned if planned else None)

    try:
        done = compact_lake(
            lake,
            rewrite=rewrite_by(engine, lake=lake, workgroup=workgroup),
            target_bytes=target_size << 20,
            grace=timedelta(days=grace),
            seal_delay=timedelta(hours=seal_delay),
            now=now and now.replace(tzinfo=UTC),
            on_rows=show,
        )
    finally:
        progress.close()
    for key in done.left_out:
        print_message(f"accesslake: {key}: cannot be read and is left out of batch {done.batch}; it stays where it is")
    print_errors(f"{key}: came after its day was sealed, and is in batch {done.batch} now" for key in done.stragglers)
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
