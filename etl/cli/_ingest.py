"""`accesslake ingest`."""

from __future__ import annotations

import os

import click

from etl.cli._output import json_option, print_errors, print_json
from etl.cli._progress import Progress
from etl.ingest import IngestedObject
from etl.ingest import ingest as ingest_logs
from etl.sources import LogSource, find_logs


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--lake", required=True, help="A folder or s3://bucket/prefix; made if it is not there.")
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Processes; default: one a core, at most 4.")
@json_option
def ingest(sources: tuple[str, ...], lake: str, workers: int | None, as_json: bool) -> int:
    """Put log objects into a lake: files, folders, globs, s3://bucket/prefix; gzip or plain.

    What is in the lake already is skipped. Objects that cannot be read are named, and the exit code is 1.
    """
    progress = Progress()
    total = _total_bytes(sources, lake)
    size = objects = lines = 0

    def count(result: IngestedObject) -> None:
        nonlocal size, objects, lines
        size += result.size
        objects += 1
        lines += result.written.lines if result.written else 0
        text = f"{objects:,} objects  {lines:,} lines  {size / 1e6:,.0f} MB"
        progress.show(text, share=size / total if total else None)

    try:
        done = ingest_logs(sources, lake=lake, workers=workers or min(os.cpu_count() or 1, 4), on_object=count)
    finally:
        progress.close()
    if as_json:
        print_json(
            {
                "objects": done.objects,
                "skipped": done.skipped,
                "failed": len(done.failed),
                "lines": done.lines,
                "rows": done.rows,
                "quarantined": done.quarantined,
                "errors": [str(error) for error in done.failed],
            }
        )
    else:
        click.echo(
            f"{done.objects:,} objects taken, {done.skipped:,} skipped, {len(done.failed):,} failed: "
            f"{done.lines:,} lines = {done.rows:,} rows + {done.quarantined:,} quarantined"
        )
    print_errors(done.failed)
    return 1 if done.failed else 0


def _total_bytes(sources: tuple[str, ...], lake: str) -> int | None:
    """What is to be read, where looking twice is cheap."""
    if any(source.startswith("s3://") for source in sources):
        return None
    return sum(found.size for found in find_logs(sources, exclude=lake) if isinstance(found, LogSource))
