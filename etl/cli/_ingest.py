"""`accesslake ingest`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

import click

from etl.cli._engines import INGEST_ENGINES, rewrite_by
from etl.cli._output import json_option, print_errors, print_json, print_message
from etl.cli._progress import Progress, rows_so_far
from etl.errors import SourceError
from etl.ingest import IngestedObject
from etl.ingest import ingest as ingest_logs
from etl.sources import LogSource, find_logs

_MANY_OBJECTS: Final = 100_000
"""From here on one machine takes hours, most of them waiting for one object after the other."""


@click.command()
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option("--lake", required=True, help="A folder or s3://bucket/prefix; made if it is not there.")
@click.option(
    "--inventory",
    "inventories",
    metavar="MANIFEST",
    multiple=True,
    help="The manifest.json of an S3 Inventory (CSV or Parquet), a file or s3://bucket/key: its objects are taken.",
)
@click.option(
    "--engine",
    type=click.Choice(INGEST_ENGINES),
    default="local",
    show_default=True,
    help="local writes one raw file for each object; spark back-fills an archive, straight to compacted files.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Processes; default: one a core, at most 4.")
@json_option
def ingest(
    sources: tuple[str, ...],
    lake: str,
    inventories: tuple[str, ...],
    engine: str,
    workers: int | None,
    as_json: bool,
) -> int:
    """Put log objects into a lake: files, folders, globs, s3://bucket/prefix; gzip or plain.

    What is in the lake already is skipped. Objects that cannot be read are named, and the exit code is 1.
    """
    if not sources and not inventories:
        raise click.UsageError("names no SOURCE and no --inventory")
    if engine == "local":
        return _ingest(sources, inventories, lake, workers or min(os.cpu_count() or 1, 4), as_json)
    if workers is not None:
        raise click.UsageError("--workers is for --engine local; Spark has its own settings")
    return _backfill(sources, inventories, lake, engine, as_json)


def _ingest(sources: tuple[str, ...], inventories: tuple[str, ...], lake: str, workers: int, as_json: bool) -> int:
    progress = Progress()
    found, total = _look_ahead(sources, inventories, lake)
    suggestion = _Suggestion(progress)
    suggestion.count(found)
    size = objects = lines = 0

    def count(result: IngestedObject) -> None:
        nonlocal size, objects, lines
        size += result.size
        objects += 1
        lines += result.written.lines if result.written else 0
        suggestion.count(objects)
        text = f"{objects:,} objects  {lines:,} lines  {size / 1e6:,.0f} MB"
        progress.show(text, share=size / total if total else None)

    try:
        done = ingest_logs(sources, inventories=inventories, lake=lake, workers=workers, on_object=count)
    finally:
        progress.close()
    counts = {
        "objects": done.objects,
        "skipped": done.skipped,
        "failed": len(done.failed),
        "lines": done.lines,
        "rows": done.rows,
        "quarantined": done.quarantined,
    }
    return _tell(counts, done.failed, as_json=as_json)


def _backfill(sources: tuple[str, ...], inventories: tuple[str, ...], lake: str, engine: str, as_json: bool) -> int:
    from etl.backfill import Backfilled, backfill

    progress = Progress()
    so_far = "0 objects"

    def show(written: int, planned: int) -> None:
        text = f"{so_far}  this batch: {rows_so_far(written, planned)}"
        progress.show(text, share=written / planned if planned else None)

    def count(done: Backfilled) -> None:
        nonlocal so_far
        so_far = f"{len(done.batches):,} batches  {done.objects:,} objects  {done.rows:,} rows"

    # A lake that is made keeps its state in files, so only Spark can be named here.
    rewrite = rewrite_by(engine, lake=lake)
    try:
        done = backfill(sources, inventories=inventories, lake=lake, rewrite=rewrite, on_rows=show, on_batch=count)
    finally:
        progress.close()
    counts = {
        "objects": done.objects,
        "skipped": done.skipped,
        "failed": len(done.failed),
        "lines": done.lines,
        "rows": done.rows,
        "quarantined": done.quarantined,
        "duplicates": done.duplicates,
        "files": done.files,
        "bytes": done.bytes,
        "batches": list(done.batches),
        "stragglers": list(done.stragglers),
    }
    print_errors(f"{key}: came after its day was sealed, and is in a batch now" for key in done.stragglers)
    return _tell(counts, done.failed, as_json=as_json)


def _tell(counts: dict[str, Any], failed: Iterable[SourceError], *, as_json: bool) -> int:
    """Print what was done; the exit code."""
    errors = list(failed)
    if as_json:
        print_json({**counts, "errors": [str(error) for error in errors]})
    else:
        click.echo(
            f"{counts['objects']:,} objects taken, {counts['skipped']:,} skipped, {counts['failed']:,} failed: "
            f"{counts['lines']:,} lines = {counts['rows']:,} rows + {counts['quarantined']:,} quarantined"
        )
        if "batches" in counts:
            click.echo(
                f"{len(counts['batches']):,} batches: {counts['duplicates']:,} rows folded, {counts['files']:,} files, "
                f"{counts['bytes'] / 1e6:,.1f} MB"
            )
    print_errors(errors)
    return 1 if errors else 0


class _Suggestion:
    """Says once that there is an engine for so many objects."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._made = progress, False

    def count(self, objects: int) -> None:
        """There are at least so many objects."""
        if objects > _MANY_OBJECTS and not self._made:
            self._made = True
            self._progress.close()
            print_message(f"accesslake: more than {_MANY_OBJECTS:,} objects; --engine spark takes them side by side")


def _look_ahead(sources: tuple[str, ...], inventories: tuple[str, ...], lake: str) -> tuple[int, int | None]:
    """How many objects and bytes are to be read; 0 and None where looking twice is not cheap."""
    if inventories or any(source.startswith("s3://") for source in sources):
        return 0, None
    sizes = [found.size for found in find_logs(sources, exclude=lake) if isinstance(found, LogSource)]
    return len(sizes), sum(sizes)
