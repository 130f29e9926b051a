"""`accesslake generate`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from etl.cli._output import json_option, print_json
from etl.generate import generate as generate_logs
from etl.generate import write_objects
from etl.query import resolve_day

_LAST_DAY: Final = "2026-06-30"


@click.command()
@click.option("--lines", type=click.IntRange(0), required=True, help="Lines in all.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds give equal bytes.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--end", default=_LAST_DAY, show_default=True, help="Last event day (YYYY-MM-DD, today or -7d).")
@click.option("--days", type=click.IntRange(1), default=3, show_default=True, help="Event days.")
@json_option
def generate(lines: int, seed: int, output: Path, end: str, days: int, as_json: bool) -> None:
    """Write realistic, deterministic log objects with S3's own object names."""
    last = resolve_day("--end", end, newest_day=datetime.now(UTC).strftime("%Y-%m-%d"))
    objects = generate_logs(lines=lines, seed=seed, end=datetime.fromisoformat(last).date(), days=days)
    written = write_objects(objects, output)
    if as_json:
        print_json({**asdict(written), "folder": str(output)})
    else:
        click.echo(f"{written.lines:,} lines in {written.objects:,} objects, {written.bytes / 1e6:,.1f} MB in {output}")
