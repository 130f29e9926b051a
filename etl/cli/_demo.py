"""`accesslake demo`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from etl.audit import audit
from etl.cli._output import json_option, print_json
from etl.compact import compact
from etl.detect import detect
from etl.errors import UsageError
from etl.generate import generate, write_objects
from etl.ingest import ingest
from etl.lake import open_lake
from etl.query import bind, connect, find_query, run_query, to_duckdb, write_result
from etl.report import report

_LINES: Final = 50_000
_QUERIES: Final = ("requests_by_day_and_operation", "recipe_sigv2_by_user_agent", "ambiguous_lines")
_SHOWN_ROWS: Final = 8


@click.command()
@click.option("--lake", default="demo-lake", show_default=True, help="Folder of the lake; the logs go beside it.")
@click.option("--lines", type=click.IntRange(1), default=_LINES, show_default=True, help="Lines to generate.")
@json_option
def demo(lake: str, lines: int, as_json: bool) -> int:
    """Run the whole pipeline on generated and hand-made logs: ingest, compact, query, audit, detect, report."""
    logs = Path(f"{lake.rstrip('/')}-logs")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    written = write_objects(generate(lines=lines, seed=1, end=yesterday), logs / "generated")
    say(f"1. {written.lines:,} log lines in {written.objects} objects, {written.bytes / 1e6:.1f} MB: {logs}/generated")
    corpus = _corpus()
    sources = [str(logs / "generated"), *([str(corpus)] if corpus else [])]
    if corpus:
        say(f"   and the hand-made hostile lines of {corpus.name}")
    taken = ingest(sources, lake=lake)
    say(
        f"2. ingest: {taken.lines:,} lines = {taken.rows:,} rows + {taken.quarantined:,} quarantined "
        f"({taken.skipped} objects were there already): {lake}/raw"
    )
    again = ingest(sources, lake=lake)
    say(f"   again: {again.rows:,} new rows, {again.skipped} objects skipped")
    done = compact(lake)
    if done.batch is None:
        say("3. compact: nothing to do")
    else:
        say(
            f"3. compact: {done.rows_in:,} rows in, {done.rows_out:,} out, {done.duplicates:,} that S3 delivered twice "
            f"folded, {done.files} files, {done.bytes / 1e6:.1f} MB: {lake}/compacted"
        )
    results: dict[str, int] = {}
    connection = connect(open_lake(lake).snapshot())
    for name in _QUERIES:
        query = find_query(name)
        sql = to_duckdb(bind(query, {}, newest_day=yesterday.isoformat()))
        table = run_query(connection, sql).read_all()
        results[name] = table.num_rows
        say(f"4. query {name}: {query.question}")
        if not as_json:
            sys.stdout.flush()
            write_result(table.slice(0, _SHOWN_ROWS).to_reader(), format="table", out=sys.stdout.buffer)
            sys.stdout.buffer.flush()
            say(f"   ({table.num_rows} rows)\n")
    found = audit(lake)
    say(f"5. audit: {'every line is accounted for' if found.ok else 'lines are missing'}")
    hunted = detect(lake)
    active = sum(each.status == "active" for each in hunted.migrations)
    say(f"6. detect: {hunted.findings.num_rows:,} findings, {active} clients still sign with SigV2: {lake}/findings")
    page = f"{lake.rstrip('/')}.html"
    try:
        report(lake, output=page)
        say(f"7. report: {page}")
    except UsageError as error:
        say(f"7. report: {error.hint}")
    if as_json:
        print_json(
            _summary(lake, logs, asdict(taken) | {"failed": len(taken.failed)}, asdict(done), results, found.ok)
            | {"findings": hunted.findings.num_rows}
        )
    return 0 if found.ok and not taken.failed else 1


def _summary(
    lake: str, logs: Path, ingested: dict[str, Any], compacted: dict[str, Any], queries: dict[str, int], ok: bool
) -> dict[str, Any]:
    return {
        "lake": lake,
        "logs": str(logs),
        "ingest": ingested,
        "compact": compacted,
        "queries": queries,
        "audit": {"ok": ok},
    }


def _corpus() -> Path | None:
    """The hand-made lines: inside the package once installed, else in the repository."""
    here = Path(__file__).parents[1]
    places = (
        here / "generate" / "corpus" / "synthetic-edge.log",
        here.parent / "tests" / "corpus" / "synthetic-edge.log",
    )
    return next((place for place in places if place.is_file()), None)
