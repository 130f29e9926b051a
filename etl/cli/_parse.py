"""`accesslake parse`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from etl.cli._output import json_option
from etl.errors import BadParameter, SourceError
from etl.parse import Parsed, parse_stream
from etl.sources import PART_BYTES, LogSource, decompress, find_logs, read_parts


@click.command()
@click.argument("file")
@json_option
def parse(file: str, as_json: bool) -> None:
    """Print one JSON object a line of FILE (- for stdin, gzip or plain): a row, or why there is none.

    Quarantined lines do not change the exit code. The output is JSON with and without --json.
    """
    out = sys.stdout
    for part in _parsed(file):
        for record in records(part):
            out.write(json.dumps(record) + "\n")
    out.flush()


def records(part: Parsed) -> Iterator[dict[str, Any]]:
    """Rows and quarantined lines as JSON-ready values, in input order."""
    rows = iter(_rows(part.table))
    row = next(rows, None)
    for rejected in part.quarantine.to_pylist():
        while row is not None and row["line_no"] < rejected["line_no"]:
            yield row
            row = next(rows, None)
        yield {
            "quarantined": rejected["reason"],
            "line_no": rejected["line_no"],
            "raw_line": rejected["raw_line"].decode(errors="backslashreplace"),
        }
    if row is not None:
        yield row
        yield from rows


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    place = table.schema.get_field_index("request_time")
    times = pc.binary_join_element_wise(pc.strftime(table.column(place), format="%Y-%m-%dT%H:%M:%S"), "Z", "")
    table = table.set_column(place, "request_time", times)
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _parsed(file: str) -> Iterator[Parsed]:
    if file == "-":
        parts = iter(lambda: sys.stdin.buffer.read(PART_BYTES), b"")
        return parse_stream(decompress(parts, source_key="-"), source_key="-")
    found, *others = islice(find_logs([file]), 2)
    if others:
        raise BadParameter(
            file, "names several log objects, and parse reads one", hint="accesslake ingest takes them all"
        )
    if isinstance(found, SourceError):
        raise found
    assert isinstance(found, LogSource)
    return parse_stream(read_parts(found), source_key=found.source_key)
